//! Tokens: of a person, who then acts with at most the own role, or of a service with a role and a tenant of its own. Each
//! has scopes, which narrow the role, and an end.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use kizashi_model::{TenantId, Timestamp};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, DatabaseTransaction, EntityTrait, IntoActiveModel, NotSet,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Set,
};

use super::access::{self, AccessEvent, Told};
use super::scram::{self, SCRAM_SALT_BYTES, ScramKeys};
use super::{By, Person, Role, Secret, check_label, persons, secret};
use crate::entities::{person, token};
use crate::tickets::LIMIT_MAX;
use crate::{Desk, DeskError};

const DAY_MS: i64 = 24 * 3_600_000;
/// The longest that a token may last.
pub const DAYS_MAX: i64 = 366;
/// Of one person, and of all services, that are neither over nor revoked.
const TOKENS_MAX: u64 = 1_000;
const USE_RECORDED_MS: i64 = 3_600_000;

/// Whose token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    Person(i64),
    Service { role: Role, tenant: Option<TenantId> },
}

/// A token to be.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What it is for; of a service token also who acts.
    pub name: String,
    pub owner: Owner,
    /// Names of permissions.
    pub scopes: BTreeSet<String>,
    /// 1 to [`DAYS_MAX`].
    pub days: i64,
}

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub id: i64,
    pub name: String,
    pub owner: Owner,
    pub scopes: BTreeSet<String>,
    pub created_at_ms: Timestamp,
    pub created_by: String,
    pub expires_at_ms: Timestamp,
    /// To the hour.
    pub last_used_ms: Option<Timestamp>,
    pub revoked_at_ms: Option<Timestamp>,
}

/// Who a token's secret belongs to.
#[derive(Clone, Debug)]
pub struct TokenBearer {
    pub token: Token,
    /// The owner of a personal token.
    pub person: Option<Person>,
}

impl TokenBearer {
    /// Tells persons and services of one name apart.
    #[must_use]
    pub fn account(&self) -> String {
        match &self.person {
            Some(person) => format!("person:{}", person.name),
            None => format!("service:{}", self.token.name),
        }
    }

    /// `None` sees every tenant.
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantId> {
        match (&self.person, &self.token.owner) {
            (Some(person), _) => person.tenant.as_ref(),
            (None, Owner::Service { tenant, .. }) => tenant.as_ref(),
            (None, Owner::Person(_)) => None,
        }
    }
}

impl Desk {
    /// Makes a token; its secret is told only here.
    ///
    /// # Errors
    /// `Invalid`, `Refused` when there are too many, or a database error.
    pub async fn create_token(&self, new: &NewToken, by: &By) -> Result<(Token, Secret), DeskError> {
        check_label(&new.name)?;
        if !(1..=DAYS_MAX).contains(&new.days) {
            return Err(DeskError::Invalid(format!("a token lasts 1 to {DAYS_MAX} days")));
        }
        if new.scopes.is_empty() {
            return Err(DeskError::Invalid("a token needs at least one scope".to_owned()));
        }
        if let Owner::Service { role: Role::TenantUser, tenant: None } = new.owner {
            return Err(DeskError::Invalid("a tenant_user needs a tenant".to_owned()));
        }
        // The prefix lets scanners of repositories and logs recognise one.
        let secret = Secret::new(if matches!(new.owner, Owner::Person(_)) { "kzp_" } else { "kzs_" })?;
        let now = self.inner.clock.now();
        let writing = self.inner.database.begin_quietly().await?;
        let result = insert(&writing.transaction, new, &secret, by, now, |user| self.scram_salt(user)).await;
        Ok((writing.end(result).await?, secret))
    }

    /// Tokens of a person, or of a tenant's people and services, or all; the newest first, below `before`. Revoked ones too.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn tokens(
        &self,
        person: Option<i64>,
        tenant: Option<&TenantId>,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<Token>, DeskError> {
        let mut find = token::Entity::find();
        if let Some(person) = person {
            find = find.filter(token::Column::PersonId.eq(person));
        }
        if let Some(tenant) = tenant {
            let people = person::Entity::find().select_only().column(person::Column::Id);
            let people = people.filter(person::Column::Tenant.eq(tenant.as_str())).into_query();
            let of = Condition::any().add(token::Column::Tenant.eq(tenant.as_str()));
            find = find.filter(of.add(token::Column::PersonId.in_subquery(people)));
        }
        if let Some(before) = before {
            find = find.filter(token::Column::Id.lt(before));
        }
        let newest = find.order_by_desc(token::Column::Id).limit(limit.min(LIMIT_MAX));
        newest.all(self.inner.database.reader()).await?.into_iter().map(shown).collect()
    }

    /// One token.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn token(&self, id: i64) -> Result<Option<Token>, DeskError> {
        token::Entity::find_by_id(id).one(self.inner.database.reader()).await?.map(shown).transpose()
    }

    /// Ends a token for good; one that is revoked stays so.
    ///
    /// # Errors
    /// `NotFound`, or a database error.
    pub async fn revoke_token(&self, id: i64, by: &By) -> Result<(), DeskError> {
        let now = self.inner.clock.now();
        let writing = self.inner.database.begin_quietly().await?;
        let result = revoke(&writing.transaction, id, by, now).await;
        writing.end(result).await
    }

    /// Who bears this secret: `None` when there is no such token, it is over or revoked, or its person is disabled.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn bearer(&self, secret: &str) -> Result<Option<TokenBearer>, DeskError> {
        let of = token::Entity::find().filter(token::Column::SecretHash.eq(secret::digest(secret)));
        let Some(row) = of.one(self.inner.database.reader()).await? else { return Ok(None) };
        self.bearer_of(shown(row)?).await
    }

    pub(super) async fn bearer_of(&self, token: Token) -> Result<Option<TokenBearer>, DeskError> {
        if token.revoked_at_ms.is_some() || self.inner.clock.now() >= token.expires_at_ms {
            return Ok(None);
        }
        let person = match token.owner {
            Owner::Service { .. } => None,
            Owner::Person(id) => match self.person(id).await?.filter(|person| !person.disabled) {
                Some(person) => Some(person),
                None => return Ok(None),
            },
        };
        Ok(Some(TokenBearer { token, person }))
    }

    /// Notes the first use in an hour, for the record. A failure is logged and does not stop the use.
    pub async fn token_used(&self, bearer: &TokenBearer, by: &By) {
        let now = self.inner.clock.now();
        let hour = |at: Timestamp| at.0.div_euclid(USE_RECORDED_MS);
        if bearer.token.last_used_ms.is_some_and(|last| hour(last) == hour(now)) {
            return;
        }
        if let Err(error) = self.note_use(bearer, by, now).await {
            tracing::warn!(token = bearer.token.id, "the use of token {} could not be noted: {error}", bearer.token.id);
        }
    }

    async fn note_use(&self, bearer: &TokenBearer, by: &By, now: Timestamp) -> Result<(), DeskError> {
        let writing = self.inner.database.begin_quietly().await?;
        let result = used(&writing.transaction, bearer, by, now).await;
        writing.end(result).await
    }

    /// The same for the token of the configuration, which has no row; a restart begins a new hour.
    pub async fn configured_token_used(&self, by: &By) {
        let hour = self.inner.clock.now().0.div_euclid(USE_RECORDED_MS);
        let recorded = &self.inner.doors.configured_token_hour;
        if recorded.swap(hour, Ordering::Relaxed) == hour {
            return;
        }
        if let Err(error) = self.record(by, AccessEvent::TokenUsed, None).await {
            recorded.store(0, Ordering::Relaxed);
            tracing::warn!("the use of the configured token could not be noted: {error}");
        }
    }
}

async fn insert(
    db: &DatabaseTransaction,
    new: &NewToken,
    secret: &Secret,
    by: &By,
    now: Timestamp,
    salt: impl Fn(&str) -> [u8; SCRAM_SALT_BYTES],
) -> Result<Token, DeskError> {
    let (person_id, role, tenant) = match &new.owner {
        Owner::Person(id) => (Some(*id), None, None),
        Owner::Service { role, tenant } => {
            (None, Some(role.as_str().to_owned()), tenant.as_ref().map(ToString::to_string))
        }
    };
    let user = match person_id {
        Some(id) => persons::find(db, id).await?.name,
        None => new.name.clone(),
    };
    let keys = ScramKeys::of(secret.reveal(), &salt(&user));
    let mut alive =
        Condition::all().add(token::Column::RevokedAtMs.is_null()).add(token::Column::ExpiresAtMs.gt(now.0));
    alive = alive.add(match person_id {
        Some(id) => token::Column::PersonId.eq(id),
        None => token::Column::PersonId.is_null(),
    });
    if token::Entity::find().filter(alive).count(db).await? >= TOKENS_MAX {
        return Err(DeskError::Refused(format!("there are {TOKENS_MAX} tokens already: revoke some first")));
    }
    let row = token::ActiveModel {
        id: NotSet,
        secret_hash: Set(secret::digest(secret.reveal())),
        name: Set(new.name.clone()),
        person_id: Set(person_id),
        role: Set(role),
        tenant: Set(tenant),
        scopes: Set(serde_json::json!(new.scopes)),
        created_at_ms: Set(now.0),
        created_by: Set(by.name.clone()),
        expires_at_ms: Set(now.0.saturating_add(new.days * DAY_MS)),
        last_used_ms: Set(None),
        revoked_at_ms: Set(None),
        scram_stored_key: Set(Some(scram::to_hex(&keys.stored))),
        scram_server_key: Set(Some(scram::to_hex(&keys.server))),
    };
    let row = row.insert(db).await?;
    tell(db, now, by, AccessEvent::TokenCreated, &row).await?;
    shown(row)
}

async fn revoke(db: &DatabaseTransaction, id: i64, by: &By, now: Timestamp) -> Result<(), DeskError> {
    let row = token::Entity::find_by_id(id).one(db).await?;
    let row = row.ok_or_else(|| DeskError::NotFound(format!("there is no token {id}")))?;
    if row.revoked_at_ms.is_some() {
        return Ok(());
    }
    tell(db, now, by, AccessEvent::TokenRevoked, &row).await?;
    let mut active = row.into_active_model();
    active.revoked_at_ms = Set(Some(now.0));
    active.update(db).await?;
    Ok(())
}

async fn used(db: &DatabaseTransaction, bearer: &TokenBearer, by: &By, now: Timestamp) -> Result<(), DeskError> {
    let Some(row) = token::Entity::find_by_id(bearer.token.id).one(db).await? else { return Ok(()) };
    // Another request of the same hour may have been faster.
    if row.last_used_ms != bearer.token.last_used_ms.map(|last| last.0) {
        return Ok(());
    }
    tell(db, now, by, AccessEvent::TokenUsed, &row).await?;
    let mut active = row.into_active_model();
    active.last_used_ms = Set(Some(now.0));
    active.update(db).await?;
    Ok(())
}

async fn tell(
    db: &DatabaseTransaction,
    now: Timestamp,
    by: &By,
    event: AccessEvent,
    row: &token::Model,
) -> Result<(), DeskError> {
    let tenant = match row.person_id {
        Some(person) => persons::find(db, person).await?.tenant,
        None => row.tenant.clone(),
    };
    access::put(db, now, by, Told { event, subject: Some(&row.name), tenant: tenant.as_deref() }).await
}

pub(super) fn shown(row: token::Model) -> Result<Token, DeskError> {
    let damaged = |what: &str| DeskError::Damaged(format!("token {}: the {what} is not known", row.id));
    let owner = match (row.person_id, row.role.as_deref()) {
        (Some(person), _) => Owner::Person(person),
        (None, role) => Owner::Service {
            role: role.and_then(Role::from_name).ok_or_else(|| damaged("role"))?,
            tenant: row.tenant.clone().map(TenantId::new).transpose().map_err(|_| damaged("tenant"))?,
        },
    };
    let scopes = serde_json::from_value(row.scopes.clone()).map_err(|_| damaged("scopes"))?;
    Ok(Token {
        id: row.id,
        owner,
        scopes,
        name: row.name,
        created_at_ms: Timestamp(row.created_at_ms),
        created_by: row.created_by,
        expires_at_ms: Timestamp(row.expires_at_ms),
        last_used_ms: row.last_used_ms.map(Timestamp),
        revoked_at_ms: row.revoked_at_ms.map(Timestamp),
    })
}
