//! What steps make of the rows of one commit, gathered while the records come.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use kizashi_model::derived::Derived;
use kizashi_model::envelope::BODY_BYTES_MAX;
use kizashi_model::tables::Table;
use kizashi_model::tail::{Origin, Segment, Uncommitted};
use kizashi_model::{Offsets, Timestamp, TopicPartition};

use crate::LakeError;
use crate::config::ROW_BYTES_MAX;
use crate::decode::Decoded;
use crate::error::internal;
use crate::rows::{Rows, Value};
use crate::steps::{Refused, Steps, Taken};
use crate::table::LakeTable;

#[derive(Debug)]
pub(crate) struct Deriving {
    steps: Arc<dyn Steps>,
    /// What sums will be over.
    added_up: Vec<Taken>,
    rows: Vec<Taken>,
    refused: Vec<Refused>,
}

impl Deriving {
    pub fn new(steps: Arc<dyn Steps>) -> Self {
        Self { steps, added_up: Vec::new(), rows: Vec::new(), refused: Vec::new() }
    }

    pub fn is_of(&self, steps: &Arc<dyn Steps>) -> bool {
        Arc::ptr_eq(&self.steps, steps)
    }

    pub fn is_idle(&self) -> bool {
        self.steps.tables().is_empty()
    }

    /// Takes rows of the product's own tables. Answers what steps make of them, as far as it depends on one record each.
    pub async fn take(&mut self, new: &[Taken]) -> Vec<Taken> {
        if new.is_empty() || self.is_idle() {
            return Vec::new();
        }
        let outcome = self.steps.derive(new).await;
        let added_up = new.iter().chain(&outcome.rows).filter(|taken| self.steps.adds_up(taken.table));
        self.added_up.extend(added_up.cloned());
        self.refused.extend(outcome.refused);
        self.rows.extend(outcome.rows.iter().cloned());
        outcome.rows
    }

    /// Puts what was refused among the rejects, and answers the rows of each table that it does not have yet.
    ///
    /// # Errors
    /// `Internal`: rows that do not fit their table.
    pub async fn finish(
        self,
        tables: &[LakeTable],
        decoded: &mut Decoded,
        now: Timestamp,
    ) -> Result<BTreeMap<Derived, Rows>, LakeError> {
        let (mut ready, mut refused) = (BTreeMap::new(), self.refused);
        for entry in tables {
            let Table::Derived(of) = entry.table else { continue };
            let committed = &entry.position.offsets;
            let mut rows = Rows::new(entry.table);
            let batches = if of.is_merged() {
                let open = self.added_up.iter().map(|taken| open(taken, committed));
                let open: Vec<Taken> = open.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
                let (sums, not_added) = self.steps.sum(of, &open).await;
                refused.extend(not_added);
                sums
            } else {
                let own = self.rows.iter().filter(|taken| taken.table == entry.table);
                let open = own.map(|taken| open(taken, committed)).collect::<Result<Vec<_>, _>>()?;
                open.into_iter().flatten().map(|taken| taken.rows).collect()
            };
            for batch in &batches {
                rows.push_batch(batch, &of.definition().time)?;
            }
            if !rows.is_empty() {
                ready.insert(of, rows);
            }
        }
        reject(tables, decoded, refused, now);
        Ok(ready)
    }
}

/// The part of the rows whose records are not in a table that holds the relay up to `committed`.
fn open(taken: &Taken, committed: &Offsets) -> Result<Option<Taken>, LakeError> {
    let segment = Segment::new(0, taken.rows.clone(), taken.origins.clone()).map_err(internal)?;
    let rows = match segment.uncommitted(committed) {
        Uncommitted::None => return Ok(None),
        Uncommitted::All => return Ok(Some(taken.clone())),
        Uncommitted::Some(rows) => rows,
    };
    let (mut origins, mut first, mut end) = (Vec::new(), 0, 0);
    for origin in &taken.origins {
        let length = origin.end - first;
        if rows.get(first as usize) == Some(&true) {
            end += length;
            origins.push(Origin { end, ..*origin });
        }
        first = origin.end;
    }
    let rows: RecordBatch = filter_record_batch(&taken.rows, &BooleanArray::from(rows)).map_err(internal)?;
    Ok(Some(Taken { table: taken.table, rows, origins }))
}

/// One reject for each record, whatever steps refused of it: a reject is known by its record.
fn reject(tables: &[LakeTable], decoded: &mut Decoded, refused: Vec<Refused>, now: Timestamp) {
    let Some(of) = tables.iter().find(|of| of.table == Table::Rejects) else { return };
    let mut records: BTreeMap<(TopicPartition, i64), Vec<Refused>> = BTreeMap::new();
    for one in refused {
        if one.offset >= of.position.offsets.get(one.at).unwrap_or(0) {
            records.entry((one.at, one.offset)).or_default().push(one);
        }
    }
    for ((at, offset), refused) in records {
        let tenant = refused.iter().find_map(|one| one.tenant.as_deref());
        let joined = |of: fn(&Refused) -> &str| refused.iter().map(of).collect::<Vec<_>>();
        let mut reasons = joined(|one| &one.reason);
        reasons.dedup();
        let (reason, rows) = (reasons.join("; "), joined(|one| &one.rows).join("\n"));
        let cut = |text: &str, most: usize| text[..text.floor_char_boundary(most)].to_owned();
        decoded.rejects += 1;
        decoded.rejected().push(
            now,
            &[
                tenant.into(),
                Value::Text(at.topic.name()),
                Value::Int(at.partition.into()),
                Value::Int(offset),
                Value::Time(now),
                Value::Text(&cut(&reason, ROW_BYTES_MAX)),
                Value::Text("{}"),
                Value::Bytes(cut(&rows, BODY_BYTES_MAX).as_bytes()),
                Value::Int(i64::try_from(rows.len()).unwrap_or(i64::MAX)),
            ],
        );
    }
}
