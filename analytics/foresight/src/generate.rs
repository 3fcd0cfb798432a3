//! Series for test files, described in a few words of TOML: straight parts one after the other, repeated, with a daily
//! swing and seeded noise.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::error::ArrowError;
use kizashi_model::tables::Table;
use kizashi_model::{Span, Timestamp};
use serde::Deserialize;

/// Rows of one series at most: a test is no benchmark.
const ROWS_MAX: i64 = 200_000;
/// Monday, 5 January 2026, 00:00 UTC.
pub(crate) const START: Timestamp = Timestamp(1_767_571_200_000);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeriesSpec {
    pub check: String,
    pub metric: String,
    pub unit: String,
    #[serde(default)]
    pub limit: Option<f64>,
    /// Time between two samples.
    pub every: Span,
    /// How often the parts follow one another.
    #[serde(default = "once")]
    pub repeat: u32,
    /// Amplitude of a swing of 24 hours, highest at 06:00.
    #[serde(default)]
    pub daily: f64,
    /// Standard deviation of the noise.
    #[serde(default)]
    pub noise: f64,
    #[serde(default)]
    pub seed: u64,
    pub parts: Vec<Part>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Part {
    Line(Line),
    Values(Values),
}

/// A straight line, its end left to the next part.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    #[serde(rename = "for")]
    length: Span,
    from: f64,
    to: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Values {
    values: Vec<f64>,
}

fn once() -> u32 {
    1
}

impl SeriesSpec {
    /// (slot, value), ascending.
    ///
    /// # Errors
    /// When it would be empty or too long.
    pub fn points(&self) -> Result<Vec<(Timestamp, f64)>, String> {
        let every = self.every.ms().max(1);
        let rows: i64 = self.parts.iter().map(|part| part.rows(every)).fold(0, i64::saturating_add);
        if rows.saturating_mul(i64::from(self.repeat)) > ROWS_MAX {
            return Err(format!("series {} is longer than {ROWS_MAX} rows", self.check));
        }
        let mut noise = Noise(self.seed);
        let mut points = Vec::new();
        let mut slot = START;
        for _ in 0..self.repeat {
            for value in self.parts.iter().flat_map(|part| part.values(every)) {
                let turn = slot.since_ms(START) as f64 / 86_400_000.0 * std::f64::consts::TAU;
                let value =
                    value + self.daily * turn.sin() + if self.noise > 0.0 { self.noise * noise.next() } else { 0.0 };
                points.push((slot, value));
                slot = Timestamp(slot.0 + every);
            }
        }
        if points.is_empty() { Err(format!("series {} is empty", self.check)) } else { Ok(points) }
    }

    /// The points as rows of the samples table.
    ///
    /// # Errors
    /// When the columns do not fit the table's schema.
    pub fn batch(&self, tenant: &str, points: &[(Timestamp, f64)]) -> Result<RecordBatch, ArrowError> {
        let same = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; points.len()])) };
        let slots = points.iter().map(|(slot, _)| slot.micros());
        let columns: Vec<ArrayRef> = vec![
            same(tenant),
            same(&self.check),
            same(&self.metric),
            Arc::new(TimestampMicrosecondArray::from_iter_values(slots).with_timezone("UTC")),
            Arc::new(points.iter().map(|(_, value)| Some(*value)).collect::<Float64Array>()),
            same(&self.unit),
            Arc::new(points.iter().map(|_| self.limit).collect::<Float64Array>()),
            Arc::new(BooleanArray::from(vec![false; points.len()])),
            Arc::new(points.iter().map(|(slot, _)| Some(slot.day())).collect::<Date32Array>()),
        ];
        RecordBatch::try_new(Table::Samples.schema(), columns)
    }
}

impl Part {
    fn rows(&self, every: i64) -> i64 {
        match self {
            Self::Line(line) => line.length.ms() / every,
            Self::Values(part) => i64::try_from(part.values.len()).unwrap_or(i64::MAX),
        }
    }

    fn values(&self, every: i64) -> Vec<f64> {
        match self {
            Self::Line(line) => {
                let rows = self.rows(every);
                (0..rows).map(|i| line.from + (line.to - line.from) * i as f64 / rows as f64).collect()
            }
            Self::Values(part) => part.values.clone(),
        }
    }
}

/// Normal noise from a seed: SplitMix64 (Steele, Lea and Flood 2014), then the sum of twelve uniform numbers less six.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
