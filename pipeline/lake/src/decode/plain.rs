//! A check result exactly as the product writes it: the fields in their order, no spaces, no escapes. Nearly every record
//! of the log is that, and reading it takes about a third of what a general parser of JSON does. Whatever differs is left to
//! that parser, so this one may refuse anything and must not take anything else than it would.

use kizashi_model::{CheckResult, Metric, State, Timestamp};

/// The fields of [`CheckResult`] that have a column.
#[derive(Debug)]
pub(super) struct Plain<'a> {
    pub tenant: &'a str,
    pub check_id: &'a str,
    pub kind: &'a str,
    pub slot: Timestamp,
    pub state: State,
    pub output: &'a str,
    pub duration_ms: u32,
    pub lateness_ms: i64,
    pub interval_ms: i64,
    pub metrics: Vec<PlainMetric<'a>>,
    pub recorded: bool,
}

/// The fields of [`Metric`].
#[derive(Debug)]
pub(super) struct PlainMetric<'a> {
    pub name: &'a str,
    pub value: f64,
    pub unit: &'a str,
    pub limit: Option<f64>,
}

impl<'a> From<&'a CheckResult> for Plain<'a> {
    fn from(result: &'a CheckResult) -> Self {
        let metric = |metric: &'a Metric| PlainMetric {
            name: &metric.name,
            value: metric.value,
            unit: &metric.unit,
            limit: metric.limit,
        };
        Self {
            tenant: result.tenant.as_str(),
            check_id: result.check_id.as_str(),
            kind: &result.kind,
            slot: result.slot_ms,
            state: result.state,
            output: &result.output,
            duration_ms: result.duration_ms,
            lateness_ms: result.lateness_ms,
            interval_ms: result.interval_ms,
            metrics: result.metrics.iter().map(metric).collect(),
            recorded: result.recorded,
        }
    }
}

impl<'a> Plain<'a> {
    /// `None` for whatever is not written as ours is, sound or not.
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(std::str::from_utf8(body).ok()?);
        let result = Self {
            tenant: rest.text("{\"tenant\":\"")?,
            check_id: rest.text(",\"check_id\":\"")?,
            kind: rest.text(",\"kind\":\"")?,
            slot: Timestamp(rest.integer(",\"slot_ms\":")?),
            state: state(rest.text(",\"state\":\"")?)?,
            output: rest.text(",\"output\":\"")?,
            duration_ms: rest.integer(",\"duration_ms\":")?.try_into().ok()?,
            lateness_ms: rest.integer(",\"lateness_ms\":")?,
            interval_ms: rest.integer(",\"interval_ms\":")?,
            metrics: {
                // Not in the table, but it must be sound.
                u8::try_from(rest.integer(",\"attempts\":")?).ok()?;
                rest.metrics()?
            },
            recorded: rest.skip(",\"recorded\":true"),
        };
        rest.is("}").then_some(result)
    }
}

fn state(name: &str) -> Option<State> {
    State::ALL.into_iter().find(|state| state.as_str() == name)
}

/// What is still to be read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    #[inline]
    fn is(&self, all: &str) -> bool {
        self.0 == all
    }

    /// Whether `next` stood here; then it is behind us.
    #[inline]
    fn skip(&mut self, next: &str) -> bool {
        match self.0.strip_prefix(next) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    /// A text behind `before`, which ends with its opening quote. One with an escape or a control character is not ours.
    #[inline]
    fn text(&mut self, before: &str) -> Option<&'a str> {
        let rest = self.0.strip_prefix(before)?;
        let end = rest.bytes().position(|byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
        let after = rest[end..].strip_prefix('"')?;
        self.0 = after;
        Some(&rest[..end])
    }

    #[inline]
    fn integer(&mut self, before: &str) -> Option<i64> {
        let number = self.number(before)?;
        // `-0` is a float to the general parser.
        if number == "-0" { None } else { number.parse().ok() }
    }

    /// A finite number: the standard library rounds as the general parser does, to the nearest.
    #[inline]
    fn float(&mut self, before: &str) -> Option<f64> {
        self.number(before)?.parse().ok().filter(|value: &f64| value.is_finite())
    }

    /// What stands up to the next comma or bracket, if JSON's grammar allows it as a number.
    #[inline]
    fn number(&mut self, before: &str) -> Option<&'a str> {
        let rest = self.0.strip_prefix(before)?;
        let end = rest.bytes().position(|byte| byte == b',' || byte == b'}')?;
        self.0 = &rest[end..];
        is_number(&rest.as_bytes()[..end]).then(|| &rest[..end])
    }

    #[inline]
    fn metrics(&mut self) -> Option<Vec<PlainMetric<'a>>> {
        if self.skip(",\"metrics\":[]") {
            return Some(Vec::new());
        }
        if !self.skip(",\"metrics\":[") {
            return None;
        }
        let mut metrics = Vec::with_capacity(4);
        loop {
            metrics.push(PlainMetric {
                name: self.text("{\"name\":\"")?,
                value: self.float(",\"value\":")?,
                unit: self.text(",\"unit\":\"")?,
                limit: if self.0.starts_with(",\"limit\"") { Some(self.float(",\"limit\":")?) } else { None },
            });
            if self.skip("}]") {
                return Some(metrics);
            }
            if !self.skip("},") {
                return None;
            }
        }
    }
}

/// `-? (0 | [1-9][0-9]*) (\.[0-9]+)? ([eE][+-]?[0-9]+)?`, RFC 8259 section 6.
fn is_number(text: &[u8]) -> bool {
    let digits = |from: usize| from + text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let first = usize::from(text.first() == Some(&b'-'));
    let mut at = digits(first);
    if at == first || (text[first] == b'0' && at > first + 1) {
        return false;
    }
    if text.get(at) == Some(&b'.') {
        let end = digits(at + 1);
        if end == at + 1 {
            return false;
        }
        at = end;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let from = at + 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        at = digits(from);
        if at == from {
            return false;
        }
    }
    at == text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"tenant":"acme","check_id":"disk:/","kind":"disk","slot_ms":-5,"state":"WARNING","output":"空き 7 %","duration_ms":2,"lateness_ms":-250,"interval_ms":10000,"attempts":3,"metrics":[{"name":"used_percent","value":93.25,"unit":"%","limit":100.0},{"name":"free_bytes","value":5e11,"unit":"By"}],"recorded":true}"#;

    #[test]
    fn what_the_product_writes_is_read_without_the_general_parser() {
        let model: CheckResult = serde_json::from_str(BODY).unwrap();
        assert_eq!(serde_json::to_string(&model).unwrap().replace("500000000000.0", "5e11"), BODY, "the form is ours");
        let plain = Plain::read(BODY.as_bytes()).expect("the plain form");
        assert_eq!(format!("{plain:?}"), format!("{:?}", Plain::from(&model)));
        let bare =
            BODY.replace(",\"recorded\":true", "").replace(r#"{"name":"free_bytes","value":5e11,"unit":"By"}"#, "");
        assert!(
            Plain::read(bare.replace(",]", "]").as_bytes()).is_some_and(|of| !of.recorded && of.metrics.len() == 1)
        );
    }

    #[test]
    fn numbers_are_those_of_the_grammar() {
        for text in [
            "0",
            "-0",
            "0.5",
            "-1.25e-3",
            "1E+9",
            "12",
            "99999999999999999999",
            "+1",
            "01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "",
            "-",
            "0x1",
            "inf",
            "NaN",
            "1_0",
            "1.5.2",
            "-01",
        ] {
            let general = serde_json::from_str::<serde_json::Number>(text).is_ok();
            assert_eq!(is_number(text.as_bytes()), general, "{text}");
        }
    }
}
