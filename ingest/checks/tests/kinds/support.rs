//! A check from its TOML, run once, and servers to run it against.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kizashi_checks::{Definition, Guard, Outcome, run_once};
use kizashi_model::{CheckResult, Clock, Timestamp};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// 2027-01-15T08:00:00Z
pub const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// `kind` is the line of the kind's table: `port = { .. }`.
pub fn parse(kind: &str) -> Result<Definition, toml::de::Error> {
    toml::from_str(&format!("id = 'it'\ntimeout = '5s'\n{kind}\n"))
}

pub async fn outcome(definition: &Definition, mark: Option<Vec<u8>>) -> Outcome {
    let outcome = run_once(definition, &Clock::manual(NOW).0, mark, Guard::default()).await;
    for metric in &outcome.result.metrics {
        assert!(
            names_its_unit(&metric.name, &metric.unit),
            "{:?} is in {:?}: see kinds/mod.rs",
            metric.name,
            metric.unit
        );
    }
    outcome
}

fn names_its_unit(name: &str, unit: &str) -> bool {
    match unit {
        "%" => name.ends_with("_percent"),
        "By" => name.ends_with("_bytes"),
        "ms" => name.ends_with("_ms"),
        "s" => name.ends_with("_s"),
        "d" => name.ends_with("_days") || name == "days_left",
        "1" => !["_percent", "_bytes", "_ms", "_s", "_days"].iter().any(|suffix| name.ends_with(suffix)),
        _ => false,
    }
}

pub async fn run(kind: &str) -> CheckResult {
    outcome(&parse(kind).expect("the check is valid"), None).await.result
}

pub fn value(result: &CheckResult, metric: &str) -> Option<f64> {
    result.metrics.iter().find(|found| found.name == metric).map(|found| found.value)
}

/// Answers every connection on a free port, until it is dropped.
pub struct Server {
    pub at: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Server {
    pub async fn start<F, Answer>(answer: F) -> Self
    where
        F: Fn(TcpStream) -> Answer + Send + 'static,
        Answer: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer(stream));
            }
        });
        Self { at, _tasks: tasks }
    }

    /// Sends `text` to whoever connects, and closes.
    pub async fn saying(text: &'static str) -> Self {
        Self::start(move |mut stream| async move {
            let _ = stream.write_all(text.as_bytes()).await;
        })
        .await
    }

    /// Accepts and stays silent.
    pub async fn silent() -> Self {
        Self::start(|stream| async move {
            std::future::pending::<()>().await;
            drop(stream);
        })
        .await
    }

    /// Speaks HTTP: gives the request's head to `answer` and sends what it makes of it.
    pub async fn http(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        Self::start(move |mut stream| {
            let answer = Arc::clone(&answer);
            async move {
                let head = head(&mut stream).await;
                let _ = stream.write_all(&answer(&head)).await;
                let _ = stream.shutdown().await;
            }
        })
        .await
    }

    pub async fn https(certificate: &Certificate, answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let (answer, acceptor) = (Arc::new(answer), certificate.acceptor());
        Self::start(move |stream| {
            let (answer, acceptor) = (Arc::clone(&answer), acceptor.clone());
            async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let head = head(&mut stream).await;
                let _ = stream.write_all(&answer(&head)).await;
                let _ = stream.shutdown().await;
            }
        })
        .await
    }
}

async fn head(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut chunk).await {
            Ok(read) if read > 0 => head.extend_from_slice(&chunk[..read]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

pub fn page(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Self-signed, for `localhost` and 127.0.0.1.
pub struct Certificate {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Certificate {
    /// Valid until the first moment of a day.
    pub fn until(year: i32, month: u8, day: u8) -> Self {
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, month, day);
        let key = KeyPair::generate().unwrap();
        Self { certificate: params.self_signed(&key).unwrap(), key }
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// Its PEM file, for `ca_file`.
    pub fn file(&self, folder: &Path) -> PathBuf {
        let path = folder.join("ca.pem");
        std::fs::write(&path, self.certificate.pem()).unwrap();
        path
    }
}

/// A port on which nobody listens.
pub async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}
