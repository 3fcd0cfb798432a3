//! The engine: one per process. It owns the threads on which statements run, so that a hard one starves nobody else.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::cache::cache_manager::{CacheManagerConfig, FileMetadataCache};
use datafusion::execution::cache::default_cache::DefaultCache;
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};
use kizashi_model::derived::Derived;
use kizashi_model::tables::Table;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{OnceCell, Semaphore};

use crate::catalog::{Catalog, Library};
use crate::committed::HotMemory;
use crate::days;
use crate::describe::{self, RelationInfo, SystemTables};
use crate::functions::{Extra, base_state};
use crate::guard::Stop;
use crate::memory::{StatementPool, Total};
use crate::plain;
use crate::postgres::PgCatalog;
use crate::shape::Expanded;
use crate::snapshots::{DeltaSource, Source, Sources};
use crate::spill::SpillDir;
use crate::store::LakeOnly;
use crate::tail::TailSource;
use crate::views::{self, View};
use crate::{EngineConfig, EngineError, QueryError, Scope, Session};

/// Parquet footers kept for the next statement.
const FOOTERS_BYTES: usize = 16 * 1024 * 1024;
/// Planning recurses; the operating system commits only what is touched.
const STACK_BYTES: usize = 32 * 1024 * 1024;
const THREADS: usize = 2;

/// Clones share everything.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: EngineConfig,
    contents: RwLock<Arc<Contents>>,
    made_of: MadeOf,
    gate: Arc<Semaphore>,
    /// Every statement of which something is still alive.
    running: Mutex<Vec<Weak<Stop>>>,
    resources: Resources,
    threads: Threads,
}

/// What statements see; replaced as a whole when steps or views change.
#[derive(Debug)]
pub(crate) struct Contents {
    pub library: Arc<Library>,
    pub relations: Arc<[RelationInfo]>,
    pub view_costs: HashMap<String, Expanded>,
    postgres: OnceCell<Arc<PgCatalog>>,
}

/// What the contents are made of.
#[derive(Debug)]
struct MadeOf {
    base: SessionState,
    /// The product's own tables.
    of: BTreeMap<Table, Arc<Source>>,
    /// Rows of others, for tests.
    given: BTreeMap<Table, Vec<RecordBatch>>,
    lake_root: PathBuf,
    views: Option<PathBuf>,
    hot: Arc<HotMemory>,
    tail: Option<Arc<dyn TailSource>>,
    runtime: Arc<RuntimeEnv>,
}

/// What is shared by the statements' environments.
#[derive(Debug)]
struct Resources {
    memory: Arc<Total>,
    files: Arc<LakeOnly>,
    footers: Arc<FileMetadataCache>,
    spill_dir: Option<PathBuf>,
}

/// Dropped without waiting, which is allowed in async code: statements end at their next step.
#[derive(Debug)]
struct Threads(Option<Runtime>, Handle);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Collects what an engine is made of.
#[derive(Debug)]
pub struct EngineBuilder {
    lake_root: PathBuf,
    config: EngineConfig,
    views: Option<PathBuf>,
    spill_dir: Option<PathBuf>,
    extra: Extra,
    rows: BTreeMap<Table, Vec<RecordBatch>>,
    tail: Option<Arc<dyn TailSource>>,
    derived: Vec<Derived>,
}

impl EngineBuilder {
    /// The tables that steps fill.
    #[must_use]
    pub fn derived(mut self, tables: &[Derived]) -> Self {
        tables.clone_into(&mut self.derived);
        self
    }

    /// A folder with the user's own views; it need not exist.
    #[must_use]
    pub fn views(mut self, dir: &Path) -> Self {
        self.views = Some(dir.to_owned());
        self
    }

    /// Where sorts and joins put what does not fit in memory; the system's temporary folder if not given. It is made, with
    /// its parents, when a statement first needs it.
    #[must_use]
    pub fn spill_dir(mut self, dir: &Path) -> Self {
        self.spill_dir = Some(dir.to_owned());
        self
    }

    /// Adds a window function.
    #[must_use]
    pub fn udwf(mut self, function: WindowUDF) -> Self {
        self.extra.window.push(Arc::new(function));
        self
    }

    /// Adds a scalar function.
    #[must_use]
    pub fn udf(mut self, function: ScalarUDF) -> Self {
        self.extra.scalar.push(Arc::new(function));
        self
    }

    /// Adds an aggregate function.
    #[must_use]
    pub fn udaf(mut self, function: AggregateUDF) -> Self {
        self.extra.aggregate.push(Arc::new(function));
        self
    }

    /// Answers for `table` from these rows and not from the lake: for tests of views, detectors and predictions. See
    /// [`crate::rows::batch`].
    #[must_use]
    pub fn rows(mut self, table: Table, rows: Vec<RecordBatch>) -> Self {
        self.rows.insert(table, rows);
        self
    }

    /// Answers with the rows that are not committed yet as well.
    #[must_use]
    pub fn tail(mut self, tail: Arc<dyn TailSource>) -> Self {
        self.tail = Some(tail);
        self
    }

    /// # Errors
    /// A configuration that makes no sense, or a view that cannot be planned: file and line.
    pub fn open(mut self) -> Result<Engine, EngineError> {
        self.config.validate().map_err(EngineError::Config)?;
        let threads = threads()?;
        let resources = Resources {
            memory: Total::new(EngineConfig::bytes(self.config.memory_total_mb)),
            files: Arc::new(LakeOnly::new(&self.lake_root)),
            footers: Arc::new(DefaultCache::new(FOOTERS_BYTES)),
            spill_dir: self.spill_dir.take(),
        };
        let runtime =
            resources.environment(&self.config, None).map_err(|error| EngineError::Start(error.to_string()))?;
        let base = base_state(std::mem::take(&mut self.extra), runtime.clone());
        let hot = HotMemory::new(EngineConfig::bytes(self.config.hot_mb) as u64);
        let lake_root = std::mem::take(&mut self.lake_root);
        let mut given = std::mem::take(&mut self.rows);
        let of = Table::ALL.into_iter().map(|table| {
            let source = match given.remove(&table) {
                Some(rows) => memory(table, rows)?,
                None => Source::Delta(Box::new(DeltaSource::new(&lake_root, table, hot.clone()))),
            };
            Ok((table, Arc::new(source)))
        });
        let made_of = MadeOf {
            base,
            of: of.collect::<Result<_, EngineError>>()?,
            given,
            lake_root,
            views: self.views,
            hot,
            tail: self.tail,
            runtime,
        };
        let contents = made_of.contents(&self.derived, &threads)?;
        let gate = Arc::new(Semaphore::new(self.config.statements_max));
        Ok(Engine(Arc::new(Inner {
            contents: RwLock::new(Arc::new(contents)),
            made_of,
            gate,
            running: Mutex::default(),
            resources,
            threads,
            config: self.config,
        })))
    }
}

impl MadeOf {
    /// With the tables of these steps.
    fn contents(&self, derived: &[Derived], threads: &Threads) -> Result<Contents, EngineError> {
        let views = views::load(self.views.as_deref())?;
        let tables: Vec<Table> = Table::ALL.into_iter().chain(derived.iter().copied().map(Table::Derived)).collect();
        for table in &tables[Table::ALL.len()..] {
            if let Some(view) = views.get(table.name()) {
                let message = format!("a step fills a table {} already: name the file otherwise", view.name);
                return Err(EngineError::View { file: view.file.clone(), line: 1, message });
            }
        }
        let empty = tables.iter().map(|table| Ok((*table, Arc::new(memory(*table, Vec::new())?))));
        let sources = Sources { of: empty.collect::<Result<_, EngineError>>()?, tail: None };
        let plain = Library { base: self.base.clone(), sources, views: views.clone(), system: None };
        let relations = relations(Arc::new(plain), self.runtime.clone(), threads)?;
        let view_costs = costs(&views)?;
        let mut of = self.of.clone();
        for table in &tables[Table::ALL.len()..] {
            let source = match self.given.get(table) {
                Some(rows) => memory(*table, rows.clone())?,
                None => Source::Delta(Box::new(DeltaSource::new(&self.lake_root, *table, self.hot.clone()))),
            };
            of.insert(*table, Arc::new(source));
        }
        let system = SystemTables::new(&relations).map_err(|error| EngineError::Start(error.to_string()))?;
        let sources = Sources { of, tail: self.tail.clone() };
        let library = Library { base: self.base.clone(), sources, views, system: Some(system) };
        Ok(Contents { library: Arc::new(library), relations: relations.into(), view_costs, postgres: OnceCell::new() })
    }
}

fn memory(table: Table, rows: Vec<RecordBatch>) -> Result<Source, EngineError> {
    MemTable::try_new(table.schema(), vec![rows])
        .map(|rows| Source::Memory(Arc::new(rows)))
        .map_err(|error| EngineError::Start(format!("the rows given for {}: {error}", table.name())))
}

fn threads() -> Result<Threads, EngineError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .max_blocking_threads(8)
        .thread_name("kizashi-sql")
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .map_err(|error| EngineError::Start(error.to_string()))?;
    let handle = runtime.handle().clone();
    Ok(Threads(Some(runtime), handle))
}

/// Plans every view once, over empty tables: a broken one is an error of the file, now and not when somebody asks.
fn relations(
    library: Arc<Library>,
    runtime: Arc<RuntimeEnv>,
    threads: &Threads,
) -> Result<Vec<RelationInfo>, EngineError> {
    let tables = library.sources.of.keys().copied().map(describe::table);
    let mut relations: Vec<RelationInfo> = tables.chain([days::relation()]).collect();
    let planned = std::thread::scope(|scope| {
        let views = library.views.clone();
        let plan = move || {
            threads.1.block_on(async {
                let mut planned = Vec::new();
                for view in views.values() {
                    planned.push(plan(view, library.clone(), runtime.clone()).await?);
                }
                Ok(planned)
            })
        };
        std::thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, plan)
            .map(|thread| thread.join())
            .map_err(|error| EngineError::Start(error.to_string()))
    })?;
    let planned = planned.map_err(|_| EngineError::Start("a view made the planner fail".to_owned()))?;
    relations.extend(planned?);
    Ok(relations)
}

async fn plan(view: &View, library: Arc<Library>, runtime: Arc<RuntimeEnv>) -> Result<RelationInfo, EngineError> {
    let catalog = Catalog::new(library, Scope::All, None, None, runtime);
    let planned = async {
        let state = catalog.state()?;
        let plan = state.statement_to_plan(view.statement()?).await?;
        state.optimize(&plan)
    };
    let plan = planned.await.map_err(|error: DataFusionError| view.error(&QueryError::of(&error)))?;
    let schema = plain::schema(plan.schema().inner());
    let fault = |message: String| EngineError::View { file: view.file.clone(), line: 1, message };
    if let Some(field) = schema.fields().iter().find(|field| !view.columns.contains_key(field.name())) {
        return Err(fault(format!("column {0} has no comment: add `-- column {0}: ...` to the header", field.name())));
    }
    if let Some(name) = view.columns.keys().find(|name| schema.field_with_name(name).is_err()) {
        return Err(fault(format!("the header explains column {name}, which the view does not have")));
    }
    Ok(describe::view(view, &schema))
}

/// How large each view is, views inside views included.
fn costs(views: &BTreeMap<String, View>) -> Result<HashMap<String, Expanded>, EngineError> {
    let mut known: HashMap<String, Expanded> = HashMap::new();
    // Views are planned by now, so none is made of itself, and this many rounds reach the innermost.
    for _ in 0..views.len() {
        let before = known.clone();
        for view in views.values() {
            known.insert(view.name.clone(), view.cost(&before).map_err(|error| view.error(&error))?);
        }
        if known == before {
            break;
        }
    }
    Ok(known)
}

impl Resources {
    fn environment(
        &self,
        config: &EngineConfig,
        stop: Option<Arc<Stop>>,
    ) -> datafusion::error::Result<Arc<RuntimeEnv>> {
        let bytes_max = EngineConfig::bytes(config.spill_mb) as u64;
        let mut disk = DiskManagerBuilder::default().with_max_temp_directory_size(bytes_max);
        if let Some(dir) = &self.spill_dir {
            disk.set_temp_file_factory(Arc::new(SpillDir::new(dir, bytes_max)));
        }
        let caches = CacheManagerConfig::default()
            .with_file_metadata_cache(Some(self.footers.clone()))
            .with_file_statistics_cache_limit(0)
            .with_list_files_cache_limit(0);
        let pool = StatementPool::new(EngineConfig::bytes(config.memory_mb), self.memory.clone(), stop);
        RuntimeEnvBuilder::new()
            .with_object_store_registry(self.files.clone())
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(disk)
            .with_cache_manager(caches)
            .build_arc()
    }
}

impl Engine {
    /// Opens the engine over the lake's tables; each is opened when a statement first reads it.
    ///
    /// # Errors
    /// As [`EngineBuilder::open`].
    pub fn open(lake_root: &Path, config: EngineConfig) -> Result<Self, EngineError> {
        Self::builder(lake_root, config).open()
    }

    #[must_use]
    pub fn builder(lake_root: impl Into<PathBuf>, config: EngineConfig) -> EngineBuilder {
        EngineBuilder {
            lake_root: lake_root.into(),
            config,
            views: None,
            spill_dir: None,
            extra: Extra::default(),
            rows: BTreeMap::new(),
            tail: None,
            derived: Vec::new(),
        }
    }

    /// Takes over the tables of these steps, and reads the folder of views again. Statements that run go on with what was.
    ///
    /// # Errors
    /// A view that cannot be planned: file and line. Nothing is changed then.
    pub fn set_derived(&self, tables: &[Derived]) -> Result<(), EngineError> {
        let contents = self.0.made_of.contents(tables, &self.0.threads)?;
        *self.0.contents.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(contents);
        Ok(())
    }

    pub(crate) fn contents(&self) -> Arc<Contents> {
        self.0.contents.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[must_use]
    pub fn session(&self, scope: Scope) -> Session {
        Session::new(self.clone(), scope)
    }

    /// The newest committed version of a table; none while it is not there.
    ///
    /// # Errors
    /// [`QueryError::Internal`] when the table cannot be read.
    pub async fn data_version(&self, table: Table) -> Result<Option<i64>, QueryError> {
        let library = self.contents().library.clone();
        let pinned = self.0.threads.1.spawn(async move {
            match library.sources.of.get(&table) {
                Some(source) => source.pin().await.map(|pinned| pinned.version),
                None => Ok(None),
            }
        });
        pinned.await.map_err(|error| QueryError::internal(&error))?
    }

    #[must_use]
    pub fn config(&self) -> &EngineConfig {
        &self.0.config
    }

    pub(crate) fn gate(&self) -> Arc<Semaphore> {
        self.0.gate.clone()
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.0.threads.1
    }

    /// Whether a statement goes on although it should have ended more than `grace` ago: one of its steps does not let
    /// itself be interrupted, and holds a thread.
    #[must_use]
    pub fn is_overdue(&self, grace: Duration) -> bool {
        let mut running = self.running();
        running.retain(|stop| stop.strong_count() > 0);
        running.iter().filter_map(Weak::upgrade).any(|stop| stop.is_overdue(grace))
    }

    /// Statements of which something is still alive, on any thread.
    #[must_use]
    pub fn running_count(&self) -> usize {
        self.running().iter().filter(|stop| stop.strong_count() > 0).count()
    }

    pub(crate) fn watch(&self, stop: &Arc<Stop>) {
        let mut running = self.running();
        running.retain(|stop| stop.strong_count() > 0);
        running.push(Arc::downgrade(stop));
    }

    fn running(&self) -> MutexGuard<'_, Vec<Weak<Stop>>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What PostgreSQL's clients ask about; made when the first of them does.
    pub(crate) async fn postgres(&self) -> Result<Arc<PgCatalog>, QueryError> {
        let contents = self.contents();
        let made = contents.postgres.get_or_try_init(|| async {
            PgCatalog::new(&contents.library.base, &contents.relations).await.map(Arc::new)
        });
        made.await.cloned().map_err(|error| QueryError::internal(&error))
    }

    /// The catalog of one statement, with its own memory and disk.
    pub(crate) fn catalog(
        &self,
        scope: Scope,
        time_zone: Option<String>,
        postgres: Option<Arc<PgCatalog>>,
        stop: &Arc<Stop>,
    ) -> Result<Arc<Catalog>, QueryError> {
        let runtime = self.0.resources.environment(&self.0.config, Some(stop.clone()));
        let runtime = runtime.map_err(|error| QueryError::internal(&error))?;
        Ok(Catalog::new(self.contents().library.clone(), scope, time_zone, postgres, runtime))
    }
}
