//! Single resources: ids in a path, and the tag of their content (RFC 9110), by which a reader need not fetch again what
//! it has and a writer does not overwrite what it has not seen.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kizashi_model::{CheckId, TenantId};
use serde::{Deserialize, Deserializer, Serialize, de};
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use crate::error::Error;

/// Most characters of a header by which a request is made conditional.
const CONDITION_BYTES_MAX: usize = 4_096;

/// An id in a path. Ids hold slashes, and proxies on the way may take `%2F` for one: so `~` stands for it, which no id of
/// ours holds. `%2F` is understood as well.
#[derive(Clone, Debug)]
pub struct Id(pub String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(String::deserialize(deserializer)?.replace('~', "/")))
    }
}

/// A check in a path, written as [`Id`].
#[derive(Clone, Debug)]
pub struct CheckInPath(pub CheckId);

impl<'de> Deserialize<'de> for CheckInPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        CheckId::new(Id::deserialize(deserializer)?.0).map(Self).map_err(de::Error::custom)
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Narrow {
    /// Only if it is this tenant's.
    #[param(value_type = Option<String>, example = "default")]
    pub tenant: Option<TenantId>,
}

/// For the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "for the OpenAPI document: the derive reads the field, nothing makes one")]
pub struct IfNoneMatch {
    /// Answer with 304 if the content still has one of these tags.
    #[param(rename = "If-None-Match", example = r#""5d41402abc4b2a76""#)]
    if_none_match: Option<String>,
}

/// For the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "as above")]
pub struct OnTerms {
    /// Do it only if the resource still has one of these tags; otherwise answer with 412.
    #[param(rename = "If-Match", example = r#""3""#)]
    if_match: Option<String>,
    /// Names the request: sent again with the same key within 24 h, it does nothing and is answered as the first time; a
    /// different request under that key is answered with 422.
    #[param(rename = "Idempotency-Key", max_length = 255, example = "8e03978e-40d5-43dd-bc93-6894a57f9324")]
    idempotency_key: Option<String>,
}

/// An item as JSON, with the tag of this content.
#[derive(Debug)]
pub struct Tagged {
    tag: String,
    body: Vec<u8>,
}

impl Tagged {
    /// The tag is made from the content.
    ///
    /// # Errors
    /// A fault of ours: the item does not serialise.
    pub fn of(item: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_vec(item).map_err(|error| Error::internal(&error))?;
        let digest = Sha256::digest(&body);
        let tag = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { tag, body })
    }

    /// The tag is a version that its store counts.
    ///
    /// # Errors
    /// A fault of ours: the item does not serialise.
    pub fn version(item: &impl Serialize, version: i64) -> Result<Self, Error> {
        let body = serde_json::to_vec(item).map_err(|error| Error::internal(&error))?;
        Ok(Self { tag: version.to_string(), body })
    }

    /// The tag is what its store calls this content.
    ///
    /// # Errors
    /// A fault of ours: the item does not serialise.
    pub fn named(item: &impl Serialize, tag: String) -> Result<Self, Error> {
        let body = serde_json::to_vec(item).map_err(|error| Error::internal(&error))?;
        Ok(Self { tag, body })
    }

    /// 200 with the item, or 304 if `If-None-Match` names it.
    ///
    /// # Errors
    /// When that header is no list of tags.
    pub fn answer(self, headers: &HeaderMap) -> Result<Response, Error> {
        let known = tags(headers, &header::IF_NONE_MATCH)?;
        let tag = HeaderValue::from_str(&format!("\"{}\"", self.tag)).map_err(|error| Error::internal(&error))?;
        if known.is_some_and(|known| known.names(&self.tag)) {
            return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
        }
        let json = HeaderValue::from_static("application/json");
        Ok(([(header::ETAG, tag), (header::CONTENT_TYPE, json)], self.body).into_response())
    }
}

/// The tags of `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`: whatever there is.
    Any,
    Of(Vec<String>),
}

impl Tags {
    pub fn names(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Of(tags) => tags.iter().any(|one| one == tag),
        }
    }
}

/// The tags in a header; `None` without it.
///
/// # Errors
/// When the header is not `*` or a list of quoted tags.
pub fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, Error> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let wrong =
        || Error::parameter(name.as_str(), format!("{name} must be `*` or tags as ETag gave them, such as `\"3\"`"));
    let text = value.to_str().ok().filter(|text| text.len() <= CONDITION_BYTES_MAX).ok_or_else(wrong)?.trim();
    if text == "*" {
        return Ok(Some(Tags::Any));
    }
    let tag = |part: &str| {
        let quoted = part.trim();
        // Proxies that compress mark a tag as weak; the content is the same.
        let quoted = quoted.strip_prefix("W/").unwrap_or(quoted);
        let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
        (!inner.contains('"')).then(|| inner.to_owned())
    };
    let tags: Option<Vec<String>> = text.split(',').map(tag).collect();
    tags.map(|tags| Some(Tags::Of(tags))).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Tags>, String> {
        let headers = HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_str(text).unwrap())]);
        tags(&headers, &header::IF_MATCH).map_err(|error| error.detail().to_owned())
    }

    #[test]
    fn tags_are_read_as_the_standard_writes_them() {
        assert_eq!(tags(&HeaderMap::new(), &header::IF_MATCH).unwrap(), None);
        assert_eq!(read("*"), Ok(Some(Tags::Any)));
        let two = read(r#""3", W/"abc""#).unwrap().unwrap();
        assert!(two.names("3") && two.names("abc") && !two.names("4"));
        for wrong in ["3", r#""3"#, r#""3" "4""#, "", "\"3\",", &"\"1\",".repeat(2_000)] {
            assert!(read(wrong).is_err_and(|text| text.contains("ETag")), "{wrong}");
        }
    }

    #[test]
    fn a_tilde_in_a_path_is_a_slash() {
        let id: CheckInPath = serde_json::from_str("\"disk:~var~lib\"").unwrap();
        assert_eq!(id.0.as_str(), "disk:/var/lib");
        assert!(serde_json::from_str::<CheckInPath>("\"~x\"").is_err());
    }
}
