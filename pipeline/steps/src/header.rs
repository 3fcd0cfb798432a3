//! The comment lines at the top of a step.

use std::collections::BTreeMap;

/// What a step says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// One line for people.
    pub title: String,
    /// Who answers for it.
    pub owner: String,
    /// The tables that it reads, reference tables aside.
    pub inputs: Vec<String>,
    /// The table that it fills.
    pub output: String,
    /// The column by whose UTC day its rows are kept.
    pub time: String,
    /// Comments of the columns; those that an input has too need none.
    pub columns: BTreeMap<String, String>,
}

const KEYS: [&str; 6] = ["title", "owner", "input", "output", "time", "late"];

impl Header {
    /// # Errors
    /// The line, from 1, and what is wrong with it.
    pub(crate) fn parse(sql: &str) -> Result<Self, (usize, String)> {
        let (mut found, mut columns) = (BTreeMap::new(), BTreeMap::new());
        for (line, number) in sql.lines().zip(1..) {
            let Some(text) = line.strip_prefix("--").map(str::trim).filter(|text| !text.is_empty()) else { break };
            let Some((key, value)) = text.split_once(':').map(|(key, value)| (key.trim(), value.trim())) else {
                let how = "the header needs `-- key: value`; a bare `--` ends it, comments may follow";
                return Err((number, how.to_owned()));
            };
            if value.is_empty() {
                return Err((number, format!("{key} has no value")));
            }
            let twice = match key.strip_prefix("column ").map(str::trim) {
                Some(name) => columns.insert(name.to_owned(), value.to_owned()).is_some(),
                None if KEYS.contains(&key) => found.insert(key, (number, value)).is_some(),
                None => {
                    let known = KEYS.join(", ");
                    return Err((number, format!("unknown key {key:?}; known are {known} and column NAME")));
                }
            };
            if twice {
                return Err((number, format!("{key} is given twice")));
            }
        }
        let need = |key: &str| {
            found.get(key).copied().ok_or_else(|| (1, format!("the header has no {key}: add `-- {key}: ...`")))
        };
        let (line, late) = need("late")?;
        if late != "keep" {
            let why = "late rows are kept, in the day that they are of: write `-- late: keep`. What depends on when a row \
                       came would not come out the same for history; leave such rows out by their own columns";
            return Err((line, why.to_owned()));
        }
        let (line, output) = need("output")?;
        let output = output.strip_prefix("table ").map(str::trim).filter(|name| is_name(name));
        let output = output.ok_or_else(|| {
            (line, "the output is a table: write `-- output: table NAME`, in a-z, 0-9 and _".to_owned())
        })?;
        let inputs: Vec<String> = need("input")?.1.split(',').map(|name| name.trim().to_owned()).collect();
        Ok(Self {
            title: need("title")?.1.to_owned(),
            owner: need("owner")?.1.to_owned(),
            inputs,
            output: output.to_owned(),
            time: need("time")?.1.to_owned(),
            columns,
        })
    }
}

pub(crate) fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    name.len() <= 63
        && letters.next().is_some_and(|c| c.is_ascii_lowercase())
        && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "-- title: Slow\n-- owner: ops\n-- input: check_results\n-- output: table slow\n-- time: slot\n\
                        -- late: keep\n-- column by: how much\n--\n-- prose\nselect 1";

    #[test]
    fn a_complete_header_is_read() {
        let header = Header::parse(GOOD).unwrap();
        assert_eq!(
            (header.output.as_str(), header.inputs.as_slice()),
            ("slow", ["check_results".to_owned()].as_slice())
        );
        assert_eq!(header.columns["by"], "how much");
    }

    #[test]
    fn a_wrong_header_names_the_line() {
        let cases = [
            (GOOD.replace("-- owner: ops\n", ""), 1, "the header has no owner"),
            (GOOD.replace("owner", "ownr"), 2, "unknown key \"ownr\""),
            (GOOD.replace("keep", "drop"), 6, "late rows are kept"),
            (GOOD.replace("table slow", "topic slow"), 4, "the output is a table"),
            (GOOD.replace("table slow", "table Slow"), 4, "the output is a table"),
            (GOOD.replace("time: slot", "title: x"), 5, "title is given twice"),
            (GOOD.replace("slot", ""), 5, "time has no value"),
        ];
        for (sql, line, expected) in cases {
            let (at, message) = Header::parse(&sql).unwrap_err();
            assert!(at == line && message.starts_with(expected), "{at}: {message}\n{expected}");
        }
    }
}
