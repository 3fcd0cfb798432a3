//! The product speaks HTTPS: its own commands find it, and a renewed certificate is taken at SIGHUP.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::support::product::run;
use crate::support::{Product, Settings, until};

const SOON: Duration = Duration::from_secs(20);

fn certificate(home: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(home.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(home.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.pem()
}

/// Whether a client that trusts only this certificate comes in by the name in it.
fn trusted(product: &Product, pem: &str) -> Result<(), String> {
    let roots = RootCerts::Specific(Arc::new(vec![Certificate::from_pem(pem.as_bytes()).unwrap()]));
    let tls = TlsConfig::builder().root_certs(roots).build();
    let agent = ureq::Agent::config_builder().tls_config(tls).timeout_global(Some(SOON)).build().new_agent();
    let port = product.url.rsplit(':').next().unwrap();
    agent.get(format!("https://localhost:{port}/healthz")).call().map(|_| ()).map_err(|error| error.to_string())
}

#[test]
fn the_commands_find_a_product_that_speaks_https_and_sighup_takes_a_renewed_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let first = certificate(folder.path());
    let settings = Settings::quiet("[http]\ntls_cert_file = \"cert.pem\"\ntls_key_file = \"key.pem\"\n");
    let product = Product::start(folder.path(), &settings);
    assert!(product.url.starts_with("https://127.0.0.1:"), "{}", product.url);
    trusted(&product, &first).unwrap();
    let asked = run(folder.path(), &["sql", "--format", "csv", "select 40 + 2 as answer"]);
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    assert_eq!(String::from_utf8_lossy(&asked.stdout).trim(), "answer\n42");

    let second = certificate(folder.path());
    trusted(&product, &second).unwrap_err();
    product.signal("HUP");
    until("the renewed certificate is shown", SOON, || trusted(&product, &second));
    std::fs::write(folder.path().join("key.pem"), "not a key").unwrap();
    product.signal("HUP");
    until("the broken key is told", SOON, || {
        let said = product.said();
        if said.contains("http.tls_key_file") && said.contains("key.pem") { Ok(()) } else { Err(said) }
    });
    trusted(&product, &second).unwrap();
}
