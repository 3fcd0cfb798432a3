//! The test file next to a query: `x.test.toml` with at least one case in which it fires and one in which it is silent.
//!
//! Every case is run twice: over the whole range at once, and piece by piece. Two answers mean that the query looks at
//! what comes after a slot, and it is refused.

use std::path::Path;

use kizashi_engine::{Engine, EngineConfig};
use kizashi_model::tables::Table;
use kizashi_model::{Span, TenantId, Timestamp};
use serde::Deserialize;

use crate::ForesightError;
use crate::evaluate::{Evaluation, Foresight};
use crate::generate::{START, SeriesSpec};
use crate::registry::{Query, Registry};

const TENANT: &str = "test";
/// Where the piecewise run cuts, as shares of the range; uneven on purpose.
const CUTS: [f64; 5] = [0.13, 0.5, 0.61, 0.87, 0.95];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    case: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// Findings or predictions expected; 0 in a silent case.
    episodes: usize,
    /// The first one comes within these times after the first sample.
    #[serde(default)]
    first_after: Option<Span>,
    #[serde(default)]
    first_before: Option<Span>,
    series: Vec<SeriesSpec>,
}

/// How the test files of all queries went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestReport {
    pub cases: Vec<CaseReport>,
    /// Files without a test file.
    pub untested: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseReport {
    pub file: String,
    pub case: String,
    /// What was expected and what came; `None` when it passed.
    pub failure: Option<String>,
}

impl TestReport {
    #[must_use]
    pub fn passed(&self) -> bool {
        self.cases.iter().all(|case| case.failure.is_none())
    }
}

impl Registry {
    /// Runs the test file of every query that has one.
    ///
    /// # Errors
    /// With file and line when a test file is not readable or lacks the firing or the silent case, and when a query fails.
    pub async fn test(&self) -> Result<TestReport, ForesightError> {
        let mut report = TestReport::default();
        for query in self.queries() {
            match &query.tests {
                Some(text) => report.cases.extend(test(query, text).await?),
                None => report.untested.push(query.file.clone()),
            }
        }
        Ok(report)
    }
}

async fn test(query: &Query, text: &str) -> Result<Vec<CaseReport>, ForesightError> {
    let mut reports = Vec::new();
    for case in parse(query, text)? {
        let failure = run(query, &case).await?;
        reports.push(CaseReport { file: query.tests_file(), case: case.name, failure });
    }
    Ok(reports)
}

fn parse(query: &Query, text: &str) -> Result<Vec<Case>, ForesightError> {
    let file = query.tests_file();
    let cases = toml::from_str::<CaseFile>(text).map_err(|error| {
        let before = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes()[..before].iter().filter(|byte| **byte == b'\n').count() + 1;
        ForesightError::file(&file, line, error.message())
    })?;
    for (fires, what) in
        [(true, "in which it fires (episodes above 0)"), (false, "in which it is silent (episodes = 0)")]
    {
        if !cases.case.iter().any(|case| (case.episodes > 0) == fires) {
            return Err(ForesightError::file(&file, 1, format!("there is no case {what}")));
        }
    }
    Ok(cases.case)
}

/// What went wrong, if anything.
async fn run(query: &Query, case: &Case) -> Result<Option<String>, ForesightError> {
    let fault =
        |message: String| ForesightError::file(&query.tests_file(), 1, format!("case {:?}: {message}", case.name));
    let tenant = TenantId::new(TENANT).map_err(|error| fault(error.to_string()))?;
    let mut batches = Vec::new();
    let mut end = START;
    for series in &case.series {
        let points = series.points().map_err(&fault)?;
        end = points.last().map_or(end, |(slot, _)| end.max(*slot));
        batches.push(series.batch(TENANT, &points).map_err(|error| fault(error.to_string()))?);
    }
    // The samples are given; no other table is there.
    let mut engine = Engine::builder(Path::new("no-lake"), EngineConfig::default()).rows(Table::Samples, batches);
    for function in crate::functions() {
        engine = engine.udwf(function);
    }
    let engine = engine.open().map_err(|error| fault(error.to_string()))?;
    let foresight = Foresight::new(engine, Registry::default());
    let begin = Timestamp(START.0 - 1);
    let whole = foresight.evaluate(&tenant, query, begin, end, None).await?;
    if let Some(failure) = compare(case, &whole) {
        return Ok(Some(failure));
    }
    let pieces = piecewise(&foresight, &tenant, query, (begin, end)).await?;
    Ok(later_matters(&whole, &pieces))
}

fn compare(case: &Case, whole: &Evaluation) -> Option<String> {
    let found = whole.findings.iter().map(|finding| (finding.slot_ms, &finding.summary));
    let made = whole.predictions.iter().map(|prediction| (prediction.made_at_ms, &prediction.summary));
    let mut episodes: Vec<(Timestamp, &String)> = found.chain(made).collect();
    episodes.sort();
    let after = |slot: Timestamp| Span::from_ms(u64::try_from(slot.since_ms(START)).unwrap_or(0));
    if episodes.len() != case.episodes {
        let shown: Vec<String> =
            episodes.iter().take(3).map(|(slot, summary)| format!("after {}: {summary}", after(*slot))).collect();
        return Some(format!("expected {} episodes, got {}: {}", case.episodes, episodes.len(), shown.join("; ")));
    }
    let first = after(episodes.first()?.0);
    let early = case.first_after.filter(|bound| first.ms() < bound.ms());
    let late = case.first_before.filter(|bound| first.ms() > bound.ms());
    early.or(late).map(|bound| format!("the first episode began after {first}, which is on the wrong side of {bound}"))
}

async fn piecewise(
    foresight: &Foresight,
    tenant: &TenantId,
    query: &Query,
    (begin, end): (Timestamp, Timestamp),
) -> Result<Evaluation, ForesightError> {
    let mut all = Evaluation::default();
    let mut from = begin;
    let cut = |share: f64| Timestamp(begin.0 + (end.since_ms(begin) as f64 * share) as i64);
    for to in CUTS.into_iter().map(cut).chain([end]) {
        let piece = foresight.evaluate(tenant, query, from, to, Some(all.state)).await?;
        all.decisions.extend(piece.decisions);
        all.state = piece.state;
        from = to;
    }
    Ok(all)
}

fn later_matters(whole: &Evaluation, pieces: &Evaluation) -> Option<String> {
    let mut whole: Vec<_> = whole.decisions.iter().collect();
    let mut pieces: Vec<_> = pieces.decisions.iter().collect();
    for decisions in [&mut whole, &mut pieces] {
        decisions.sort_by(|a, b| (&a.check_id, &a.metric, a.slot_ms).cmp(&(&b.check_id, &b.metric, b.slot_ms)));
    }
    if whole.len() != pieces.len() {
        return Some(format!(
            "{} decisions in one run, {} piece by piece: keep to slots in ($from, $to]",
            whole.len(),
            pieces.len()
        ));
    }
    let (one, other) = whole.into_iter().zip(pieces).find(|(one, other)| one != other)?;
    Some(format!(
        "the decision at {} of {} depends on where the run begins or ends ({one:?} or {other:?}): read the whole lookback before $from, \
         and nothing after the slot",
        one.slot_ms, one.check_id
    ))
}
