//! What a statement asks of the session itself, and not of the data.

use pgwire::error::PgWireResult;

use crate::copy::Form;
use crate::error::{Refused, error, told};
use crate::split::{Piece, Word, split};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'t> {
    /// Rows: the worker's.
    Query,
    /// `None` sets the default.
    Set {
        name: String,
        value: Option<String>,
    },
    ResetAll,
    Show(String),
    Begin(&'static str),
    Commit,
    Rollback,
    /// Taken, and nothing to do: the tag that says so.
    Taken(&'static str),
    DiscardAll,
    /// `None` closes all.
    Deallocate(Option<String>),
    Declare {
        cursor: String,
        sql: &'t str,
    },
    /// `None` fetches the rest.
    Fetch {
        cursor: String,
        rows: Option<usize>,
        shown: bool,
    },
    Close(Option<String>),
    Copy {
        sql: String,
        form: Form,
    },
}

const SYNTAX: &str = "42601";
const UNSUPPORTED: &str = "0A000";
const READ_ONLY: &str = "25006";

impl<'t> Command<'t> {
    /// The part of the statement that the worker runs.
    pub fn rows_of(&self, piece: &Piece<'t>) -> &'t str {
        match self {
            Self::Declare { sql, .. } => sql,
            _ => piece.sql,
        }
    }
}

/// A prepared statement and what it asks.
pub fn prepared(text: &str) -> PgWireResult<(Piece<'_>, Command<'_>)> {
    let piece = split(text).into_iter().next().ok_or_else(|| error("XX000", "the statement is gone"))?;
    let asked = command(text, &piece).map_err(told)?;
    Ok((piece, asked))
}

pub fn command<'t>(text: &'t str, piece: &Piece<'t>) -> Result<Command<'t>, Refused> {
    let words: Vec<&str> = piece.words.iter().map(|word| if word.quoted { "" } else { word.text.as_str() }).collect();
    let name = |at: usize| piece.words.get(at).map(|word| word.text.clone());
    Ok(match words.as_slice() {
        ["set", rest @ ..] => return set(&piece.words[1..], rest),
        ["reset", "all"] => Command::ResetAll,
        ["reset", "time", "zone"] => Command::Set { name: "timezone".to_owned(), value: None },
        ["reset", _] => Command::Set { name: name(1).unwrap_or_default().to_ascii_lowercase(), value: None },
        ["show", "tables" | "columns", ..] => Command::Query,
        ["show", "time", "zone"] => Command::Show("timezone".to_owned()),
        ["show", "transaction", "isolation", "level"] => Command::Show("transaction_isolation".to_owned()),
        ["show", "session", "authorization"] => Command::Show("session_authorization".to_owned()),
        ["show", _] => Command::Show(name(1).unwrap_or_default().to_ascii_lowercase()),
        ["begin", ..] => Command::Begin("BEGIN"),
        ["start", "transaction", ..] => Command::Begin("START TRANSACTION"),
        ["commit" | "end", ..] => Command::Commit,
        ["rollback", "to", ..] => Command::Taken("ROLLBACK"),
        ["rollback" | "abort", ..] => Command::Rollback,
        ["savepoint", ..] => Command::Taken("SAVEPOINT"),
        ["release", ..] => Command::Taken("RELEASE"),
        ["unlisten", ..] => Command::Taken("UNLISTEN"),
        ["listen", ..] => {
            return Err((UNSUPPORTED, "LISTEN is not offered: GET /api/v1/events streams changes".to_owned()));
        }
        ["discard", ..] => Command::DiscardAll,
        ["deallocate", "prepare", "all"] | ["deallocate", "all"] => Command::Deallocate(None),
        ["deallocate", "prepare", _] => Command::Deallocate(name(2)),
        ["deallocate", _] => Command::Deallocate(name(1)),
        ["declare", ..] => return declare(text, piece, &words),
        ["fetch", rest @ ..] => return fetch(&piece.words[1..], rest, true),
        ["move", rest @ ..] => return fetch(&piece.words[1..], rest, false),
        ["close", "all"] => Command::Close(None),
        ["close", _] => Command::Close(name(1)),
        ["copy", ..] => return copy(text, piece, &words),
        ["prepare" | "execute", ..] => {
            return Err((
                UNSUPPORTED,
                "PREPARE and EXECUTE are not offered: use your driver's prepared statements".to_owned(),
            ));
        }
        [
            "insert" | "update" | "delete" | "merge" | "create" | "drop" | "alter" | "truncate" | "grant" | "revoke"
            | "comment" | "vacuum" | "lock" | "refresh" | "reindex" | "cluster" | "call" | "do" | "import",
            ..,
        ] => {
            let what = words[0].to_ascii_uppercase();
            return Err((READ_ONLY, format!("{what} is refused: SQL here only reads")));
        }
        _ => Command::Query,
    })
}

/// `SET [SESSION | LOCAL] name {= | TO} value, ...`, and its forms with words of their own.
fn set<'t>(words: &[Word], plain: &[&str]) -> Result<Command<'t>, Refused> {
    match plain {
        ["transaction", ..] | ["session", "characteristics", ..] => return Ok(Command::Taken("SET")),
        ["role" | "constraints", ..] | ["session", "authorization", ..] => {
            return Err((UNSUPPORTED, "to act as somebody else is not offered: connect as them".to_owned()));
        }
        _ => {}
    }
    let skipped =
        usize::from(matches!(plain, ["session" | "local", _, ..]) && !matches!(plain.get(1), Some(&"=" | &"to")));
    let (words, plain) = (&words[skipped..], &plain[skipped..]);
    let (name, values) = match plain {
        ["time", "zone", ..] => ("timezone".to_owned(), &words[2..]),
        ["names", ..] => ("client_encoding".to_owned(), &words[1..]),
        [_, "=" | "to", ..] => (words[0].text.to_ascii_lowercase(), &words[2..]),
        // A name of an extension, such as `myapp.user`.
        [first, ".", last, "=" | "to", ..] => (format!("{first}.{last}"), &words[4..]),
        _ => return Err((SYNTAX, "write SET name = value".to_owned())),
    };
    let plain_value = values.len() == 1 && !values[0].quoted;
    if values.is_empty() || plain_value && matches!(values[0].text.as_str(), "default" | "local") {
        return Ok(Command::Set { name, value: None });
    }
    let value: String = values.iter().map(|word| if word.text == "," { ", " } else { &word.text }).collect();
    Ok(Command::Set { name, value: Some(value) })
}

fn declare<'t>(text: &'t str, piece: &Piece<'t>, words: &[&str]) -> Result<Command<'t>, Refused> {
    let shape = || (SYNTAX, "write DECLARE name CURSOR FOR SELECT ...".to_owned());
    let at = words.iter().position(|word| *word == "for").ok_or_else(shape)?;
    if !words[..at].contains(&"cursor")
        || at + 1 >= words.len()
        || words[..at].windows(2).any(|w| w == ["no", "cursor"])
    {
        return Err(shape());
    }
    if words[..at].contains(&"scroll") && !words[..at].contains(&"no") {
        return Err((UNSUPPORTED, "a cursor goes forward only: leave SCROLL out".to_owned()));
    }
    if words[..at].contains(&"binary") {
        return Err((UNSUPPORTED, "a cursor gives text: leave BINARY out".to_owned()));
    }
    let cursor = piece.words[1].text.clone();
    let end = piece.words.last().map_or(text.len(), |word| word.end);
    Ok(Command::Declare { cursor, sql: &text[piece.words[at + 1].start..end] })
}

/// `FETCH [direction] [FROM | IN] cursor`.
fn fetch<'t>(words: &[Word], plain: &[&str], shown: bool) -> Result<Command<'t>, Refused> {
    let Some(last) = words.last() else { return Err((SYNTAX, "write FETCH count FROM cursor".to_owned())) };
    let mut direction = &plain[..plain.len() - 1];
    if let [rest @ .., "from" | "in"] = direction {
        direction = rest;
    }
    if let ["forward", rest @ ..] = direction {
        direction = if rest.is_empty() { &["next"] } else { rest };
    }
    let rows = match direction {
        [] | ["next"] => Some(1),
        ["all"] => None,
        [count] => Some(
            count.parse().map_err(|_| (UNSUPPORTED, "a cursor goes forward only: FETCH count or ALL".to_owned()))?,
        ),
        _ => return Err((UNSUPPORTED, "a cursor goes forward only: FETCH count or ALL".to_owned())),
    };
    Ok(Command::Fetch { cursor: last.text.clone(), rows, shown })
}

/// `COPY {table [(columns)] | (query)} TO STDOUT [options]`.
fn copy<'t>(text: &'t str, piece: &Piece<'t>, words: &[&str]) -> Result<Command<'t>, Refused> {
    let mut depth = 0_usize;
    let to = words.iter().position(|word| {
        match *word {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && matches!(*word, "to" | "from")
    });
    let Some(to) = to.filter(|to| *to > 1) else {
        return Err((SYNTAX, "write COPY (SELECT ...) TO STDOUT".to_owned()));
    };
    if words[to] == "from" {
        return Err((
            READ_ONLY,
            "COPY FROM is refused: SQL here only reads; POST /api/v1/import takes samples".to_owned(),
        ));
    }
    if words.get(to + 1) != Some(&"stdout") {
        return Err((UNSUPPORTED, "COPY goes to the client only: write TO STDOUT".to_owned()));
    }
    let (first, last) = (&piece.words[1], &piece.words[to - 1]);
    let sql = match words[1] {
        "(" => text[first.end..last.start].to_owned(),
        _ => {
            let table_end = words[..to].iter().position(|word| *word == "(").unwrap_or(to);
            let table = &text[first.start..piece.words[table_end - 1].end];
            let columns = if table_end == to { "*" } else { &text[piece.words[table_end].end..last.start] };
            format!("select {columns} from {table}")
        }
    };
    let form = Form::parse(&piece.words[to + 2..]).map_err(|message| (SYNTAX, message))?;
    Ok(Command::Copy { sql, form })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Command<'_>, Refused> {
        command(text, &split(text)[0])
    }

    fn set(name: &str, value: Option<&str>) -> Result<Command<'static>, Refused> {
        Ok(Command::Set { name: name.to_owned(), value: value.map(str::to_owned) })
    }

    #[test]
    fn settings_are_read_in_every_form_that_clients_use() {
        assert_eq!(of("SET statement_timeout = '5s'"), set("statement_timeout", Some("5s")));
        assert_eq!(of("set session TimeZone TO 'Asia/Tokyo'"), set("timezone", Some("Asia/Tokyo")));
        assert_eq!(of("SET TIME ZONE 'Asia/Tokyo'"), set("timezone", Some("Asia/Tokyo")));
        assert_eq!(of("SET LOCAL TIME ZONE DEFAULT"), set("timezone", None));
        assert_eq!(of("set datestyle = iso, mdy"), set("datestyle", Some("iso, mdy")));
        assert_eq!(of("SET extra_float_digits = 3"), set("extra_float_digits", Some("3")));
        assert_eq!(of("SET NAMES 'UTF8'"), set("client_encoding", Some("UTF8")));
        assert_eq!(of("SET myapp.user = 'x'"), set("myapp.user", Some("x")));
        assert_eq!(of("RESET TimeZone"), set("timezone", None));
        assert_eq!(of("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"), Ok(Command::Taken("SET")));
        assert_eq!(of("SET x").unwrap_err().0, SYNTAX);
        assert_eq!(of("set role postgres").unwrap_err().0, UNSUPPORTED);
    }

    #[test]
    fn cursors_are_declared_and_fetched() {
        let declared = of("DECLARE \"My\" NO SCROLL CURSOR WITH HOLD FOR select 1 ;");
        assert_eq!(declared, Ok(Command::Declare { cursor: "My".to_owned(), sql: "select 1" }));
        let fetch = |text| match of(text) {
            Ok(Command::Fetch { cursor, rows, shown }) => (cursor, rows, shown),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(fetch("FETCH FORWARD 100 FROM \"My\""), ("My".to_owned(), Some(100), true));
        assert_eq!(fetch("fetch all in c"), ("c".to_owned(), None, true));
        assert_eq!(fetch("fetch c"), ("c".to_owned(), Some(1), true));
        assert_eq!(fetch("move forward 5 from c"), ("c".to_owned(), Some(5), false));
        assert!(of("fetch backward 5 from c").is_err() && of("declare c scroll cursor for select 1").is_err());
    }

    #[test]
    fn copies_go_out_and_nothing_comes_in() {
        let sql = |text| match of(text) {
            Ok(Command::Copy { sql, .. }) => sql,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(
            sql("COPY (select a from t where b in (1, 2)) TO STDOUT").trim(),
            "select a from t where b in (1, 2)"
        );
        assert_eq!(
            sql("copy public.samples (slot, value) to stdout with csv header"),
            "select slot, value from public.samples"
        );
        assert_eq!(sql("copy samples to stdout"), "select * from samples");
        assert_eq!(of("copy samples from stdin").unwrap_err().0, READ_ONLY);
        assert_eq!(of("copy samples to '/etc/passwd'").unwrap_err().0, UNSUPPORTED);
        assert!(of("copy (select 1 to stdout").is_err() && of("copy").is_err());
    }

    #[test]
    fn writing_is_refused_with_its_code_and_reading_is_the_workers() {
        assert_eq!(of("INSERT INTO samples VALUES (1)").unwrap_err().0, READ_ONLY);
        assert_eq!(of("with x as (select 1) select * from x"), Ok(Command::Query));
        assert_eq!(of("show tables"), Ok(Command::Query));
        assert_eq!(of("SHOW TRANSACTION ISOLATION LEVEL"), Ok(Command::Show("transaction_isolation".to_owned())));
    }
}
