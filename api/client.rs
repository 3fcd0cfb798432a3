//! Asks the running product over HTTP, for the commands that do.

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use serde_json::Value;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::cli::Place;
use crate::config::Loaded;
use crate::data_folder::{stored_token, stored_url};

const ANSWER_BYTES_MAX: u64 = 1024 * 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(120);

pub struct Client {
    agent: ureq::Agent,
    base: String,
    token: String,
}

impl Client {
    /// # Errors
    /// When no token is to be found.
    pub fn new(place: &Place, loaded: &Loaded) -> Result<Self> {
        let base = place.url.clone().or_else(|| stored_url(&loaded.data)).unwrap_or_else(|| {
            let scheme = if loaded.config.http.tls_cert_file.is_some() { "https" } else { "http" };
            format!("{scheme}://{}", loaded.config.http.listen)
        });
        let token = match &place.token {
            Some(token) => token.clone(),
            None => stored_token(&loaded.data)?.with_context(|| {
                format!(
                    "no token in {}; start the product with `kizashi`, or give --token and --url",
                    loaded.data.display()
                )
            })?,
        };
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .tls_config(trust(&base, loaded))
            .user_agent(concat!("kizashi/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Self { agent, base: base.trim_end_matches('/').to_owned(), token })
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// Whether the product answers and is ready.
    pub fn ready(&self) -> bool {
        self.get("/readyz").is_ok()
    }

    fn unreachable(&self) -> String {
        format!("no answer from {}; is the product running? start it with `kizashi`", self.base)
    }

    /// # Errors
    /// When there is no answer, or it is an error.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.get_with(path, &[])
    }

    /// The same with a query.
    ///
    /// # Errors
    /// When there is no answer, or it is an error.
    pub fn get_with(&self, path: &str, query: &[(&str, String)]) -> Result<Value> {
        let answer = self
            .agent
            .get(format!("{}{path}", self.base))
            .query_pairs(query.iter().map(|(name, value)| (*name, value.as_str())))
            .header("authorization", format!("Bearer {}", self.token))
            .call()
            .with_context(|| self.unreachable())?;
        serde_json::from_slice(&body(answer)?).context("the answer is not JSON")
    }

    /// # Errors
    /// When there is no answer, or it is an error.
    pub fn post(&self, path: &str, request: &impl Serialize) -> Result<Vec<u8>> {
        self.post_noting(path, request, "").map(|(bytes, _)| bytes)
    }

    /// Also tells whether the answer carries the header `flag` with the value `true`.
    ///
    /// # Errors
    /// When there is no answer, or it is an error.
    pub fn post_noting(&self, path: &str, request: &impl Serialize, flag: &str) -> Result<(Vec<u8>, bool)> {
        let answer = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token))
            .send_json(request)
            .with_context(|| self.unreachable())?;
        let noted = answer.headers().get(flag).is_some_and(|v| v == "true");
        Ok((body(answer)?, noted))
    }

    /// # Errors
    /// When there is no answer, or it is an error.
    pub fn delete(&self, path: &str) -> Result<()> {
        let answer = self
            .agent
            .delete(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token))
            .call()
            .with_context(|| self.unreachable())?;
        body(answer).map(drop)
    }

    /// # Errors
    /// When there is no answer, it is an error, or it is not JSON.
    pub fn post_json(&self, path: &str, request: &impl Serialize) -> Result<Value> {
        serde_json::from_slice(&self.post(path, request)?).context("the answer is not JSON")
    }
}

/// Whom to believe: the system's certificates and the one of the configuration. On this very machine any: the certificate
/// is for another name than the address, and nobody else is on the way.
fn trust(base: &str, loaded: &Loaded) -> TlsConfig {
    if !base.starts_with("https://") {
        return TlsConfig::default();
    }
    let near = base.strip_prefix("https://").and_then(|rest| rest.parse::<SocketAddr>().ok()).map(|at| at.ip());
    let near = near.is_some_and(|ip| ip.is_loopback() || ip.is_unspecified());
    let system = rustls_native_certs::load_native_certs().certs;
    let mut roots: Vec<_> = system.iter().map(|one| Certificate::from_der(one.as_ref()).to_owned()).collect();
    let own = loaded.config.http.tls_cert_file.as_ref().and_then(|file| std::fs::read(file).ok()).unwrap_or_default();
    roots.extend(parse_pem(&own).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    }));
    let roots = RootCerts::Specific(Arc::new(roots));
    TlsConfig::builder().root_certs(roots).disable_verification(near).build()
}

/// The body of a good answer; of a bad one, its problem+json as an error for people.
fn body(answer: ureq::http::Response<ureq::Body>) -> Result<Vec<u8>> {
    let status = answer.status();
    let mut bytes = Vec::new();
    answer
        .into_body()
        .into_with_config()
        .limit(ANSWER_BYTES_MAX)
        .reader()
        .read_to_end(&mut bytes)
        .context("the answer broke off")?;
    if status.is_success() {
        return Ok(bytes);
    }
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(problem) => {
            let text = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
            let detail = text("detail");
            bail!("{}", if detail.is_empty() { format!("{status}: {}", text("title")) } else { detail })
        }
        Err(_) => bail!("{status}: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(400)])),
    }
}
