//! People whom an OpenID provider vouches for: found by issuer and subject and by nothing else, without a password here. The
//! door has verified what the provider said before it comes here.

use std::net::IpAddr;

use kizashi_model::{TenantId, Timestamp};
use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel};

use super::access::{self, AccessEvent, Told};
use super::limiter::Wait;
use super::{
    By, Language, NewPerson, Person, PersonChange, Role, Secret, SignedIn, check_label, check_name, persons, sessions,
};
use crate::entities::{person, provider_identity};
use crate::{ACTOR, Desk, DeskError};

/// Of the issuer and of the subject.
const BYTES_MAX: usize = 512;
/// Names tried for somebody new before giving up: sato, sato-2 …
const NAMES_MAX: u32 = 100;
/// In the place of a name where there is none to believe. No name begins so.
const NOBODY: &str = "?";

/// Who someone is at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub issuer: String,
    pub subject: String,
}

/// Someone as the provider describes them, with what the configuration makes of it.
#[derive(Clone, Debug)]
pub struct Provided {
    pub who: Subject,
    /// Wished for; made to fit and unique.
    pub name: String,
    pub display_name: Option<String>,
    pub role: Role,
    pub tenant: Option<TenantId>,
    /// For somebody new; theirs to change afterwards.
    pub language: Option<Language>,
}

/// Why somebody whom the provider vouches for does not come in.
#[derive(Debug, thiserror::Error)]
pub enum ProvidedRefused {
    #[error("nobody here has this identity, and people are not made at their first login")]
    Unknown,
    #[error("this person is disabled")]
    Disabled,
    #[error(transparent)]
    Desk(#[from] DeskError),
}

impl Desk {
    /// Adds someone who signs in at the provider.
    ///
    /// # Errors
    /// `Invalid`, `Refused` when the name or the identity is taken, or a database error.
    pub async fn create_provided(&self, new: &NewPerson, who: &Subject, by: &By) -> Result<Person, DeskError> {
        check_name(&new.name)?;
        check_label(&new.display_name)?;
        persons::check_tenant(new.role, new.tenant.as_ref())?;
        check_subject(who)?;
        let now = self.inner.clock.now();
        let writing = self.inner.database.begin_quietly().await?;
        let result = insert(&writing.transaction, new, who, by, now).await;
        writing.end(result).await
    }

    /// Signs somebody in whom the provider vouches for. Their role, tenant and displayed name follow the provider; somebody
    /// new is made if `make` says so. Recorded either way.
    ///
    /// # Errors
    /// `Unknown` or `Disabled`; `Invalid`; `Refused` when the last administrator would lose that role.
    pub async fn login_provided(
        &self,
        provided: &Provided,
        make: bool,
        address: Option<IpAddr>,
    ) -> Result<SignedIn, ProvidedRefused> {
        check_subject(&provided.who)?;
        persons::check_tenant(provided.role, provided.tenant.as_ref())?;
        let secret = Secret::new("")?;
        let now = self.inner.clock.now();
        let writing = self.inner.database.begin_quietly().await?;
        let result = enter(&writing.transaction, provided, make, &secret, address, now).await;
        match writing.end(result).await? {
            Ok(person) => Ok(SignedIn { person, secret }),
            Err(refused) => Err(refused),
        }
    }

    /// Records a login that failed before anybody was known. Bounded: whoever tries again and again is one entry, until
    /// some time has passed.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn provided_login_failed(&self, why: &str, address: Option<IpAddr>) -> Result<(), DeskError> {
        let by = By { name: NOBODY.to_owned(), address };
        let event = match self.limiter(|limiter| limiter.begin("?provider", address, self.inner.clock.now())) {
            Ok(()) => AccessEvent::LoginFailed,
            Err(Wait { first: true, .. }) => AccessEvent::LoginLimited,
            Err(_) => return Ok(()),
        };
        let writing = self.inner.database.begin_quietly().await?;
        let told = Told { event, subject: Some(why), tenant: None };
        let put = access::put(&writing.transaction, self.inner.clock.now(), &by, told).await;
        writing.end(put).await
    }
}

async fn enter(
    db: &DatabaseTransaction,
    provided: &Provided,
    make: bool,
    secret: &Secret,
    address: Option<IpAddr>,
    now: Timestamp,
) -> Result<Result<Person, ProvidedRefused>, DeskError> {
    let issuer = Some(provided.who.issuer.as_str());
    let known = find(db, &provided.who).await?;
    let row = match known {
        Some(row) if row.disabled => {
            let by = By { name: row.name.clone(), address };
            let told = Told { event: AccessEvent::LoginFailed, subject: issuer, tenant: row.tenant.as_deref() };
            access::put(db, now, &by, told).await?;
            return Ok(Err(ProvidedRefused::Disabled));
        }
        Some(row) => follow(db, row, provided, now).await?,
        None if make => made(db, provided, address, now).await?,
        None => {
            let by = By { name: NOBODY.to_owned(), address };
            let told = Told { event: AccessEvent::LoginFailed, subject: issuer, tenant: None };
            access::put(db, now, &by, told).await?;
            return Ok(Err(ProvidedRefused::Unknown));
        }
    };
    let by = By { name: row.name.clone(), address };
    sessions::open(db, row, secret, issuer, &by, now).await.map(Ok)
}

/// Brings somebody to what the provider says now.
async fn follow(
    db: &DatabaseTransaction,
    row: person::Model,
    provided: &Provided,
    now: Timestamp,
) -> Result<person::Model, DeskError> {
    let change = PersonChange {
        display_name: provided.display_name.as_deref().and_then(label),
        role: Some(provided.role),
        tenant: Some(provided.tenant.clone()),
        ..PersonChange::default()
    };
    let by = By { name: ACTOR.to_owned(), address: None };
    persons::change_row(db, row.id, &change, &by, now).await?;
    persons::find(db, row.id).await
}

async fn made(
    db: &DatabaseTransaction,
    provided: &Provided,
    address: Option<IpAddr>,
    now: Timestamp,
) -> Result<person::Model, DeskError> {
    let name = free_name(db, &provided.name).await?;
    let new = NewPerson {
        display_name: provided.display_name.as_deref().and_then(label).unwrap_or_else(|| name.clone()),
        name,
        role: provided.role,
        tenant: provided.tenant.clone(),
        language: provided.language,
    };
    let by = By { name: ACTOR.to_owned(), address };
    let person = insert(db, &new, &provided.who, &by, now).await?;
    persons::find(db, person.id).await
}

async fn insert(
    db: &DatabaseTransaction,
    new: &NewPerson,
    who: &Subject,
    by: &By,
    now: Timestamp,
) -> Result<Person, DeskError> {
    if find(db, who).await?.is_some() {
        return Err(DeskError::Refused("somebody has this identity at the provider already".to_owned()));
    }
    let person = persons::insert(db, new, None, false, by, now).await?;
    let row =
        provider_identity::Model { issuer: who.issuer.clone(), subject: who.subject.clone(), person_id: person.id };
    provider_identity::Entity::insert(row.into_active_model()).exec_without_returning(db).await?;
    Ok(person)
}

async fn find(db: &impl ConnectionTrait, who: &Subject) -> Result<Option<person::Model>, DeskError> {
    let of = provider_identity::Entity::find_by_id((who.issuer.clone(), who.subject.clone()));
    match of.one(db).await? {
        Some(identity) => persons::find(db, identity.person_id).await.map(Some),
        None => Ok(None),
    }
}

/// The name that is wished for, made to fit, or one after it that nobody has. Somebody of that name who is here already is
/// somebody else.
async fn free_name(db: &impl ConnectionTrait, wished: &str) -> Result<String, DeskError> {
    let wished = fitting(wished);
    for n in 1..=NAMES_MAX {
        let name = if n == 1 { wished.clone() } else { format!("{wished}-{n}") };
        if check_name(&name).is_ok() && persons::find_by_name(db, &name).await?.is_none() {
            return Ok(name);
        }
    }
    Err(DeskError::Refused(format!("{NAMES_MAX} people are called {wished} already")))
}

/// At most 60 of the characters that a name may have, so that a number fits behind it.
fn fitting(wished: &str) -> String {
    let lower = wished.to_lowercase();
    let kept = lower.chars().filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-@".contains(*c));
    let name: String = kept.skip_while(|c| !c.is_ascii_alphanumeric()).take(60).collect();
    if name.is_empty() { "person".to_owned() } else { name }
}

/// What is left of a displayed name without control characters, if anything.
fn label(text: &str) -> Option<String> {
    let label: String = text.chars().filter(|c| !c.is_control()).take(128).collect();
    (!label.trim().is_empty()).then_some(label)
}

fn check_subject(who: &Subject) -> Result<(), DeskError> {
    let fits = |text: &str| (1..=BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    if fits(&who.issuer) && fits(&who.subject) {
        return Ok(());
    }
    let rule = format!("an identity at a provider has 1 to {BYTES_MAX} bytes and no control characters");
    Err(DeskError::Invalid(rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_provider_calls_somebody_becomes_a_name_that_fits() {
        for (wished, name) in [
            ("Sato.Hanako@Example.COM", "sato.hanako@example.com"),
            ("佐藤", "person"),
            ("", "person"),
            ("--<script>alert(1)", "scriptalert1"),
            ("a\u{0}\u{1b}[2Jb", "a2jb"),
        ] {
            assert_eq!(fitting(wished), name, "{wished:?}");
            assert!(check_name(&fitting(wished)).is_ok());
        }
        assert_eq!(fitting(&"x".repeat(1_000)).len(), 60);
        assert_eq!(label("\u{7}佐藤 花子\n").as_deref(), Some("佐藤 花子"));
        assert_eq!(label("\u{7} \n"), None);
    }
}
