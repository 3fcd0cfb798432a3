//! The access log: entries are added in the transaction of what they tell, and never changed.

use std::net::IpAddr;

use kizashi_model::{TenantId, Timestamp};
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, NotSet, QueryFilter, QueryOrder, QuerySelect, Set};

use super::{By, names};
use crate::entities::access_entry;
use crate::tickets::LIMIT_MAX;
use crate::{Desk, DeskError};

names! {
    /// What happened.
    AccessEvent {
        LoginOk = "login_ok",
        LoginFailed = "login_failed",
        /// Refused without a look at the password; recorded once until the next attempt is looked at.
        LoginLimited = "login_limited",
        Logout = "logout",
        /// The first use in an hour.
        TokenUsed = "token_used",
        TokenCreated = "token_created",
        TokenRevoked = "token_revoked",
        PasswordChanged = "password_changed",
        PasswordReset = "password_reset",
        PersonCreated = "person_created",
        PersonChanged = "person_changed",
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessEntry {
    /// Counts up.
    pub id: i64,
    pub at_ms: Timestamp,
    pub event: AccessEvent,
    /// The person or service; after a failed login the name that was given.
    pub actor: String,
    /// Whom or what it was done to.
    pub subject: Option<String>,
    pub tenant: Option<TenantId>,
    pub address: Option<String>,
}

/// What an entry tells, before it has a number and a time.
pub(super) struct Told<'a> {
    pub event: AccessEvent,
    pub subject: Option<&'a str>,
    pub tenant: Option<&'a str>,
}

pub(super) async fn put(db: &DatabaseTransaction, now: Timestamp, by: &By, told: Told<'_>) -> Result<(), DeskError> {
    let row = access_entry::ActiveModel {
        id: NotSet,
        at_ms: Set(now.0),
        event: Set(told.event.as_str().to_owned()),
        actor: Set(by.name.clone()),
        subject: Set(told.subject.map(str::to_owned)),
        tenant: Set(told.tenant.map(str::to_owned)),
        address: Set(by.address.map(|address: IpAddr| address.to_canonical().to_string())),
    };
    access_entry::Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

impl Desk {
    /// Records one thing on its own.
    pub(super) async fn record(&self, by: &By, event: AccessEvent, tenant: Option<&str>) -> Result<(), DeskError> {
        let writing = self.inner.database.begin_quietly().await?;
        let told = Told { event, subject: None, tenant };
        let put = put(&writing.transaction, self.inner.clock.now(), by, told).await;
        writing.end(put).await
    }

    /// The newest entries first: of one tenant's people, or all; below `before`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn access_log(
        &self,
        tenant: Option<&TenantId>,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<AccessEntry>, DeskError> {
        let mut find = access_entry::Entity::find();
        if let Some(tenant) = tenant {
            find = find.filter(access_entry::Column::Tenant.eq(tenant.as_str()));
        }
        if let Some(before) = before {
            find = find.filter(access_entry::Column::Id.lt(before));
        }
        let newest = find.order_by_desc(access_entry::Column::Id).limit(limit.min(LIMIT_MAX));
        let rows = newest.all(self.inner.database.reader()).await?;
        rows.into_iter().map(shown).collect()
    }
}

fn shown(row: access_entry::Model) -> Result<AccessEntry, DeskError> {
    let damaged = || DeskError::Damaged(format!("access log entry {}", row.id));
    Ok(AccessEntry {
        id: row.id,
        at_ms: Timestamp(row.at_ms),
        event: AccessEvent::from_name(&row.event).ok_or_else(damaged)?,
        tenant: row.tenant.map(TenantId::new).transpose().map_err(|_| damaged())?,
        actor: row.actor,
        subject: row.subject,
        address: row.address,
    })
}
