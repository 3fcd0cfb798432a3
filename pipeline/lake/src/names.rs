//! A column of names under construction: a dictionary in which a name that repeats costs one comparison.

use std::sync::Arc;

use ahash::RandomState;
use arrow::array::{ArrayRef, DictionaryArray, Int32Builder, StringBuilder};
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
    /// The key of the row before: often that of the next one too.
    last: Option<i32>,
}

impl Names {
    #[inline]
    pub fn push(&mut self, name: &str) {
        let key = match self.last {
            Some(last) if value(&self.values, last) == name.as_bytes() => last,
            _ => self.key_of(name),
        };
        self.last = Some(key);
        self.keys.append_value(key);
    }

    pub fn push_option(&mut self, name: Option<&str>) {
        match name {
            Some(name) => self.push(name),
            None => self.push_null(),
        }
    }

    pub fn push_null(&mut self) {
        self.keys.append_null();
    }

    fn key_of(&mut self, name: &str) -> i32 {
        let Self { values, known, hasher, .. } = self;
        let same = |key: &i32| value(values, *key) == name.as_bytes();
        let hash = |key: &i32| hasher.hash_one(value(values, *key));
        match known.entry(hasher.hash_one(name.as_bytes()), same, hash) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                // The values take 2 GiB at most, so their number fits.
                let key = i32::try_from(values.offsets_slice().len() - 1).unwrap_or(i32::MAX);
                free.insert(key);
                values.append_value(name);
                key
            }
        }
    }

    /// # Errors
    /// `Internal` when a key stands for no value.
    pub fn finish(&mut self) -> Result<ArrayRef, LakeError> {
        let values = Arc::new(self.values.finish());
        (self.known, self.last) = (HashTable::new(), None);
        let names = DictionaryArray::<Int32Type>::try_new(self.keys.finish(), values).map_err(internal)?;
        Ok(Arc::new(names))
    }
}

#[inline]
fn value(values: &StringBuilder, key: i32) -> &[u8] {
    let (offsets, key) = (values.offsets_slice(), key as usize);
    &values.values_slice()[offsets[key] as usize..offsets[key + 1] as usize]
}
