//! A column of names under construction: a dictionary in which a name that repeats costs one comparison.

use std::sync::Arc;

use ahash::RandomState;
use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Int32Builder, StringBuilder};
use arrow::datatypes::Int32Type;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::LakeError;
use crate::error::internal;

#[derive(Debug, Default)]
pub(crate) struct Names {
    keys: Int32Builder,
    values: StringBuilder,
    known: HashTable<i32>,
    hasher: RandomState,
    /// The key of the row before.
    last: Option<i32>,
    /// For each key, the one that followed it the last time. Checks come in turns and their metrics in one order, so it
    /// nearly always follows again.
    follower: Vec<i32>,
}

impl Names {
    #[inline]
    pub fn push(&mut self, name: &str) {
        let expected = self.last.map(|last| self.follower[last as usize]);
        let key = match expected {
            Some(key) if value(&self.values, key) == name.as_bytes() => key,
            _ => {
                let key = self.key_of(name);
                if let Some(last) = self.last {
                    self.follower[last as usize] = key;
                }
                key
            }
        };
        self.last = Some(key);
        self.keys.append_value(key);
    }

    /// The name of the row before once more.
    #[inline]
    pub fn push_again(&mut self) {
        self.keys.append_option(self.last);
    }

    pub fn push_option(&mut self, name: Option<&str>) {
        match name {
            Some(name) => self.push(name),
            None => self.push_null(),
        }
    }

    /// Each of the names is looked at once.
    pub fn push_dictionary(&mut self, names: &DictionaryArray<Int32Type>) -> Option<()> {
        let values = names.values().as_string_opt::<i32>()?;
        let mut keys: Vec<Option<i32>> = vec![None; values.len()];
        for place in names.keys() {
            let Some(place) = place else {
                self.push_null();
                continue;
            };
            let place = usize::try_from(place).ok()?;
            let key = match *keys.get(place)? {
                Some(key) => key,
                None => *keys[place].insert(self.key_of(values.value(place))),
            };
            self.last = Some(key);
            self.keys.append_value(key);
        }
        Some(())
    }

    pub fn push_null(&mut self) {
        self.keys.append_null();
    }

    fn key_of(&mut self, name: &str) -> i32 {
        let Self { values, known, hasher, follower, .. } = self;
        let same = |key: &i32| value(values, *key) == name.as_bytes();
        let hash = |key: &i32| hasher.hash_one(value(values, *key));
        match known.entry(hasher.hash_one(name.as_bytes()), same, hash) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                // The values take 2 GiB at most, so their number fits.
                let key = i32::try_from(values.offsets_slice().len() - 1).unwrap_or(i32::MAX);
                free.insert(key);
                values.append_value(name);
                follower.push(key);
                key
            }
        }
    }

    /// # Errors
    /// `Internal` when a key stands for no value.
    pub fn finish(&mut self) -> Result<ArrayRef, LakeError> {
        let values = Arc::new(self.values.finish());
        (self.known, self.last, self.follower) = (HashTable::new(), None, Vec::new());
        let names = DictionaryArray::<Int32Type>::try_new(self.keys.finish(), values).map_err(internal)?;
        Ok(Arc::new(names))
    }
}

#[inline]
fn value(values: &StringBuilder, key: i32) -> &[u8] {
    let (offsets, key) = (values.offsets_slice(), key as usize);
    &values.values_slice()[offsets[key] as usize..offsets[key + 1] as usize]
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_names_come_out_as_they_went_in(rows in prop::collection::vec(0usize..6, 0..60)) {
            let names = ["", "a", "b", "空き", "disk:/var/lib", "disk:/var"];
            let (mut column, mut expected) = (Names::default(), Vec::new());
            for row in rows {
                match (row, expected.last()) {
                    (5, Some(Some(last))) => {
                        column.push_again();
                        expected.push(Some(*last));
                    }
                    (0, _) => {
                        column.push_null();
                        expected.push(None);
                    }
                    _ => {
                        column.push(names[row]);
                        expected.push(Some(names[row]));
                    }
                }
            }
            let array = column.finish().unwrap();
            let array = array.as_any().downcast_ref::<DictionaryArray<Int32Type>>().unwrap();
            let found: Vec<_> = array.downcast_dict::<StringArray>().unwrap().into_iter().collect();
            prop_assert_eq!(found, expected);
            let distinct: std::collections::HashSet<_> = array.downcast_dict::<StringArray>().unwrap().into_iter().flatten().collect();
            prop_assert_eq!(array.values().len(), distinct.len(), "each name is kept once");
        }

        #[test]
        fn names_of_other_columns_come_out_as_they_went_in(
            columns in prop::collection::vec(prop::collection::vec(0usize..6, 0..20), 0..5),
        ) {
            // What a file's dictionary holds and no row names is not there afterwards.
            let values = StringArray::from(vec!["a", "b", "a", "空き", "unused"]);
            let (mut column, mut expected) = (Names::default(), Vec::new());
            for rows in columns {
                let keys: Vec<Option<i32>> = rows.iter().map(|row| [None, Some(0), Some(1), Some(2), Some(3), Some(0)][*row]).collect();
                let names = DictionaryArray::<Int32Type>::try_new(keys.clone().into(), Arc::new(values.clone())).unwrap();
                column.push_dictionary(&names).unwrap();
                column.push("b");
                expected.extend(keys.iter().map(|key| key.map(|key| values.value(key as usize))).chain([Some("b")]));
            }
            let array = column.finish().unwrap();
            let array = array.as_any().downcast_ref::<DictionaryArray<Int32Type>>().unwrap();
            let found: Vec<_> = array.downcast_dict::<StringArray>().unwrap().into_iter().collect();
            prop_assert_eq!(&found, &expected);
            let distinct: std::collections::HashSet<_> = found.into_iter().flatten().collect();
            prop_assert_eq!(array.values().len(), distinct.len(), "each name is kept once");
        }
    }
}
