//! Lists come in pages: at most [`LIMIT_MAX`] items, and a cursor that names the last item seen, so that a page neither
//! repeats nor skips an item when new ones arrive in between.

use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;

pub const LIMIT_MAX: usize = 1_000;
pub const LIMIT_DEFAULT: usize = 100;
/// No name that appears in a cursor can hold this character.
const SEPARATOR: char = '~';

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Ask again with `before` set to this for the page after; null on the last page.
    #[schema(example = "1795339800000~default~disk:/")]
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// From up to `limit + 1` items: the one too many only tells that there is a next page.
    pub fn of(items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Self {
        Self::from_source(items, limit, usize::MAX, cursor)
    }

    /// As [`Self::of`], from a source that gives at most `most` items: when it gave that many, there may be a next page.
    pub fn from_source(mut items: Vec<T>, limit: usize, most: usize, cursor: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit || items.len() == most;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(cursor);
        Self { items, next }
    }
}

/// How many items to answer with.
///
/// # Errors
/// When the caller asks for none or for more than [`LIMIT_MAX`].
pub fn limit(asked: Option<usize>) -> Result<usize, Error> {
    match asked.unwrap_or(LIMIT_DEFAULT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        other => {
            Err(Error::parameter("limit", format!("limit is {other}: ask for 1 to {LIMIT_MAX} and follow `next`")))
        }
    }
}

/// A cursor of the parts that order a list.
pub fn cursor(parts: &[&dyn std::fmt::Display]) -> String {
    let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
    parts.join(&SEPARATOR.to_string())
}

/// The `N` parts of a cursor that a page gave as `next`.
///
/// # Errors
/// When it has another number of parts: it was not made by this list.
pub fn parts<const N: usize>(cursor: &str) -> Result<[&str; N], Error> {
    cursor.split(SEPARATOR).collect::<Vec<_>>().try_into().map_err(|_| not_a_cursor())
}

pub fn not_a_cursor() -> Error {
    Error::parameter("before", "`before` is not a cursor of this list: pass on `next` of the page before as it is")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(count: usize, limit: usize, most: usize) -> Option<String> {
        Page::from_source((0..count).collect(), limit, most, |n| cursor(&[n, &"x"])).next
    }

    #[test]
    fn there_is_a_next_page_when_one_item_is_too_many_or_the_source_gave_all_it_may() {
        assert_eq!(next(3, 3, 10), None);
        assert_eq!(next(4, 3, 10), Some("2~x".into()));
        assert_eq!(next(10, 10, 10), Some("9~x".into()));
        assert_eq!(next(0, 3, 10), None);
    }

    #[test]
    fn a_cursor_gives_its_parts_back_and_only_as_many_as_it_has() {
        let text = cursor(&[&-5, &"default", &"disk:/var"]);
        assert!(parts::<3>(&text).is_ok_and(|found| found == ["-5", "default", "disk:/var"]));
        assert!(parts::<2>(&text).is_err());
    }
}
