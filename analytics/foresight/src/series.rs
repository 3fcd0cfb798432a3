//! Which series of a tenant a run is about.

use std::fmt;

use kizashi_model::CheckId;

/// Live checks share the present; each recording has a present of its own, however long ago that was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Series {
    Live,
    Recorded(CheckId),
}

impl Series {
    /// Whether a sample, a finding or a prediction with these belongs to it.
    #[must_use]
    pub fn holds(&self, check: &CheckId, recorded: bool) -> bool {
        match self {
            Self::Live => !recorded,
            Self::Recorded(own) => recorded && own == check,
        }
    }

    /// `sql` with `samples` narrowed to these series. On a line of its own, so that columns in errors stay right.
    pub(crate) fn narrow(&self, sql: &str) -> String {
        let condition = match self {
            Self::Live => "NOT recorded".to_owned(),
            // The name of a check holds no quote: CheckId refuses it.
            Self::Recorded(check) => format!("recorded AND check_id = '{check}'"),
        };
        let sql = sql.trim_end().trim_end_matches(';');
        format!(
            "WITH samples AS (SELECT * FROM kizashi.public.samples WHERE {condition}) SELECT * FROM (\n{sql}\n) AS narrowed"
        )
    }
}

impl fmt::Display for Series {
    /// As a suffix to a query's name: nothing for live data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => Ok(()),
            Self::Recorded(check) => write!(f, "@{check}"),
        }
    }
}
