//! The portal: the files of `dashboards/dist`, as built from `dashboards/app`, inside this binary. One page with routes in
//! the hash and only relative URLs, so that it works under any sub-path. It holds no data; those come from the API.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use include_dir::{Dir, File, include_dir};

use crate::error::{Error, Kind, OpenRefusals, Problem};
use crate::extract::Path;

static DIST: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../dashboards/dist");

const HTML: &str = "text/html; charset=utf-8";
/// The name holds a hash of the content.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// Asked for anew every time, so that a new version of the server is a new portal at once.
const REVALIDATED: &str = "no-cache";
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The portal's one page.
#[utoipa::path(
    get, path = "/", tag = "portal", security(()),
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html; charset=utf-8"),
        OpenRefusals
    )
)]
pub async fn index(headers: HeaderMap) -> Result<Response, Error> {
    let mut response = send("index.html", &headers, REVALIDATED)?;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(response)
}

/// A script, style sheet or font of the portal.
#[utoipa::path(
    get, path = "/assets/{name}", tag = "portal", security(()),
    params(("name" = String, Path, description = "The file, as the page names it", example = "index-BkP3x9aQ.js")),
    responses(
        (status = 200, description = "The file",
         content(
            (String = "text/javascript; charset=utf-8"),
            (String = "text/css; charset=utf-8"),
            (Vec<u8> = "font/woff2"),
         )),
        (status = 404, description = "This version of the portal has no such file", body = Problem,
         content_type = "application/problem+json"),
        OpenRefusals
    )
)]
pub async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Error> {
    send(&format!("assets/{name}"), &headers, IMMUTABLE)
}

/// The portal's icon.
#[utoipa::path(
    get, path = "/icon.svg", tag = "portal", security(()),
    responses((status = 200, description = "The icon", body = String, content_type = "image/svg+xml"), OpenRefusals)
)]
pub async fn icon(headers: HeaderMap) -> Result<Response, Error> {
    send("icon.svg", &headers, REVALIDATED)
}

/// The file, compressed for whoever takes that.
fn send(path: &str, headers: &HeaderMap, cache: &'static str) -> Result<Response, Error> {
    let missing =
        || Error::new(Kind::NotFound, format!("this version of the portal has no /{path}: load the page again"));
    let (file, media) = DIST.get_file(path).zip(media(path)).ok_or_else(missing)?;
    let compressed = DIST.get_file(format!("{path}.gz")).filter(|_| takes_gzip(headers));
    let mut fixed: Vec<(HeaderName, &'static str)> =
        vec![(header::CONTENT_TYPE, media), (header::CACHE_CONTROL, cache), (header::VARY, "accept-encoding")];
    if compressed.is_some() {
        fixed.push((header::CONTENT_ENCODING, "gzip"));
    }
    let mut response = compressed.map_or_else(|| file.contents(), File::contents).into_response();
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// `None` for what is not meant to be asked for, such as the compressed files.
fn media(path: &str) -> Option<&'static str> {
    match path.rsplit_once('.')?.1 {
        "html" => Some(HTML),
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "woff2" => Some("font/woff2"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|part| {
        let (name, weight) = part.split_once(';').unwrap_or((part, "q=1"));
        let refused = weight.trim().strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()) == Some(0.0);
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}
