//! The certificate of the door: the configured one, or one of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::PostgresConfig;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("a certificate could not be made: {0}")]
    Made(String),
}

/// Reads the configured certificate, or the one in `folder`, which is made if it is not there yet.
///
/// # Errors
/// Which file cannot be used, and why.
pub fn acceptor(config: &PostgresConfig, folder: &Path) -> Result<TlsAcceptor, TlsError> {
    let (certificate, key) = match (&config.tls_cert_file, &config.tls_key_file) {
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
        _ => own(folder)?,
    };
    let mut made = server(&certificate, &key)?;
    made.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(made)))
}

/// Reads a certificate with its chain, and its key, both PEM.
///
/// # Errors
/// Which file cannot be used, and why.
pub fn server(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let file = |path: &Path, reason: &dyn std::fmt::Display| TlsError::File {
        path: path.to_owned(),
        reason: format!("{reason}; give a PEM file that this user can read"),
    };
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| file(certificate, &error))?;
    if chain.is_empty() {
        return Err(file(certificate, &"it holds no certificate"));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| file(key, &error))?;
    let made = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret));
    made.map_err(|error| file(certificate, &error))
}

fn own(folder: &Path) -> Result<(PathBuf, PathBuf), TlsError> {
    let (certificate, key) = (folder.join("postgres.crt"), folder.join("postgres.key"));
    if certificate.exists() && key.exists() {
        return Ok((certificate, key));
    }
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).map_err(|error| TlsError::Made(error.to_string()))?;
    write(&key, made.signing_key.serialize_pem().as_bytes(), 0o600)?;
    write(&certificate, made.cert.pem().as_bytes(), 0o644)?;
    Ok((certificate, key))
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), TlsError> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let written = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path);
    written
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(|error| TlsError::File { path: path.to_owned(), reason: error.to_string() })
}
