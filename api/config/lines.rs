//! Where the keys of a configuration file are written, so that an error found after parsing still names its line.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

/// The keys of one table with everything below it.
#[derive(Clone, Debug)]
pub struct Lines {
    /// Where the table itself begins.
    first: usize,
    /// Dotted, counted from the table.
    keys: BTreeMap<String, usize>,
}

impl Lines {
    pub fn new(text: &str, table: &DeTable<'_>, first: usize) -> Self {
        let mut lines = Self { first, keys: BTreeMap::new() };
        lines.add(text, "", table);
        lines
    }

    fn add(&mut self, text: &str, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let path = format!("{prefix}{}", key.get_ref());
            if let DeValue::Table(inner) = value.get_ref() {
                self.add(text, &format!("{path}."), inner);
            }
            self.keys.insert(path, line(text, key.span().start));
        }
    }

    /// The line that `fault` is about. It begins with a key and may name others, of which one need not be written: the
    /// innermost key that is, and the first of several, else the table that the key would be in.
    pub fn of(&self, fault: &str) -> usize {
        let mut words = fault
            .split(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)))
            .map(|word| word.trim_matches('.'))
            .filter(|word| !word.is_empty());
        let Some(key) = words.next() else { return self.first };
        let table = key.rsplit_once('.').map_or("", |(table, _)| table);
        let mut found: Option<(usize, usize)> = None;
        let mut consider = |path: &str| {
            if let Some(line) = self.keys.get(path) {
                let depth = path.matches('.').count();
                if found.is_none_or(|(deepest, _)| depth > deepest) {
                    found = Some((depth, *line));
                }
            }
        };
        consider(key);
        for word in words {
            consider(word);
            consider(&format!("{key}.{word}"));
            consider(&format!("{table}.{word}"));
        }
        let mut outer = table;
        while !outer.is_empty() {
            consider(outer);
            outer = outer.rsplit_once('.').map_or("", |(outer, _)| outer);
        }
        found.map_or(self.first, |(_, line)| line)
    }
}

/// Counted from 1.
pub fn line(text: &str, byte: usize) -> usize {
    text.as_bytes().iter().take(byte).filter(|b| **b == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
        # a comment\n\
        http.listen = \"127.0.0.1:1\"\n\
        [lake]\n\
        rows_max = 5\n\
        linger = \"0s\"\n\
        [relay.kafka]\n\
        sasl_username = \"me\"\n\
        \n\
        sasl_password = \"x\"\n\
        ssl = { key_file = \"k\" }\n";

    #[test]
    fn a_fault_is_on_the_line_of_its_key() {
        let lines = Lines::new(TEXT, DeTable::parse(TEXT).unwrap().get_ref(), 1);
        for (fault, line) in [
            ("lake.linger (in ms) is 0; use 1 to 60000", 5),
            ("lake.rows_max is 5: lake.linger too", 4),
            ("http.listen is wrong", 2),
            ("relay.kafka.ssl.key_file is wrong", 10),
            ("relay.kafka has sasl_password and sasl_password_env: keep one", 9),
        ] {
            assert_eq!(lines.of(fault), line, "{fault}");
        }
    }

    #[test]
    fn a_key_that_is_not_written_leads_to_the_other_one_to_its_table_or_to_the_start() {
        let lines = Lines::new(TEXT, DeTable::parse(TEXT).unwrap().get_ref(), 1);
        for (fault, line) in [
            ("lake.bytes_max is 1 and rows_max 5: too few", 4),
            ("lake.bytes_max is 1: use more", 3),
            ("relay.kafka.client_id is not valid", 6),
            ("sql.memory_mb is 0: use more", 1),
            ("", 1),
        ] {
            assert_eq!(lines.of(fault), line, "{fault}");
        }
    }
}
