//! Values of the configuration that are valid by construction, so that a bad one is an error of the parser, with its line.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use regex::bytes::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Compiled size of a pattern, in bytes.
const PATTERN_SIZE_MAX: usize = 1 << 20;
const PATTERN_LENGTH_MAX: usize = 2_000;
const URL_LENGTH_MAX: usize = 2_000;
const HOST_LENGTH_MAX: usize = 253;

fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

/// 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
pub struct Percent(#[schemars(range(min = 0.0, max = 100.0))] f64);

impl Percent {
    pub(crate) const fn literal(value: u8) -> Self {
        Self(if value > 100 { 100.0 } else { value as f64 })
    }

    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Percent {
    type Error = String;
    fn try_from(value: f64) -> Result<Self, String> {
        if (0.0..=100.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(format!("{value} is not a percentage: use 0 to 100"))
        }
    }
}

impl From<Percent> for f64 {
    fn from(percent: Percent) -> Self {
        percent.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A regular expression over bytes whose matching time is linear in the text (no look-around, no back-references).
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "regex"))]
pub struct Pattern(Regex);

impl Pattern {
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        self.0.is_match(text)
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text.len() > PATTERN_LENGTH_MAX {
            return Err(format!("the pattern has {} bytes; at most {PATTERN_LENGTH_MAX} are accepted", text.len()));
        }
        let built = RegexBuilder::new(&text).size_limit(PATTERN_SIZE_MAX).build();
        built.map(Self).map_err(|error| {
            let reason = error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!(
                "{:?} is not a regular expression: {reason}; see https://docs.rs/regex/#syntax, and escape special characters with \\",
                shown(&text)
            )
        })
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.as_str().to_owned()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.as_str())
    }
}

/// A host name or an IP address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Host(String);

impl Host {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Host {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let named = |host: &str| host.len() <= HOST_LENGTH_MAX && url::Host::parse(host).is_ok();
        if text.parse::<IpAddr>().is_ok() || named(&text) {
            Ok(Self(text))
        } else {
            Err(format!(
                "{:?} is not a host: write a name such as db.example.com or an address such as 192.0.2.7 or 2001:db8::7",
                shown(&text)
            ))
        }
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An absolute http or https URL without credentials in it: outputs show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "uri"))]
pub struct HttpUrl(url::Url);

impl HttpUrl {
    #[must_use]
    pub fn get(&self) -> &url::Url {
        &self.0
    }

    /// What `location` of a redirect at this URL means.
    ///
    /// # Errors
    /// When it leads to something that is no HTTP URL.
    pub(crate) fn join(&self, location: &str) -> Result<Self, String> {
        let joined = self.0.join(location).map_err(|error| format!("{:?} is not a URL: {error}", shown(location)))?;
        Self::try_from(joined.to_string())
    }
}

impl TryFrom<String> for HttpUrl {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        const HINT: &str = "write it as https://host/path";
        if text.len() > URL_LENGTH_MAX {
            return Err(format!("the URL has {} bytes; at most {URL_LENGTH_MAX} are accepted", text.len()));
        }
        let url =
            url::Url::parse(&text).map_err(|error| format!("{:?} is not a URL: {error}; {HINT}", shown(&text)))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!(
                "{:?} has the scheme {}; only http and https are checked; {HINT}",
                shown(&text),
                url.scheme()
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "the URL holds credentials, which outputs would show: put them in headers.authorization".to_owned()
            );
        }
        Ok(Self(url))
    }
}

impl From<HttpUrl> for String {
    fn from(url: HttpUrl) -> Self {
        url.0.into()
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Request headers. They may hold secrets, so `Debug` shows the names only.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
#[schemars(with = "BTreeMap<String, String>")]
pub struct Headers(HeaderMap);

impl Headers {
    pub(crate) fn get(&self) -> &HeaderMap {
        &self.0
    }
}

impl TryFrom<BTreeMap<String, String>> for Headers {
    type Error = String;
    fn try_from(headers: BTreeMap<String, String>) -> Result<Self, String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let valid = HeaderName::try_from(&name).map_err(|_| format!("{:?} is not a header name", shown(&name)))?;
            let value = HeaderValue::try_from(value).map_err(|_| {
                format!(
                    "the value of header {name} has characters that HTTP does not allow: use one line of visible ASCII"
                )
            })?;
            if map.insert(valid, value).is_some() {
                return Err(format!("header {name} is given twice, in different case: keep one"));
            }
        }
        Ok(Self(map))
    }
}

impl From<Headers> for BTreeMap<String, String> {
    fn from(headers: Headers) -> Self {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.0.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_pattern_says_what_is_broken() {
        let error = Pattern::try_from("(unclosed".to_owned()).unwrap_err();
        assert!(error.contains("unclosed group"), "{error}");
        assert!(Pattern::try_from("(a{1000}){1000}".to_owned()).is_err(), "too large when compiled");
        assert!(Pattern::try_from("a".repeat(3_000)).is_err());
        assert!(Pattern::try_from(r"(?<=x)y".to_owned()).is_err(), "look-around is not linear");
    }

    #[test]
    fn hosts_are_names_and_addresses_and_nothing_else() {
        for good in ["localhost", "db.example.com", "192.0.2.7", "::1", "2001:db8::7", "日本.example"] {
            assert!(Host::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "a b", "http://x", "x/y", "x:80", &"a".repeat(300)] {
            assert!(Host::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn urls_are_http_and_show_no_credentials() {
        assert!(HttpUrl::try_from("https://example.com/a?b=c".to_owned()).is_ok());
        for (bad, why) in [
            ("example.com", "not a URL"),
            ("ftp://example.com", "only http and https"),
            ("https://user:secret@example.com", "headers.authorization"),
            ("https://", "not a URL"),
        ] {
            let error = HttpUrl::try_from(bad.to_owned()).unwrap_err();
            assert!(error.contains(why) && !error.contains("secret"), "{bad}: {error}");
        }
    }

    #[test]
    fn headers_keep_their_values_to_themselves() {
        let given = BTreeMap::from([("Authorization".to_owned(), "Bearer secret".to_owned())]);
        let headers = Headers::try_from(given).unwrap();
        assert!(!format!("{headers:?}").contains("secret"));
        assert!(Headers::try_from(BTreeMap::from([("a b".to_owned(), String::new())])).is_err());
        assert!(Headers::try_from(BTreeMap::from([("a".to_owned(), "x\r\ny: z".to_owned())])).is_err());
    }

    #[test]
    fn a_percentage_is_finite_and_within_its_bounds() {
        assert_eq!(Percent::try_from(80.5).map(Percent::get), Ok(80.5));
        for bad in [-0.1, 100.1, f64::NAN, f64::INFINITY] {
            assert!(Percent::try_from(bad).is_err(), "{bad}");
        }
    }
}
