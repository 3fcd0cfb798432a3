//! Signing in with a password, the sessions that follow, and changing the password.

use std::net::IpAddr;
use std::sync::PoisonError;

use kizashi_model::Timestamp;
use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};

use super::access::{self, AccessEvent, Told};
use super::limiter::{Limiter, Wait};
use super::persons::{self, shown};
use super::{By, Person, Secret, check_name, password, secret};
use crate::entities::{person, session};
use crate::{Desk, DeskError};

/// A session ends this long after its last use …
const IDLE_MS: i64 = 12 * 3_600_000;
/// … and this long after its login at the latest, in milliseconds.
pub const SESSION_MS: i64 = 7 * 24 * 3_600_000;
/// A use is written down at most this often: it costs a write.
const SEEN_MS: i64 = 5 * 60_000;
/// Of one person; a further login ends the oldest.
const SESSIONS_MAX: u64 = 32;

/// A login that succeeded.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub person: Person,
    /// For the cookie; shown only here.
    pub secret: Secret,
}

/// Why a login, or an old password, was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LoginRefused {
    /// Does not say which of them.
    #[error("the name or the password is wrong")]
    Wrong,
    #[error("too many failed attempts: try again in {} s", wait_ms.div_euclid(1_000) + 1)]
    Limited { wait_ms: i64 },
    #[error(transparent)]
    Desk(#[from] DeskError),
}

impl Desk {
    /// Signs in. Every attempt is recorded.
    ///
    /// # Errors
    /// `Wrong` also for who is disabled; `Limited` after too many failures of this name or from this address.
    pub async fn login(&self, name: &str, password: &str, address: Option<IpAddr>) -> Result<SignedIn, LoginRefused> {
        let name = name.to_ascii_lowercase();
        // What is no name at all is one entry to the limiter and none in the record: it may be a password, mistyped here.
        let name = if check_name(&name).is_ok() { name } else { "?".to_owned() };
        let by = By { name, address };
        let row =
            self.attempt(&by, async || persons::find_by_name(self.inner.database.reader(), &by.name).await, password);
        let row = row.await?;
        let secret = Secret::new("")?;
        let now = self.inner.clock.now();
        let writing = self.inner.database.begin_quietly().await?;
        let result = sign_in(&writing.transaction, &row, &secret, &by, now).await;
        let person = writing.end(result).await?.ok_or(LoginRefused::Wrong)?;
        Ok(SignedIn { person, secret })
    }

    /// Looks at a password, within the limit. Who is there, not disabled, and has this password.
    async fn attempt(
        &self,
        by: &By,
        find: impl AsyncFnOnce() -> Result<Option<person::Model>, DeskError>,
        password: &str,
    ) -> Result<person::Model, LoginRefused> {
        self.attempt_begins(by).await?;
        let row = find().await?;
        let hash = row.as_ref().filter(|row| !row.disabled).and_then(|row| row.password_hash.clone());
        let right = self.inner.doors.hasher.is_right(password, hash).await?;
        match row {
            Some(row) if right => {
                self.attempt_succeeded(by);
                Ok(row)
            }
            row => {
                let tenant = row.as_ref().and_then(|row| row.tenant.as_deref());
                self.record(by, AccessEvent::LoginFailed, tenant).await?;
                Err(LoginRefused::Wrong)
            }
        }
    }

    /// Counts an attempt as failed until it succeeds.
    pub(super) async fn attempt_begins(&self, by: &By) -> Result<(), LoginRefused> {
        let begun = self.limiter(|limiter| limiter.begin(&by.name, by.address, self.inner.clock.now()));
        let Err(Wait { ms, first }) = begun else { return Ok(()) };
        if first {
            self.record(by, AccessEvent::LoginLimited, None).await?;
        }
        Err(LoginRefused::Limited { wait_ms: ms })
    }

    pub(super) fn attempt_succeeded(&self, by: &By) {
        self.limiter(|limiter| limiter.succeeded(&by.name, by.address));
    }

    pub(super) fn limiter<T>(&self, work: impl FnOnce(&mut Limiter) -> T) -> T {
        work(&mut self.inner.doors.limiter.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whose session this secret opens: `None` when there is none, it is over, or its person is disabled.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn session(&self, secret: &str) -> Result<Option<Person>, DeskError> {
        let now = self.inner.clock.now();
        let db = self.inner.database.reader();
        let Some(row) = session::Entity::find_by_id(secret::digest(secret)).one(db).await? else { return Ok(None) };
        if is_over(&row, now) {
            return Ok(None);
        }
        let Some(person) = self.person(row.person_id).await?.filter(|person| !person.disabled) else { return Ok(None) };
        if now.0.saturating_sub(row.last_seen_ms) >= SEEN_MS
            && let Err(error) = self.seen(row, now).await
        {
            tracing::warn!("the use of a session could not be noted: {error}");
        }
        Ok(Some(person))
    }

    async fn seen(&self, row: session::Model, now: Timestamp) -> Result<(), DeskError> {
        let writing = self.inner.database.begin_quietly().await?;
        let update = session::Entity::update_many()
            .col_expr(session::Column::LastSeenMs, now.0.into())
            .filter(session::Column::Id.eq(row.id));
        let updated = update.exec(&writing.transaction).await;
        writing.end(updated.map(|_| ()).map_err(DeskError::from)).await
    }

    /// Ends the session.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn logout(&self, secret: &str, by: &By) -> Result<(), DeskError> {
        let now = self.inner.clock.now();
        let writing = self.inner.database.begin_quietly().await?;
        let result = sign_out(&writing.transaction, &secret::digest(secret), by, now).await;
        writing.end(result).await
    }

    /// Changes one's own password and ends one's other sessions; `keep` is the secret of the one that stays.
    ///
    /// # Errors
    /// `Wrong` or `Limited` by the old password; `Invalid` when the new one breaks the rule or is the old one.
    pub async fn change_password(
        &self,
        person: &Person,
        old: &str,
        new: &str,
        keep: Option<&str>,
        address: Option<IpAddr>,
    ) -> Result<(), LoginRefused> {
        password::check(new)?;
        if old == new {
            return Err(DeskError::Invalid("the new password is the old one: choose another".to_owned()).into());
        }
        if !person.has_password {
            let why = "there is no password to change: you sign in at the provider";
            return Err(DeskError::Refused(why.to_owned()).into());
        }
        let by = By { name: person.name.clone(), address };
        let find = async || persons::find(self.inner.database.reader(), person.id).await.map(Some);
        let row = self.attempt(&by, find, old).await?;
        let hash = self.inner.doors.hasher.hash(new).await?;
        let now = self.inner.clock.now();
        let writing = self.inner.database.begin_quietly().await?;
        let result = replace_password(&writing.transaction, &row, hash, keep, &by, now).await;
        if writing.end(result).await? { Ok(()) } else { Err(LoginRefused::Wrong) }
    }
}

fn is_over(row: &session::Model, now: Timestamp) -> bool {
    now.0 >= row.expires_at_ms || now.0.saturating_sub(row.last_seen_ms) >= IDLE_MS
}

/// `None` when the person was changed while the password was looked at.
async fn sign_in(
    db: &DatabaseTransaction,
    seen: &person::Model,
    secret: &Secret,
    by: &By,
    now: Timestamp,
) -> Result<Option<Person>, DeskError> {
    let row = persons::find(db, seen.id).await?;
    if row.password_hash != seen.password_hash || row.disabled {
        return Ok(None);
    }
    open(db, row, secret, None, by, now).await.map(Some)
}

/// Opens a session; `subject` is for the record.
pub(super) async fn open(
    db: &DatabaseTransaction,
    row: person::Model,
    secret: &Secret,
    subject: Option<&str>,
    by: &By,
    now: Timestamp,
) -> Result<Person, DeskError> {
    let over = Condition::any()
        .add(session::Column::ExpiresAtMs.lte(now.0))
        .add(session::Column::LastSeenMs.lte(now.0.saturating_sub(IDLE_MS)));
    session::Entity::delete_many().filter(over).exec(db).await?;
    let kept = session::Entity::find().filter(session::Column::PersonId.eq(row.id));
    let surplus = kept.order_by_desc(session::Column::LastSeenMs).offset(SESSIONS_MAX - 1).limit(SESSIONS_MAX);
    for oldest in surplus.all(db).await? {
        session::Entity::delete_by_id(oldest.id).exec(db).await?;
    }
    let new = session::Model {
        id: secret::digest(secret.reveal()),
        person_id: row.id,
        created_at_ms: now.0,
        last_seen_ms: now.0,
        expires_at_ms: now.0.saturating_add(SESSION_MS),
    };
    session::Entity::insert(new.into_active_model()).exec_without_returning(db).await?;
    let told = Told { event: AccessEvent::LoginOk, subject, tenant: row.tenant.as_deref() };
    access::put(db, now, by, told).await?;
    shown(row)
}

async fn sign_out(db: &DatabaseTransaction, id: &str, by: &By, now: Timestamp) -> Result<(), DeskError> {
    let Some(row) = session::Entity::find_by_id(id).one(db).await? else { return Ok(()) };
    let person = persons::find(db, row.person_id).await?;
    session::Entity::delete_by_id(id).exec(db).await?;
    let told = Told { event: AccessEvent::Logout, subject: None, tenant: person.tenant.as_deref() };
    access::put(db, now, by, told).await
}

/// `false` when the password was changed while the old one was looked at.
async fn replace_password(
    db: &DatabaseTransaction,
    seen: &person::Model,
    hash: String,
    keep: Option<&str>,
    by: &By,
    now: Timestamp,
) -> Result<bool, DeskError> {
    let row = persons::find(db, seen.id).await?;
    if row.password_hash != seen.password_hash || row.disabled {
        return Ok(false);
    }
    let mut others = session::Entity::delete_many().filter(session::Column::PersonId.eq(row.id));
    if let Some(keep) = keep {
        others = others.filter(session::Column::Id.ne(secret::digest(keep)));
    }
    others.exec(db).await?;
    let told = Told { event: AccessEvent::PasswordChanged, subject: None, tenant: row.tenant.as_deref() };
    access::put(db, now, by, told).await?;
    persons::set_password(db, row, hash, false, now).await?;
    Ok(true)
}
