//! Folds decisions into episodes: pure, and the same in any chunking. A series fires many times in a row; that is one
//! episode, and one finding or prediction. A prediction that has passed its deadline has been made; what fires
//! afterwards is a new one.

use std::collections::BTreeMap;

use kizashi_model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::{Decision, Judgement};
use crate::registry::Query;

/// Series remembered at most; beyond it those not heard of for longest are forgotten.
const SERIES_MAX: usize = 20_000;
/// A series not heard of for so long is forgotten: with it ends only what `quiet` would have ended anyway.
const FORGET_MS_MIN: i64 = 86_400_000;
/// A series this far behind the newest one still gets all its slots decided.
const LAG_MS_MAX: i64 = 3_600_000;

/// What is remembered of a query and a tenant between runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Memory {
    /// The end of the last range that was evaluated.
    pub evaluated_to: Timestamp,
    /// By check and metric, with a blank between them (a check's name has none).
    series: BTreeMap<String, Series>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Series {
    /// The newest slot that has been decided.
    decided: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    episode: Option<Episode>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Episode {
    last_fired: Timestamp,
    /// The deadline of the prediction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

impl Memory {
    /// Takes decisions in the order of series and slot. Returns those that were new, each with whether it begins an episode.
    pub fn fold(&mut self, query: &Query, decisions: Vec<Decision>) -> Vec<(Decision, bool)> {
        let mut fresh = Vec::with_capacity(decisions.len());
        for decision in decisions {
            let series = self.series.entry(format!("{} {}", decision.check_id, decision.metric)).or_default();
            if decision.slot_ms <= series.decided {
                continue;
            }
            series.decided = decision.slot_ms;
            let begins = decision.fired && series.fired(query, &decision);
            fresh.push((decision, begins));
        }
        fresh
    }

    /// Ends a run that has seen everything up to `to`.
    pub fn finish(&mut self, query: &Query, to: Timestamp) {
        self.evaluated_to = self.evaluated_to.max(to);
        let forget = query.header.quiet.ms().max(FORGET_MS_MIN);
        self.series.retain(|_, series| to.since_ms(series.decided) <= forget);
        while self.series.len() > SERIES_MAX {
            let oldest = self.series.iter().min_by_key(|(_, series)| series.decided).map(|(name, _)| name.clone());
            if let Some(name) = oldest {
                self.series.remove(&name);
            }
        }
    }

    /// Where the next run has to begin so that no slot of a series that lags behind is left out.
    pub fn resume_from(&self) -> Timestamp {
        let lagging = Timestamp(self.evaluated_to.0.saturating_sub(LAG_MS_MAX));
        self.series
            .values()
            .map(|series| series.decided)
            .filter(|decided| *decided > lagging)
            .min()
            .unwrap_or(self.evaluated_to)
    }
}

impl Series {
    /// Whether this firing begins an episode.
    fn fired(&mut self, query: &Query, decision: &Decision) -> bool {
        if let Some(episode) = &mut self.episode {
            let quiet = decision.slot_ms.since_ms(episode.last_fired) > query.header.quiet.ms();
            let over = episode.until.is_some_and(|until| decision.slot_ms > until);
            if !quiet && !over {
                episode.last_fired = decision.slot_ms;
                return false;
            }
        }
        self.episode = Some(Episode { last_fired: decision.slot_ms, until: deadline(query, decision) });
        true
    }
}

/// When a prediction is scored: the late end of its error band, at most its horizon away.
pub(crate) fn deadline(query: &Query, decision: &Decision) -> Option<Timestamp> {
    match &decision.judgement {
        Judgement::Prediction(Some(forecast)) => {
            Some(forecast.expected_high_ms.min(decision.slot_ms.plus(query.header.horizon.duration())))
        }
        Judgement::Prediction(None) | Judgement::Detector(_) => None,
    }
}
