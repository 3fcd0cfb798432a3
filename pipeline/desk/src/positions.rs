//! How far a consumer has come, kept in the transaction of what it wrote.

use kizashi_model::{Offsets, Topic, TopicPartition};
use kizashi_relay::sequence::Seen;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect, Set};

use crate::DeskError;
use crate::entities::{consumer_offset, consumer_sequence};

/// Bound on partitions times sources; far above any deployment.
const ROWS_MAX: u64 = 100_000;

/// Where a consumer stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub offsets: Offsets,
    pub seen: Seen,
}

/// By how much a batch moves a position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advance {
    /// Where the consumer believes to stand, for each partition that it moves. `None`: nothing taken from it yet.
    pub from: Vec<(TopicPartition, Option<i64>)>,
    pub offsets: Offsets,
    /// What was taken in this batch.
    pub seen: Seen,
}

impl Position {
    /// To be called once the advance is committed.
    pub fn apply(&mut self, advance: &Advance) {
        for (at, next) in advance.offsets.iter() {
            self.offsets.advance(at, next);
        }
        for (at, source, sequence) in advance.seen.iter() {
            self.seen.take(at, source, sequence);
        }
    }
}

pub(crate) async fn load(db: &impl ConnectionTrait, consumer: &str) -> Result<Position, DeskError> {
    let offsets = consumer_offset::Entity::find()
        .filter(consumer_offset::Column::Consumer.eq(consumer))
        .limit(ROWS_MAX)
        .all(db)
        .await?;
    let sequences = consumer_sequence::Entity::find()
        .filter(consumer_sequence::Column::Consumer.eq(consumer))
        .limit(ROWS_MAX)
        .all(db)
        .await?;
    let at = |topic: &str, partition| Topic::from_name(topic).map(|topic| TopicPartition { topic, partition });
    Ok(Position {
        offsets: offsets.iter().filter_map(|r| Some((at(&r.topic, r.partition)?, r.next_offset))).collect(),
        seen: sequences
            .into_iter()
            .filter_map(|r| Some((at(&r.topic, r.partition)?, r.source, r.sequence.unsigned_abs())))
            .collect(),
    })
}

/// Moves the position inside the transaction that holds what was made of the batch.
///
/// # Errors
/// `Moved` when the position is not where the caller believes: nothing may be committed then.
pub(crate) async fn advance(db: &DatabaseTransaction, consumer: &str, advance: &Advance) -> Result<(), DeskError> {
    for (at, next) in advance.offsets.iter() {
        let from = advance.from.iter().find(|(of, _)| *of == at).and_then(|(_, from)| *from);
        move_offset(db, consumer, at, from, next).await?;
    }
    for (at, source, sequence) in advance.seen.iter() {
        let row = consumer_sequence::ActiveModel {
            consumer: Set(consumer.to_owned()),
            topic: Set(at.topic.name().to_owned()),
            partition: Set(at.partition),
            source: Set(source.to_owned()),
            sequence: Set(i64::try_from(sequence).unwrap_or(i64::MAX)),
        };
        let key = [
            consumer_sequence::Column::Consumer,
            consumer_sequence::Column::Topic,
            consumer_sequence::Column::Partition,
            consumer_sequence::Column::Source,
        ];
        let newest = OnConflict::columns(key).update_column(consumer_sequence::Column::Sequence).to_owned();
        consumer_sequence::Entity::insert(row).on_conflict(newest).exec_without_returning(db).await?;
    }
    Ok(())
}

async fn move_offset(
    db: &DatabaseTransaction,
    consumer: &str,
    at: TopicPartition,
    from: Option<i64>,
    next: i64,
) -> Result<(), DeskError> {
    let row = consumer_offset::ActiveModel {
        consumer: Set(consumer.to_owned()),
        topic: Set(at.topic.name().to_owned()),
        partition: Set(at.partition),
        next_offset: Set(next),
    };
    let moved = match from {
        None => {
            let insert = consumer_offset::Entity::insert(row).on_conflict_do_nothing();
            matches!(insert.exec_without_returning(db).await?, sea_orm::TryInsertResult::Inserted(1))
        }
        Some(from) => {
            let updated = consumer_offset::Entity::update_many()
                .col_expr(consumer_offset::Column::NextOffset, Expr::value(next))
                .filter(consumer_offset::Column::Consumer.eq(consumer))
                .filter(consumer_offset::Column::Topic.eq(at.topic.name()))
                .filter(consumer_offset::Column::Partition.eq(at.partition))
                .filter(consumer_offset::Column::NextOffset.eq(from))
                .exec(db)
                .await?;
            updated.rows_affected == 1
        }
    };
    if moved { Ok(()) } else { Err(DeskError::Moved(consumer.to_owned())) }
}
