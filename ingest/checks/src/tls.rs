//! TLS towards whatever is checked. The certificate is read and judged apart: the handshake goes on with one that is
//! expired or unknown, so that its days are still measured; nothing is sent afterwards unless the judgement allows it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use kizashi_model::{State, Timestamp};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::net::plain;
use crate::probe::{Context, Report};

const DAY_S: f64 = 86_400.0;
const CA_FILE_BYTES_MAX: u64 = 8 << 20;

/// How a certificate is judged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Policy<'a> {
    pub verify: bool,
    /// Trusted instead of the system's certificates.
    pub ca_file: Option<&'a Path>,
    pub warning_days: u32,
    pub critical_days: u32,
}

/// The system's trusted certificates, read once.
#[derive(Debug, Default)]
pub(crate) struct Roots(OnceLock<Arc<RootCertStore>>);

impl Roots {
    fn system(&self) -> Arc<RootCertStore> {
        let load = || {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            Arc::new(store)
        };
        Arc::clone(self.0.get_or_init(load))
    }
}

/// What the server showed.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    /// Days until it expires; negative when it has. `None` when it cannot be read.
    pub days_left: Option<f64>,
    /// Why it is not trusted.
    pub distrust: Option<String>,
}

impl Certificate {
    /// Adds the metric, and what the policy holds against the certificate.
    pub fn judge(&self, policy: &Policy<'_>, report: &mut Report) {
        if let Some(days) = self.days_left {
            report.metric_towards("days_left", days, "d", 0.0);
            report.below(
                "certificate validity",
                days,
                " days",
                policy.warning_days.into(),
                policy.critical_days.into(),
            );
        }
        if let Some(distrust) = self.distrust.as_ref().filter(|_| policy.verify) {
            report.fail(State::Critical, distrust.clone());
        }
    }
}

/// A connection, or the reason why there is none; the certificate as far as it was shown.
pub(crate) struct Handshake {
    pub stream: Result<TlsStream<TcpStream>, String>,
    pub certificate: Option<Certificate>,
    pub took: Duration,
}

/// # Errors
/// When the checking side is not able to start: the `ca_file` cannot be read, the name is no server name.
pub(crate) async fn handshake(
    tcp: TcpStream,
    name: &str,
    alpn: &[&[u8]],
    policy: &Policy<'_>,
    context: &Context,
) -> Result<Handshake, String> {
    let server_name = ServerName::try_from(name.to_owned()).map_err(|_| format!("{name} is not a TLS server name"))?;
    let shared = Arc::clone(&context.shared);
    let ca_file: Option<PathBuf> = policy.ca_file.map(Path::to_path_buf);
    let roots =
        context.blocking(move || ca_file.map_or_else(|| Ok(shared.roots.system()), |path| from_file(&path))).await??;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let judge = Arc::new(Judge::new(roots, Arc::clone(&provider), context.now));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&judge) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();

    let begun = Instant::now();
    let stream = TlsConnector::from(Arc::new(config)).connect(server_name, tcp).await;
    let took = begun.elapsed();
    let stream = stream.map_err(|error| format!("TLS handshake with {name} failed: {}", plain(&error)));
    Ok(Handshake { stream, certificate: judge.seen(), took })
}

fn from_file(path: &Path) -> Result<Arc<RootCertStore>, String> {
    let failed =
        |why: String| format!("ca_file {} cannot be used: {why}; it must hold PEM certificates", path.display());
    let size = std::fs::metadata(path).map_err(|error| failed(plain(&error)))?.len();
    if size > CA_FILE_BYTES_MAX {
        return Err(failed(format!("{size} bytes, at most {CA_FILE_BYTES_MAX} are read")));
    }
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        store.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    if store.is_empty() { Err(failed("there is no certificate in it".to_owned())) } else { Ok(Arc::new(store)) }
}

/// Lets every certificate pass and remembers what is to be said of it. The signatures of the handshake are verified.
struct Judge {
    verifier: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    now: Timestamp,
    seen: Mutex<Option<Certificate>>,
}

impl Judge {
    fn new(roots: Arc<RootCertStore>, provider: Arc<CryptoProvider>, now: Timestamp) -> Self {
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build().ok();
        Self { verifier, provider, now, seen: Mutex::new(None) }
    }

    fn seen(&self) -> Option<Certificate> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn distrust(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
    ) -> Option<String> {
        let Some(verifier) = &self.verifier else {
            return Some(
                "no trusted certificates were found on this host: install ca-certificates or set ca_file".to_owned(),
            );
        };
        let since_epoch = Duration::from_millis(u64::try_from(self.now.0).unwrap_or(0));
        match verifier.verify_server_cert(leaf, chain, name, ocsp, UnixTime::since_unix_epoch(since_epoch)) {
            Ok(_) => None,
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => Some(
                "the certificate is not trusted: its issuer is unknown (set ca_file to your own authority's certificate)".to_owned(),
            ),
            Err(Error::InvalidCertificate(reason)) => Some(format!("the certificate is not trusted: {reason}")),
            Err(other) => Some(format!("the certificate is not trusted: {other}")),
        }
    }
}

fn days_left(leaf: &CertificateDer<'_>, now: Timestamp) -> Option<f64> {
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let expires_s = certificate.validity().not_after.timestamp();
    Some((expires_s as f64 - now.0 as f64 / 1_000.0) / DAY_S)
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let distrust = self.distrust(end_entity, intermediates, server_name, ocsp_response);
        let certificate = Certificate { days_left: days_left(end_entity, self.now), distrust };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(certificate);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
