//! Statements that are literals alone (`select 1`), which tools send before others to see whether the server is there. They
//! read nothing and plan nothing, so the door answers them itself, with the names and types that the worker would give.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use kizashi_engine::ScalarValue;
use sqlparser::keywords::ALL_KEYWORDS;

use crate::split::Word;

/// The row that `SELECT literal [AS name], ...` gives; none for any other statement. `text` is what the words were cut from.
pub fn row(text: &str, words: &[Word]) -> Option<RecordBatch> {
    let (select, mut rest) = words.split_first()?;
    if select.quoted || select.text != "select" {
        return None;
    }
    let (mut fields, mut columns, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
    loop {
        let value;
        (value, rest) = literal(text, rest)?;
        let name = match rest {
            [comma, ..] if is(comma, ",") => None,
            [] => None,
            [as_, word, more @ ..] if is(as_, "as") => {
                rest = more;
                Some(name(text, word)?)
            }
            [word, more @ ..] => {
                rest = more;
                Some(name(text, word)?)
            }
        };
        // As DataFusion names what has no name.
        let name = name.unwrap_or_else(|| format!("{value:?}"));
        if !names.insert(name.clone()) {
            return None;
        }
        let column = value.to_array().ok()?;
        fields.push(Field::new(name, column.data_type().clone(), value.is_null()));
        columns.push(column);
        rest = match rest {
            [] => return RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).ok(),
            [comma, more @ ..] if is(comma, ",") => more,
            _ => return None,
        };
    }
}

fn is(word: &Word, sign: &str) -> bool {
    !word.quoted && word.text == sign
}

/// The value that comes first, and the words after it.
fn literal<'w>(text: &str, words: &'w [Word]) -> Option<(ScalarValue, &'w [Word])> {
    match words {
        [minus, word, rest @ ..] if is(minus, "-") => Some((number(&word_as_number(word)?, true)?, rest)),
        [word, rest @ ..] if word.quoted => {
            // A name in quotation marks, and texts with a letter before them, are something else.
            text[word.start..].starts_with('\'').then(|| (ScalarValue::Utf8(Some(word.text.clone())), rest))
        }
        [word, rest @ ..] => {
            let value = match word.text.as_str() {
                "null" => ScalarValue::Null,
                "true" => ScalarValue::Boolean(Some(true)),
                "false" => ScalarValue::Boolean(Some(false)),
                _ => number(&word_as_number(word)?, false)?,
            };
            Some((value, rest))
        }
        [] => None,
    }
}

/// Digits with a point among them or not; other forms of numbers are the worker's.
fn word_as_number(word: &Word) -> Option<String> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let known = match word.text.split_once('.') {
        Some((whole, part)) => digits(whole) && digits(part),
        None => digits(&word.text),
    };
    (known && !word.quoted).then(|| word.text.clone())
}

/// A whole number that 64 bits hold, or a number with a point.
fn number(digits: &str, negative: bool) -> Option<ScalarValue> {
    if digits.contains('.') {
        let value: f64 = digits.parse().ok()?;
        return Some(ScalarValue::Float64(Some(if negative { -value } else { value })));
    }
    let value: i64 = digits.parse().ok()?;
    Some(ScalarValue::Int64(Some(if negative { -value } else { value })))
}

/// A name that cannot be anything else.
fn name(text: &str, word: &Word) -> Option<String> {
    if word.quoted {
        return text[word.start..].starts_with('"').then(|| word.text.clone());
    }
    let plain = word
        .text
        .bytes()
        .enumerate()
        .all(|(at, byte)| byte.is_ascii_lowercase() || byte == b'_' || (at > 0 && byte.is_ascii_digit()));
    let keyword = ALL_KEYWORDS.binary_search(&word.text.to_ascii_uppercase().as_str()).is_ok();
    (plain && !keyword).then(|| word.text.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::split;

    fn of(text: &str) -> Option<RecordBatch> {
        row(text, &split(text)[0].words)
    }

    #[test]
    fn literals_are_answered_and_whatever_is_more_is_not() {
        for literals in
            ["SELECT 1", "/* ping */ select 1;", "select 'it''s', -2.50 as x, null \"No\", true", "select 1 as uno"]
        {
            assert_eq!(of(literals).map(|row| row.num_rows()), Some(1), "{literals}");
        }
        let more = [
            "select",
            "select 1 + 1",
            "select 1 from samples",
            "select 1 where false",
            "select distinct 1",
            "select (1)",
            "select 1 limit 0",
            "select 1, 1",
            "select 1,",
            "select now()",
            "select $1",
            "select x",
            "select \"x\"",
            "select E'\\n'",
            "select X'ff'",
            "select date '2026-01-01'",
            "select 1::text",
            "select 1e3",
            "select +1",
            "select 9223372036854775808",
            "select 1 as from",
            "select 1 union select 2",
            "select 'a' 'b'",
            "select *",
            "with x as (select 1) select 1",
            "explain select 1",
            "select 1 one two",
            "select 1 as 'one'",
            "select - - 1",
            "select interval '1 day'",
            "\"select\" 1",
        ];
        for more in more {
            assert_eq!(of(more), None, "{more}");
        }
    }
}
