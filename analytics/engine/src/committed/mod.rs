//! The rows of a table at one version: data files, the small ones from memory, and rows that are in no file yet. What the log says of a file, and
//! what is known of rows in memory, decides whether a statement needs to look at them at all.

mod file;
mod hot;
mod log;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::memory::{DataSourceExec, MemorySourceConfig};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PrunableStatistics;
use datafusion::common::{DFSchema, DataFusionError, Result, Statistics, project_schema};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::{PhysicalExpr, conjunction};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExecBuilder;
use datafusion::physical_plan::filter_pushdown::PushedDown;
use datafusion::physical_plan::union::UnionExec;

use crate::QueryError;
use file::{DataFile, stored};
pub(crate) use hot::{Hot, HotFile, HotMemory};
pub(crate) use log::Log;

/// Fewer rows are read by one thread: to hand them to another costs more than to read them.
const ROWS_PER_THREAD: usize = 50_000;

type Files = Vec<(Arc<DataFile>, Option<Arc<HotFile>>)>;

#[derive(Clone, Debug)]
pub(crate) struct Committed {
    /// As statements see it; the last column is the day.
    schema: SchemaRef,
    /// The newest first, so that rows always come in the same order: a sum of floats depends on it.
    files: Arc<Files>,
    /// Rows that are in no file yet.
    tail: Vec<Arc<HotFile>>,
}

impl Committed {
    pub fn new(schema: SchemaRef, log: &Log, hot: &Hot) -> Self {
        let mut files: Files = log.files.values().map(|file| (file.clone(), hot.of(file))).collect();
        files.sort_unstable_by(|(a, _), (b, _)| a.newest_first(b));
        Self { schema, files: Arc::new(files), tail: Vec::new() }
    }

    pub fn with_tail(self, tail: Vec<Arc<HotFile>>) -> Self {
        Self { tail, ..self }
    }
}

/// Looks through each file before it is read for the first time.
async fn ensure_sound(files: &[Arc<DataFile>]) -> Result<()> {
    for file in files.iter().filter(|file| !file.is_sound()) {
        let file = file.clone();
        let judged = tokio::task::spawn_blocking(move || file.ensure_sound()).await;
        let judged = judged.map_err(|error| DataFusionError::External(Box::new(error)))?;
        judged.map_err(|error| {
            tracing::error!(%error, "a statement needs what is not there: {error}");
            QueryError::Internal(
                "a data file that this needs is damaged or missing; the product's log names it".to_owned(),
            )
        })?;
    }
    Ok(())
}

/// What may hold rows that a statement looks for.
struct Found {
    files: Vec<Arc<DataFile>>,
    rows: Vec<RecordBatch>,
}

#[async_trait]
impl TableProvider for Committed {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Exact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = DFSchema::try_from(self.schema.as_ref().clone())?;
        let filters = filters.iter().map(|filter| state.create_physical_expr(filter.clone(), &columns));
        let filters: Vec<Arc<dyn PhysicalExpr>> = filters.collect::<Result<_>>()?;
        let found = self.find(&filters)?;
        let mut plans = Vec::new();
        if !found.files.is_empty() {
            ensure_sound(&found.files).await?;
            plans.push(self.scan_files(state, &found.files, projection, &filters, limit)?);
        }
        if !found.rows.is_empty() {
            plans.push(self.scan_memory(found.rows, projection, filters)?);
        }
        match plans.len() {
            0 => Ok(Arc::new(EmptyExec::new(project_schema(&self.schema, projection)?))),
            1 => Ok(plans.remove(0)),
            _ => UnionExec::try_new(plans),
        }
    }
}

impl Committed {
    fn find(&self, filters: &[Arc<dyn PhysicalExpr>]) -> Result<Found> {
        let mut files: Vec<&Arc<DataFile>> = Vec::new();
        let mut rows: Vec<&RecordBatch> = Vec::new();
        let (mut of_files, mut of_rows): (Vec<Arc<Statistics>>, Vec<Arc<Statistics>>) = (Vec::new(), Vec::new());
        let mut hot: Vec<&Arc<HotFile>> = self.tail.iter().collect();
        for (file, rows) in self.files.iter() {
            match rows {
                None => {
                    files.push(file);
                    of_files.push(file.statistics.clone());
                }
                Some(rows) => hot.push(rows),
            }
        }
        for part in hot.into_iter().flat_map(|hot| &hot.rows) {
            rows.push(&part.rows);
            of_rows.push(part.statistics.clone());
        }
        let count = of_files.len();
        of_files.append(&mut of_rows);
        let keep = self.keep(filters, of_files)?;
        let (keep_files, keep_rows) = keep.split_at(count);
        Ok(Found { files: kept(files, keep_files), rows: kept(rows, keep_rows) })
    }

    /// Which of the parts may hold a row for which the filters are true.
    fn keep(&self, filters: &[Arc<dyn PhysicalExpr>], parts: Vec<Arc<Statistics>>) -> Result<Vec<bool>> {
        if filters.is_empty() || parts.is_empty() {
            return Ok(vec![true; parts.len()]);
        }
        let predicate = PruningPredicateBuilder::new()
            .with_file_schema(self.schema.clone())
            .try_build(conjunction(filters.iter().cloned()));
        match predicate {
            Ok(predicate) if !predicate.always_true() => {
                predicate.prune(&PrunableStatistics::new(parts, self.schema.clone()))
            }
            // It asks for nothing that extremes could rule out.
            _ => Ok(vec![true; parts.len()]),
        }
    }

    fn scan_files(
        &self,
        state: &dyn Session,
        files: &[Arc<DataFile>],
        projection: Option<&Vec<usize>>,
        filters: &[Arc<dyn PhysicalExpr>],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (url, runtime, options) = (ObjectStoreUrl::local_filesystem(), state.runtime_env(), state.config_options());
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let reader = CachedParquetFileReaderFactory::new(runtime.object_store(&url)?, footers);
        let parquet =
            TableParquetOptions { global: options.execution.parquet.clone(), ..TableParquetOptions::default() };
        let day: Vec<FieldRef> = self.schema.fields().iter().last().cloned().into_iter().collect();
        let schema = TableSchema::builder(stored(&self.schema)).with_table_partition_cols(day).build();
        let mut source: Arc<dyn FileSource> = Arc::new(
            ParquetSource::new(schema)
                .with_table_parquet_options(parquet)
                .with_parquet_file_reader_factory(Arc::new(reader)),
        );
        let taken = source.try_pushdown_filters(filters.to_vec(), options)?;
        source = taken.updated_node.unwrap_or(source);
        let left = filters.iter().zip(&taken.filters).filter(|(_, pushed)| matches!(pushed, PushedDown::No));
        let left: Vec<Arc<dyn PhysicalExpr>> = left.map(|(filter, _)| filter.clone()).collect();
        let groups = groups(files, options.execution.target_partitions);
        let statistics = files.iter().map(|file| file.statistics.as_ref());
        let statistics = Statistics::try_merge_iter(statistics, &self.schema)?;
        let scan = FileScanConfigBuilder::new(url, source).with_file_groups(groups).with_statistics(statistics);
        if left.is_empty() {
            let scan = scan.with_projection_indices(projection.cloned())?.with_limit(limit);
            return Ok(DataSourceExec::from_data_source(scan.build()));
        }
        filtered(DataSourceExec::from_data_source(scan.build()), left, projection)
    }

    fn scan_memory(
        &self,
        rows: Vec<RecordBatch>,
        projection: Option<&Vec<usize>>,
        filters: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let projected = projection.filter(|_| filters.is_empty());
        let rows = MemorySourceConfig::try_new_exec(&[rows], self.schema.clone(), projected.cloned())?;
        if filters.is_empty() { Ok(rows) } else { filtered(rows, filters, projection) }
    }
}

fn filtered(
    rows: Arc<dyn ExecutionPlan>,
    filters: Vec<Arc<dyn PhysicalExpr>>,
    projection: Option<&Vec<usize>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let filter = FilterExecBuilder::new(conjunction(filters), rows).apply_projection(projection.cloned())?;
    Ok(Arc::new(filter.build()?))
}

/// Shared out among as many threads as there is work for, in the order in which they are given.
fn groups(files: &[Arc<DataFile>], threads_max: usize) -> Vec<FileGroup> {
    let rows: usize = files.iter().map(|file| file.rows).sum();
    let threads = (rows / ROWS_PER_THREAD + 1).min(threads_max).min(files.len());
    let mut groups: Vec<(usize, Vec<PartitionedFile>)> = vec![(0, Vec::new()); threads];
    for file in files {
        if let Some((rows, group)) = groups.iter_mut().min_by_key(|(rows, _)| *rows) {
            *rows += file.rows;
            group.push(file.partitioned());
        }
    }
    groups.into_iter().map(|(_, files)| FileGroup::new(files)).collect()
}

fn kept<T: Clone>(parts: Vec<&T>, keep: &[bool]) -> Vec<T> {
    parts.into_iter().zip(keep).filter(|(_, keep)| **keep).map(|(part, _)| part.clone()).collect()
}
