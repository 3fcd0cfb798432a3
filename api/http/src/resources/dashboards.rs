//! Dashboards: files that the portal shows and edits. One is judged as a whole before it is written, its statements by the
//! SQL worker; nothing is written that `kizashi validate` would refuse.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use kizashi_dashboards::{Dashboard, Dashboards, Fault, Found, Name, Source, StoreError, Words, judge, written};
use kizashi_engine::{Parameters, QueryError, ScalarValue, timestamp};
use kizashi_sql::Request;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::caller::Caller;
use crate::error::{BodyRefusals, Error, Kind, Position, Problem, Refusals};
use crate::extract::{self, Path};
use crate::page::Page;
use crate::single::{IfNoneMatch, Tagged, Tags, tags};
use crate::{AppState, lake};

/// A dashboard in the list.
#[derive(Debug, Serialize, ToSchema)]
pub struct DashboardItem {
    #[schema(example = "host")]
    pub name: String,
    /// Absent while its file has a fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Words>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Words>,
    /// Where it is written.
    #[schema(example = "kizashi.d/dashboards/host.toml")]
    pub file: String,
    /// It comes with Kizashi: it can be saved under another name only.
    pub shipped: bool,
    /// How many panels it has.
    pub panels: usize,
    /// What is wrong with its file.
    pub faults: Vec<Fault>,
}

/// A dashboard with its file.
#[derive(Debug, Serialize, ToSchema)]
pub struct DashboardFile {
    #[schema(example = "host")]
    pub name: String,
    #[schema(example = "kizashi.d/dashboards/host.toml")]
    pub file: String,
    /// It comes with Kizashi: it can be saved under another name only.
    pub shipped: bool,
    /// The file as it is.
    pub toml: String,
    /// What the file says; absent while it has a fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dashboard: Option<Dashboard>,
    /// What is wrong with the file.
    pub faults: Vec<Fault>,
}

impl From<Found> for DashboardItem {
    fn from(found: Found) -> Self {
        let (dashboard, faults) = halves(found.parsed);
        let panels = dashboard.as_ref().map_or(0, |one| one.panel.len());
        let (title, description) = dashboard.map_or((None, None), |one| (Some(one.title), one.description));
        let name = found.name.as_str().to_owned();
        Self { name, title, description, file: found.file, shipped: found.shipped, panels, faults }
    }
}

impl From<Found> for DashboardFile {
    fn from(found: Found) -> Self {
        let (dashboard, faults) = halves(found.parsed);
        let name = found.name.as_str().to_owned();
        Self { name, file: found.file, shipped: found.shipped, toml: found.text, dashboard, faults }
    }
}

fn halves(parsed: Result<Dashboard, Vec<Fault>>) -> (Option<Dashboard>, Vec<Fault>) {
    match parsed {
        Ok(dashboard) => (Some(dashboard), Vec::new()),
        Err(faults) => (None, faults),
    }
}

/// A dashboard to write: as the text of its file, or as what that says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Save {
    /// The file, which is written as it is. Give this or `dashboard`.
    toml: Option<String>,
    dashboard: Option<Dashboard>,
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::NotFound(_) => Self::new(Kind::NotFound, text),
            StoreError::Shipped(_) | StoreError::Full => Self::new(Kind::Conflict, text),
            StoreError::Changed(_) => Self::new(Kind::Stale, text),
            StoreError::Io { .. } => {
                tracing::warn!("the dashboards are not available: {text}");
                Self::new(Kind::Unavailable, text)
            }
        }
    }
}

/// Lists every dashboard by name, those whose file has a fault too; always one page.
#[utoipa::path(
    get, path = "/api/v1/dashboards", tag = "dashboards",
    responses((status = 200, description = "The dashboards", body = Page<DashboardItem>), Refusals)
)]
pub async fn list(State(state): State<AppState>) -> Result<Json<Page<DashboardItem>>, Error> {
    let found = on_disk(&state, Dashboards::list).await?;
    Ok(Json(Page { items: found.into_iter().map(DashboardItem::from).collect(), next: None }))
}

/// Reads a dashboard and its file.
#[utoipa::path(
    get, path = "/api/v1/dashboards/{name}", tag = "dashboards",
    params(("name" = String, Path, description = "The dashboard", example = "host"), IfNoneMatch),
    responses(
        (status = 200, description = "The dashboard", body = DashboardFile,
         headers(("ETag" = String, description = "Names the file's content"))),
        (status = 304, description = "It is still what `If-None-Match` names"),
        (status = 404, description = "There is no such dashboard", body = Problem, content_type = "application/problem+json"),
        Refusals
    )
)]
pub async fn read(
    State(state): State<AppState>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let name = named(name)?;
    let found = on_disk(&state, move |all| all.read(&name)).await?;
    let tag = found.tag();
    Tagged::named(&DashboardFile::from(found), tag)?.answer(&headers)
}

/// Writes a dashboard to the folder, after judging all of it: `If-Match` guards an existing one, `If-None-Match: *` a new one.
#[utoipa::path(
    put, path = "/api/v1/dashboards/{name}", tag = "dashboards", request_body = Save,
    params(
        ("name" = String, Path, description = "The dashboard: a-z, 0-9, - and _", example = "host"),
        ("If-Match" = Option<String>, Header, description = "Write it only if it still has one of these tags"),
        ("If-None-Match" = Option<String>, Header, description = "`*` writes it only if there is none of this name"),
    ),
    responses(
        (status = 200, description = "The dashboard as it is written", body = DashboardFile,
         headers(("ETag" = String, description = "Names the file's content"))),
        (status = 409, description = "It comes with Kizashi, or there are too many", body = Problem,
         content_type = "application/problem+json"),
        (status = 412, description = "It is no longer what `If-Match` names, or there is one already", body = Problem,
         content_type = "application/problem+json"),
        Refusals, BodyRefusals
    )
)]
pub async fn write(
    State(state): State<AppState>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    extract::Json(save): extract::Json<Save>,
) -> Result<Response, Error> {
    for_everyone(&caller)?;
    let name = named(name)?;
    let terms = Terms::of(&headers)?;
    let text = match (save.toml, save.dashboard) {
        (Some(toml), None) => toml,
        (None, Some(dashboard)) => written(&dashboard),
        _ => return Err(Error::new(Kind::InvalidBody, "give `toml`, the file as text, or `dashboard`")),
    };
    let dashboard = Source(&text).parse().map_err(|faults| refused(&faults))?;
    judge_statements(&state, &caller, Source(&text), &dashboard).await?;
    let found = on_disk(&state, move |all| all.write(&name, &text, &|there| terms.refuse(there))).await?;
    tracing::info!("{} wrote the dashboard {}", caller.name(), found.file);
    let tag = found.tag();
    Tagged::named(&DashboardFile::from(found), tag)?.answer(&HeaderMap::new())
}

/// Removes a dashboard's file.
#[utoipa::path(
    delete, path = "/api/v1/dashboards/{name}", tag = "dashboards",
    params(
        ("name" = String, Path, description = "The dashboard", example = "host"),
        ("If-Match" = Option<String>, Header, description = "Remove it only if it still has one of these tags"),
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such dashboard", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It comes with Kizashi", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "It is no longer what `If-Match` names", body = Problem,
         content_type = "application/problem+json"),
        Refusals
    )
)]
pub async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Error> {
    for_everyone(&caller)?;
    let name = named(name)?;
    let terms = Terms::of(&headers)?;
    let said = name.as_str().to_owned();
    on_disk(&state, move |all| all.remove(&name, &|there| terms.refuse(there))).await?;
    tracing::info!("{} removed the dashboard {said}", caller.name());
    Ok(StatusCode::NO_CONTENT)
}

/// The files are read by the people of every tenant.
fn for_everyone(caller: &Caller) -> Result<(), Error> {
    match caller.own_tenant() {
        None => Ok(()),
        Some(tenant) => {
            let detail = format!("dashboards are for every tenant, and {} is of {tenant} only", caller.name());
            Err(Error::new(Kind::Forbidden, detail))
        }
    }
}

fn named(name: String) -> Result<Name, Error> {
    Name::try_from(name).map_err(|fault| Error::parameter("name", fault))
}

/// The tags that a request sets as its terms.
struct Terms {
    seen: Option<Tags>,
    known: Option<Tags>,
}

impl Terms {
    fn of(headers: &HeaderMap) -> Result<Self, Error> {
        Ok(Self { seen: tags(headers, &header::IF_MATCH)?, known: tags(headers, &header::IF_NONE_MATCH)? })
    }

    fn refuse(&self, there: Option<&Found>) -> bool {
        let tag = there.map(Found::tag);
        let names = |tags: &Tags| tag.as_ref().is_some_and(|tag| tags.names(tag));
        self.seen.as_ref().is_some_and(|seen| !names(seen)) || self.known.as_ref().is_some_and(names)
    }
}

async fn on_disk<T: Send + 'static>(
    state: &AppState,
    work: impl FnOnce(&Dashboards) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Error> {
    let dashboards = state.dashboards.clone();
    let done = tokio::task::spawn_blocking(move || work(&dashboards)).await;
    Ok(done.map_err(|error| Error::internal(&error))??)
}

/// All that is wrong as one refusal, at the first one's place.
fn refused(faults: &[Fault]) -> Error {
    let all: Vec<String> = faults.iter().map(|fault| format!("line {fault}")).collect();
    let first = faults.first();
    let at = first.map(|fault| Position { line: u64::try_from(fault.line).unwrap_or(1), column: 1 });
    let error = Error::new(Kind::InvalidBody, all.join("\n")).with_position(at);
    match first.filter(|fault| !fault.key.is_empty()) {
        Some(fault) => error.with_field(&fault.key),
        None => error,
    }
}

/// Lets the worker plan every statement, over no rows.
async fn judge_statements(
    state: &AppState,
    caller: &Caller,
    source: Source<'_>,
    dashboard: &Dashboard,
) -> Result<(), Error> {
    let mut faults = Vec::new();
    for statement in dashboard.statements() {
        let now = timestamp(state.clock.now());
        let mut parameters = Parameters::from([
            ("from".to_owned(), now.clone()),
            ("to".to_owned(), now),
            ("step".to_owned(), ScalarValue::Utf8(Some("60 seconds".to_owned()))),
        ]);
        let texts = statement.known.iter().map(|name| ((*name).to_owned(), ScalarValue::Utf8(Some(String::new()))));
        parameters.extend(texts);
        let sql =
            format!("SELECT * FROM (\n{}\n) AS statement LIMIT 0", statement.sql.trim_end().trim_end_matches(';'));
        let request = Request { parameters, ..Request::new(caller.name(), caller.scope(None)?, sql) };
        match state.sql.query(request).await {
            Ok(result) => {
                let wrong = judge(statement.kind, &result.schema).err();
                faults.extend(wrong.map(|message| source.fault(&statement.key, 0, message)));
            }
            Err(error @ (QueryError::User { .. } | QueryError::Limit { .. })) => {
                let line = error.position().map_or(0, |at| usize::try_from(at.line.saturating_sub(1)).unwrap_or(0));
                let refused = lake::refused(&error);
                faults.push(source.fault(&statement.key, line, refused.detail()));
            }
            Err(error) => return Err(lake::refused(&error)),
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(refused(&faults)) }
}
