//! Statements that people keep under a name: for themselves, or shared with those who see the same tenant.

use kizashi_model::{TenantId, Timestamp};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, IntoActiveModel, NotSet, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, Set,
};

use crate::entities::saved_statement as saved;
use crate::tickets::LIMIT_MAX;
use crate::{Desk, DeskError};

const NAME_CHARS_MAX: usize = 200;
const SQL_BYTES_MAX: usize = 256 * 1024;
/// Statements of one owner.
const EACH_MAX: u64 = 500;

/// A statement to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewStatement {
    pub name: String,
    pub sql: String,
    /// Others who see the same tenant may read it.
    pub shared: bool,
}

/// A statement that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedStatement {
    pub id: i64,
    /// The account, `person:NAME` or `service:NAME`.
    pub owner: String,
    pub name: String,
    pub sql: String,
    pub shared: bool,
    pub updated_at_ms: Timestamp,
}

impl NewStatement {
    fn judge(&self) -> Result<(), DeskError> {
        let chars = self.name.trim().chars().count();
        if chars == 0 || chars > NAME_CHARS_MAX || self.name.chars().any(char::is_control) {
            return Err(DeskError::Invalid(format!(
                "name has {chars} characters: use 1 to {NAME_CHARS_MAX} on one line"
            )));
        }
        if self.sql.trim().is_empty() || self.sql.len() > SQL_BYTES_MAX {
            let bytes = self.sql.len();
            return Err(DeskError::Invalid(format!("sql has {bytes} bytes: use 1 to {SQL_BYTES_MAX}")));
        }
        Ok(())
    }
}

impl Desk {
    /// The caller's own statements and those that others of the same tenant share, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn statements(&self, owner: &str, tenant: Option<&TenantId>) -> Result<Vec<SavedStatement>, DeskError> {
        let mut shared = Condition::all().add(saved::Column::Shared.eq(true));
        if let Some(tenant) = tenant {
            shared = shared.add(saved::Column::Tenant.eq(tenant.as_str()));
        }
        let rows = saved::Entity::find()
            .filter(Condition::any().add(saved::Column::Owner.eq(owner)).add(shared))
            .order_by_asc(saved::Column::Name)
            .order_by_asc(saved::Column::Id)
            .limit(LIMIT_MAX)
            .all(self.inner.database.reader())
            .await?;
        Ok(rows.into_iter().map(shown).collect())
    }

    /// Keeps a statement.
    ///
    /// # Errors
    /// `Invalid`; `Refused` when the owner has one of this name, or too many.
    pub async fn save_statement(
        &self,
        owner: &str,
        tenant: Option<&TenantId>,
        new: &NewStatement,
    ) -> Result<SavedStatement, DeskError> {
        new.judge()?;
        let writing = self.inner.database.begin_quietly().await?;
        let db = &writing.transaction;
        let work = async {
            let own = || saved::Entity::find().filter(saved::Column::Owner.eq(owner));
            if own().filter(saved::Column::Name.eq(new.name.trim())).count(db).await? > 0 {
                return Err(DeskError::Refused(format!(
                    "you have a statement called {:?} already: choose another name, or change that one",
                    new.name.trim()
                )));
            }
            if own().count(db).await? >= EACH_MAX {
                return Err(DeskError::Refused(format!("you keep {EACH_MAX} statements already: remove one first")));
            }
            let row = saved::ActiveModel {
                id: NotSet,
                owner: Set(owner.to_owned()),
                tenant: Set(tenant.map(ToString::to_string)),
                name: Set(new.name.trim().to_owned()),
                sql: Set(new.sql.clone()),
                shared: Set(new.shared),
                updated_at_ms: Set(self.inner.clock.now().0),
            };
            Ok(shown(row.insert(db).await?))
        };
        let done = work.await;
        writing.end(done).await
    }

    /// Changes a statement of the owner.
    ///
    /// # Errors
    /// `NotFound` when it is not there or another's, else as [`Self::save_statement`].
    pub async fn change_statement(
        &self,
        owner: &str,
        id: i64,
        new: &NewStatement,
    ) -> Result<SavedStatement, DeskError> {
        new.judge()?;
        let writing = self.inner.database.begin_quietly().await?;
        let db = &writing.transaction;
        let work = async {
            let found = saved::Entity::find_by_id(id).filter(saved::Column::Owner.eq(owner)).one(db).await?;
            let mut row = found.ok_or_else(|| not_found(id))?.into_active_model();
            let same = saved::Entity::find()
                .filter(saved::Column::Owner.eq(owner))
                .filter(saved::Column::Name.eq(new.name.trim()))
                .filter(saved::Column::Id.ne(id));
            if same.count(db).await? > 0 {
                return Err(DeskError::Refused(format!("you have another statement called {:?}", new.name.trim())));
            }
            row.name = Set(new.name.trim().to_owned());
            row.sql = Set(new.sql.clone());
            row.shared = Set(new.shared);
            row.updated_at_ms = Set(self.inner.clock.now().0);
            Ok(shown(row.update(db).await?))
        };
        let done = work.await;
        writing.end(done).await
    }

    /// Removes a statement of the owner.
    ///
    /// # Errors
    /// `NotFound` when it is not there or another's.
    pub async fn remove_statement(&self, owner: &str, id: i64) -> Result<(), DeskError> {
        let writing = self.inner.database.begin_quietly().await?;
        let gone = saved::Entity::delete_many()
            .filter(saved::Column::Id.eq(id))
            .filter(saved::Column::Owner.eq(owner))
            .exec(&writing.transaction)
            .await;
        let done = match gone {
            Ok(gone) if gone.rows_affected == 0 => Err(not_found(id)),
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        };
        writing.end(done).await
    }
}

fn not_found(id: i64) -> DeskError {
    DeskError::NotFound(format!("you have no statement {id}"))
}

fn shown(row: saved::Model) -> SavedStatement {
    SavedStatement {
        id: row.id,
        owner: row.owner,
        name: row.name,
        sql: row.sql,
        shared: row.shared,
        updated_at_ms: Timestamp(row.updated_at_ms),
    }
}
