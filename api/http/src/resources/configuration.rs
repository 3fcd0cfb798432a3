//! The checks as files: where each is written, changes of those that the API writes, a try before they are saved, and who
//! changed what.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use kizashi_desk::{ConfigurationEntry, LIMIT_MAX};
use kizashi_model::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::error::{BodyRefusals, Error, Kind, Problem, Refusals};
use crate::extract::{self, Path, Query};
use crate::page::{Page, limit, not_a_cursor};
use crate::single::{CheckInPath, IfNoneMatch, Tagged, Tags, tags};
use crate::state::{ConfigurationChange, ConfigurationError, ConfiguredCheck, ManagedFile, TriedCheck};
use crate::time::Time;
use crate::{AppState, names};

/// Stands for what may be a secret.
const HIDDEN: &str = "(hidden)";

/// A check as it is written.
#[derive(Debug, Serialize, ToSchema)]
pub struct WrittenCheck {
    #[schema(example = "default")]
    pub tenant: String,
    #[schema(example = "web")]
    pub check_id: String,
    #[schema(example = "url")]
    pub kind: String,
    /// File and line; null for those of this host that are not written down.
    #[schema(example = "kizashi.toml:12")]
    pub place: Option<String>,
    /// Whether it is in the file that the API writes: others are changed where they are written.
    pub managed: bool,
    /// Its keys as in the file, defaults included. The values of headers are shown only to whoever may change them.
    #[schema(value_type = Object)]
    pub definition: Value,
}

/// The file of checks that the API writes.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckFile {
    #[schema(example = "kizashi.d/portal.toml")]
    pub file: String,
    /// Empty while it is not there.
    #[schema(example = "[[check]]\nid = \"web\"\nurl = { address = \"http://www.example.com/\" }\n")]
    pub toml: String,
}

/// The file as it is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteFile {
    /// `[[check]]` tables; everything else is refused.
    toml: String,
}

/// A check to save or to try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckBody {
    /// The keys of a `[[check]]`, as `kizashi validate --schema` describes them.
    #[schema(value_type = Object, example = json!({ "id": "web", "url": { "address": "http://www.example.com/" } }))]
    check: Value,
}

/// What a check said that was run once.
#[derive(Debug, Serialize, ToSchema)]
pub struct TriedResult {
    pub state: names::State,
    #[schema(example = "200 in 31 ms")]
    pub output: String,
    pub duration_ms: i64,
    pub metrics: Vec<TriedValue>,
}

/// A value that it measured.
#[derive(Debug, Serialize, ToSchema)]
pub struct TriedValue {
    #[schema(example = "total_ms")]
    pub name: String,
    pub value: f64,
    #[schema(example = "ms")]
    pub unit: String,
    pub limit_value: Option<f64>,
}

/// A change of the configuration.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConfigurationChangeItem {
    pub id: i64,
    pub at: Time,
    /// Who did it.
    #[schema(example = "sato")]
    pub actor: String,
    pub address: Option<String>,
    /// `added`, `changed` or `removed` a check, `written` a file, or `failed` to.
    #[schema(example = "changed")]
    pub action: String,
    /// Of the check; null for a file.
    pub tenant: Option<String>,
    /// The check or the file.
    #[schema(example = "web")]
    pub subject: String,
    /// What was written there, for whoever may change it.
    pub before: Option<String>,
    pub after: Option<String>,
}

impl From<ConfigurationError> for Error {
    fn from(error: ConfigurationError) -> Self {
        match error {
            ConfigurationError::NotFound(text) => Self::new(Kind::NotFound, text),
            ConfigurationError::Invalid(text) => Self::new(Kind::InvalidBody, text),
            ConfigurationError::Stale(text) => Self::new(Kind::Stale, text),
            ConfigurationError::Conflict(text) => Self::new(Kind::Conflict, text),
            ConfigurationError::Busy(text) => Self::new(Kind::Overloaded, text),
            ConfigurationError::Failed(text) => {
                tracing::warn!("the configuration is not available: {text}");
                Self::new(Kind::Unavailable, text)
            }
        }
    }
}

fn may_write(caller: &Caller) -> bool {
    caller.permissions.has(crate::permissions::Permission::ConfigWrite) && caller.own_tenant().is_none()
}

/// A check runs on this machine and may read its files, and steps see every tenant's rows: that is for people of no tenant.
pub(super) fn for_everyone(caller: &Caller) -> Result<(), Error> {
    match caller.own_tenant() {
        None => Ok(()),
        Some(tenant) => {
            let detail = format!("the files are for every tenant, and {} is of {tenant} only", caller.name());
            Err(Error::new(Kind::Forbidden, detail))
        }
    }
}

fn hidden(mut definition: Value) -> Value {
    if let Some(Value::Object(headers)) = definition.pointer_mut("/url/headers") {
        headers.values_mut().for_each(|value| *value = HIDDEN.into());
    }
    definition
}

/// Lists every check with the place where it is written; always one page.
#[utoipa::path(
    get, path = "/api/v1/configuration/checks", tag = "configuration",
    responses((status = 200, description = "The checks", body = Page<WrittenCheck>), Refusals)
)]
pub async fn list(State(state): State<AppState>, caller: Caller) -> Result<Json<Page<WrittenCheck>>, Error> {
    let configuration = state.configuration.clone();
    let read = tokio::task::spawn_blocking(move || configuration.checks()).await;
    let found = read.map_err(|error| Error::internal(&error))??;
    let own = caller.own_tenant();
    let shown = |check: ConfiguredCheck| WrittenCheck {
        tenant: check.tenant.into(),
        check_id: check.check_id.into(),
        kind: check.kind,
        place: check.place,
        managed: check.managed,
        definition: if may_write(&caller) { check.definition } else { hidden(check.definition) },
    };
    let items = found.into_iter().filter(|check| own.is_none_or(|own| *own == check.tenant)).map(shown).collect();
    Ok(Json(Page { items, next: None }))
}

/// Reads the file of checks that the API writes.
#[utoipa::path(
    get, path = "/api/v1/configuration/file", tag = "configuration", params(IfNoneMatch),
    responses(
        (status = 200, description = "The file", body = CheckFile,
         headers(("ETag" = String, description = "Names its content"))),
        (status = 304, description = "It is still what `If-None-Match` names"),
        Refusals
    )
)]
pub async fn file(State(state): State<AppState>, caller: Caller, headers: HeaderMap) -> Result<Response, Error> {
    for_everyone(&caller)?;
    shown(state.configuration.file()?)?.answer(&headers)
}

fn shown(ManagedFile { file, toml }: ManagedFile) -> Result<Tagged, Error> {
    let tag = ManagedFile::tag_of(&toml);
    Tagged::named(&CheckFile { file, toml }, tag)
}

async fn changed(
    state: &AppState,
    caller: &Caller,
    headers: &HeaderMap,
    change: ConfigurationChange,
) -> Result<Response, Error> {
    for_everyone(caller)?;
    let seen = match tags(headers, &header::IF_MATCH)? {
        None | Some(Tags::Any) => None,
        // More than one content cannot be there: the one that is decides.
        Some(of @ Tags::Of(_)) => {
            let now = ManagedFile::tag_of(&state.configuration.file()?.toml);
            Some(if of.names(&now) { now } else { String::new() })
        }
    };
    state.configuration.change(change, seen.as_deref(), &caller.by()).await?;
    shown(state.configuration.file()?)?.answer(&HeaderMap::new())
}

/// Writes that file as a whole, after judging everything that is configured, and takes the checks over.
#[utoipa::path(
    put, path = "/api/v1/configuration/file", tag = "configuration", request_body = WriteFile,
    params(("If-Match" = Option<String>, Header, description = "Write it only if it still has one of these tags")),
    responses(
        (status = 200, description = "The file as it is written", body = CheckFile,
         headers(("ETag" = String, description = "Names its content"))),
        (status = 412, description = "It is no longer what `If-Match` names", body = Problem,
         content_type = "application/problem+json"),
        Refusals, BodyRefusals
    )
)]
pub async fn write(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    extract::Json(body): extract::Json<WriteFile>,
) -> Result<Response, Error> {
    changed(&state, &caller, &headers, ConfigurationChange::File { text: body.toml }).await
}

/// Adds a check to that file, or puts it in the place of the one of this name, and takes it over.
#[utoipa::path(
    put, path = "/api/v1/configuration/checks/{tenant}/{check_id}", tag = "configuration", request_body = CheckBody,
    params(
        ("tenant" = String, Path, description = "The tenant", example = "default"),
        ("check_id" = String, Path, description = "The check; ~ stands for /", example = "web"),
        ("If-Match" = Option<String>, Header, description = "Do it only if the file still has one of these tags"),
    ),
    responses(
        (status = 200, description = "The file as it is written", body = CheckFile,
         headers(("ETag" = String, description = "Names its content"))),
        (status = 404, description = "There is no such tenant", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The file is no longer what `If-Match` names", body = Problem,
         content_type = "application/problem+json"),
        Refusals, BodyRefusals
    )
)]
pub async fn put(
    State(state): State<AppState>,
    caller: Caller,
    Path((tenant, id)): Path<(TenantId, CheckInPath)>,
    headers: HeaderMap,
    extract::Json(body): extract::Json<CheckBody>,
) -> Result<Response, Error> {
    caller.within(Some(&tenant))?;
    let (check_id, mut check) = (id.0, body.check);
    let Some(keys) = check.as_object_mut() else {
        return Err(Error::body_field("check", "a check is an object with its keys"));
    };
    for (key, value) in [("tenant", tenant.as_str()), ("id", check_id.as_str())] {
        match keys.get(key) {
            None => {}
            Some(given) if given == value => {}
            Some(given) => {
                let detail = format!("check.{key} is {given} and the path says {value:?}: they must be the same");
                return Err(Error::body_field(&format!("check.{key}"), detail));
            }
        }
        keys.insert(key.to_owned(), value.into());
    }
    changed(&state, &caller, &headers, ConfigurationChange::Put { tenant, check_id, definition: check }).await
}

/// Takes a check out of that file; it is retired.
#[utoipa::path(
    delete, path = "/api/v1/configuration/checks/{tenant}/{check_id}", tag = "configuration",
    params(
        ("tenant" = String, Path, description = "The tenant", example = "default"),
        ("check_id" = String, Path, description = "The check; ~ stands for /", example = "web"),
        ("If-Match" = Option<String>, Header, description = "Do it only if the file still has one of these tags"),
    ),
    responses(
        (status = 200, description = "The file as it is written", body = CheckFile,
         headers(("ETag" = String, description = "Names its content"))),
        (status = 404, description = "The file has no such check", body = Problem,
         content_type = "application/problem+json"),
        (status = 412, description = "The file is no longer what `If-Match` names", body = Problem,
         content_type = "application/problem+json"),
        Refusals
    )
)]
pub async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    Path((tenant, id)): Path<(TenantId, CheckInPath)>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    caller.within(Some(&tenant))?;
    changed(&state, &caller, &headers, ConfigurationChange::Remove { tenant, check_id: id.0 }).await
}

/// Runs a check once, here and now, before it is saved; nothing is stored.
#[utoipa::path(
    post, path = "/api/v1/configuration/try", tag = "configuration", request_body = CheckBody,
    responses((status = 200, description = "What it said", body = TriedResult), Refusals, BodyRefusals)
)]
pub async fn try_now(
    State(state): State<AppState>,
    caller: Caller,
    extract::Json(body): extract::Json<CheckBody>,
) -> Result<Json<TriedResult>, Error> {
    for_everyone(&caller)?;
    let TriedCheck { state, output, duration_ms, metrics } = state.configuration.try_check(body.check).await?;
    let metrics = metrics
        .into_iter()
        .map(|one| TriedValue { name: one.name, value: one.value, unit: one.unit, limit_value: one.limit_value })
        .collect();
    Ok(Json(TriedResult { state: state.into(), output, duration_ms, metrics }))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// How many, 1 to 1000; 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next` of the page before.
    before: Option<String>,
}

/// Lists who changed the configuration, the newest first.
#[utoipa::path(
    get, path = "/api/v1/configuration/changes", tag = "configuration", params(Filter),
    responses((status = 200, description = "A page of changes", body = Page<ConfigurationChangeItem>), Refusals)
)]
pub async fn changes(
    State(state): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<ConfigurationChangeItem>>, Error> {
    let limit = limit(filter.limit)?;
    let before = filter.before.map(|text| text.parse().map_err(|_| not_a_cursor())).transpose()?;
    let found = state.desk.configuration_changes(caller.own_tenant(), before, limit as u64 + 1).await?;
    let texts = may_write(&caller);
    let shown = |entry: ConfigurationEntry| ConfigurationChangeItem {
        id: entry.id,
        at: Time(entry.at_ms),
        actor: entry.actor,
        address: entry.address.filter(|_| texts),
        action: entry.edit.action.as_str().to_owned(),
        tenant: entry.edit.tenant.map(Into::into),
        subject: entry.edit.subject,
        before: entry.edit.before.filter(|_| texts),
        after: entry.edit.after.filter(|_| texts),
    };
    let most = usize::try_from(LIMIT_MAX).unwrap_or(usize::MAX);
    let page = Page::from_source(found, limit, most, |entry| entry.id.to_string());
    Ok(Json(Page { items: page.items.into_iter().map(shown).collect(), next: page.next }))
}
