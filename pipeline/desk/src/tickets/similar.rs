//! Past tickets that resemble one, and what a person last wrote on each: what helped then may help now.

use std::collections::{HashMap, HashSet};

use kizashi_model::{TenantId, TicketStatus};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{ACTOR, Ticket, store};
use crate::entities::{ticket, ticket_history};
use crate::{Desk, DeskError};

/// How many of the tenant's newest tickets are compared.
const COMPARED: u64 = 2_000;
const GIVEN: usize = 10;
/// Titles that share fewer of their pairs say something else.
const LIKENESS_MIN: f64 = 0.5;

/// A ticket that is resolved or closed and resembles another one.
#[derive(Clone, Debug, PartialEq)]
pub struct SimilarTicket {
    pub ticket: Ticket,
    /// How alike the titles are, 0 to 1: the Jaccard index of their pairs of letters.
    pub likeness: f64,
    /// What a person wrote last.
    pub comment: Option<String>,
}

impl Desk {
    /// Resolved and closed tickets of the same tenant whose titles are alike, the same check's first, then by likeness, then
    /// the newest; at most ten. Nothing when there is no such ticket.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn similar_tickets(
        &self,
        tenant: &TenantId,
        number: i64,
    ) -> Result<Option<Vec<SimilarTicket>>, DeskError> {
        let db = self.inner.database.reader();
        let Some(of) = store::find(db, tenant, number).await? else { return Ok(None) };
        let past = ticket::Entity::find()
            .filter(ticket::Column::Tenant.eq(tenant.as_str()))
            .filter(ticket::Column::Number.ne(number))
            .filter(ticket::Column::Status.ne(TicketStatus::Open.as_str()))
            .order_by_desc(ticket::Column::Number)
            .limit(COMPARED)
            .all(db)
            .await?;
        let wanted = pairs(&of.title);
        let mut alike: Vec<(bool, f64, ticket::Model)> = past
            .into_iter()
            .map(|row| (row.check_id == of.check_id, likeness(&wanted, &pairs(&row.title)), row))
            .filter(|(_, likeness, _)| *likeness >= LIKENESS_MIN)
            .collect();
        // Stable, so that the newest stays first among equals.
        alike.sort_by(|a, b| (b.0).cmp(&a.0).then(b.1.total_cmp(&a.1)));
        alike.truncate(GIVEN);

        let written = ticket_history::Entity::find()
            .filter(ticket_history::Column::TicketId.is_in(alike.iter().map(|(_, _, row)| row.id)))
            .filter(ticket_history::Column::Actor.ne(ACTOR))
            .filter(ticket_history::Column::Comment.is_not_null())
            .order_by_desc(ticket_history::Column::Sequence)
            .limit(COMPARED)
            .all(db)
            .await?;
        let mut last: HashMap<i64, String> = HashMap::new();
        for entry in written {
            if let Some(comment) = entry.comment {
                last.entry(entry.ticket_id).or_insert(comment);
            }
        }
        let shown = |(_, likeness, row): (bool, f64, ticket::Model)| {
            let comment = last.remove(&row.id);
            Ok(SimilarTicket { ticket: store::shown(row)?, likeness, comment })
        };
        alike.into_iter().map(shown).collect::<Result<_, _>>().map(Some)
    }
}

/// Pairs of neighbouring letters, which serve languages with and without spaces alike. Digits are all the same: figures
/// differ from one occurrence to the next.
fn pairs(title: &str) -> HashSet<(char, char)> {
    let letters: Vec<char> = title
        .chars()
        .flat_map(char::to_lowercase)
        .map(|letter| if letter.is_numeric() { '0' } else { letter })
        .filter(|letter| letter.is_alphanumeric())
        .collect();
    letters.windows(2).filter_map(|pair| Some((*pair.first()?, *pair.last()?))).collect()
}

/// The Jaccard index: the share of all pairs that both have. P. Jaccard, "The distribution of the flora in the alpine zone", 1912.
fn likeness(a: &HashSet<(char, char)>, b: &HashSet<(char, char)>) -> f64 {
    let both = a.intersection(b).count();
    let all = a.len() + b.len() - both;
    if all == 0 { 0.0 } else { both as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_figures_are_the_same_title_and_another_cause_is_not() {
        let of = pairs("disk:/var CRITICAL: space used is 97.3% (critical at 95%)");
        assert!(likeness(&of, &pairs("disk:/var CRITICAL: space used is 96.1% (critical at 95%)")) > 0.95);
        assert!(likeness(&of, &pairs("web:shop CRITICAL: cannot connect to 127.0.0.1:9")) < LIKENESS_MIN);
        let japanese = pairs("共有フォルダーの空き容量がありません");
        assert!(likeness(&japanese, &pairs("共有フォルダーの空き容量が少ない")) > LIKENESS_MIN);
        assert!(likeness(&pairs(""), &pairs("")).abs() < f64::EPSILON, "nothing resembles nothing");
    }

    proptest! {
        #[test]
        fn likeness_is_symmetric_bounded_and_full_for_the_same(a in ".{0,40}", b in ".{0,40}") {
            let (a, b) = (pairs(&a), pairs(&b));
            prop_assert!((0.0..=1.0).contains(&likeness(&a, &b)));
            prop_assert!((likeness(&a, &b) - likeness(&b, &a)).abs() < f64::EPSILON);
            prop_assert!(a.is_empty() || (likeness(&a, &a) - 1.0).abs() < f64::EPSILON);
        }
    }
}
