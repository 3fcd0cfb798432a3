//! Kafka. Filled below.
