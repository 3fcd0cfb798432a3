//! What went wrong, as PostgreSQL's clients expect it: SQLSTATE, place and hint.

use kizashi_engine::{Limit, QueryError};
use pgwire::error::{ErrorInfo, PgWireError};

use crate::split::Lines;

pub fn error(code: &str, message: impl Into<String>) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("ERROR".to_owned(), code.to_owned(), message.into())))
}

pub fn fatal(code: &str, message: impl Into<String>) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("FATAL".to_owned(), code.to_owned(), message.into())))
}

/// What the session itself refuses: code of the error, and what to say.
pub type Refused = (&'static str, String);

pub fn told((code, message): Refused) -> PgWireError {
    error(code, message)
}

/// `text` is what the client sent, and the statement begins `offset` bytes into it.
pub fn of(query: &QueryError, text: &str, offset: usize) -> PgWireError {
    let (message, hint) = match query {
        QueryError::User { message, hint, .. } => (message.clone(), hint.clone()),
        other => (other.to_string(), None),
    };
    let mut info = ErrorInfo::new("ERROR".to_owned(), code(query).to_owned(), message);
    info.hint = hint;
    let statement = text.get(offset..).unwrap_or_default();
    info.position = query.position().map(|at| {
        let byte = offset + Lines::of(statement).place(at.line, at.column);
        let before = text.get(..byte).map_or(0, |before| before.chars().count());
        (before + 1).to_string()
    });
    PgWireError::UserError(Box::new(info))
}

fn code(query: &QueryError) -> &'static str {
    match query {
        QueryError::User { message, .. } => user(message),
        QueryError::Limit { which, .. } => match which {
            Limit::StatementBytes | Limit::ResultBytes => "54000",
            Limit::Depth | Limit::Terms | Limit::Relations => "54001",
            Limit::Time => "57014",
            Limit::Memory => "53200",
            Limit::Disk => "53100",
            Limit::Concurrency => "53300",
        },
        QueryError::Cancelled => "57014",
        QueryError::Unavailable(_) => "57P03",
        QueryError::Internal(_) => "XX000",
    }
}

/// The engine says in words what kind of mistake it is. The words are DataFusion's and ours; a scenario asks a real engine
/// for each, so that a change of them is noticed.
const WORDS: [(&str, &str); 17] = [
    ("is refused: SQL here only reads", "25006"),
    ("No field named", "42703"),
    ("Ambiguous reference", "42702"),
    ("Invalid function", "42883"),
    ("No function matches", "42883"),
    ("does not support", "42883"),
    ("not found", "42P01"),
    ("there is no table", "42P01"),
    ("must be in GROUP BY", "42803"),
    ("must appear in the GROUP BY", "42803"),
    ("Divide by zero", "22012"),
    ("Cast error", "22P02"),
    ("Error parsing", "22007"),
    ("verflow", "22003"),
    ("is not a time zone", "22023"),
    ("has no value", "42P02"),
    ("not implemented", "0A000"),
];

const SYNTAX: &str = "42601";

fn user(message: &str) -> &'static str {
    WORDS.iter().find(|(words, _)| message.contains(words)).map_or(SYNTAX, |(_, code)| code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kizashi_engine::Position;

    #[test]
    fn the_place_counts_characters_of_all_that_was_sent() {
        let text = "select '障害';\nselect\n  nothing from t";
        let offset = text.find(';').unwrap() + 1;
        let query = QueryError::User {
            message: "No field named nothing.".to_owned(),
            position: Some(Position { line: 3, column: 3 }),
            hint: Some("look".to_owned()),
        };
        let PgWireError::UserError(info) = of(&query, text, offset) else { panic!("another kind") };
        let at: usize = info.position.unwrap().parse().unwrap();
        assert_eq!(text.chars().skip(at - 1).take(7).collect::<String>(), "nothing");
        assert_eq!((info.code.as_str(), info.hint.as_deref()), ("42703", Some("look")));
    }
}
