//! What a session may set, and what it shows. Clients set a good deal at their start; what changes nothing here is
//! remembered, so that they find it as they left it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::Refused;

/// What there is, with its default. A name that a client may ask for and that is not here does not exist.
const DEFAULTS: &[(&str, &str)] = &[
    ("application_name", ""),
    ("bytea_output", "hex"),
    ("client_encoding", "UTF8"),
    ("client_min_messages", "notice"),
    ("datestyle", "ISO, YMD"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "on"),
    ("escape_string_warning", "on"),
    ("extra_float_digits", "1"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("integer_datetimes", "on"),
    ("intervalstyle", "postgres"),
    ("jit", "off"),
    ("lc_collate", "C"),
    ("lc_ctype", "C"),
    ("lc_messages", "C"),
    ("lc_monetary", "C"),
    ("lc_numeric", "C"),
    ("lc_time", "C"),
    ("lock_timeout", "0"),
    ("max_identifier_length", "63"),
    ("max_index_keys", "32"),
    ("role", "none"),
    ("row_security", "on"),
    ("search_path", "public"),
    ("server_encoding", "UTF8"),
    ("server_version", SERVER_VERSION),
    ("server_version_num", "160006"),
    ("session_authorization", ""),
    ("ssl_renegotiation_limit", "0"),
    ("standard_conforming_strings", "on"),
    ("statement_timeout", "0"),
    ("synchronize_seqscans", "on"),
    ("timezone", "UTC"),
    ("transaction_isolation", "read committed"),
    ("transaction_read_only", "on"),
];

/// The PostgreSQL whose clients are meant to feel at home.
pub const SERVER_VERSION: &str = concat!("16.6 (Kizashi ", env!("CARGO_PKG_VERSION"), ")");

/// Those that a client is told of at its start and when they change, as it spells them.
pub const REPORTED: [(&str, &str); 12] = [
    ("application_name", "application_name"),
    ("client_encoding", "client_encoding"),
    ("datestyle", "DateStyle"),
    ("default_transaction_read_only", "default_transaction_read_only"),
    ("integer_datetimes", "integer_datetimes"),
    ("intervalstyle", "IntervalStyle"),
    ("search_path", "search_path"),
    ("server_encoding", "server_encoding"),
    ("server_version", "server_version"),
    ("session_authorization", "session_authorization"),
    ("standard_conforming_strings", "standard_conforming_strings"),
    ("timezone", "TimeZone"),
];

const FIXED: [&str; 10] = [
    "integer_datetimes",
    "max_identifier_length",
    "max_index_keys",
    "server_encoding",
    "server_version",
    "server_version_num",
    "session_authorization",
    "standard_conforming_strings",
    "lc_collate",
    "lc_ctype",
];

const VALUE_BYTES_MAX: usize = 1_000;
/// Names of extensions, such as `myapp.user`.
const EXTRA_MAX: usize = 100;

#[derive(Clone, Debug, Default)]
pub struct Settings {
    set: BTreeMap<String, String>,
    timeout: Option<Duration>,
}

impl Settings {
    /// `None` sets the default. Says whether the client is to be told.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<bool, Refused> {
        let invalid = |what: &str| ("22023", format!("invalid value for parameter {name:?}: {what}"));
        let known = DEFAULTS.iter().any(|(known, _)| *known == name);
        if !known && !(name.contains('.') && (self.set.contains_key(name) || self.set.len() < EXTRA_MAX)) {
            return Err(("42704", format!("unrecognized configuration parameter {name:?}")));
        }
        let Some(value) = value else {
            self.set.remove(name);
            if name == "statement_timeout" {
                self.timeout = None;
            }
            return Ok(reported(name));
        };
        if value.len() > VALUE_BYTES_MAX {
            return Err(invalid("it is too long"));
        }
        if FIXED.contains(&name) && self.show(name) != Some(value) {
            return Err(("55P02", format!("parameter {name:?} cannot be changed")));
        }
        match name {
            "client_encoding"
                if !matches!(value.to_ascii_lowercase().replace('-', "").as_str(), "utf8" | "unicode") =>
            {
                return Err(invalid("only UTF8 is spoken here"));
            }
            "datestyle" if !value.to_ascii_lowercase().starts_with("iso") => {
                return Err(invalid("only ISO is written here"));
            }
            "intervalstyle" if !value.eq_ignore_ascii_case("postgres") => {
                return Err(invalid("only postgres is written here"));
            }
            "statement_timeout" => self.timeout = duration(value).ok_or_else(|| invalid("write 0, 500 or '5s'"))?,
            "timezone" if !is_zone(value) => return Err(invalid("write a zone such as UTC, Asia/Tokyo or +09:00")),
            _ => {}
        }
        self.set.insert(name.to_owned(), value.to_owned());
        Ok(reported(name))
    }

    pub fn show(&self, name: &str) -> Option<&str> {
        let default = || DEFAULTS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        self.set.get(name).map(String::as_str).or_else(default)
    }

    /// As the client gave it at its start; it cannot set it later.
    pub fn signed_in(&mut self, user: &str) {
        self.set.insert("session_authorization".to_owned(), user.to_owned());
    }

    pub fn reset_all(&mut self) {
        self.set.retain(|name, _| name == "session_authorization");
        self.timeout = None;
    }

    /// All names with their values.
    pub fn all(&self) -> Vec<(&str, &str)> {
        let extra = self.set.iter().filter(|(name, _)| name.contains('.'));
        let extra = extra.map(|(name, value)| (name.as_str(), value.as_str()));
        DEFAULTS.iter().map(|(name, default)| (*name, self.show(name).unwrap_or(default))).chain(extra).collect()
    }

    /// How long a statement may run, if less than the server's own bound.
    pub fn statement_timeout(&self) -> Option<Duration> {
        self.timeout
    }

    pub fn time_zone(&self) -> &str {
        self.show("timezone").unwrap_or("UTC")
    }
}

fn reported(name: &str) -> bool {
    REPORTED.iter().any(|(known, _)| *known == name)
}

fn is_zone(value: &str) -> bool {
    value.parse::<arrow::array::timezone::Tz>().is_ok()
}

/// Milliseconds, or a number with ms, s, min, h or d; 0 is none.
fn duration(value: &str) -> Option<Option<Duration>> {
    let value = value.trim();
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let number: u64 = value[..digits].parse().ok()?;
    let unit_ms = match value[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some((number > 0).then(|| Duration::from_millis(number.saturating_mul(unit_ms))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_shown_and_told_and_goes_back() {
        let mut settings = Settings::default();
        assert_eq!(settings.set("timezone", Some("Asia/Tokyo")), Ok(true));
        assert_eq!((settings.time_zone(), settings.show("timezone")), ("Asia/Tokyo", Some("Asia/Tokyo")));
        for (value, ms) in [("250", Some(250)), ("5s", Some(5_000)), ("2 min", Some(120_000)), ("0", None)] {
            assert_eq!(settings.set("statement_timeout", Some(value)), Ok(false));
            assert_eq!(settings.statement_timeout(), ms.map(Duration::from_millis), "{value}");
        }
        assert_eq!(settings.set("myapp.user", Some("x")), Ok(false));
        assert!(settings.all().contains(&("myapp.user", "x")));
        settings.signed_in("hanako");
        settings.reset_all();
        assert_eq!((settings.time_zone(), settings.show("session_authorization")), ("UTC", Some("hanako")));
    }

    #[test]
    fn nonsense_is_refused_with_its_code() {
        let mut settings = Settings::default();
        let mut code = |name, value| settings.set(name, Some(value)).unwrap_err().0;
        assert_eq!(code("no_such_thing", "1"), "42704");
        assert_eq!(code("timezone", "Mars/Olympus"), "22023");
        assert_eq!(code("statement_timeout", "soon"), "22023");
        assert_eq!(code("client_encoding", "SJIS"), "22023");
        assert_eq!(code("server_version", "17"), "55P02");
        assert_eq!(code("application_name", &"x".repeat(2_000)), "22023");
    }

    #[test]
    fn every_reported_name_is_there() {
        assert!(REPORTED.iter().all(|(name, _)| Settings::default().show(name).is_some()));
    }
}
