//! The people themselves: the first administrator, who is added, changed, and given a new password.

use kizashi_model::{TenantId, Timestamp};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, NotSet,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};

use super::access::{self, AccessEvent, Told};
use super::{By, Language, Person, Role, Secret, check_label, check_name};
use crate::entities::{person, session};
use crate::tickets::LIMIT_MAX;
use crate::{Desk, DeskError};

/// The name of the first administrator.
const FIRST: &str = "admin";

/// Someone to be.
#[derive(Clone, Debug)]
pub struct NewPerson {
    pub name: String,
    pub display_name: String,
    pub role: Role,
    pub tenant: Option<TenantId>,
    pub language: Option<Language>,
}

/// What to change; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct PersonChange {
    pub display_name: Option<String>,
    pub role: Option<Role>,
    pub tenant: Option<Option<TenantId>>,
    pub language: Option<Option<Language>>,
    pub disabled: Option<bool>,
}

/// The administrator that was made because there was nobody.
#[derive(Clone, Debug)]
pub struct FirstAdministrator {
    pub name: &'static str,
    /// `None` when it was given.
    pub password: Option<Secret>,
}

impl Desk {
    /// Makes the administrator `admin` if nobody is there yet. A password that is made here must be changed at the first
    /// login; one that is `given` need not.
    ///
    /// # Errors
    /// `Invalid` when the given password breaks the rule, or a database error.
    pub async fn first_administrator(&self, given: Option<&str>) -> Result<Option<FirstAdministrator>, DeskError> {
        if person::Entity::find().count(self.inner.database.reader()).await? > 0 {
            return Ok(None);
        }
        let made = if given.is_none() { Some(Secret::password()?) } else { None };
        let text = given.or(made.as_ref().map(Secret::reveal)).unwrap_or_default();
        let hash = self.inner.doors.hasher.hash(text).await?;
        let new = NewPerson {
            name: FIRST.to_owned(),
            display_name: FIRST.to_owned(),
            role: Role::Administrator,
            tenant: None,
            language: None,
        };
        let by = By { name: crate::ACTOR.to_owned(), address: None };
        self.insert(&new, Some(hash), made.is_some(), &by).await?;
        Ok(Some(FirstAdministrator { name: FIRST, password: made }))
    }

    /// Adds someone, with a password that they must change at the first login.
    ///
    /// # Errors
    /// `Invalid`, `Refused` when the name is taken, or a database error.
    pub async fn create_person(&self, new: &NewPerson, by: &By) -> Result<(Person, Secret), DeskError> {
        check_name(&new.name)?;
        check_label(&new.display_name)?;
        check_tenant(new.role, new.tenant.as_ref())?;
        let password = Secret::password()?;
        let hash = self.inner.doors.hasher.hash(password.reveal()).await?;
        Ok((self.insert(new, Some(hash), true, by).await?, password))
    }

    async fn insert(
        &self,
        new: &NewPerson,
        hash: Option<String>,
        must_change: bool,
        by: &By,
    ) -> Result<Person, DeskError> {
        let now = self.inner.clock.now();
        let writing = self.inner.database.begin_quietly().await?;
        let result = insert(&writing.transaction, new, hash, must_change, by, now).await;
        writing.end(result).await
    }

    /// One person.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn person(&self, id: i64) -> Result<Option<Person>, DeskError> {
        person::Entity::find_by_id(id).one(self.inner.database.reader()).await?.map(shown).transpose()
    }

    /// People of one tenant, or all, in the order in which they were added; from those after `after`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn people(
        &self,
        tenant: Option<&TenantId>,
        after: Option<i64>,
        limit: u64,
    ) -> Result<Vec<Person>, DeskError> {
        let mut find = person::Entity::find();
        if let Some(tenant) = tenant {
            find = find.filter(person::Column::Tenant.eq(tenant.as_str()));
        }
        if let Some(after) = after {
            find = find.filter(person::Column::Id.gt(after));
        }
        let page = find.order_by_asc(person::Column::Id).limit(limit.min(LIMIT_MAX));
        page.all(self.inner.database.reader()).await?.into_iter().map(shown).collect()
    }

    /// Changes someone. Who is disabled, or gets another role or tenant, is signed out everywhere.
    ///
    /// # Errors
    /// `NotFound`, `Invalid`, `Refused` when no administrator of all tenants would be left, or a database error.
    pub async fn change_person(&self, id: i64, change: &PersonChange, by: &By) -> Result<Person, DeskError> {
        let now = self.inner.clock.now();
        let writing = self.inner.database.begin_quietly().await?;
        let result = change_row(&writing.transaction, id, change, by, now).await;
        writing.end(result).await
    }

    /// Gives someone a new password, which they must change at the next login, and signs them out everywhere.
    ///
    /// # Errors
    /// `NotFound`, `Refused` for who has none, or a database error.
    pub async fn reset_password(&self, id: i64, by: &By) -> Result<Secret, DeskError> {
        let password = Secret::password()?;
        let hash = self.inner.doors.hasher.hash(password.reveal()).await?;
        let now = self.inner.clock.now();
        let writing = self.inner.database.begin_quietly().await?;
        let result = reset(&writing.transaction, id, hash, by, now).await;
        writing.end(result).await?;
        Ok(password)
    }
}

pub(super) async fn insert(
    db: &DatabaseTransaction,
    new: &NewPerson,
    hash: Option<String>,
    must_change_password: bool,
    by: &By,
    now: Timestamp,
) -> Result<Person, DeskError> {
    if find_by_name(db, &new.name).await?.is_some() {
        return Err(DeskError::Refused(format!("there is already somebody with the name {}", new.name)));
    }
    let row = person::ActiveModel {
        id: NotSet,
        name: Set(new.name.clone()),
        display_name: Set(new.display_name.clone()),
        role: Set(new.role.as_str().to_owned()),
        tenant: Set(new.tenant.as_ref().map(ToString::to_string)),
        language: Set(new.language.map(|language| language.as_str().to_owned())),
        password_hash: Set(hash),
        must_change_password: Set(must_change_password),
        disabled: Set(false),
        created_at_ms: Set(now.0),
        updated_at_ms: Set(now.0),
    };
    let row = row.insert(db).await?;
    tell(db, now, by, AccessEvent::PersonCreated, &row).await?;
    shown(row)
}

pub(super) async fn change_row(
    db: &DatabaseTransaction,
    id: i64,
    change: &PersonChange,
    by: &By,
    now: Timestamp,
) -> Result<Person, DeskError> {
    let row = find(db, id).await?;
    let before = shown(row.clone())?;
    let mut after = before.clone();
    if let Some(display_name) = &change.display_name {
        check_label(display_name)?;
        after.display_name.clone_from(display_name);
    }
    after.role = change.role.unwrap_or(after.role);
    after.tenant = change.tenant.clone().unwrap_or(after.tenant);
    after.language = change.language.unwrap_or(after.language);
    after.disabled = change.disabled.unwrap_or(after.disabled);
    if after == before {
        return Ok(before);
    }
    check_tenant(after.role, after.tenant.as_ref())?;
    if governs(&before) && !governs(&after) && governors(db).await? <= 1 {
        let why = "nobody else is an administrator of all tenants: make somebody else one first";
        return Err(DeskError::Refused(why.to_owned()));
    }
    let less = after.disabled || after.role != before.role || after.tenant != before.tenant;
    if less {
        sign_out(db, id).await?;
    }
    let mut active = row.into_active_model();
    active.display_name = Set(after.display_name);
    active.role = Set(after.role.as_str().to_owned());
    active.tenant = Set(after.tenant.map(String::from));
    active.language = Set(after.language.map(|language| language.as_str().to_owned()));
    active.disabled = Set(after.disabled);
    active.updated_at_ms = Set(now.0);
    let row = active.update(db).await?;
    tell(db, now, by, AccessEvent::PersonChanged, &row).await?;
    shown(row)
}

async fn reset(db: &DatabaseTransaction, id: i64, hash: String, by: &By, now: Timestamp) -> Result<(), DeskError> {
    let row = find(db, id).await?;
    if row.password_hash.is_none() {
        let why = format!("{} has no password: they sign in at the provider, which knows how to help", row.name);
        return Err(DeskError::Refused(why));
    }
    set_password(db, row.clone(), hash, true, now).await?;
    sign_out(db, id).await?;
    tell(db, now, by, AccessEvent::PasswordReset, &row).await
}

pub(super) async fn set_password(
    db: &DatabaseTransaction,
    row: person::Model,
    hash: String,
    must_change: bool,
    now: Timestamp,
) -> Result<(), DeskError> {
    let mut active = row.into_active_model();
    active.password_hash = Set(Some(hash));
    active.must_change_password = Set(must_change);
    active.updated_at_ms = Set(now.0);
    active.update(db).await?;
    Ok(())
}

async fn tell(
    db: &DatabaseTransaction,
    now: Timestamp,
    by: &By,
    event: AccessEvent,
    row: &person::Model,
) -> Result<(), DeskError> {
    access::put(db, now, by, Told { event, subject: Some(&row.name), tenant: row.tenant.as_deref() }).await
}

async fn sign_out(db: &DatabaseTransaction, person: i64) -> Result<(), DeskError> {
    session::Entity::delete_many().filter(session::Column::PersonId.eq(person)).exec(db).await?;
    Ok(())
}

/// Whether this is an administrator whom nothing holds back.
fn governs(person: &Person) -> bool {
    person.role == Role::Administrator && person.tenant.is_none() && !person.disabled
}

async fn governors(db: &DatabaseTransaction) -> Result<u64, DeskError> {
    let all = person::Entity::find()
        .filter(person::Column::Role.eq(Role::Administrator.as_str()))
        .filter(person::Column::Tenant.is_null())
        .filter(person::Column::Disabled.eq(false));
    Ok(all.count(db).await?)
}

pub(super) fn check_tenant(role: Role, tenant: Option<&TenantId>) -> Result<(), DeskError> {
    if role == Role::TenantUser && tenant.is_none() {
        return Err(DeskError::Invalid("a tenant_user needs a tenant".to_owned()));
    }
    Ok(())
}

pub(super) async fn find(db: &impl ConnectionTrait, id: i64) -> Result<person::Model, DeskError> {
    let row = person::Entity::find_by_id(id).one(db).await?;
    row.ok_or_else(|| DeskError::NotFound(format!("there is no person {id}")))
}

pub(super) async fn find_by_name(db: &impl ConnectionTrait, name: &str) -> Result<Option<person::Model>, DeskError> {
    Ok(person::Entity::find().filter(person::Column::Name.eq(name)).one(db).await?)
}

pub(super) fn shown(row: person::Model) -> Result<Person, DeskError> {
    let damaged = |what: &str| DeskError::Damaged(format!("person {}: the {what} is not known", row.id));
    Ok(Person {
        id: row.id,
        role: Role::from_name(&row.role).ok_or_else(|| damaged("role"))?,
        tenant: row.tenant.clone().map(TenantId::new).transpose().map_err(|_| damaged("tenant"))?,
        language: row.language.as_deref().and_then(Language::from_name),
        name: row.name,
        display_name: row.display_name,
        must_change_password: row.must_change_password,
        disabled: row.disabled,
        has_password: row.password_hash.is_some(),
        created_at_ms: Timestamp(row.created_at_ms),
        updated_at_ms: Timestamp(row.updated_at_ms),
    })
}
