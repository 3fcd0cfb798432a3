//! Which columns tell a table's rows apart, as `pg_index` and `pg_constraint` tell it and as JDBC asks for it.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int16Builder, Int32Array, Int64Array, ListBuilder, StringArray, new_null_array,
};
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::error::Result;
use kizashi_model::tables::Table;

use super::{Oids, shape_of, table};
use crate::catalog::SCHEMA;

/// Above the oids that the tables have.
const FIRST_INDEX_OID: i32 = 1_000_000;

pub(super) async fn tables(
    oids: &Oids,
    given: &dyn SchemaProvider,
) -> Result<[(&'static str, Arc<dyn TableProvider>); 2]> {
    let keyed: Vec<(Table, i32)> =
        Table::ALL.into_iter().filter_map(|table| Some((table, oids.of(table.name())?))).collect();
    let rows = keyed.len();
    let numbers = |from: i32| -> ArrayRef { Arc::new(Int32Array::from_iter_values((from..).take(rows))) };
    let flags = |value: bool| -> ArrayRef { Arc::new(BooleanArray::from(vec![value; rows])) };
    let texts = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; rows])) };
    let relations: ArrayRef = Arc::new(Int32Array::from_iter_values(keyed.iter().map(|(_, oid)| *oid)));
    let names: ArrayRef =
        Arc::new(StringArray::from_iter_values(keyed.iter().map(|(table, _)| format!("{}_pkey", table.name()))));
    let spaces: ArrayRef = Arc::new(Int32Array::from(vec![oids.namespace; rows]));
    let counts: ArrayRef = Arc::new(Int64Array::from_iter_values(keyed.iter().map(|(t, _)| t.key().len() as i64)));
    let mut columns = ListBuilder::new(Int16Builder::new());
    for (table, _) in &keyed {
        columns.append_value(places(*table).map(Some));
    }
    let columns: ArrayRef = Arc::new(columns.finish());
    let none = new_null_array(columns.data_type(), rows);
    let index = table(
        &shape_of(given, "pg_index").await?,
        rows,
        &[
            ("indexrelid", numbers(FIRST_INDEX_OID)),
            ("indrelid", relations.clone()),
            ("indnatts", counts.clone()),
            ("indnkeyatts", counts),
            ("indisunique", flags(true)),
            ("indisprimary", flags(true)),
            ("indisvalid", flags(true)),
            ("indisready", flags(true)),
            ("indislive", flags(true)),
            ("indkey", columns.clone()),
            ("indclass", none.clone()),
            ("indcollation", none.clone()),
            ("indoption", none.clone()),
        ],
    )?;
    let constraint = table(
        &shape_of(given, "pg_constraint").await?,
        rows,
        &[
            ("oid", numbers(2 * FIRST_INDEX_OID)),
            ("conname", names),
            ("connamespace", spaces),
            ("contype", texts("p")),
            ("condeferrable", flags(false)),
            ("condeferred", flags(false)),
            ("convalidated", flags(true)),
            ("conrelid", relations),
            ("conindid", numbers(FIRST_INDEX_OID)),
            ("conkey", columns),
            ("confkey", none),
        ],
    )?;
    Ok([("pg_index", index), ("pg_constraint", constraint)])
}

/// The key's columns by their numbers in the table, from 1.
fn places(table: Table) -> impl Iterator<Item = i16> {
    let schema = table.schema();
    table.key().iter().filter_map(move |name| i16::try_from(schema.index_of(name).ok()? + 1).ok())
}

/// The answers to JDBC's questions for primary keys and for indexes, which it asks with functions that yield rows of records.
pub(super) fn asked(sql: &str) -> Option<String> {
    if !sql.contains("_pg_expandarray") {
        return None;
    }
    let named = |column: &str| {
        let (_, rest) = sql.split_once(&format!("{column} = '"))?;
        rest.split_once('\'').map(|(name, _)| name)
    };
    let (table, schema) = (named("ct.relname"), named("n.nspname"));
    let here = schema.is_none_or(|schema| schema == SCHEMA);
    let wanted = |one: &Table| here && table.is_none_or(|table| table == one.name());
    let row = |table: Table, (place, column): (usize, &str)| {
        let name = table.name();
        format!("('{name}', '{column}', arrow_cast({place}, 'Int16'), '{name}_pkey')")
    };
    let rows: Vec<String> = Table::ALL
        .into_iter()
        .filter(wanted)
        .flat_map(|table| (1..).zip(table.key().iter().copied()).map(move |key| row(table, key)))
        .collect();
    // VALUES has one row at least.
    let (rows, none) = match rows.is_empty() {
        true => (row(Table::Samples, (1, "")), " where false"),
        false => (rows.join(", "), ""),
    };
    let whose =
        format!("arrow_cast(null, 'Utf8') as \"TABLE_CAT\", '{SCHEMA}' as \"TABLE_SCHEM\", t as \"TABLE_NAME\"");
    let columns = if sql.contains("NON_UNIQUE") {
        "false as \"NON_UNIQUE\", arrow_cast(null, 'Utf8') as \"INDEX_QUALIFIER\", p as \"INDEX_NAME\", \
         arrow_cast(3, 'Int16') as \"TYPE\", k as \"ORDINAL_POSITION\", c as \"COLUMN_NAME\", 'A' as \"ASC_OR_DESC\", \
         arrow_cast(null, 'Int64') as \"CARDINALITY\", arrow_cast(null, 'Int64') as \"PAGES\", \
         arrow_cast(null, 'Utf8') as \"FILTER_CONDITION\""
    } else {
        "c as \"COLUMN_NAME\", k as \"KEY_SEQ\", p as \"PK_NAME\""
    };
    Some(format!("select {whose}, {columns} from (values {rows}) as keys(t, c, k, p){none} order by t, p, k"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_names_columns_of_its_table() {
        for table in Table::ALL {
            assert_eq!(places(table).count(), table.key().len(), "{}", table.name());
        }
    }
}
