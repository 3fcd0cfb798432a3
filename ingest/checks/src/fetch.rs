//! One HTTP/1.1 request on a connection of its own, with the time of each phase and bounds on all that is read.

use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use crate::net::{connect, resolve};
use crate::probe::Context;
use crate::tls::{self, Certificate, Policy};
use crate::values::HttpUrl;

const HEAD_BYTES_MAX: usize = 64 * 1024;
const USER_AGENT: &str = concat!("kizashi/", env!("CARGO_PKG_VERSION"));

pub(crate) struct Asked<'a> {
    pub url: &'a HttpUrl,
    pub method: Method,
    pub headers: &'a HeaderMap,
    pub policy: &'a Policy<'a>,
    pub body_bytes_max: usize,
}

/// Time spent so far, added up over redirects.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Phases {
    pub dns: Duration,
    pub connect: Duration,
    pub tls: Duration,
    pub first_byte: Duration,
    pub transfer: Duration,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    /// Where a redirect leads; its body is not read.
    pub location: Option<String>,
    pub body: Vec<u8>,
    /// The body is longer than was read.
    pub cut: bool,
}

/// Adds its time to `phases`, and keeps the certificate that it saw, also when it fails.
///
/// # Errors
/// What failed, in words.
pub(crate) async fn fetch(
    asked: &Asked<'_>,
    phases: &mut Phases,
    certificate: &mut Option<Certificate>,
    context: &Context,
) -> Result<Answer, String> {
    let url = asked.url.get();
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = url.port_or_known_default().ok_or("the URL has no port")?;
    let (addresses, took) = resolve(host, port, context).await?;
    phases.dns += took;
    context.stage("connecting");
    let (stream, took) = connect(&addresses).await?;
    phases.connect += took;
    if url.scheme() != "https" {
        return exchange(stream, asked, phases, context).await;
    }

    context.stage("negotiating TLS");
    let handshake = tls::handshake(stream, host, &[b"http/1.1"], asked.policy, context).await?;
    phases.tls += handshake.took;
    let distrust = handshake.certificate.as_ref().and_then(|seen| seen.distrust.clone());
    *certificate = handshake.certificate;
    let stream = handshake.stream?;
    if let Some(distrust) = distrust.filter(|_| asked.policy.verify) {
        return Err(distrust);
    }
    exchange(stream, asked, phases, context).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    asked: &Asked<'_>,
    phases: &mut Phases,
    context: &Context,
) -> Result<Answer, String> {
    let failed = |error: hyper::Error| format!("the server does not speak HTTP/1.1 as expected: {}", words(&error));
    context.stage("waiting for the first byte");
    let begun = Instant::now();
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // The connection is driven beside the request and ends with this function.
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // The request reports the same failure.
        let _ = connection.await;
    });
    let response = sender.send_request(request(asked)?).await.map_err(failed)?;
    phases.first_byte += begun.elapsed();

    let status = response.status();
    let location =
        response.headers().get(header::LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut answer = Answer {
        status: status.as_u16(),
        location: location.filter(|_| status.is_redirection()),
        body: Vec::new(),
        cut: false,
    };
    if answer.location.is_none() {
        context.stage("reading the body");
        let begun = Instant::now();
        (answer.body, answer.cut) = read(response, asked.body_bytes_max).await?;
        phases.transfer += begun.elapsed();
    }
    Ok(answer)
}

fn request(asked: &Asked<'_>) -> Result<Request<Empty<Bytes>>, String> {
    let url = asked.url.get();
    let mut request = Request::builder()
        .method(asked.method.clone())
        .uri(&url[url::Position::BeforePath..url::Position::AfterQuery])
        .body(Empty::new())
        .map_err(|error| format!("the request cannot be built: {error}"))?;
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let host = HeaderValue::try_from(authority).map_err(|error| format!("the host cannot be sent: {error}"))?;
    let headers = request.headers_mut();
    headers.insert(header::HOST, host);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for (name, value) in asked.headers {
        headers.insert(name, value.clone());
    }
    Ok(request)
}

/// The body up to `bytes_max`, and whether there is more of it.
async fn read(response: Response<Incoming>, bytes_max: usize) -> Result<(Vec<u8>, bool), String> {
    let mut incoming = response.into_body();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame =
            frame.map_err(|error| format!("the body broke off after {} bytes: {}", body.len(), words(&error)))?;
        let Some(data) = frame.data_ref() else { continue };
        let room = bytes_max - body.len();
        body.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return Ok((body, true));
        }
    }
    Ok((body, false))
}

/// The error with what is behind it.
fn words(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(behind) = source {
        text = format!("{text}: {behind}");
        source = behind.source();
    }
    text
}
