//! Whose the rows of data files are: runs of rows of one tenant and check, and how those of a day are divided into files.

use std::collections::BTreeMap;
use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;

use crate::LakeError;
use crate::data_file::DataFile;
use crate::error::internal;

/// The columns that say whose a row is; not every table has both.
const OWNERS: [&str; 2] = ["tenant", "check_id"];

/// Tenant and check, as far as a row names them.
type Owner = (Option<String>, Option<String>);

/// Rows of one owner that follow each other in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Place of the file in the list.
    pub file: usize,
    pub rows: Range<usize>,
}

/// By owner, in the order of files and rows.
#[derive(Debug, Default)]
pub(crate) struct Runs(BTreeMap<Owner, Vec<Run>>);

impl Runs {
    /// Takes the runs of a file, of those tenants that are `kept`. Answers how many rows are left out.
    ///
    /// # Errors
    /// As [`DataFile::columns`].
    pub fn take(
        &mut self,
        file: usize,
        data: &DataFile,
        kept: &(dyn Fn(Option<&str>) -> bool + Sync),
    ) -> Result<usize, LakeError> {
        let (mut at, mut left_out) = (0, 0);
        data.columns(&OWNERS, &mut |batch| {
            left_out += self.take_batch(file, at, batch, kept)?;
            at += batch.num_rows();
            Ok(())
        })?;
        Ok(left_out)
    }

    fn take_batch(
        &mut self,
        file: usize,
        at: usize,
        batch: &RecordBatch,
        kept: &(dyn Fn(Option<&str>) -> bool + Sync),
    ) -> Result<usize, LakeError> {
        let columns = OWNERS.map(|name| batch.column_by_name(name).map(Named::new));
        let [tenants, checks] = columns.map(Option::transpose);
        let (tenants, checks) = (tenants?, checks?);
        let (mut first, mut left_out) = (0, 0);
        let same = |a: usize, b: usize| [&tenants, &checks].iter().all(|of| of.as_ref().is_none_or(|of| of.same(a, b)));
        for row in 1..=batch.num_rows() {
            if row < batch.num_rows() && same(first, row) {
                continue;
            }
            let [tenant, check] = [&tenants, &checks].map(|of| of.as_ref().and_then(|of| of.name(first)));
            if kept(tenant) {
                let owner = (tenant.map(str::to_owned), check.map(str::to_owned));
                self.push(owner, Run { file, rows: at + first..at + row });
            } else {
                left_out += row - first;
            }
            first = row;
        }
        Ok(left_out)
    }

    fn push(&mut self, owner: Owner, run: Run) {
        let runs = self.0.entry(owner).or_default();
        match runs.last_mut().filter(|last| last.file == run.file && last.rows.end == run.rows.start) {
            // Cut by the end of a batch.
            Some(last) => last.rows.end = run.rows.end,
            None => runs.push(run),
        }
    }

    /// Divides the rows into parts of so many rows and bytes at most: first those of whom the names come first. A tenant is in
    /// one part where it fits into one. `bytes` are those of one row of each file, in memory.
    pub fn parts(self, rows_max: usize, bytes_max: u64, bytes: &[u64]) -> Vec<Vec<Run>> {
        let mut tenants: BTreeMap<Option<String>, Vec<Run>> = BTreeMap::new();
        for ((tenant, _), runs) in self.0 {
            tenants.entry(tenant).or_default().extend(runs);
        }
        let mut parts = Parts { rows_max, bytes_max, bytes, done: Vec::new(), part: Vec::new(), size: (0, 0) };
        for runs in tenants.into_values() {
            let of = runs
                .iter()
                .fold((0, 0), |(rows, bytes), run| (rows + run.rows.len(), parts.bytes_of(run).saturating_add(bytes)));
            if of.0 <= rows_max && of.1 <= bytes_max && !parts.fits(of) {
                parts.close();
            }
            for run in runs {
                parts.push(run);
            }
        }
        parts.close();
        parts.done
    }
}

struct Parts<'a> {
    rows_max: usize,
    bytes_max: u64,
    bytes: &'a [u64],
    done: Vec<Vec<Run>>,
    part: Vec<Run>,
    size: (usize, u64),
}

impl Parts<'_> {
    fn row_bytes(&self, run: &Run) -> u64 {
        self.bytes.get(run.file).copied().unwrap_or(0).max(1)
    }

    fn bytes_of(&self, run: &Run) -> u64 {
        self.row_bytes(run).saturating_mul(run.rows.len() as u64)
    }

    fn fits(&self, (rows, bytes): (usize, u64)) -> bool {
        self.size.0 + rows <= self.rows_max && self.size.1.saturating_add(bytes) <= self.bytes_max
    }

    /// One that is too large is cut; of a row that is too large a part holds one.
    fn push(&mut self, mut run: Run) {
        while !run.rows.is_empty() {
            let bytes_left = self.bytes_max.saturating_sub(self.size.1) / self.row_bytes(&run);
            let rows_left = self.rows_max.saturating_sub(self.size.0);
            let mut take = run.rows.len().min(rows_left).min(usize::try_from(bytes_left).unwrap_or(usize::MAX));
            if take < run.rows.len() && !self.part.is_empty() && take == 0 {
                self.close();
                continue;
            }
            take = take.max(1);
            let taken = Run { file: run.file, rows: run.rows.start..run.rows.start + take };
            run.rows.start += take;
            self.size = (self.size.0 + take, self.size.1.saturating_add(self.bytes_of(&taken)));
            self.part.push(taken);
        }
    }

    fn close(&mut self) {
        self.size = (0, 0);
        if !self.part.is_empty() {
            self.done.push(std::mem::take(&mut self.part));
        }
    }
}

/// A column of names, as a dictionary or as plain texts.
enum Named<'a> {
    Keys(&'a arrow::array::DictionaryArray<Int32Type>, &'a StringArray),
    Texts(&'a StringArray),
}

impl<'a> Named<'a> {
    fn new(column: &'a ArrayRef) -> Result<Self, LakeError> {
        let unknown = || internal(format!("a column of names is {}", column.data_type()));
        match column.as_dictionary_opt::<Int32Type>() {
            Some(keys) => Ok(Self::Keys(keys, keys.values().as_string_opt::<i32>().ok_or_else(unknown)?)),
            None => Ok(Self::Texts(column.as_string_opt::<i32>().ok_or_else(unknown)?)),
        }
    }

    /// Two keys may stand for one name: then a run is cut where it need not be.
    fn same(&self, a: usize, b: usize) -> bool {
        match self {
            Self::Keys(keys, _) => keys.key(a) == keys.key(b),
            Self::Texts(_) => self.name(a) == self.name(b),
        }
    }

    fn name(&self, row: usize) -> Option<&'a str> {
        match self {
            Self::Keys(keys, values) => keys.key(row).filter(|key| values.is_valid(*key)).map(|key| values.value(key)),
            Self::Texts(texts) => texts.is_valid(row).then(|| texts.value(row)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_row_is_in_one_part_and_no_part_is_too_large(
            lengths in prop::collection::vec((0usize..5, 0usize..4, 1usize..30), 0..40),
            rows_max in 1usize..50,
            bytes_max in 8u64..400,
        ) {
            let (mut runs, mut next) = (Runs::default(), [0; 3]);
            for (tenant, check, rows) in &lengths {
                let file = (tenant + check) % 3;
                let run = Run { file, rows: next[file]..next[file] + rows };
                next[file] += rows;
                runs.push((Some(format!("tenant{tenant}")), Some(format!("check{check}"))), run);
            }
            let parts = runs.parts(rows_max, bytes_max, &[8, 3, 1]);
            for part in &parts {
                let rows: usize = part.iter().map(|run| run.rows.len()).sum();
                let bytes: u64 = part.iter().map(|run| run.rows.len() as u64 * [8, 3, 1][run.file]).sum();
                prop_assert!(rows > 0 && rows <= rows_max && bytes <= bytes_max, "{rows} rows, {bytes} bytes");
            }
            let mut found: Vec<(usize, usize)> =
                parts.iter().flatten().flat_map(|run| run.rows.clone().map(|row| (run.file, row))).collect();
            found.sort_unstable();
            let all: Vec<(usize, usize)> = (0..3).flat_map(|file| (0..next[file]).map(move |row| (file, row))).collect();
            prop_assert_eq!(found, all);
        }
    }

    #[test]
    fn a_tenant_that_fits_into_one_part_is_in_one() {
        let mut runs = Runs::default();
        for (tenant, rows) in [("a", 0..6), ("b", 6..12), ("c", 12..30)] {
            runs.push((Some(tenant.to_owned()), None), Run { file: 0, rows });
        }
        let parts = runs.parts(10, 1_000, &[1]);
        let sizes: Vec<usize> = parts.iter().map(|part| part.iter().map(|run| run.rows.len()).sum()).collect();
        assert_eq!(sizes, [6, 10, 10, 4], "c is larger than a part and fills what b leaves");
    }
}
