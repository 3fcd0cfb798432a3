//! The functions that exist in a session, and the settings of every session.

use std::sync::Arc;

use datafusion::execution::SessionStateDefaults;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};
use datafusion::prelude::SessionConfig;

use crate::bounded::{JoinTexts, bounded};
use crate::catalog::{CATALOG, SCHEMA};

/// Scalar functions that make much out of little in one step, outside the memory limit: `repeat('x', 2000000000)`.
/// The *table* functions generate_series and range stay, because they yield their rows one batch at a time.
const ABSENT: [&str; 7] = ["repeat", "lpad", "rpad", "array_repeat", "array_resize", "generate_series", "range"];

/// Functions that a caller adds: detectors bring window functions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    pub scalar: Vec<Arc<ScalarUDF>>,
    pub aggregate: Vec<Arc<AggregateUDF>>,
    pub window: Vec<Arc<WindowUDF>>,
}

/// What every session starts from. Nothing in it can read a file by name or register one: there are no file formats, no
/// table factories, no catalog of files, and the catalogs are replaced by the statement's own.
pub(crate) fn base_state(extra: Extra, runtime: Arc<RuntimeEnv>) -> SessionState {
    let mut scalar = SessionStateDefaults::default_scalar_functions();
    scalar.retain(|function| !ABSENT.contains(&function.name()));
    let mut scalar: Vec<Arc<ScalarUDF>> = scalar.into_iter().map(bounded).collect();
    scalar.extend(extra.scalar);
    let mut planners = SessionStateDefaults::default_expr_planners();
    planners.insert(0, Arc::new(JoinTexts::new()));
    let mut aggregate = SessionStateDefaults::default_aggregate_functions();
    aggregate.extend(extra.aggregate);
    let mut window = SessionStateDefaults::default_window_functions();
    window.extend(extra.window);

    SessionStateBuilder::new()
        .with_config(config())
        .with_runtime_env(runtime)
        .with_expr_planners(planners)
        .with_scalar_functions(scalar)
        .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
        .with_aggregate_functions(aggregate)
        .with_window_functions(window)
        .with_table_function_list(SessionStateDefaults::default_table_functions())
        .build()
}

fn config() -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(2)
        .with_batch_size(8192)
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false);
    let options = config.options_mut();
    options.execution.time_zone = Some("UTC".to_owned());
    options.execution.parquet.pushdown_filters = true;
    // The smaller side whole, so that its bounds are known as such and whole row groups of the other are left out.
    options.optimizer.repartition_joins = false;
    options.execution.parquet.schema_force_view_types = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.sql_parser.collect_spans = true;
    config
}
