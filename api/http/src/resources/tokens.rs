//! Tokens of oneself and of services. A token can never do more than who made it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use kizashi_desk::{NewToken, Owner, Token};
use kizashi_model::TenantId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::caller::{Caller, Identity};
use crate::error::{BodyRefusals, Error, Kind, Problem, Refusals};
use crate::extract::{Path, Query, Small};
use crate::page::{Page, limit, not_a_cursor};
use crate::permissions::{Permission, Permissions};
use crate::time::Time;
use crate::{AppState, names};

const DAYS_DEFAULT: i64 = 90;

/// A token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenItem {
    #[schema(example = 5)]
    pub id: i64,
    #[schema(example = "nightly report")]
    pub name: String,
    /// The person whose token it is; null for a service.
    pub person_id: Option<i64>,
    /// What a service is; null for a person, whose own role holds.
    pub service: Option<Service>,
    /// The permissions that it has, as far as the role has them.
    #[schema(example = json!(["state.read", "sql.run"]))]
    pub scopes: Vec<String>,
    pub created_at: Time,
    #[schema(example = "sato")]
    pub created_by: String,
    pub expires_at: Time,
    /// To the hour; null before the first use.
    pub last_used_at: Option<Time>,
    /// Opens nothing since then.
    pub revoked_at: Option<Time>,
}

/// The role and the tenant of a service.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    role: names::Role,
    /// null or left out: every tenant that the caller may see.
    #[schema(value_type = Option<String>, example = "default")]
    #[serde(default)]
    tenant: Option<TenantId>,
}

impl From<Token> for TokenItem {
    fn from(token: Token) -> Self {
        let (person_id, service) = match token.owner {
            Owner::Person(id) => (Some(id), None),
            Owner::Service { role, tenant } => (None, Some(Service { role: role.into(), tenant })),
        };
        Self {
            id: token.id,
            name: token.name,
            person_id,
            service,
            scopes: token.scopes.into_iter().collect(),
            created_at: Time(token.created_at_ms),
            created_by: token.created_by,
            expires_at: Time(token.expires_at_ms),
            last_used_at: token.last_used_ms.map(Time),
            revoked_at: token.revoked_at_ms.map(Time),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// How many, 1 to 1000; 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next` of the page before.
    before: Option<String>,
}

/// Lists one's own tokens, newest first; with `token.manage` those of services and of other people too.
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "tokens", params(Filter),
    responses((status = 200, description = "A page of tokens", body = Page<TokenItem>), Refusals)
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<TokenItem>>, Error> {
    let limit = limit(filter.limit)?;
    let before = filter.before.map(|before| before.parse().map_err(|_| not_a_cursor())).transpose()?;
    let own = match (&caller.identity, caller.permissions.has(Permission::TokenManage)) {
        (_, true) => None,
        (Identity::Person(person), false) => Some(person.id),
        (Identity::Service(_), false) => return Ok(Json(Page { items: Vec::new(), next: None })),
    };
    let tokens = state.desk.tokens(own, caller.own_tenant(), before, limit as u64 + 1).await?;
    let most = usize::try_from(kizashi_desk::LIMIT_MAX).unwrap_or(usize::MAX);
    let items = tokens.into_iter().map(TokenItem::from).collect();
    Ok(Json(Page::from_source(items, limit, most, |item: &TokenItem| item.id.to_string())))
}

/// A token to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenCreate {
    /// What it is for; of a service also the name under which it acts.
    #[schema(example = "nightly report")]
    name: String,
    /// Permissions, none that the caller has not.
    #[schema(example = json!(["state.read", "sql.run"]))]
    scopes: Vec<String>,
    /// How long it lasts: 1 to 366; 90 if left out.
    #[schema(minimum = 1, maximum = 366, example = 90)]
    days: Option<i64>,
    /// For a service, which needs the permission `token.manage`; left out, it is one's own.
    service: Option<Service>,
}

/// A token with its secret, which is told only here.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenCreated {
    /// Send it as `Authorization: Bearer TOKEN`.
    #[schema(example = "kzp_5b0c7d9a41d24d0f8f2a6a1f3c9e8b7d6a5f4e3d2c1b0a99")]
    pub token: String,
    #[serde(flatten)]
    pub item: TokenItem,
}

/// Makes a token.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "tokens", request_body = TokenCreate,
    responses(
        (status = 201, description = "Made; the secret is told only here", body = TokenCreated),
        (status = 409, description = "There are too many tokens already", body = Problem,
         content_type = "application/problem+json"),
        Refusals, BodyRefusals
    )
)]
pub async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Small(new): Small<TokenCreate>,
) -> Result<(StatusCode, Json<TokenCreated>), Error> {
    for (index, scope) in new.scopes.iter().enumerate() {
        let known = Permission::from_name(scope);
        if !known.is_some_and(|permission| caller.permissions.has(permission)) {
            let detail = format!("{scope:?} is not a permission that you have: GET /api/v1/session lists them");
            return Err(Error::body_field(&format!("scopes[{index}]"), detail));
        }
    }
    let owner = match (new.service, &caller.identity) {
        (Some(service), _) => {
            caller.need(Permission::TokenManage)?;
            let role = kizashi_desk::Role::from(service.role);
            let scopes = Permissions::named(new.scopes.iter().map(String::as_str));
            if !Permissions::of(role).covers(scopes) {
                let detail = format!("the role {} has not all of these", role.as_str());
                return Err(Error::body_field("scopes", detail));
            }
            Owner::Service { role, tenant: caller.tenant(service.tenant)? }
        }
        (None, Identity::Person(person)) => Owner::Person(person.id),
        (None, Identity::Service(_)) => {
            return Err(Error::body_field("service", "a service has no personal tokens: say what service this is for"));
        }
    };
    let scopes = new.scopes.into_iter().collect();
    let new = NewToken { name: new.name, owner, scopes, days: new.days.unwrap_or(DAYS_DEFAULT) };
    let (token, secret) = state.desk.create_token(&new, &caller.by()).await?;
    let token = TokenCreated { token: secret.reveal().to_owned(), item: token.into() };
    Ok((StatusCode::CREATED, Json(token)))
}

/// Revokes a token, for good: one's own, or with `token.manage` any.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{id}", tag = "tokens",
    params(("id" = i64, Path, description = "The token's id", example = 5)),
    responses((status = 204, description = "Revoked, now or before"), Refusals)
)]
pub async fn revoke(State(state): State<AppState>, caller: Caller, Path(id): Path<i64>) -> Result<StatusCode, Error> {
    let none = || Error::new(Kind::NotFound, format!("there is no token {id} here"));
    let token = state.desk.token(id).await?.ok_or_else(none)?;
    let own = matches!((&caller.identity, &token.owner), (Identity::Person(me), Owner::Person(id)) if me.id == *id);
    if !own {
        caller.need(Permission::TokenManage).map_err(|_| none())?;
        let tenant = match token.owner {
            Owner::Service { tenant, .. } => tenant,
            Owner::Person(id) => state.desk.person(id).await?.and_then(|person| person.tenant),
        };
        caller.within(tenant.as_ref()).map_err(|_| none())?;
    }
    state.desk.revoke_token(id, &caller.by()).await?;
    Ok(StatusCode::NO_CONTENT)
}
