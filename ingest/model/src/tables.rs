//! The tables of the lake: name, columns, and what each column means. The lake writes them, the engine lists them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::derived::Derived;

/// Every table is partitioned by the UTC day of its time column.
pub const PARTITION_COLUMN: &str = "day";
/// Key in the `tags` of a data file's add action: the CRC-32 (IEEE 802.3) of all its bytes, as eight hexadecimal digits.
/// Parquet as we write it has no sums of its own. Other readers pass tags by.
pub const CHECKSUM_TAG: &str = "kizashi.crc32";
/// Key in the same `tags`: when the newest rows of the file were committed, in milliseconds since the epoch, which a merge
/// passes on.
pub const CHANGED_TAG: &str = "kizashi.changed_at_ms";
/// Key in the same `tags` of a file that was written when its day was over and sorted as a whole: whose rows were left out
/// because they are kept no longer.
pub const SETTLED_TAG: &str = "kizashi.settled";
/// Field metadata key that holds the column's comment.
pub const COMMENT: &str = "comment";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    CheckResults,
    Samples,
    CheckRetirements,
    Problems,
    TicketEvents,
    Findings,
    Predictions,
    Rejects,
    RejectDecisions,
    /// Filled by a step.
    Derived(Derived),
}

impl Table {
    /// The product's own.
    pub const ALL: [Self; 9] = [
        Self::CheckResults,
        Self::Samples,
        Self::CheckRetirements,
        Self::Problems,
        Self::TicketEvents,
        Self::Findings,
        Self::Predictions,
        Self::Rejects,
        Self::RejectDecisions,
    ];

    /// The name in SQL and the folder under the lake's root.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CheckResults => "check_results",
            Self::Samples => "samples",
            Self::CheckRetirements => "check_retirements",
            Self::Problems => "problems",
            Self::TicketEvents => "ticket_events",
            Self::Findings => "findings",
            Self::Predictions => "predictions",
            Self::Rejects => "rejects",
            Self::RejectDecisions => "reject_decisions",
            Self::Derived(of) => &of.definition().name,
        }
    }

    /// One of the product's own.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }

    #[must_use]
    pub fn comment(self) -> &'static str {
        match self {
            Self::CheckResults => "One row per execution of a check",
            Self::Samples => "One row per metric of a check result",
            Self::CheckRetirements => "One row each time a check is no longer configured",
            Self::Problems => "One row per phase of a problem: opened, changed, recovered, retired",
            Self::TicketEvents => "One row per change of a ticket, with the ticket as it stood afterwards",
            Self::Findings => "What detectors saw",
            Self::Predictions => "One row when a prediction is made and one when it is scored",
            Self::Rejects => "Records that could not be taken in, with the reason and their bytes",
            Self::RejectDecisions => "One row per reject that was sent again or dropped",
            Self::Derived(of) => &of.definition().comment,
        }
    }

    /// The columns that tell its rows apart.
    #[must_use]
    pub fn key(self) -> &'static [&'static str] {
        match self {
            Self::CheckResults => &["tenant", "check_id", "slot"],
            Self::Samples => &["tenant", "check_id", "metric", "slot"],
            Self::CheckRetirements => &["tenant", "check_id", "at"],
            Self::Problems => &["problem_id", "phase", "at"],
            Self::TicketEvents => &["ticket_key", "sequence"],
            Self::Findings => &["finding_id"],
            Self::Predictions => &["prediction_id", "phase"],
            Self::Rejects => &["topic", "partition", "offset"],
            Self::RejectDecisions => &["reject_id"],
            Self::Derived(of) => of.key(),
        }
    }

    /// Columns in their order; the last is the partition column.
    #[must_use]
    pub fn schema(self) -> SchemaRef {
        if let Self::Derived(of) = self {
            return of.schema();
        }
        let mut fields: Vec<Field> = self.columns().iter().map(|c| c.field()).collect();
        fields.push(Column("day", Kind::Day, false, "UTC day of the row's time; the partition").field());
        Arc::new(Schema::new(fields))
    }

    fn columns(self) -> &'static [Column] {
        match self {
            Self::CheckResults => CHECK_RESULTS,
            Self::Samples => SAMPLES,
            Self::CheckRetirements => CHECK_RETIREMENTS,
            Self::Problems => PROBLEMS,
            Self::TicketEvents => TICKET_EVENTS,
            Self::Findings => FINDINGS,
            Self::Predictions => PREDICTIONS,
            Self::Rejects => REJECTS,
            Self::RejectDecisions => REJECT_DECISIONS,
            // They bring their own.
            Self::Derived(_) => &[],
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Int,
    Float,
    Time,
    Flag,
    Bytes,
    Day,
}

/// Name, type, nullable, comment.
struct Column(&'static str, Kind, bool, &'static str);

impl Column {
    fn field(&self) -> Field {
        let of = match self.1 {
            Text => DataType::Utf8,
            Int => DataType::Int64,
            Float => DataType::Float64,
            Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Flag => DataType::Boolean,
            Bytes => DataType::Binary,
            Kind::Day => DataType::Date32,
        };
        Field::new(self.0, of, self.2).with_metadata(HashMap::from([(COMMENT.to_owned(), self.3.to_owned())]))
    }
}

use Kind::{Bytes, Flag, Float, Int, Text, Time};

const TENANT: Column = Column("tenant", Text, false, "Whose row it is");
const CHECK: Column = Column("check_id", Text, false, "The check, within its tenant");
const RECORDED: Column =
    Column("recorded", Flag, false, "True for imported or replayed recordings, false for live data");

const CHECK_RESULTS: &[Column] = &[
    TENANT,
    CHECK,
    Column("kind", Text, false, "Kind of the check: ping, port, url, process, log, disk, cpu, memory, import"),
    Column("slot", Time, false, "Start of the aligned interval that the result answers for"),
    Column("state", Text, false, "OK, WARNING, CRITICAL or UNKNOWN"),
    Column("output", Text, false, "One line for people"),
    Column("duration_ms", Int, false, "How long the check ran"),
    Column("lateness_ms", Int, false, "Start of the execution less the slot, deliberate jitter included"),
    Column("interval_ms", Int, false, "Interval of the check; 0 when it has no schedule"),
    RECORDED,
];

const SAMPLES: &[Column] = &[
    TENANT,
    CHECK,
    Column("metric", Text, false, "Name of the metric, such as used_percent"),
    Column("slot", Time, false, "Slot of the check result that it came with"),
    Column("value", Float, false, "The measured value, always finite"),
    Column("unit", Text, false, "Unit of the value: ms, s, %, By, d, 1"),
    Column("limit_value", Float, true, "The value at which the resource is exhausted, where there is one"),
    RECORDED,
];

const CHECK_RETIREMENTS: &[Column] = &[
    TENANT,
    CHECK,
    Column(
        "at",
        Time,
        false,
        "When it was no longer configured; runs that start later are of a check that was added again",
    ),
];

const PROBLEMS: &[Column] = &[
    TENANT,
    CHECK,
    Column("problem_id", Text, false, "Derived from tenant, check and first failing slot"),
    Column("phase", Text, false, "opened, changed, recovered or retired"),
    Column("state", Text, false, "The hard state from here on"),
    Column("at", Time, false, "When the phase began"),
    Column("first_failing_slot", Time, false, "Slot of the first result that was not OK"),
    Column("output", Text, false, "Output of the result that caused the phase"),
    RECORDED,
];

const TICKET_EVENTS: &[Column] = &[
    TENANT,
    CHECK,
    Column("ticket_key", Text, false, "Derived from what the ticket is about: one problem, one ticket"),
    Column("number", Int, false, "Number of the ticket within the tenant"),
    Column("sequence", Int, false, "Number of the event within the ticket"),
    Column("action", Text, false, "opened, updated, commented, assigned, prioritised, resolved, reopened, closed"),
    Column("at", Time, false, "When it happened"),
    Column("actor", Text, false, "Who did it"),
    Column("comment", Text, true, "What was written"),
    Column("kind", Text, false, "incident, prediction or finding"),
    Column("status", Text, false, "open, resolved or closed, after the event"),
    Column("title", Text, false, "One line for people"),
    Column("priority", Int, false, "1 (highest) to 5, after the event"),
    Column("assignee", Text, true, "Who works on it, after the event"),
    Column("closure_code", Text, true, "Why it was closed"),
    Column("opened_at", Time, false, "When the ticket was opened"),
    RECORDED,
];

const FINDINGS: &[Column] = &[
    TENANT,
    CHECK,
    Column("metric", Text, false, "The metric that was unusual"),
    Column("finding_id", Text, false, "Derived from series, detector and the start of the episode"),
    Column("detector", Text, false, "File in queries/detectors"),
    Column("detector_version", Text, false, "Hash of the detector's SQL"),
    Column("slot", Time, false, "Slot at which it fired"),
    Column("severity", Text, false, "WARNING or CRITICAL"),
    Column("value", Float, false, "The value seen"),
    Column("expected_low", Float, false, "Lower end of what was to be expected"),
    Column("expected_high", Float, false, "Upper end of what was to be expected"),
    Column("score", Float, false, "Distance from the expected, in the detector's unit"),
    Column("summary", Text, false, "Why it fired, in words"),
    Column("evidence", Text, false, "The values and the query, as JSON"),
    Column("runbook", Text, true, "What to do"),
    RECORDED,
];

const PREDICTIONS: &[Column] = &[
    TENANT,
    CHECK,
    Column("metric", Text, false, "The metric that will reach its limit"),
    Column("prediction_id", Text, false, "Derived from series, predictor and the start of the episode"),
    Column("phase", Text, false, "made or scored"),
    Column("predictor", Text, false, "File in queries/predictions"),
    Column("model_version", Text, false, "Hash of the predictor's SQL"),
    Column("data_version", Int, false, "Version of the samples table that was read"),
    Column("made_at", Time, false, "Slot of the newest row that it rests on"),
    Column("horizon_ms", Int, false, "How far ahead it looks"),
    Column("deadline", Time, false, "When it is scored"),
    Column("expected_at", Time, false, "When the limit is expected to be reached"),
    Column("expected_low", Time, false, "Early end of the error band"),
    Column("expected_high", Time, false, "Late end of the error band"),
    Column("probability", Float, true, "Stated probability, where the method has one"),
    Column("limit_value", Float, false, "The value whose crossing is predicted"),
    Column("value", Float, false, "The value at made_at"),
    Column("summary", Text, false, "Why it fired, in words"),
    Column("evidence", Text, false, "The values and the query, as JSON"),
    Column("runbook", Text, true, "What to do"),
    Column("outcome", Text, true, "hit, miss, prevented or void, once scored"),
    Column("outcome_reason", Text, true, "What the score rests on"),
    Column("scored_at", Time, true, "When it was scored"),
    RECORDED,
];

const REJECTS: &[Column] = &[
    Column("tenant", Text, true, "The tenant that the headers declare, if that is a valid one"),
    Column("topic", Text, false, "Topic of the record"),
    Column("partition", Int, false, "Partition of the record"),
    Column("offset", Int, false, "Offset of the record"),
    Column("received_at", Time, false, "When the relay received it"),
    Column("reason", Text, false, "Why it was rejected"),
    Column("headers", Text, false, "Its headers, as a JSON object"),
    Column("payload", Bytes, false, "Its value, cut at 1 MiB"),
    Column("payload_bytes", Int, false, "Length of its value before the cut"),
];

const REJECT_DECISIONS: &[Column] = &[
    Column("tenant", Text, true, "The tenant of the reject, where there is one"),
    Column("reject_id", Text, false, "Topic, partition and offset of the rejected record, between slashes"),
    Column("action", Text, false, "retried or dropped"),
    Column("at", Time, false, "When it was decided"),
    Column("actor", Text, false, "Who decided"),
    Column("comment", Text, true, "Why"),
];
