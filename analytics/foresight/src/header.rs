//! The header of a query file: `-- key: value` lines at its top, up to the first line that is a bare `--` or no comment.

use kizashi_model::{Span, State};

use crate::ForesightError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Detector,
    Prediction,
}

impl Kind {
    /// The folder under `queries/`.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Detector => "detectors",
            Self::Prediction => "predictions",
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Detector => "detector",
            Self::Prediction => "prediction",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub title: String,
    pub owner: String,
    pub kind: Kind,
    /// How far before a slot its decision may look.
    pub lookback: Span,
    /// How far ahead a prediction looks: it is scored by then at the latest. Zero for a detector.
    pub horizon: Span,
    /// A firing after so long without one is a new episode.
    pub quiet: Span,
    /// How often it runs, in event time.
    pub every: Span,
    /// WARNING or CRITICAL.
    pub severity: State,
    pub runbook: Option<String>,
}

const KEYS: &str = "title, owner, kind, lookback, horizon, quiet, every, severity, runbook";
const LOOKBACK_MS_MAX: i64 = 400 * 86_400_000;

impl Header {
    /// # Errors
    /// With the line: an unknown, repeated or missing key, or a value that its key does not take.
    pub fn parse(file: &str, sql: &str) -> Result<Self, ForesightError> {
        let mut keys = Keys { file, end: 1, found: Vec::new() };
        for (index, line) in sql.lines().enumerate() {
            keys.end = index + 1;
            let Some(text) = line.strip_prefix("--").map(str::trim).filter(|text| !text.is_empty()) else { break };
            keys.add(index + 1, text)?;
        }
        let kind = match keys.required("kind")? {
            (_, "detector") => Kind::Detector,
            (_, "prediction") => Kind::Prediction,
            (line, other) => return Err(keys.error(line, format!("kind {other:?} is neither detector nor prediction"))),
        };
        let severity = match keys.required("severity")? {
            (_, "WARNING") => State::Warning,
            (_, "CRITICAL") => State::Critical,
            (line, other) => {
                return Err(keys.error(line, format!("severity {other:?} is neither WARNING nor CRITICAL")));
            }
        };
        let horizon = match (kind, keys.get("horizon")) {
            (Kind::Detector, Some((line, _))) => {
                return Err(keys.error(line, "a detector looks at the present and has no horizon: remove the line"));
            }
            (Kind::Detector, None) => Span::from_ms(0),
            (Kind::Prediction, _) => keys.span("horizon")?,
        };
        let lookback = keys.span("lookback")?;
        if lookback.ms() > LOOKBACK_MS_MAX {
            let line = keys.required("lookback")?.0;
            return Err(keys.error(line, "lookback is longer than 400d: every run would read all of it"));
        }
        Ok(Self {
            title: keys.required("title")?.1.to_owned(),
            owner: keys.required("owner")?.1.to_owned(),
            kind,
            lookback,
            horizon,
            quiet: keys.span("quiet")?,
            every: keys.span("every")?,
            severity,
            runbook: keys.get("runbook").map(|(_, text)| text.to_owned()),
        })
    }
}

struct Keys<'a> {
    file: &'a str,
    /// The line at which the header ends.
    end: usize,
    found: Vec<(usize, &'a str, &'a str)>,
}

impl<'a> Keys<'a> {
    fn add(&mut self, line: usize, text: &'a str) -> Result<(), ForesightError> {
        let Some((key, value)) = text.split_once(':').map(|(key, value)| (key.trim(), value.trim())) else {
            return Err(self.error(
                line,
                format!("the header needs `-- key: value`, not {text:?}; a bare `--` ends it, comments may follow"),
            ));
        };
        if !KEYS.split(", ").any(|known| known == key) {
            return Err(self.error(line, format!("unknown key {key:?}; known are {KEYS}")));
        }
        if self.get(key).is_some() {
            return Err(self.error(line, format!("{key} is given twice")));
        }
        if value.is_empty() {
            return Err(self.error(line, format!("{key} has no value")));
        }
        self.found.push((line, key, value));
        Ok(())
    }

    fn get(&self, key: &str) -> Option<(usize, &'a str)> {
        self.found.iter().find(|(_, name, _)| *name == key).map(|(line, _, value)| (*line, *value))
    }

    fn required(&self, key: &str) -> Result<(usize, &'a str), ForesightError> {
        self.get(key).ok_or_else(|| self.error(self.end, format!("the header has no `-- {key}: ...` line")))
    }

    fn span(&self, key: &str) -> Result<Span, ForesightError> {
        let (line, text) = self.required(key)?;
        let span: Span = text.parse().map_err(|error| self.error(line, format!("{key}: {error}")))?;
        if span.ms() == 0 {
            return Err(self.error(line, format!("{key} must be longer than 0")));
        }
        Ok(span)
    }

    fn error(&self, line: usize, message: impl Into<String>) -> ForesightError {
        ForesightError::file(self.file, line, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "-- title: Full\n-- owner: ops\n-- kind: prediction\n-- lookback: 7d\n-- horizon: 24h\n-- quiet: 1h\n\
                        -- every: 60s\n-- severity: CRITICAL\n--\n-- free text: anything\nSELECT 1\n";

    #[test]
    fn a_complete_header_is_read() {
        let header = Header::parse("x.sql", GOOD).unwrap();
        assert_eq!((header.kind, header.horizon, header.runbook), (Kind::Prediction, Span::from_secs(86_400), None));
    }

    #[test]
    fn a_wrong_header_names_the_file_and_the_line() {
        let cases = [
            (GOOD.replace("-- owner: ops\n", ""), "x.sql:8: the header has no `-- owner: ...` line"),
            (GOOD.replace("quiet", "qiet"), "x.sql:6: unknown key \"qiet\""),
            (GOOD.replace("7d", "7w"), "x.sql:4: lookback: \"7w\" is not a duration"),
            (GOOD.replace("7d", "0d"), "x.sql:4: lookback must be longer than 0"),
            (GOOD.replace("-- every: 60s", "-- quiet: 60s"), "x.sql:7: quiet is given twice"),
            (GOOD.replace("prediction", "guess"), "x.sql:3: kind \"guess\""),
            (GOOD.replace("prediction", "detector"), "x.sql:5: a detector looks at the present"),
            (GOOD.replace("CRITICAL", "FATAL"), "x.sql:8: severity \"FATAL\""),
            (GOOD.replace("-- owner: ops", "-- by ops"), "x.sql:2: the header needs `-- key: value`"),
        ];
        for (sql, expected) in cases {
            let message = Header::parse("x.sql", &sql).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}\n{expected}");
        }
    }
}
