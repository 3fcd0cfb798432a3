//! A relay's log as plain data, and what the tables must hold once it was read: worked out record by record with the
//! model's own decoder, not with the lake's.

use std::collections::{BTreeMap, BTreeSet};

use kizashi_model::envelope::{self, Event, EventBody};
use kizashi_model::{
    CheckId, CheckResult, CheckRetired, EventType, Metric, Offsets, ProblemEvent, ProblemPhase, State, TenantId,
    Timestamp, Topic, TopicPartition,
};
use kizashi_relay::{Batch, Seen};

/// 2026-11-22T18:00:00Z.
pub const NOW: Timestamp = Timestamp(1_795_370_400_000);
pub const RESULTS_0: TopicPartition = TopicPartition { topic: Topic::CheckResults, partition: 0 };
pub const RESULTS_1: TopicPartition = TopicPartition { topic: Topic::CheckResults, partition: 1 };
pub const PROBLEMS_0: TopicPartition = TopicPartition { topic: Topic::Problems, partition: 0 };

#[derive(Clone, Debug)]
pub struct Entry {
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Entry {
    pub fn of(event: &Event) -> Self {
        let headers = event.headers.iter().map(|(n, v)| ((*n).to_owned(), v.clone().into_bytes())).collect();
        Self { headers, body: event.body.clone() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).and_then(|(_, v)| std::str::from_utf8(v).ok())
    }
}

/// Records per partition; the offset is the place.
#[derive(Clone, Debug, Default)]
pub struct Log(pub BTreeMap<TopicPartition, Vec<Entry>>);

impl Log {
    pub fn push(&mut self, at: TopicPartition, entry: Entry) {
        self.0.entry(at).or_default().push(entry);
    }

    pub fn end(&self) -> Offsets {
        self.0.iter().map(|(at, entries)| (*at, entries.len() as i64)).collect()
    }

    /// Up to `count` records of each partition from `from` on, as a poll would bring them.
    pub fn batch(&self, from: &Offsets, count: usize) -> Batch {
        let mut batch = Batch::default();
        for (at, entries) in &self.0 {
            let first = from.get(*at).unwrap_or(0) as usize;
            for (offset, entry) in entries.iter().enumerate().skip(first).take(count) {
                push(&mut batch, *at, offset as i64, entry);
            }
        }
        batch
    }
}

pub fn push(batch: &mut Batch, at: TopicPartition, offset: i64, entry: &Entry) {
    let headers = entry.headers.iter().map(|(n, v)| (n.as_str(), v.as_slice()));
    batch.push(at, offset, NOW, b"tenant/check", headers, &entry.body);
}

/// Rows as text, sorted: a multiset that compares.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Contents {
    pub check_results: Vec<String>,
    pub samples: Vec<String>,
    pub retirements: Vec<String>,
    pub problems: Vec<String>,
    pub rejects: Vec<String>,
}

impl Contents {
    pub fn sorted(mut self) -> Self {
        let Self { check_results, samples, retirements, problems, rejects } = &mut self;
        for rows in [check_results, samples, retirements, problems, rejects] {
            rows.sort();
        }
        self
    }

    /// Rows that are here and not in `other` as often, with how often they are here and there.
    pub fn differences(&self, other: &Self) -> String {
        let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for rows in [&self.check_results, &self.samples, &self.retirements, &self.problems, &self.rejects] {
            rows.iter().for_each(|row| counts.entry(row).or_default().0 += 1);
        }
        for rows in [&other.check_results, &other.samples, &other.retirements, &other.problems, &other.rejects] {
            rows.iter().for_each(|row| counts.entry(row).or_default().1 += 1);
        }
        let different = counts.iter().filter(|(_, (here, there))| here != there);
        different.map(|(row, (here, there))| format!("{here} for {there}: {row}\n")).collect()
    }

    pub fn expected(log: &Log) -> Self {
        let mut contents = Self::default();
        let (mut seen, mut foreign) = (Seen::default(), BTreeSet::new());
        for (at, entries) in &log.0 {
            for (offset, entry) in entries.iter().enumerate() {
                if let (Some(source), Some(n)) = (entry.header("ce_source"), entry.header("ce_sequence")) {
                    let n = n.parse().unwrap();
                    if !seen.fresh(*at, source, n) {
                        continue;
                    }
                    seen.take(*at, source, n);
                    contents.take(*at, offset, entry);
                } else if let (Some(source), Some(id)) = (entry.header("ce_source"), entry.header("ce_id")) {
                    // A sound one is known again by its id; the logs here are shorter than the window.
                    let event = (*at, source, id);
                    if !foreign.contains(&event) && contents.take(*at, offset, entry) {
                        foreign.insert(event);
                    }
                } else {
                    contents.take(*at, offset, entry);
                }
            }
        }
        contents.sorted()
    }

    /// Whether it was sound.
    fn take(&mut self, at: TopicPartition, offset: usize, entry: &Entry) -> bool {
        let tenant = entry.header("ce_tenant");
        let reason = match envelope::declared_type(at.topic, entry.header("ce_type")) {
            Err(reason) => reason,
            Ok(_) if at.topic == Topic::Problems => match envelope::decode::<ProblemEvent>(tenant, &entry.body, NOW) {
                Ok(of) => {
                    self.problems.push(format!("{} {}", of.problem_id, of.phase.as_str()));
                    return true;
                }
                Err(reason) => reason,
            },
            Ok(EventType::CheckRetired) => match envelope::decode::<CheckRetired>(tenant, &entry.body, NOW) {
                Ok(of) => {
                    self.retirements.push(format!("{}/{} {}", of.tenant, of.check_id, of.at_ms.0));
                    return true;
                }
                Err(reason) => reason,
            },
            Ok(_) => match envelope::decode::<CheckResult>(tenant, &entry.body, NOW) {
                Ok(of) => {
                    let row = format!("{}/{} {} {} {}", of.tenant, of.check_id, of.slot_ms.0, of.state, of.output);
                    self.check_results.push(row);
                    for m in &of.metrics {
                        let series = format!("{}/{} {}", of.tenant, of.check_id, m.name);
                        self.samples.push(format!("{series} {} {} {}", of.slot_ms.0, m.value, m.unit));
                    }
                    return true;
                }
                Err(reason) => reason,
            },
        };
        self.rejects.push(format!("{at} {offset} {reason}"));
        false
    }
}

pub fn result(check: &str, slot: Timestamp, value: f64) -> CheckResult {
    CheckResult {
        tenant: TenantId::new("acme").unwrap(),
        check_id: CheckId::new(check).unwrap(),
        kind: "disk".into(),
        slot_ms: slot,
        state: if value > 90.0 { State::Critical } else { State::Ok },
        output: format!("{value} % \"used\" of /\u{1f4be}"),
        duration_ms: 12,
        lateness_ms: 340,
        interval_ms: 30_000,
        attempts: 3,
        metrics: vec![
            Metric::new("used_percent", value, "%").unwrap().with_limit(100.0),
            Metric::new("free", 1e9 - value, "By").unwrap(),
        ],
        recorded: false,
    }
}

pub fn retired(check: &str, at: Timestamp) -> CheckRetired {
    CheckRetired { tenant: TenantId::new("acme").unwrap(), check_id: CheckId::new(check).unwrap(), at_ms: at }
}

pub fn event<B: EventBody>(body: &B, sequence: Option<u64>) -> Entry {
    let event = Event::of(body, "kizashi/checks").unwrap();
    Entry::of(&match sequence {
        Some(n) => event.with_sequence(n),
        None => event,
    })
}

pub fn problem(check: &str, slot: Timestamp, phase: ProblemPhase) -> ProblemEvent {
    let (tenant, check_id) = (TenantId::new("acme").unwrap(), CheckId::new(check).unwrap());
    ProblemEvent {
        problem_id: ProblemEvent::derive_id(&tenant, &check_id, slot),
        tenant,
        check_id,
        phase,
        state: State::Critical,
        at_ms: slot,
        first_failing_slot_ms: slot,
        output: "down".into(),
        recorded: false,
    }
}

/// Two partitions of results and one of problems, over three days, with checks that are removed, resent events, foreign events and rejects.
pub fn mixed() -> Log {
    let mut log = Log::default();
    let mut sent: BTreeMap<TopicPartition, Vec<Entry>> = BTreeMap::new();
    let mut sequence = 0;
    for n in 0..24i64 {
        let at = if n % 3 == 0 { RESULTS_1 } else { RESULTS_0 };
        let slot = Timestamp(NOW.0 - n * 7_200_000);
        sequence += 1;
        let entry =
            event(&result(["disk:/", "disk:/var", "cpu"][n as usize % 3], slot, n as f64 * 4.0), Some(sequence));
        log.push(at, entry.clone());
        sent.entry(at).or_default().push(entry);
        if n % 4 == 3 {
            sequence += 1;
            let entry = event(&retired(["disk:/", "cpu"][n as usize % 2], slot), Some(sequence));
            log.push(at, entry.clone());
            sent.entry(at).or_default().push(entry);
        }
        if n % 7 == 6 {
            // The outbox did not hear that it was heard, and sends its last two again.
            for (at, entries) in &sent {
                for entry in &entries[entries.len().saturating_sub(2)..] {
                    log.push(*at, entry.clone());
                }
            }
        }
        if n % 5 == 4 {
            sequence += 1;
            let mut broken = event(&result("disk:/", slot, 1.0), Some(sequence));
            broken.body.truncate(40);
            log.push(RESULTS_0, broken.clone());
            log.push(RESULTS_0, broken);
            log.push(RESULTS_1, event(&result("foreign", slot, 5.0), None));
        }
        if n % 6 == 5 {
            log.push(PROBLEMS_0, event(&problem("disk:/", slot, ProblemPhase::Opened), None));
            log.push(PROBLEMS_0, Entry { headers: Vec::new(), body: b"no headers".to_vec() });
        }
    }
    log
}
