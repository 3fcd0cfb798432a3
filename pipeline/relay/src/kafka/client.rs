//! What every client of the brokers has in common: connection, security, and what it last complained of.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::{KafkaConfig, RelayError};

/// Connection and security; the caller adds what its kind of client needs.
pub(super) fn base(config: &KafkaConfig) -> Result<ClientConfig, RelayError> {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &config.bootstrap_servers)
        .set("client.id", "kizashi")
        .set("security.protocol", config.security_protocol.name())
        .set("reconnect.backoff.ms", "100")
        .set("reconnect.backoff.max.ms", "2000")
        .set("socket.keepalive.enable", "true")
        .set_log_level(RDKafkaLogLevel::Notice);
    let files = [
        ("ssl.ca.location", &config.ssl_ca_file),
        ("ssl.certificate.location", &config.ssl_certificate_file),
        ("ssl.key.location", &config.ssl_key_file),
    ];
    for (key, file) in files {
        if let Some(file) = file {
            client.set(key, file.display().to_string());
        }
    }
    if config.security_protocol.sasl() {
        client.set("sasl.mechanism", config.mechanism().name());
        client.set("sasl.username", config.sasl_username.as_deref().unwrap_or_default());
        if let Some(password) = config.password().map_err(RelayError::Refused)? {
            client.set("sasl.password", password.reveal());
        }
    }
    Ok(client)
}

/// A client that cannot even be made: the configuration is wrong.
pub(super) fn refused(error: &KafkaError) -> RelayError {
    RelayError::Refused(format!("relay.kafka cannot be used: {error}"))
}

/// What the client last complained of, so that "not available" can say why; logged once until things are well again.
#[derive(Clone, Debug)]
pub(super) struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    servers: String,
    complaint: Mutex<Option<String>>,
    away: AtomicBool,
}

impl Health {
    pub fn new(config: &KafkaConfig) -> Self {
        let servers = config.bootstrap_servers.clone();
        Self(Arc::new(Inner { servers, complaint: Mutex::new(None), away: AtomicBool::new(false) }))
    }

    pub fn note(&self, complaint: String) {
        *self.0.complaint.lock().unwrap_or_else(PoisonError::into_inner) = Some(complaint);
    }

    /// A complaint that says little: an earlier one, which says more, stands.
    pub fn suspect(&self, complaint: String) {
        self.0.complaint.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(complaint);
    }

    /// The brokers cannot be used: says so in the log the first time.
    pub fn away(&self) -> RelayError {
        let complaint = self.0.complaint.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let complaint = complaint.unwrap_or_else(|| "no answer".to_owned());
        if !self.0.away.swap(true, Ordering::Relaxed) {
            tracing::warn!(servers = self.0.servers, complaint, "Kafka cannot be reached; trying on");
        }
        RelayError::Unavailable(format!("Kafka at {}: {complaint}", self.0.servers))
    }

    pub fn well(&self) {
        if self.0.away.swap(false, Ordering::Relaxed) {
            *self.0.complaint.lock().unwrap_or_else(PoisonError::into_inner) = None;
            tracing::info!(servers = self.0.servers, "Kafka can be reached again");
        }
    }
}

/// Takes librdkafka's own lines: they repeat themselves, so they go to the log at debug level, and the last is kept.
impl ClientContext for Health {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", facility, message);
        let complains = !matches!(level, RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug | RDKafkaLogLevel::Notice);
        if complains && facility != "TERMINATE" {
            self.note(message.rsplit_once("]: ").map_or(message, |(_, text)| text).to_owned());
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason);
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            self.note(reason.to_owned());
        }
    }
}
