//! The provider, asked over HTTP within bounds on time and size, and no further than where it says it is: no redirect is
//! followed. What it says about itself is kept for a while; that it did not answer, too.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kizashi_model::{Clock, Timestamp};
use openidconnect::core::CoreProviderMetadata;
use openidconnect::{HttpRequest, HttpResponse, IssuerUrl};
use tokio::sync::{Mutex, Semaphore};
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::{OidcConfig, Refused};

/// For one request, from the name's resolution to the last byte.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Of one answer.
const BYTES_MAX: u64 = 1024 * 1024;
const CA_FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// How long what the provider says about itself holds.
const FRESH_MS: i64 = 3_600_000;
/// For a key that is not known it is asked again, but not more often than this.
const RENEW_MS: i64 = 60_000;
/// A provider that failed is asked again after this.
const RETRY_MS: i64 = 5_000;
/// Conversations with the provider at once; each holds a thread.
const AT_ONCE: usize = 8;

#[derive(Debug)]
pub struct Provider {
    issuer: IssuerUrl,
    agent: Agent,
    turns: Arc<Semaphore>,
    clock: Clock,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    metadata: Option<(Arc<CoreProviderMetadata>, Timestamp)>,
    failed: Option<Timestamp>,
}

impl Provider {
    /// # Errors
    /// When the certificates cannot be read; the text begins with the key.
    pub fn new(config: &OidcConfig, clock: Clock) -> Result<Self, String> {
        let issuer = IssuerUrl::new(config.issuer.clone()).map_err(|error| format!("oidc.issuer: {error}"))?;
        let roots = match &config.ca_file {
            Some(file) => trusted(file)?,
            None => system(),
        };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .https_only(issuer.url().scheme() == "https")
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("kizashi/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(roots))).build())
            .build()
            .new_agent();
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Ok(Self { issuer, agent, turns, clock, known: Mutex::default() })
    }

    pub fn issuer(&self) -> &IssuerUrl {
        &self.issuer
    }

    /// What the provider says about itself, with its keys.
    pub async fn metadata(&self) -> Result<Arc<CoreProviderMetadata>, Refused> {
        self.younger_than(FRESH_MS).await
    }

    /// The same, asked anew unless that was just done: a key may have been added since.
    pub async fn renewed(&self) -> Result<Arc<CoreProviderMetadata>, Refused> {
        self.younger_than(RENEW_MS).await
    }

    async fn younger_than(&self, age_ms: i64) -> Result<Arc<CoreProviderMetadata>, Refused> {
        let mut known = self.known.lock().await;
        let now = self.clock.now();
        if let Some((metadata, at)) = &known.metadata
            && now.0.saturating_sub(at.0) < age_ms
        {
            return Ok(metadata.clone());
        }
        if known.failed.is_some_and(|at| now.0.saturating_sub(at.0) < RETRY_MS) {
            return Err(Refused::Provider);
        }
        let issuer = self.issuer.clone();
        let asked = self.ask(move |http| CoreProviderMetadata::discover(&issuer, &http)).await?;
        match asked.map_err(|error| chain(&error)).and_then(|metadata| encrypted_as(&self.issuer, metadata)) {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                *known = Known { metadata: Some((metadata.clone(), now)), failed: None };
                Ok(metadata)
            }
            Err(why) => {
                tracing::warn!("the OpenID provider {} could not be asked: {why}", self.issuer.as_str());
                known.failed = Some(now);
                Err(Refused::Provider)
            }
        }
    }

    /// Talks to the provider on a thread that may wait.
    ///
    /// # Errors
    /// `Busy` when too many do so.
    pub async fn ask<T: Send + 'static>(
        &self,
        talk: impl FnOnce(&dyn Fn(HttpRequest) -> Result<HttpResponse, ureq::Error>) -> T + Send + 'static,
    ) -> Result<T, Refused> {
        // The turn goes with the thread: a client that has gone does not free it early.
        let turn = self.turns.clone().try_acquire_owned().map_err(|_| Refused::Busy)?;
        let agent = self.agent.clone();
        let done = tokio::task::spawn_blocking(move || {
            let done = talk(&|request| send(&agent, request));
            drop(turn);
            done
        });
        done.await.map_err(|error| Refused::Internal(format!("the OpenID provider's answer: {error}")))
    }
}

fn send(agent: &Agent, request: HttpRequest) -> Result<HttpResponse, ureq::Error> {
    let (parts, body) = request.into_parts();
    let answer = if body.is_empty() {
        agent.run(ureq::http::Request::from_parts(parts, ()))
    } else {
        agent.run(ureq::http::Request::from_parts(parts, body))
    };
    let (parts, mut body) = answer?.into_parts();
    let body = body.with_config().limit(BYTES_MAX).read_to_vec()?;
    Ok(HttpResponse::from_parts(parts, body))
}

/// A provider that is reached by TLS must not send people or codes elsewhere without.
fn encrypted_as(issuer: &IssuerUrl, metadata: CoreProviderMetadata) -> Result<CoreProviderMetadata, String> {
    let endpoints = [
        Some(metadata.authorization_endpoint().url()),
        metadata.token_endpoint().map(|endpoint| endpoint.url()),
        metadata.userinfo_endpoint().map(|endpoint| endpoint.url()),
    ];
    let allowed: &[&str] = if issuer.url().scheme() == "https" { &["https"] } else { &["http", "https"] };
    if let Some(url) = endpoints.into_iter().flatten().find(|url| !allowed.contains(&url.scheme())) {
        return Err(format!("it names {url}, which is not {}", allowed.join(" or ")));
    }
    Ok(metadata)
}

fn trusted(file: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let wrong = |what: String| format!("oidc.ca_file: {} {what}: give a file with certificates in PEM", file.display());
    let size = std::fs::metadata(file).map_err(|error| wrong(format!("cannot be read ({error})")))?.len();
    if size > CA_FILE_BYTES_MAX {
        return Err(wrong(format!("has {size} bytes, at most {CA_FILE_BYTES_MAX} are read")));
    }
    let pem = std::fs::read(file).map_err(|error| wrong(format!("cannot be read ({error})")))?;
    let mut found = Vec::new();
    for item in parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(wrong(format!("is not PEM ({error})"))),
        }
    }
    if found.is_empty() { Err(wrong("holds no certificate".to_owned())) } else { Ok(found) }
}

fn system() -> Vec<Certificate<'static>> {
    let found = rustls_native_certs::load_native_certs().certs;
    found.iter().map(|certificate| Certificate::from_der(certificate.as_ref()).to_owned()).collect()
}

/// An error with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
