//! The one catalog that a statement sees: `kizashi.public` with tables and views, and an `information_schema` of the same.
//!
//! It is made for one statement and dies with it. A table is pinned to a snapshot when the statement first names it, so
//! whatever is committed meanwhile, the statement reads one version of each table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::datasource::ViewTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use kizashi_model::tables::Table;

use crate::days::{self, Days, LAKE_DAYS};
use crate::describe::{COLUMNS, SystemTables};
use crate::merged;
use crate::postgres::{PG_CATALOG, PgCatalog};
use crate::snapshots::{PinnedTables, Sources};
use crate::tenant_scan::TenantTable;
use crate::views::View;
use crate::{QueryError, Scope};

pub const CATALOG: &str = "kizashi";
pub const SCHEMA: &str = "public";
const INFORMATION_SCHEMA: &str = "information_schema";

/// What all statements share.
#[derive(Debug)]
pub(crate) struct Library {
    /// Every session is a copy of it. It knows where the lake's files are, which planning asks; no plan runs in it.
    pub base: SessionState,
    pub sources: Sources,
    pub views: BTreeMap<String, View>,
    /// Not there while the views are first planned: a view cannot be made of the list of views.
    pub system: Option<SystemTables>,
}

#[derive(Debug)]
pub(crate) struct Catalog {
    library: Arc<Library>,
    scope: Scope,
    time_zone: Option<String>,
    postgres: Option<Arc<PgCatalog>>,
    runtime: Arc<RuntimeEnv>,
    pinned: tokio::sync::Mutex<PinnedTables>,
    /// The tables that the statement named; others may be pinned with them.
    read: Mutex<BTreeSet<Table>>,
    /// Views being planned, outermost first: one that names itself would never end.
    planning: Mutex<Vec<String>>,
    me: Weak<Self>,
}

impl Catalog {
    pub fn new(
        library: Arc<Library>,
        scope: Scope,
        time_zone: Option<String>,
        postgres: Option<Arc<PgCatalog>>,
        runtime: Arc<RuntimeEnv>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            library,
            scope,
            time_zone,
            postgres,
            runtime,
            pinned: tokio::sync::Mutex::default(),
            read: Mutex::default(),
            planning: Mutex::default(),
            me: me.clone(),
        })
    }

    /// A session that sees this catalog and no other. It holds the catalog; the catalog does not hold it.
    pub fn state(&self) -> Result<SessionState> {
        let me = self.me.upgrade().ok_or_else(|| DataFusionError::Internal("the statement has ended".to_owned()))?;
        let base = self.postgres.as_ref().map_or(&self.library.base, |postgres| postgres.base());
        // A copy: to build one anew registers every function again, which takes longer than many a statement.
        let mut state = base.clone();
        state.register_catalog_list(Arc::new(OnlyThis(me)));
        if let Some(zone) = &self.time_zone
            && state.config_options().execution.time_zone.as_ref() != Some(zone)
        {
            state.config_mut().options_mut().execution.time_zone = Some(zone.clone());
        }
        // From here on now() has its value.
        state.mark_start_execution();
        Ok(state)
    }

    /// What a plan of this catalog runs in: this statement's memory and disk.
    pub fn task(&self, state: &SessionState) -> Arc<TaskContext> {
        Arc::new(TaskContext::from(state).with_runtime(self.runtime.clone()))
    }

    /// The version of each table read so far.
    pub async fn versions(&self) -> BTreeMap<String, i64> {
        let pinned = self.pinned.lock().await;
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let version = |table: &Table| pinned.get(table)?.as_ref().ok()?.version;
        read.iter().filter_map(|table| Some((table.name().to_owned(), version(table)?))).collect()
    }

    async fn table(&self, table: Table) -> Result<Option<Arc<dyn TableProvider>>> {
        let mut pinned = self.pinned.lock().await;
        self.library.sources.pin(table, &mut pinned).await;
        let Some(found) = pinned.get(&table) else {
            return Ok(None);
        };
        let provider = found.as_ref().map_err(Clone::clone)?.provider.clone();
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(table);
        let own: Arc<dyn TableProvider> = match &self.scope {
            Scope::All => provider,
            Scope::Tenant(tenant) => Arc::new(TenantTable::new(table, tenant.clone(), provider)),
        };
        match table {
            Table::Derived(of) if of.is_merged() => merged::view(of, own).map(Some),
            _ => Ok(Some(own)),
        }
    }

    /// Of all tenants together, so nothing for one of them.
    async fn days(&self) -> Result<Days> {
        match self.scope {
            Scope::All => Ok(self.library.sources.days().await?),
            Scope::Tenant(_) => Ok(Days::new()),
        }
    }

    async fn view(&self, view: &View) -> Result<Arc<dyn TableProvider>> {
        self.enter(&view.name)?;
        let statement = view.statement().map_err(DataFusionError::from);
        let plan = match statement {
            Ok(statement) => self.state()?.statement_to_plan(statement).await,
            Err(error) => Err(error),
        };
        self.planning().pop();
        Ok(Arc::new(ViewTable::new(plan?, Some(view.sql.clone()))))
    }

    fn enter(&self, view: &str) -> Result<()> {
        let mut planning = self.planning();
        if planning.iter().any(|open| open == view) {
            return Err(QueryError::user(format!("the view {view} is made of itself")).into());
        }
        planning.push(view.to_owned());
        Ok(())
    }

    fn planning(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.planning.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct OnlyThis(Arc<Catalog>);

impl CatalogProviderList for OnlyThis {
    fn register_catalog(&self, _: String, _: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == CATALOG).then(|| self.0.clone() as Arc<dyn CatalogProvider>)
    }
}

impl CatalogProvider for Catalog {
    fn schema_names(&self) -> Vec<String> {
        vec![SCHEMA.to_owned(), INFORMATION_SCHEMA.to_owned()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let me = self.me.upgrade()?;
        match name {
            SCHEMA => Some(Arc::new(Public(me))),
            INFORMATION_SCHEMA => Some(Arc::new(Information(me))),
            PG_CATALOG => self.postgres.as_ref().map(|postgres| postgres.schema()),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Public(Arc<Catalog>);

#[async_trait]
impl SchemaProvider for Public {
    fn table_names(&self) -> Vec<String> {
        let tables = self.0.library.sources.of.keys().map(|table| table.name().to_owned());
        tables.chain(self.0.library.views.keys().cloned()).chain([COLUMNS, LAKE_DAYS].map(str::to_owned)).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if let Some(table) = self.0.library.sources.of.keys().find(|table| table.name() == name) {
            return self.0.table(*table).await;
        }
        if let Some(view) = self.0.library.views.get(name) {
            return self.0.view(view).await.map(Some);
        }
        if name == LAKE_DAYS {
            return Ok(Some(Arc::new(days::table(&self.0.days().await?)?)));
        }
        let system = self.0.library.system.as_ref().filter(|_| name == COLUMNS);
        Ok(system.map(|system| system.columns.clone() as Arc<dyn TableProvider>))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|known| known == name)
    }
}

#[derive(Debug)]
struct Information(Arc<Catalog>);

#[async_trait]
impl SchemaProvider for Information {
    fn table_names(&self) -> Vec<String> {
        ["tables", "columns", "schemata"].map(str::to_owned).to_vec()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let system = self.0.library.system.as_ref();
        Ok(system.and_then(|system| match name {
            "tables" => Some(system.information_tables.clone() as Arc<dyn TableProvider>),
            "columns" => Some(system.information_columns.clone()),
            "schemata" => Some(system.information_schemata.clone()),
            _ => None,
        }))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|known| known == name)
    }
}
