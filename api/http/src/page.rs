//! Lists come in pages: at most [`LIMIT_MAX`] items, and a cursor that names the last item seen, so that a page neither
//! repeats nor skips an item when new ones arrive in between. Every list takes the same words: [`filter!`] declares them.

use std::fmt::Write as _;

use kizashi_engine::Scope;
use kizashi_model::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use crate::AppState;
use crate::error::{Error, Kind};
use crate::lake::{Bind, rows};

pub const LIMIT_MAX: usize = 1_000;
pub const LIMIT_DEFAULT: usize = 100;
/// No name that appears in a cursor before its last part can hold this character.
const SEPARATOR: char = '~';

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Ask again with `before` set to this for the page after; null on the last page.
    #[schema(example = "-slot~1795339800000~default~disk:/")]
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
    limit_within(asked, LIMIT_MAX)
}

/// The same for a list of another bound.
///
/// # Errors
/// When the caller asks for none or for more than `most`.
pub fn limit_within(asked: Option<usize>, most: usize) -> Result<usize, Error> {
    let limit = asked.unwrap_or(LIMIT_DEFAULT);
    if (1..=most).contains(&limit) {
        return Ok(limit);
    }
    Err(Error::parameter("limit", format!("limit is {limit}: ask for 1 to {most} and follow `next`")))
}

/// The order of a list. Declared by [`sorts!`].
pub trait Order: Copy {
    /// The word in the query: a field, after a `-` if from the highest or newest on.
    fn name(self) -> &'static str;

    fn descending(self) -> bool {
        self.name().starts_with('-')
    }
}

/// Declares the orders of a list as `Sort`, the first being the one when nothing is asked for.
macro_rules! sorts {
    ($(#[$first_doc:meta])* $first:ident = $first_name:tt $(, $(#[$doc:meta])* $variant:ident = $name:tt)* $(,)?) => {
        /// The order: by a field, after a `-` from the highest or newest on.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, utoipa::ToSchema)]
        pub enum Sort {
            $(#[$first_doc])*
            #[default]
            #[serde(rename = $first_name)]
            $first,
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl $crate::page::Order for Sort {
            fn name(self) -> &'static str {
                match self {
                    Self::$first => $first_name,
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}
pub(crate) use sorts;

/// Declares the query parameters of a list as `Filter`: its own in the middle, those of every list around them.
macro_rules! filter {
    ($($(#[$attribute:meta])* $field:ident: $type:ty,)*) => {
        #[derive(Clone, Debug, Default, serde::Deserialize, utoipa::IntoParams)]
        #[serde(deny_unknown_fields, default)]
        #[into_params(parameter_in = Query)]
        pub struct Filter {
            /// Only this tenant.
            #[param(value_type = Option<String>, example = "default")]
            pub tenant: Option<kizashi_model::TenantId>,
            /// Only this check.
            #[param(value_type = Option<String>, example = "disk:/")]
            pub check_id: Option<kizashi_model::CheckId>,
            $($(#[$attribute])* pub $field: $type,)*
            /// Only what is at or after this time.
            pub from: Option<$crate::time::Time>,
            /// Only what is before this time.
            pub to: Option<$crate::time::Time>,
            /// The order: by a field, after a `-` from the highest or newest on.
            #[param(inline)]
            pub sort: Option<Sort>,
            /// How many, 1 to 1000; 100 if left out.
            #[param(minimum = 1, maximum = 1000)]
            pub limit: Option<usize>,
            /// `next` of the page before, which was asked for with the same `sort`.
            pub before: Option<String>,
        }
    };
}
pub(crate) use filter;

/// A cursor: the order, and the values by which the last item stands in it.
pub fn cursor(order: impl Order, place: &[String]) -> String {
    let mut text = order.name().to_owned();
    for value in place {
        text.push(SEPARATOR);
        text.push_str(value);
    }
    text
}

/// The `N` values of a cursor that a page of this order gave as `next`.
///
/// # Errors
/// When it was not made by this list in this order.
pub fn place<const N: usize>(order: impl Order, cursor: &str) -> Result<[String; N], Error> {
    values(order, cursor, N)?.try_into().map_err(|_| not_a_cursor())
}

fn values(order: impl Order, cursor: &str, count: usize) -> Result<Vec<String>, Error> {
    let mut parts = cursor.splitn(count + 1, SEPARATOR);
    let same = parts.next() == Some(order.name());
    let values: Vec<String> = parts.map(str::to_owned).collect();
    if same && values.len() == count { Ok(values) } else { Err(not_a_cursor()) }
}

pub fn not_a_cursor() -> Error {
    let detail = "`before` is not a cursor of this list in this order: pass on `next` of the page before as it is, and the \
                  same `sort`";
    Error::parameter("before", detail)
}

/// A column by which a list of the lake is ordered; the last of them makes the order complete.
#[derive(Clone, Copy, Debug)]
pub enum Key {
    Time(&'static str),
    Text(&'static str),
}

impl Key {
    fn column(self) -> &'static str {
        match self {
            Self::Time(column) | Self::Text(column) => column,
        }
    }
}

/// An item that is read from the lake.
pub trait Listed: DeserializeOwned {
    type Sort: Order;

    /// The statement. In it stands `{after}` for the condition that skips what earlier pages told, and `{order}` for the
    /// order; the parameter `$id` singles one item out.
    const SQL: &'static str;

    /// By what the order goes.
    fn keys(order: Self::Sort) -> &'static [Key];

    /// The item's values for those keys; of a time, its milliseconds.
    fn place(&self, order: Self::Sort) -> Vec<String>;
}

/// A page of the items that the bound parameters let through.
///
/// # Errors
/// When `asked` or `before` is wrong, or the lake cannot be read.
pub async fn page<T: Listed>(
    state: &AppState,
    scope: Scope,
    order: T::Sort,
    asked: Option<usize>,
    before: Option<&str>,
    bind: Bind,
) -> Result<Page<T>, Error> {
    let (limit, keys) = (limit(asked)?, T::keys(order));
    let mut bind = bind.text("id", None::<String>);
    if let Some(before) = before {
        for (n, (key, value)) in keys.iter().zip(values(order, before, keys.len())?).enumerate() {
            let name = format!("after_{n}");
            bind = match key {
                Key::Time(_) => bind.time(&name, Some(Timestamp(value.parse().map_err(|_| not_a_cursor())?))),
                Key::Text(_) => bind.text(&name, Some(value)),
            };
        }
    }
    let sql = statement(T::SQL, keys, order.descending(), before.is_some(), limit + 1);
    let items = rows::<T>(state, scope, &sql, bind, limit + 1).await?;
    Ok(Page::of(items, limit, |item| cursor(order, &item.place(order))))
}

/// The item of this id; `bind` holds the list's own parameters, unset.
///
/// # Errors
/// `NotFound`, or when the lake cannot be read.
pub async fn single<T: Listed>(
    state: &AppState,
    scope: Scope,
    order: T::Sort,
    what: &str,
    id: &str,
    bind: Bind,
) -> Result<T, Error> {
    let sql = statement(T::SQL, T::keys(order), order.descending(), false, 1);
    let found = rows::<T>(state, scope, &sql, bind.text("id", Some(id)), 1).await?;
    found.into_iter().next().ok_or_else(|| Error::new(Kind::NotFound, format!("there is no {what} {id}")))
}

/// Constants of ours only: every value is a parameter.
fn statement(sql: &str, keys: &[Key], descending: bool, after: bool, rows_max: usize) -> String {
    let (beyond, word) = if descending { ("<", "DESC") } else { (">", "ASC") };
    let order: Vec<String> = keys.iter().map(|key| format!("{} {word}", key.column())).collect();
    let after = if after { skip(keys, beyond, 0) } else { "true".to_owned() };
    format!("{} LIMIT {rows_max}", sql.replace("{after}", &after).replace("{order}", &order.join(", ")))
}

/// Beyond the place in the first key, or at it and beyond in the next.
fn skip(keys: &[Key], beyond: &str, n: usize) -> String {
    let Some((key, rest)) = keys.split_first() else { return "false".to_owned() };
    let (column, mut text) = (key.column(), String::new());
    // Writing to a string cannot fail.
    let _ = write!(text, "({column} {beyond} $after_{n}");
    if !rest.is_empty() {
        let _ = write!(text, " OR ({column} = $after_{n} AND {})", skip(rest, beyond, n + 1));
    }
    text.push(')');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    sorts! { NewestFirst = "-slot", OldestFirst = "slot" }

    fn next(count: usize, limit: usize, most: usize) -> Option<String> {
        Page::from_source((0..count).collect(), limit, most, |n| cursor(Sort::default(), &[n.to_string()])).next
    }

    #[test]
    fn there_is_a_next_page_when_one_item_is_too_many_or_the_source_gave_all_it_may() {
        assert_eq!(next(3, 3, 10), None);
        assert_eq!(next(4, 3, 10), Some("-slot~2".into()));
        assert_eq!(next(10, 10, 10), Some("-slot~9".into()));
        assert_eq!(next(0, 3, 10), None);
    }

    #[test]
    fn a_cursor_gives_its_values_back_in_its_own_order_only() {
        let text = cursor(Sort::OldestFirst, &["-5".into(), "default".into(), "a~b".into()]);
        assert!(place::<3>(Sort::OldestFirst, &text).is_ok_and(|found| found == ["-5", "default", "a~b"]));
        assert!(place::<3>(Sort::NewestFirst, &text).is_err());
        assert!(place::<4>(Sort::OldestFirst, "slot~1~2").is_err());
    }

    #[test]
    fn a_page_goes_on_beyond_the_last_item_in_every_key() {
        let keys = [Key::Time("slot"), Key::Text("tenant")];
        let sql = "SELECT * FROM t WHERE {after} ORDER BY {order}";
        assert_eq!(
            statement(sql, &keys, true, true, 11),
            "SELECT * FROM t WHERE (slot < $after_0 OR (slot = $after_0 AND (tenant < $after_1))) \
             ORDER BY slot DESC, tenant DESC LIMIT 11"
        );
        assert_eq!(
            statement(sql, &keys, false, false, 3),
            "SELECT * FROM t WHERE true ORDER BY slot ASC, tenant ASC LIMIT 3"
        );
    }
}
