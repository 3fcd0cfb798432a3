//! Who changed the configuration, and how it was before: entries are added before a change is made, and never changed.

use std::net::IpAddr;

use kizashi_model::{TenantId, Timestamp};
use sea_orm::{ColumnTrait, EntityTrait, NotSet, QueryFilter, QueryOrder, QuerySelect, Set};

use crate::entities::configuration_change as entry;
use crate::people::{By, names};
use crate::tickets::LIMIT_MAX;
use crate::{Desk, DeskError};

names! {
    /// What was done.
    ConfigurationAction {
        Added = "added",
        Changed = "changed",
        Removed = "removed",
        /// A file as a whole.
        Written = "written",
        /// What the entry before tells could not be written.
        Failed = "failed",
    }
}

/// One change, before it has a number and a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationEdit {
    /// Of the check; `None` for a whole file.
    pub tenant: Option<TenantId>,
    pub action: ConfigurationAction,
    /// The check or the file.
    pub subject: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationEntry {
    /// Counts up.
    pub id: i64,
    pub at_ms: Timestamp,
    pub actor: String,
    pub address: Option<String>,
    pub edit: ConfigurationEdit,
}

impl Desk {
    /// Adds an entry.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn record_configuration(&self, by: &By, edit: &ConfigurationEdit) -> Result<(), DeskError> {
        let row = entry::ActiveModel {
            id: NotSet,
            at_ms: Set(self.inner.clock.now().0),
            actor: Set(by.name.clone()),
            address: Set(by.address.map(|address: IpAddr| address.to_canonical().to_string())),
            tenant: Set(edit.tenant.as_ref().map(ToString::to_string)),
            action: Set(edit.action.as_str().to_owned()),
            subject: Set(edit.subject.clone()),
            before: Set(edit.before.clone()),
            after: Set(edit.after.clone()),
        };
        let writing = self.inner.database.begin_quietly().await?;
        let put = entry::Entity::insert(row).exec_without_returning(&writing.transaction).await;
        writing.end(put.map(|_| ()).map_err(DeskError::from)).await
    }

    /// The newest entries first: of one tenant's checks, or all; below `before`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn configuration_changes(
        &self,
        tenant: Option<&TenantId>,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<ConfigurationEntry>, DeskError> {
        let mut find = entry::Entity::find();
        if let Some(tenant) = tenant {
            find = find.filter(entry::Column::Tenant.eq(tenant.as_str()));
        }
        if let Some(before) = before {
            find = find.filter(entry::Column::Id.lt(before));
        }
        let newest = find.order_by_desc(entry::Column::Id).limit(limit.min(LIMIT_MAX));
        let rows = newest.all(self.inner.database.reader()).await?;
        rows.into_iter().map(shown).collect()
    }
}

fn shown(row: entry::Model) -> Result<ConfigurationEntry, DeskError> {
    let damaged = || DeskError::Damaged(format!("configuration change {}", row.id));
    let edit = ConfigurationEdit {
        tenant: row.tenant.map(TenantId::new).transpose().map_err(|_| damaged())?,
        action: ConfigurationAction::from_name(&row.action).ok_or_else(damaged)?,
        subject: row.subject,
        before: row.before,
        after: row.after,
    };
    Ok(ConfigurationEntry { id: row.id, at_ms: Timestamp(row.at_ms), actor: row.actor, address: row.address, edit })
}
