//! How long rows are kept, per table and tenant: rules of the configuration, and what they come to for a day.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use kizashi_model::{Span, TenantId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::order::day_end;

const RULES_MAX: usize = 10_000;
/// Rows of a day go together, so nothing is kept for less.
const KEEP_MIN: Span = Span::from_secs(86_400);

/// Rows that are kept for so long after the end of their UTC day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepRule {
    /// Of this table; of every table if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Of this tenant; of every tenant if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// A number of days, such as `400d`, or `forever`.
    pub keep: Keep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Keep {
    Forever,
    For(Span),
}

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "forever" => Ok(Self::Forever),
            _ => text.parse().map(Self::For).map_err(|error| format!("{error}, or \"forever\"")),
        }
    }
}

impl TryFrom<String> for Keep {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Keep> for String {
    fn from(keep: Keep) -> Self {
        keep.to_string()
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forever => f.write_str("forever"),
            Self::For(span) => span.fmt(f),
        }
    }
}

impl Keep {
    /// Whether rows of that day are not kept any more.
    pub(crate) fn is_over(self, day: i32, now: Timestamp) -> bool {
        match self {
            Self::Forever => false,
            Self::For(span) => now.0.saturating_sub(day_end(day)) > span.ms(),
        }
    }
}

/// Whose rows of a day are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    AllBut(BTreeSet<String>),
    Only(BTreeSet<String>),
}

impl Kept {
    pub fn everything() -> Self {
        Self::AllBut(BTreeSet::new())
    }

    /// Rows that name no tenant are nobody's own.
    pub fn holds(&self, tenant: Option<&str>) -> bool {
        let is_named = |tenants: &BTreeSet<String>| tenant.is_some_and(|tenant| tenants.contains(tenant));
        match self {
            Self::AllBut(tenants) => !is_named(tenants),
            Self::Only(tenants) => is_named(tenants),
        }
    }

    /// For [`kizashi_model::tables::SETTLED_TAG`].
    pub fn tag(&self) -> String {
        let of = |tenants: &BTreeSet<String>| tenants.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        match self {
            Self::AllBut(tenants) if tenants.is_empty() => "all".to_owned(),
            Self::AllBut(tenants) => format!("all but {}", of(tenants)),
            Self::Only(tenants) => format!("only {}", of(tenants)),
        }
    }
}

/// Tenants of whom a rule speaks.
fn named(rules: &[KeepRule]) -> impl Iterator<Item = &str> {
    rules.iter().filter_map(|rule| rule.tenant.as_ref()).map(TenantId::as_str)
}

/// By the rule that says most.
fn keep(rules: &[KeepRule], table: &str, tenant: Option<&str>) -> Keep {
    let fits = |rule: &&KeepRule| {
        rule.table.as_deref().is_none_or(|of| of == table)
            && rule.tenant.as_ref().is_none_or(|of| Some(of.as_str()) == tenant)
    };
    let most = rules.iter().filter(fits).max_by_key(|rule| (rule.tenant.is_some(), rule.table.is_some()));
    most.map_or(Keep::Forever, |rule| rule.keep)
}

/// What is kept of a table's day.
pub(crate) fn kept(rules: &[KeepRule], table: &str, day: i32, now: Timestamp) -> Kept {
    let is_over = |tenant: Option<&str>| keep(rules, table, tenant).is_over(day, now);
    let rest_is_over = is_over(None);
    // Those who fare otherwise than the rest.
    let others = named(rules).filter(|tenant| is_over(Some(tenant)) != rest_is_over).map(str::to_owned).collect();
    if rest_is_over { Kept::Only(others) } else { Kept::AllBut(others) }
}

/// The shortest time for which anybody's rows of a table are kept.
pub(crate) fn shortest(rules: &[KeepRule], table: &str) -> Keep {
    let all = named(rules).map(Some).chain([None]).map(|tenant| keep(rules, table, tenant));
    let spans = all.filter_map(|keep| match keep {
        Keep::For(span) => Some(span),
        Keep::Forever => None,
    });
    spans.min_by_key(|span| span.ms()).map_or(Keep::Forever, Keep::For)
}

/// # Errors
/// Names the rule and what is wrong with it.
pub(crate) fn validate(rules: &[KeepRule]) -> Result<(), String> {
    if rules.len() > RULES_MAX {
        return Err(format!("lake.retention has {} rules; there are at most {RULES_MAX}", rules.len()));
    }
    for (n, rule) in rules.iter().enumerate() {
        let wrong = |what: String| Err(format!("lake.retention, rule {}: {what}", n + 1));
        if let Keep::For(span) = rule.keep
            && span.ms() < KEEP_MIN.ms()
        {
            return wrong(format!("keep is {span}; rows go with their day, so it is 1d or more"));
        }
        if let Some(table) = &rule.table
            && !is_name(table)
        {
            return wrong(format!("{table:?} is no name of a table"));
        }
        if rules[..n].iter().any(|other| (&other.table, &other.tenant) == (&rule.table, &rule.tenant)) {
            return wrong("there is a rule for the same tenant and table before it".to_owned());
        }
    }
    Ok(())
}

fn is_name(table: &str) -> bool {
    !table.is_empty() && table.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000 * 86_400_000);

    fn rules(of: &[(Option<&str>, Option<&str>, &str)]) -> Vec<KeepRule> {
        let rule = |(table, tenant, keep): &(Option<&str>, Option<&str>, &str)| KeepRule {
            table: table.map(str::to_owned),
            tenant: tenant.map(|tenant| TenantId::new(tenant).unwrap()),
            keep: keep.parse().unwrap(),
        };
        of.iter().map(rule).collect()
    }

    #[test]
    fn the_rule_that_says_most_holds() {
        let rules = rules(&[
            (None, None, "400d"),
            (Some("samples"), None, "90d"),
            (Some("samples_hourly"), None, "forever"),
            (None, Some("acme"), "30d"),
            (Some("samples"), Some("acme"), "200d"),
            (None, Some("bank"), "forever"),
        ]);
        let told = |table, days_ago| kept(&rules, table, 999 - days_ago, NOW).tag();
        assert_eq!(told("samples", 10), "all");
        assert_eq!(told("check_results", 31), "all but acme");
        assert_eq!(told("samples", 91), "only acme,bank", "acme's own rule for the table keeps them longer");
        assert_eq!(told("samples", 201), "only bank");
        assert_eq!(
            told("samples_hourly", 3_000 - 2_001),
            "all but acme",
            "a rule for a tenant says more than one for a table"
        );
        assert_eq!(told("check_results", 401), "only bank");
    }

    #[test]
    fn the_shortest_time_is_that_of_a_rule_that_holds() {
        let rules =
            rules(&[(None, None, "30d"), (Some("samples"), None, "400d"), (Some("samples"), Some("acme"), "90d")]);
        assert_eq!(shortest(&rules, "samples").to_string(), "90d");
        assert_eq!(shortest(&rules, "problems").to_string(), "30d");
        assert_eq!(shortest(&[], "samples"), Keep::Forever);
    }

    #[test]
    fn a_day_is_kept_to_its_last_hour() {
        let rules = rules(&[(None, None, "1d")]);
        assert_eq!(kept(&rules, "samples", 998, NOW), Kept::everything());
        assert_eq!(kept(&rules, "samples", 998, Timestamp(NOW.0 + 1)), Kept::Only(BTreeSet::new()));
        assert!(!Kept::Only(BTreeSet::new()).holds(Some("a")) && Kept::everything().holds(None));
    }

    #[test]
    fn a_wrong_rule_is_named() {
        for (of, says) in [
            (rules(&[(None, None, "2h")]), "rule 1: keep is 2h"),
            (rules(&[(Some("sam ples"), None, "2d")]), "no name of a table"),
            (rules(&[(None, None, "2d"), (None, None, "3d")]), "rule 2: there is a rule"),
        ] {
            assert!(validate(&of).unwrap_err().contains(says), "{:?}", validate(&of));
        }
        assert!("soon".parse::<Keep>().unwrap_err().contains("forever"));
    }
}
