//! People: who there is, who is added, changed, and given a new password. Nobody gives what they may not do themselves.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use kizashi_desk::{NewPerson, Person, PersonChange, Secret, Subject};
use kizashi_model::TenantId;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::error::{BodyRefusals, Error, Kind, Problem, Refusals};
use crate::extract::{Path, Query, Small};
use crate::page::{Page, limit, not_a_cursor};
use crate::permissions::Permissions;
use crate::time::Time;
use crate::{AppState, names};

/// Someone who signs in.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonItem {
    #[schema(example = 3)]
    pub id: i64,
    /// What they sign in with.
    #[schema(example = "sato")]
    pub name: String,
    #[schema(example = "佐藤 花子")]
    pub display_name: String,
    pub role: names::Role,
    /// null sees every tenant.
    #[schema(example = "default")]
    pub tenant: Option<String>,
    /// null: as the browser says.
    pub language: Option<names::Language>,
    /// The password was given by somebody else and must be changed at the next login.
    pub must_change_password: bool,
    /// Cannot sign in, and their tokens open nothing.
    pub disabled: bool,
    /// Without one they sign in at the OpenID provider.
    pub has_password: bool,
    pub created_at: Time,
    pub updated_at: Time,
}

impl From<Person> for PersonItem {
    fn from(person: Person) -> Self {
        Self {
            id: person.id,
            name: person.name,
            display_name: person.display_name,
            role: person.role.into(),
            tenant: person.tenant.map(String::from),
            language: person.language.map(Into::into),
            must_change_password: person.must_change_password,
            disabled: person.disabled,
            has_password: person.has_password,
            created_at: Time(person.created_at_ms),
            updated_at: Time(person.updated_at_ms),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only people of this tenant.
    #[param(value_type = Option<String>, example = "default")]
    tenant: Option<TenantId>,
    /// How many, 1 to 1000; 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next` of the page before; the order is that in which they were added.
    before: Option<String>,
}

/// Lists people.
#[utoipa::path(
    get, path = "/api/v1/people", tag = "people", params(Filter),
    responses((status = 200, description = "A page of people", body = Page<PersonItem>), Refusals)
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<PersonItem>>, Error> {
    let limit = limit(filter.limit)?;
    let after = filter.before.map(|before| before.parse().map_err(|_| not_a_cursor())).transpose()?;
    let tenant = caller.tenant(filter.tenant)?;
    let people = state.desk.people(tenant.as_ref(), after, limit as u64 + 1).await?;
    let most = usize::try_from(kizashi_desk::LIMIT_MAX).unwrap_or(usize::MAX);
    let items = people.into_iter().map(PersonItem::from).collect();
    Ok(Json(Page::from_source(items, limit, most, |item: &PersonItem| item.id.to_string())))
}

/// Someone to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonCreate {
    /// 1 to 64 of `a-z 0-9 . _ - @`.
    #[schema(example = "sato")]
    name: String,
    /// For people to read; the name if left out.
    #[schema(example = "佐藤 花子")]
    display_name: Option<String>,
    role: names::Role,
    /// null or left out: every tenant that the caller may see.
    #[schema(value_type = Option<String>, example = "default")]
    tenant: Option<TenantId>,
    language: Option<names::Language>,
    /// Their subject at the OpenID provider of the configuration: they sign in there and get no password.
    #[schema(example = "248289761001")]
    oidc_subject: Option<String>,
}

/// Someone with a password that is told only here.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonCreated {
    pub person: PersonItem,
    /// Must be changed at the first login; null for who signs in at the OpenID provider.
    #[schema(example = "kq3wx-8nd2p-ytrfa-m5c7h")]
    pub password: Option<String>,
}

/// Adds someone, with a password that they must change at the first login, or who signs in at the OpenID provider.
#[utoipa::path(
    post, path = "/api/v1/people", tag = "people", request_body = PersonCreate,
    responses(
        (status = 201, description = "Added", body = PersonCreated),
        (status = 409, description = "The name or the identity at the provider is taken", body = Problem, content_type = "application/problem+json"),
        Refusals, BodyRefusals
    )
)]
pub async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Small(new): Small<PersonCreate>,
) -> Result<(StatusCode, Json<PersonCreated>), Error> {
    let tenant = caller.tenant(new.tenant)?;
    may_give(&caller, new.role.into())?;
    let subject = match (new.oidc_subject, &state.oidc) {
        (None, _) => None,
        (Some(subject), Some(oidc)) => Some(Subject { issuer: oidc.issuer().to_owned(), subject }),
        (Some(_), None) => {
            let detail = "no OpenID provider is configured: leave oidc_subject out, or add [oidc] to the configuration";
            return Err(Error::body_field("oidc_subject", detail));
        }
    };
    let new = NewPerson {
        display_name: new.display_name.unwrap_or_else(|| new.name.clone()),
        name: new.name,
        role: new.role.into(),
        tenant,
        language: new.language.map(Into::into),
    };
    let (person, password) = match subject {
        Some(subject) => (state.desk.create_provided(&new, &subject, &caller.by()).await?, None),
        None => {
            let (person, password) = state.desk.create_person(&new, &caller.by()).await?;
            (person, Some(told(&password)))
        }
    };
    Ok((StatusCode::CREATED, Json(PersonCreated { person: person.into(), password })))
}

/// Reads someone.
#[utoipa::path(
    get, path = "/api/v1/people/{id}", tag = "people",
    params(("id" = i64, Path, description = "The person's id", example = 3)),
    responses((status = 200, description = "The person", body = PersonItem), Refusals)
)]
pub async fn read(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Json<PersonItem>, Error> {
    Ok(Json(known(&state, &caller, id).await?.into()))
}

/// What to change; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PersonPatch {
    #[schema(example = "佐藤 花子")]
    display_name: Option<String>,
    role: Option<names::Role>,
    /// null sees every tenant.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "default")]
    tenant: Option<Option<TenantId>>,
    /// null: as the browser says.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<names::Language>)]
    language: Option<Option<names::Language>>,
    /// Cannot sign in, and their tokens open nothing.
    disabled: Option<bool>,
}

/// A field that is there, null or not.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Changes someone. Who is disabled, or gets another role or tenant, is signed out everywhere.
#[utoipa::path(
    patch, path = "/api/v1/people/{id}", tag = "people", request_body = PersonPatch,
    params(("id" = i64, Path, description = "The person's id", example = 3)),
    responses(
        (status = 200, description = "The person afterwards", body = PersonItem),
        (status = 409, description = "No administrator of all tenants would be left", body = Problem,
         content_type = "application/problem+json"),
        Refusals, BodyRefusals
    )
)]
pub async fn change(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
    Small(patch): Small<PersonPatch>,
) -> Result<Json<PersonItem>, Error> {
    let person = known(&state, &caller, id).await?;
    may_give(&caller, person.role)?;
    if let Some(role) = patch.role {
        may_give(&caller, role.into())?;
    }
    if let Some(tenant) = &patch.tenant {
        caller.within(tenant.as_ref())?;
    }
    let change = PersonChange {
        display_name: patch.display_name,
        role: patch.role.map(Into::into),
        tenant: patch.tenant,
        language: patch.language.map(|language| language.map(Into::into)),
        disabled: patch.disabled,
    };
    Ok(Json(state.desk.change_person(id, &change, &caller.by()).await?.into()))
}

/// A password that is told only here.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewPassword {
    /// Must be changed at the next login.
    #[schema(example = "kq3wx-8nd2p-ytrfa-m5c7h")]
    pub password: String,
}

/// Gives someone a new password, which they must change at the next login, and signs them out everywhere.
#[utoipa::path(
    post, path = "/api/v1/people/{id}/password-reset", tag = "people",
    params(("id" = i64, Path, description = "The person's id", example = 3)),
    responses(
        (status = 200, description = "The new password", body = NewPassword),
        (status = 409, description = "They sign in at the OpenID provider and have no password", body = Problem,
         content_type = "application/problem+json"),
        Refusals
    )
)]
pub async fn reset_password(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Json<NewPassword>, Error> {
    let person = known(&state, &caller, id).await?;
    may_give(&caller, person.role)?;
    let password = state.desk.reset_password(id, &caller.by()).await?;
    Ok(Json(NewPassword { password: told(&password) }))
}

/// The person, if they are the caller's to see.
async fn known(state: &AppState, caller: &Caller, id: i64) -> Result<Person, Error> {
    let nobody = || Error::new(Kind::NotFound, format!("there is no person {id} here"));
    let person = state.desk.person(id).await?.ok_or_else(nobody)?;
    caller.within(person.tenant.as_ref()).map_err(|_| nobody())?;
    Ok(person)
}

/// # Errors
/// 403 when the role may more than the caller: a token with one scope must not lead to all of them.
fn may_give(caller: &Caller, role: kizashi_desk::Role) -> Result<(), Error> {
    if caller.permissions.covers(Permissions::of(role)) {
        return Ok(());
    }
    Err(Error::new(
        Kind::Forbidden,
        format!("{} may more than you: somebody with that role must do this", role.as_str()),
    ))
}

fn told(secret: &Secret) -> String {
    secret.reveal().to_owned()
}
