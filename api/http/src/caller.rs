//! Who asks, and the one place where a tenant is enforced: a handler gets at data only with the scope that its [`Caller`]
//! gives, and another tenant is not there for it (404).

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use kizashi_desk::{By, Person, Role};
use kizashi_engine::Scope;
use kizashi_model::TenantId;

use crate::AppState;
use crate::error::{Error, Kind};
use crate::peer::Peer;
use crate::permissions::{Permission, Permissions};

/// A person or a service, as the authentication found it.
#[derive(Clone, Debug)]
pub struct Caller {
    pub identity: Identity,
    pub role: Role,
    pub permissions: Permissions,
    /// `None` sees every tenant.
    tenant: Option<TenantId>,
    /// The secret of the session that the request came with; a token has none.
    pub session: Option<String>,
    pub peer: Peer,
}

#[derive(Clone, Debug)]
pub enum Identity {
    Person(Person),
    /// By the name of its token.
    Service(String),
}

impl Caller {
    pub fn person(person: Person, permissions: Permissions, session: Option<String>, peer: Peer) -> Self {
        let (role, tenant) = (person.role, person.tenant.clone());
        Self { identity: Identity::Person(person), role, permissions, tenant, session, peer }
    }

    pub fn service(name: String, role: Role, permissions: Permissions, tenant: Option<TenantId>, peer: Peer) -> Self {
        Self { identity: Identity::Service(name), role, permissions, tenant, session: None, peer }
    }

    pub fn name(&self) -> &str {
        match &self.identity {
            Identity::Person(person) => &person.name,
            Identity::Service(name) => name,
        }
    }

    /// Tells persons and services of one name apart.
    pub fn account(&self) -> String {
        match &self.identity {
            Identity::Person(person) => format!("person:{}", person.name),
            Identity::Service(name) => format!("service:{name}"),
        }
    }

    /// `None` sees every tenant.
    pub fn own_tenant(&self) -> Option<&TenantId> {
        self.tenant.as_ref()
    }

    /// For the record.
    pub fn by(&self) -> By {
        By { name: self.name().to_owned(), address: self.peer.0 }
    }

    /// Whether nothing is open until the password is changed.
    pub fn must_change_password(&self) -> bool {
        matches!(&self.identity, Identity::Person(person) if person.must_change_password) && self.session.is_some()
    }

    /// # Errors
    /// 403 without the permission, or while the password must be changed.
    pub fn need(&self, permission: Permission) -> Result<(), Error> {
        if self.must_change_password() {
            let detail = "set a password of your own first: PUT /api/v1/session/password";
            return Err(Error::new(Kind::PasswordChangeRequired, detail));
        }
        if self.permissions.has(permission) {
            return Ok(());
        }
        let permission = permission.as_str();
        let detail = format!("this needs the permission {permission}, which {} has not", self.name());
        Err(Error::new(Kind::Forbidden, detail))
    }

    /// The tenant to narrow a list to: what is asked for, or all that the caller may see.
    ///
    /// # Errors
    /// 404 when another tenant is asked for.
    pub fn tenant(&self, asked: Option<TenantId>) -> Result<Option<TenantId>, Error> {
        match (asked, &self.tenant) {
            (None, own) => Ok(own.clone()),
            (Some(asked), _) => {
                self.within(Some(&asked))?;
                Ok(Some(asked))
            }
        }
    }

    /// The same for the lake.
    ///
    /// # Errors
    /// As [`Self::tenant`].
    pub fn scope(&self, asked: Option<TenantId>) -> Result<Scope, Error> {
        Ok(self.tenant(asked)?.map_or(Scope::All, Scope::Tenant))
    }

    /// What belongs to this tenant is there for the caller; what belongs to none is there for who sees all.
    ///
    /// # Errors
    /// 404 when it is another's. Whether it exists is not told.
    pub fn within(&self, tenant: Option<&TenantId>) -> Result<(), Error> {
        match &self.tenant {
            Some(own) if Some(own) != tenant => {
                let detail = match tenant {
                    Some(tenant) => format!("there is no tenant {tenant} here"),
                    None => "there is nothing with this id here".to_owned(),
                };
                Err(Error::new(Kind::NotFound, detail))
            }
            _ => Ok(()),
        }
    }

    /// Under which name a change is written down: a person's own; a service may act for somebody.
    ///
    /// # Errors
    /// 400 when a person gives another's name.
    pub fn actor(&self, given: Option<String>) -> Result<String, Error> {
        match (&self.identity, given) {
            (Identity::Person(person), Some(given)) if given != person.name => {
                Err(Error::body_field("actor", format!("you are {}: leave `actor` out", person.name)))
            }
            (Identity::Service(_), Some(given)) => Ok(given),
            _ => Ok(self.name().to_owned()),
        }
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Error> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Error::internal(&"a route asks who calls and lets anyone in"))
    }
}
