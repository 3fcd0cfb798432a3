//! TLS for a port: certificate and key from files, read again while connections go on. Any door that takes connections may
//! share it.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{Error, ServerConfig};

const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The present certificate. Clones share it.
#[derive(Clone)]
pub struct Tls {
    cert_file: PathBuf,
    key_file: PathBuf,
    present: Arc<RwLock<Arc<ServerConfig>>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("cert_file", &self.cert_file).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the certificate with its chain, and its key, both PEM.
    ///
    /// # Errors
    /// Which key of the configuration and which file is wrong, and what to do.
    pub fn load(cert_file: &Path, key_file: &Path) -> Result<Self, String> {
        let present = Arc::new(RwLock::new(Arc::new(read(cert_file, key_file)?)));
        Ok(Self { cert_file: cert_file.to_owned(), key_file: key_file.to_owned(), present })
    }

    /// Reads the files again, for the connections that come from now on.
    ///
    /// # Errors
    /// As [`Self::load`]; the certificate that was read before goes on.
    pub fn reload(&self) -> Result<(), String> {
        let fresh = Arc::new(read(&self.cert_file, &self.key_file)?);
        *self.present.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// For the next connection.
    #[must_use]
    pub fn present(&self) -> Arc<ServerConfig> {
        self.present.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn read(cert_file: &Path, key_file: &Path) -> Result<ServerConfig, String> {
    let about_cert = |what: &str| told("http.tls_cert_file", cert_file, what);
    let about_key = |what: &str| told("http.tls_key_file", key_file, what);
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes(cert_file).map_err(|what| about_cert(&what))?)
        .collect::<Result<_, _>>()
        .map_err(|error| about_cert(&format!("is not PEM ({error}): give the certificate and its chain in PEM")))?;
    if chain.is_empty() {
        return Err(about_cert(
            "holds no certificate: give the certificate and its chain in PEM, the server's own first",
        ));
    }
    let key = PrivateKeyDer::from_pem_slice(&bytes(key_file).map_err(|what| about_key(&what))?)
        .map_err(|error| about_key(&format!("holds no private key ({error}): give an unencrypted one in PEM")))?;
    let versions = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| about_cert(&error.to_string()))?;
    let mut config = versions.with_no_client_auth().with_single_cert(chain, key).map_err(|error| match error {
        Error::InconsistentKeys(_) => about_key(&format!(
            "is not the key of the certificate in {}: give the one it was made with",
            cert_file.display()
        )),
        Error::General(why) => about_key(&format!("is a key that cannot be used ({why}): use RSA, ECDSA or Ed25519")),
        error => about_cert(&format!("holds a certificate that cannot be used ({error})")),
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn bytes(file: &Path) -> Result<Vec<u8>, String> {
    let unreadable =
        |error: std::io::Error| format!("cannot be read ({error}): see that it is there and this user may");
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(unreadable)?;
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("has more than {FILE_BYTES_MAX} bytes: it is hardly what it should be"));
    }
    Ok(bytes)
}

fn told(key: &str, file: &Path, what: &str) -> String {
    format!("{key}: {} {what}", file.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(names: &[&str]) -> (String, String) {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn what_is_wrong_names_the_key_and_the_file_and_a_bad_reload_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (cert_file, key_file) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        let load = |cert: &str, key: &str| {
            std::fs::write(&cert_file, cert).unwrap();
            std::fs::write(&key_file, key).unwrap();
            Tls::load(&cert_file, &key_file)
        };
        let missing = Tls::load(&cert_file, &key_file).unwrap_err();
        assert!(missing.contains("http.tls_cert_file") && missing.contains("cert.pem"), "{missing}");
        let ((cert, key), (_, other)) = (made(&["a.example.com"]), made(&["a.example.com"]));
        for (cert, key, wrong, what) in [
            ("", key.as_str(), "http.tls_cert_file", "no certificate"),
            (key.as_str(), &key, "http.tls_cert_file", "no certificate"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----", &key, "http.tls_cert_file", "not PEM"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
                &key,
                "http.tls_cert_file",
                "cannot be used",
            ),
            (&cert, "", "http.tls_key_file", "no private key"),
            (&cert, &cert, "http.tls_key_file", "no private key"),
            (&cert, &other, "http.tls_key_file", "not the key of the certificate"),
            (&cert, &"x".repeat(2_000_000), "http.tls_key_file", "more than"),
        ] {
            let error = load(cert, key).unwrap_err();
            assert!(error.starts_with(wrong) && error.contains(what), "{error}");
        }
        let tls = load(&cert, &key).unwrap();
        let first = tls.present();
        std::fs::write(&key_file, other).unwrap();
        assert!(tls.reload().is_err());
        assert!(Arc::ptr_eq(&first, &tls.present()), "the old one goes on");
        std::fs::write(&key_file, key).unwrap();
        tls.reload().unwrap();
        assert!(!Arc::ptr_eq(&first, &tls.present()));
    }
}
