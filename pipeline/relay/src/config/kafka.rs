//! `[relay.kafka]`.

use std::path::PathBuf;

use kizashi_model::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;

/// How to speak to the brokers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecurityProtocol {
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

impl SecurityProtocol {
    #[must_use]
    pub fn tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    #[must_use]
    pub fn sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SaslMechanism {
    #[serde(rename = "PLAIN")]
    Plain,
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl SaslMechanism {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    None,
    #[default]
    Lz4,
    Zstd,
}

impl Compression {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// A Kafka cluster as the event log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConfig {
    /// First brokers to ask, `host:port` separated by commas. Default "127.0.0.1:9092".
    pub bootstrap_servers: String,
    /// A topic's name is this prefix, a dot, and the topic, such as `kizashi.check-results`. Default "kizashi".
    pub topic_prefix: String,
    /// Prefix of the consumer groups' names, with a dot after it. Default: the same as `topic_prefix`.
    pub group_prefix: Option<String>,
    /// Partitions of a topic that does not exist yet; an existing one keeps its own. Default 4.
    pub partitions: i32,
    /// Replicas of a topic that does not exist yet. Default 1; use 3 where there are three brokers.
    pub replication: i32,
    /// How long publish waits for the acknowledgement of all in-sync replicas before it fails. Default 10s.
    pub publish_wait: Span,
    /// Bytes of events waiting for acknowledgement; publish waits when there are more. Default 32 MiB.
    pub queue_bytes_max: u64,
    /// How long the producer waits for company before it sends a batch. Default 5ms.
    pub linger: Span,
    /// "lz4" (default), "zstd" or "none".
    pub compression: Compression,
    /// The largest message that the producer sends, in bytes; the broker's limit must not be below it. Default 2 MiB.
    pub message_bytes_max: u32,
    /// Bytes that one consumer reads ahead, all partitions together. A larger single message still arrives. Default 4 MiB,
    /// which stays in the processor's cache; more costs time per record and gains nothing near the broker.
    pub read_ahead_bytes_max: u64,
    /// A consumer that is silent for so long loses its partitions. Default 10s.
    pub session_timeout: Span,
    /// "plaintext" (default), "ssl", "sasl_plaintext" or "sasl_ssl".
    pub security_protocol: SecurityProtocol,
    /// PEM file with the authorities that sign the brokers' certificates. Default: the system's.
    pub ssl_ca_file: Option<PathBuf>,
    /// PEM file with this client's certificate, where brokers ask for one.
    pub ssl_certificate_file: Option<PathBuf>,
    /// PEM file with the key of that certificate, unencrypted.
    pub ssl_key_file: Option<PathBuf>,
    /// "PLAIN", "SCRAM-SHA-256" or "SCRAM-SHA-512". Default with SASL: "SCRAM-SHA-512".
    pub sasl_mechanism: Option<SaslMechanism>,
    pub sasl_username: Option<String>,
    /// The password itself. Prefer `sasl_password_env`.
    pub sasl_password: Option<Secret>,
    /// Name of the environment variable that holds the password.
    pub sasl_password_env: Option<String>,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            bootstrap_servers: "127.0.0.1:9092".to_owned(),
            topic_prefix: "kizashi".to_owned(),
            group_prefix: None,
            partitions: 4,
            replication: 1,
            publish_wait: Span::from_secs(10),
            queue_bytes_max: 32 * 1024 * 1024,
            linger: Span::from_ms(5),
            compression: Compression::Lz4,
            message_bytes_max: 2 * 1024 * 1024,
            read_ahead_bytes_max: 4 * 1024 * 1024,
            session_timeout: Span::from_secs(10),
            security_protocol: SecurityProtocol::Plaintext,
            ssl_ca_file: None,
            ssl_certificate_file: None,
            ssl_key_file: None,
            sasl_mechanism: None,
            sasl_username: None,
            sasl_password: None,
            sasl_password_env: None,
        }
    }
}

impl KafkaConfig {
    /// The name of `topic` on the brokers.
    #[must_use]
    pub fn topic_name(&self, topic: kizashi_model::Topic) -> String {
        format!("{}.{}", self.topic_prefix, topic.name())
    }

    #[must_use]
    pub fn group_name(&self, group: &str) -> String {
        format!("{}.{group}", self.group_prefix.as_deref().unwrap_or(&self.topic_prefix))
    }

    /// # Errors
    /// What is wrong, with the key and what to do.
    pub fn validate(&self) -> Result<(), String> {
        self.validate_names()?;
        self.validate_sizes()?;
        self.validate_security()
    }

    fn validate_names(&self) -> Result<(), String> {
        for server in self.bootstrap_servers.split(',') {
            let port = server.trim().rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
            if !port.is_some_and(|port| port.parse::<u16>().is_ok_and(|p| p > 0)) {
                return Err(format!(
                    "relay.kafka.bootstrap_servers has {server:?}: write host:port, several separated by commas"
                ));
            }
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        for (key, name) in [("topic_prefix", Some(&self.topic_prefix)), ("group_prefix", self.group_prefix.as_ref())] {
            if name.is_some_and(|n| n.is_empty() || n.len() > 200 || !n.chars().all(legal)) {
                return Err(format!("relay.kafka.{key} is not valid: use 1 to 200 letters, digits, '.', '_' and '-'"));
            }
        }
        Ok(())
    }

    fn validate_sizes(&self) -> Result<(), String> {
        let in_range = |key: &str, value: i64, low: i64, high: i64| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(format!("relay.kafka.{key} is {value}: use {low} to {high}"))
            }
        };
        in_range("partitions", self.partitions.into(), 1, 1_000)?;
        in_range("replication", self.replication.into(), 1, 32)?;
        in_range("publish_wait in ms", self.publish_wait.ms(), 100, 600_000)?;
        in_range("linger in ms", self.linger.ms(), 0, 1_000)?;
        in_range("session_timeout in ms", self.session_timeout.ms(), 1_000, 600_000)?;
        in_range("message_bytes_max", self.message_bytes_max.into(), 1_100_000, 900_000_000)?;
        let bytes = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        in_range("queue_bytes_max", bytes(self.queue_bytes_max), 1_100_000, 1 << 31)?;
        in_range("read_ahead_bytes_max", bytes(self.read_ahead_bytes_max), 1_100_000, 1 << 31)
    }

    fn validate_security(&self) -> Result<(), String> {
        let tls_keys = [
            ("ssl_ca_file", &self.ssl_ca_file),
            ("ssl_certificate_file", &self.ssl_certificate_file),
            ("ssl_key_file", &self.ssl_key_file),
        ];
        if !self.security_protocol.tls() && tls_keys.iter().any(|(_, file)| file.is_some()) {
            return Err("relay.kafka has ssl_* keys but its security_protocol does not use TLS: \
                        set security_protocol to \"ssl\" or \"sasl_ssl\""
                .to_owned());
        }
        if self.ssl_certificate_file.is_some() != self.ssl_key_file.is_some() {
            return Err("relay.kafka.ssl_certificate_file and ssl_key_file go together: set both or none".to_owned());
        }
        for (key, file) in tls_keys {
            let Some(file) = file else { continue };
            if let Err(e) = std::fs::File::open(file) {
                return Err(format!("relay.kafka.{key} names {}, which cannot be read: {e}", file.display()));
            }
        }
        if self.sasl_password.is_some() && self.sasl_password_env.is_some() {
            return Err("relay.kafka has sasl_password and sasl_password_env: keep one".to_owned());
        }
        let password = self.sasl_password.is_some() || self.sasl_password_env.is_some();
        if self.security_protocol.sasl() {
            if self.sasl_username.is_none() || !password {
                return Err(
                    "relay.kafka uses SASL: set sasl_username, and sasl_password_env or sasl_password".to_owned()
                );
            }
            self.password().map(|_| ())?;
        } else if self.sasl_username.is_some() || password || self.sasl_mechanism.is_some() {
            return Err("relay.kafka has sasl_* keys but its security_protocol does not use SASL: \
                        set security_protocol to \"sasl_ssl\" or \"sasl_plaintext\""
                .to_owned());
        }
        self.refuse_what_this_build_lacks()
    }

    fn refuse_what_this_build_lacks(&self) -> Result<(), String> {
        let scram = self.security_protocol.sasl() && self.mechanism() != SaslMechanism::Plain;
        if cfg!(feature = "tls") || !(self.security_protocol.tls() || scram) {
            return Ok(());
        }
        Err("relay.kafka asks for TLS or SCRAM, and this program was built without them: \
             build it with `cargo build --features kafka-tls` (it needs Perl to compile OpenSSL)"
            .to_owned())
    }

    #[must_use]
    pub fn mechanism(&self) -> SaslMechanism {
        self.sasl_mechanism.unwrap_or(SaslMechanism::ScramSha512)
    }

    /// The password, from the key or from the environment.
    ///
    /// # Errors
    /// When the named variable is not set.
    pub fn password(&self) -> Result<Option<Secret>, String> {
        match &self.sasl_password_env {
            None => Ok(self.sasl_password.clone()),
            Some(name) => match std::env::var(name) {
                Ok(value) => Ok(Some(Secret::new(value))),
                Err(_) => Err(format!("relay.kafka.sasl_password_env names {name}, which is not set: export it")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut KafkaConfig)) -> Result<(), String> {
        let mut config = KafkaConfig::default();
        change(&mut config);
        config.validate()
    }

    #[test]
    fn the_default_is_valid() {
        assert_eq!(KafkaConfig::default().validate(), Ok(()));
    }

    #[test]
    fn a_wrong_value_names_its_key_and_what_to_write() {
        type Change = fn(&mut KafkaConfig);
        let cases: [(&str, Change); 8] = [
            ("bootstrap_servers", |c| c.bootstrap_servers = "broker".to_owned()),
            ("bootstrap_servers", |c| c.bootstrap_servers = "a:9092,:1".to_owned()),
            ("topic_prefix", |c| c.topic_prefix = "a b".to_owned()),
            ("partitions", |c| c.partitions = 0),
            ("message_bytes_max", |c| c.message_bytes_max = 5),
            ("ssl_", |c| c.ssl_ca_file = Some("/etc/hosts".into())),
            ("sasl_username", |c| c.security_protocol = SecurityProtocol::SaslPlaintext),
            ("security_protocol", |c| c.sasl_username = Some("me".to_owned())),
        ];
        for (key, change) in cases {
            let refused = with(change);
            assert!(refused.as_ref().is_err_and(|e| e.contains(key)), "{key}: {refused:?}");
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        let config = KafkaConfig { sasl_password: Some(Secret::new("hunter2".to_owned())), ..KafkaConfig::default() };
        let printed = format!("{config:?}{}", serde_json::to_string(&config).unwrap());
        assert!(!printed.contains("hunter2"), "{printed}");
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn a_build_without_tls_says_how_to_build_with_it() {
        let refused = with(|c| c.security_protocol = SecurityProtocol::Ssl);
        assert!(refused.as_ref().is_err_and(|e| e.contains("--features kafka-tls")), "{refused:?}");
    }

    #[test]
    fn unknown_keys_are_refused() {
        let refused = serde_json::from_str::<KafkaConfig>(r#"{"bootstrap_server":"a:1"}"#);
        assert!(refused.is_err_and(|e| e.to_string().contains("bootstrap_server")));
    }
}
