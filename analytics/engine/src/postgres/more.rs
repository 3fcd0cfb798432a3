//! Columns that clients name and datafusion-pg-catalog's tables lack. They are null, as they would be on a server where nobody
//! has set them.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion::prelude::SessionContext;

#[derive(Clone, Copy)]
enum Kind {
    Texts,
    Text,
    Number,
}

const COLUMNS: &[(&str, &[(&str, Kind)])] = &[
    ("pg_class", &[("reloptions", Kind::Texts), ("relacl", Kind::Texts)]),
    ("pg_namespace", &[("nspacl", Kind::Texts), ("options", Kind::Texts)]),
    (
        "pg_attribute",
        &[
            ("attacl", Kind::Texts),
            ("attoptions", Kind::Texts),
            ("attfdwoptions", Kind::Texts),
            ("attcompression", Kind::Text),
            ("attstattarget", Kind::Number),
        ],
    ),
];

/// What drivers look up in `pg_settings`.
const SETTINGS: [(&str, &str); 4] = [
    ("max_identifier_length", "63"),
    ("max_index_keys", "32"),
    ("server_version", "16.6"),
    ("standard_conforming_strings", "on"),
];

pub(super) fn settings(shape: &SchemaRef) -> Result<Arc<dyn TableProvider>> {
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(SETTINGS.iter().map(|(name, _)| name)));
    let values: ArrayRef = Arc::new(StringArray::from_iter_values(SETTINGS.iter().map(|(_, value)| value)));
    super::table(shape, SETTINGS.len(), &[("name", names), ("setting", values)])
}

/// The tables with those columns too.
pub(super) async fn tables(context: &SessionContext) -> Result<Vec<(&'static str, Arc<dyn TableProvider>)>> {
    let mut tables: Vec<(&'static str, Arc<dyn TableProvider>)> = Vec::new();
    for (name, columns) in COLUMNS {
        let given = context.sql(&format!("select * from pg_catalog.{name}")).await?;
        let schema: Arc<Schema> = given.schema().inner().clone();
        let rows = concat_batches(&schema, &given.collect().await?)?;
        tables.push((name, with(&rows, columns)?));
    }
    Ok(tables)
}

fn with(rows: &RecordBatch, more: &[(&str, Kind)]) -> Result<Arc<dyn TableProvider>> {
    let mut fields: Vec<Arc<Field>> = rows.schema_ref().fields().iter().cloned().collect();
    let mut columns = rows.columns().to_vec();
    for (name, kind) in more {
        let of = match kind {
            Kind::Texts => DataType::new_list(DataType::Utf8, true),
            Kind::Text => DataType::Utf8,
            Kind::Number => DataType::Int16,
        };
        columns.retain({
            let place = fields.iter().position(|field| field.name() == name);
            let mut at = 0..;
            move |_| at.next() != place
        });
        fields.retain(|field| field.name() != name);
        columns.push(new_null_array(&of, rows.num_rows()));
        fields.push(Arc::new(Field::new(*name, of, true)));
    }
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), columns)?;
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
}
