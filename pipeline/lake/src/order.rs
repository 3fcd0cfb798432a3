//! In which order rows go into a file: by names, by time, and as they came where all of that is the same.

use arrow::array::{Array, DictionaryArray, StringArray};
use arrow::datatypes::Int32Type;
use kizashi_model::Timestamp;

use crate::LakeError;
use crate::error::internal;

/// `by`: the names to sort by, the most important first. `times`: microseconds since the epoch, one per row.
/// Answers the rows in their order.
///
/// Rows of a series nearly always came in the order of their time, and there are far fewer names than rows: so the rows are
/// distributed name by name, the least important first (a radix sort), and only a series that is out of order is compared.
///
/// # Errors
/// `Internal` when a column is not as long as `times`, or its dictionary holds no text.
pub(crate) fn order(by: &[&DictionaryArray<Int32Type>], times: &[i64]) -> Result<Vec<u32>, LakeError> {
    let rows = u32::try_from(times.len()).map_err(internal)?;
    let mut ranked = Vec::with_capacity(by.len());
    for names in by {
        if names.len() != times.len() {
            return Err(internal("a column of names has a gap"));
        }
        ranked.push(Ranked::new(names)?);
    }
    let (mut order, mut spare): (Vec<u32>, Vec<u32>) = ((0..rows).collect(), vec![0; times.len()]);
    for names in ranked.iter().rev().filter(|names| !names.is_one()) {
        names.distribute(&order, &mut spare);
        std::mem::swap(&mut order, &mut spare);
    }
    let same = |a: u32, b: u32| ranked.iter().all(|names| names.rank(a) == names.rank(b));
    for series in order.chunk_by_mut(|a, b| same(*a, *b)) {
        // Stable: what has one time stays as it came.
        if !series.is_sorted_by_key(|row| times[*row as usize]) {
            series.sort_by_key(|row| times[*row as usize]);
        }
    }
    Ok(order)
}

/// Brings the rows of a day together, in the order in which they are.
pub(crate) fn by_day(order: &mut [u32], times: &[i64]) {
    if !is_one_day(times) {
        order.sort_by_key(|row| day(times[*row as usize]));
    }
}

pub(crate) fn is_one_day(times: &[i64]) -> bool {
    times.iter().min().map(|first| day(*first)) == times.iter().max().map(|last| day(*last))
}

/// Days since the epoch.
pub(crate) fn day(micros: i64) -> i32 {
    Timestamp(micros.div_euclid(1_000)).day()
}

/// When a day is over, in milliseconds since the epoch.
pub(crate) fn day_end(day: i32) -> i64 {
    (i64::from(day) + 1) * 86_400_000
}

/// A column of names as the place of each among them in alphabetical order; a null comes first.
struct Ranked {
    ranks: Vec<u32>,
    /// How many ranks there can be.
    different: usize,
}

impl Ranked {
    fn new(names: &DictionaryArray<Int32Type>) -> Result<Self, LakeError> {
        let values = names.values().as_any().downcast_ref::<StringArray>();
        let values = values.ok_or_else(|| internal("a dictionary of names holds no text"))?;
        let mut alphabetical: Vec<usize> = (0..values.len()).collect();
        alphabetical.sort_unstable_by_key(|i| values.value(*i));
        let mut rank_of = vec![0; values.len()];
        for (rank, value) in (1u32..).zip(alphabetical) {
            rank_of[value] = rank;
        }
        let ranks = names.keys().iter().map(|key| key.map_or(0, |key| rank_of[key as usize])).collect();
        Ok(Self { ranks, different: values.len() + 1 })
    }

    fn is_one(&self) -> bool {
        self.ranks.iter().all(|rank| *rank == self.ranks[0])
    }

    #[inline]
    fn rank(&self, row: u32) -> u32 {
        self.ranks[row as usize]
    }

    /// A counting sort: stable, one pass to count and one to place.
    fn distribute(&self, order: &[u32], into: &mut [u32]) {
        let mut next = vec![0u32; self.different + 1];
        for row in order {
            next[self.rank(*row) as usize + 1] += 1;
        }
        let mut before = 0;
        for place in &mut next {
            before += *place;
            *place = before;
        }
        for row in order {
            let place = &mut next[self.rank(*row) as usize];
            into[*place as usize] = *row;
            *place += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_order_is_that_of_a_comparing_stable_sort(
            rows in prop::collection::vec((0usize..4, 0usize..4, -3i64..4), 0..60),
        ) {
            let names = [Some("b"), Some("a"), None, Some("disk:/")];
            let first: DictionaryArray<Int32Type> = rows.iter().map(|row| names[row.0]).collect();
            let second: DictionaryArray<Int32Type> = rows.iter().map(|row| names[row.1]).collect();
            let times: Vec<i64> = rows.iter().map(|row| row.2 * 40_000_000_000).collect();
            let mut expected: Vec<u32> = (0..).take(rows.len()).collect();
            expected.sort_by_key(|row| {
                let at = *row as usize;
                (day(times[at]), names[rows[at].0], names[rows[at].1], times[at])
            });
            let mut found = order(&[&first, &second], &times).unwrap();
            by_day(&mut found, &times);
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_column_that_is_too_short_is_refused() {
        let names: DictionaryArray<Int32Type> = ["a"].into_iter().collect();
        assert!(order(&[&names], &[1, 2]).is_err());
    }
}
