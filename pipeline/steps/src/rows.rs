//! Rows that depend on one record each: what a step gives, row by row taken or refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, RecordBatch, UInt32Array};
use arrow::compute::{cast, concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Date32Type, TimestampMicrosecondType, UInt32Type};
use datafusion::execution::session_state::SessionState;
use futures::future::{BoxFuture, FutureExt};
use kizashi_lake::steps::{Outcome, Refused, Taken};
use kizashi_model::tables::{PARTITION_COLUMN, Table};
use kizashi_model::tail::Origin;
use kizashi_model::{TenantId, Timestamp};

use crate::carry::ORIGIN;
use crate::plan::{REJECT, Step, inside, with_origin};
use crate::run::{Given, ROWS_PER_ROW_MAX, as_schema, run};

/// Bytes of refused rows that are kept of a record.
const REFUSED_BYTES_MAX: usize = 64 * 1024;
const REASON_CHARS_MAX: usize = 500;

/// What `step` makes of `taken`. Where it fails, the records are tried in halves, until those are found that make it fail.
pub(crate) fn derive<'a>(state: &'a SessionState, step: &'a Step, taken: &'a Taken) -> BoxFuture<'a, Outcome> {
    async move {
        match try_derive(state, step, taken).await {
            Ok(outcome) => outcome,
            Err(why) => match halves(taken) {
                None => Outcome { rows: Vec::new(), refused: refused_whole(step, taken, &why) },
                Some((first, second)) => {
                    let mut outcome = derive(state, step, &first).await;
                    let rest = derive(state, step, &second).await;
                    outcome.rows.extend(rest.rows);
                    outcome.refused.extend(rest.refused);
                    outcome
                }
            },
        }
    }
    .boxed()
}

/// The rows of the first half of the records, and those of the second; none of a single record.
pub(crate) fn halves(taken: &Taken) -> Option<(Taken, Taken)> {
    if taken.origins.len() < 2 {
        return None;
    }
    let (first, second) = taken.origins.split_at(taken.origins.len() / 2);
    let cut = first.last()?.end;
    let part = |from: usize, to: usize, origins: &[Origin], by: u32| Taken {
        table: taken.table,
        rows: taken.rows.slice(from, to - from),
        origins: origins.iter().map(|origin| Origin { end: origin.end - by, ..*origin }).collect(),
    };
    let cut_row = cut as usize;
    Some((part(0, cut_row, first, 0), part(cut_row, taken.rows.num_rows(), second, cut)))
}

/// Every record of `taken`, with the reason.
pub(crate) fn refused_whole(step: &Step, taken: &Taken, why: &str) -> Vec<Refused> {
    let mut first = 0;
    let one = |origin: &Origin| {
        let rows = taken.rows.slice(first as usize, (origin.end - first) as usize);
        first = origin.end;
        refuse(step, origin, &rows, why)
    };
    taken.origins.iter().map(one).collect()
}

fn refuse(step: &Step, origin: &Origin, rows: &RecordBatch, why: &str) -> Refused {
    let why: String = why.chars().take(REASON_CHARS_MAX).collect();
    let tenant = rows.column_by_name("tenant").and_then(|column| cast(column, &DataType::Utf8).ok());
    let tenant = tenant.and_then(|column| {
        let texts = column.as_string_opt::<i32>()?;
        texts.iter().flatten().find(|tenant| TenantId::is_valid(tenant)).map(str::to_owned)
    });
    let mut text = shown(rows);
    text.truncate(text.floor_char_boundary(REFUSED_BYTES_MAX));
    Refused {
        at: origin.at,
        offset: origin.offset,
        tenant,
        reason: format!("step {}: {why}", step.source.name),
        rows: text,
    }
}

/// One JSON object a line.
fn shown(rows: &RecordBatch) -> String {
    let plain = kizashi_engine::rows::objects(std::slice::from_ref(rows)).unwrap_or_default();
    let lines: Vec<String> = plain.into_iter().map(|row| serde_json::Value::Object(row).to_string()).collect();
    lines.join("\n")
}

async fn try_derive(state: &SessionState, step: &Step, taken: &Taken) -> Result<Outcome, String> {
    let schema = inside(&taken.table.schema());
    let plain = as_schema(&taken.rows, &schema)?;
    let (mut places, mut days) = (Vec::with_capacity(plain.num_rows()), Vec::with_capacity(taken.origins.len()));
    let own_days = plain.column_by_name(PARTITION_COLUMN).and_then(|days| days.as_primitive_opt::<Date32Type>());
    let own_days = own_days.ok_or("rows without a day")?;
    for (place, origin) in (0_u32..).zip(&taken.origins) {
        days.push(own_days.value(places.len()));
        places.resize(origin.end as usize, place);
    }
    let mut columns = plain.columns().to_vec();
    columns.push(Arc::new(UInt32Array::from(places)));
    let rows = RecordBatch::try_new(with_origin(&schema), columns).map_err(|error| error.to_string())?;
    let others = step.inputs.iter().filter(|input| **input != taken.table).map(|input| Given {
        table: *input,
        rows: vec![RecordBatch::new_empty(with_origin(&inside(&input.schema())))],
    });
    let given: Vec<Given> = [Given { table: taken.table, rows: vec![rows] }].into_iter().chain(others).collect();
    let rows_max = taken.rows.num_rows().saturating_mul(ROWS_PER_ROW_MAX);
    let batches = run(state, &step.plan, &given, rows_max).await?;
    let Some(first) = batches.first() else { return Ok(Outcome::default()) };
    let all = concat_batches(&first.schema(), &batches).map_err(|error| error.to_string())?;
    judge(step, taken, &days, &in_order(&all)?)
}

/// The rows in the order of their records: a join may have changed it.
fn in_order(rows: &RecordBatch) -> Result<RecordBatch, String> {
    let origins = origins(rows)?;
    if origins.values().is_sorted() {
        return Ok(rows.clone());
    }
    let mut order: Vec<u32> = (0..).take(rows.num_rows()).collect();
    order.sort_by_key(|row| origins.value(*row as usize));
    take_record_batch(rows, &UInt32Array::from(order)).map_err(|error| error.to_string())
}

fn origins(rows: &RecordBatch) -> Result<&UInt32Array, String> {
    let column = rows.column_by_name(ORIGIN).and_then(|column| column.as_primitive_opt::<UInt32Type>());
    column.ok_or_else(|| "rows without an origin".to_owned())
}

/// Takes the rows of which nothing is wrong. `days`: of each record.
fn judge(step: &Step, taken: &Taken, days: &[i32], rows: &RecordBatch) -> Result<Outcome, String> {
    let text = |name: &str| rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    let (tenants, reasons) = (text("tenant").ok_or("no tenant")?, text(REJECT).ok_or("no reason")?);
    let time = &step.derived.definition().time;
    let times = rows.column_by_name(time).and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
    let (times, places) = (times.ok_or("no time")?, origins(rows)?);
    let (mut outcome, many) = (Outcome::default(), too_many(taken, places));
    if !many.is_empty() {
        let why = format!("it makes more than {ROWS_PER_ROW_MAX} rows of one");
        let whole = refused_whole(step, taken, &why).into_iter().enumerate();
        outcome.refused.extend(whole.filter(|(place, _)| many.contains(place)).map(|(_, refused)| refused));
    }
    let (mut good, mut good_days, mut from): (Vec<u32>, Vec<i32>, Vec<Origin>) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..rows.num_rows() {
        let place = places.value(row) as usize;
        let origin = taken.origins.get(place).ok_or("an origin that is not there")?;
        if many.contains(&place) {
            continue;
        }
        let fault = if reasons.is_valid(row) {
            Some(reasons.value(row).to_owned())
        } else if !(tenants.is_valid(row) && TenantId::is_valid(tenants.value(row))) {
            Some("the row has no tenant".to_owned())
        } else {
            fault_of_time(time, times.is_valid(row).then(|| times.value(row)), days[place])
        };
        if let Some(why) = fault {
            outcome.refused.push(refuse(step, origin, &without_origin(&rows.slice(row, 1))?, &why));
            continue;
        }
        good.push(u32::try_from(row).map_err(|error| error.to_string())?);
        good_days.push(days[place]);
        let end = u32::try_from(good.len()).map_err(|error| error.to_string())?;
        match from.last_mut() {
            Some(last) if (last.at, last.offset) == (origin.at, origin.offset) => last.end = end,
            _ => from.push(Origin { end, ..*origin }),
        }
    }
    if !good.is_empty() {
        let rows = take_record_batch(rows, &UInt32Array::from(good)).map_err(|error| error.to_string())?;
        let schema = step.derived.schema();
        let mut columns: Vec<ArrayRef> = rows.columns()[..schema.fields().len() - 1].to_vec();
        columns.push(Arc::new(Date32Array::from(good_days)));
        let rows = RecordBatch::try_new(schema, columns).map_err(|error| error.to_string())?;
        outcome.rows.push(Taken { table: Table::Derived(step.derived), rows, origins: from });
    }
    Ok(outcome)
}

/// The records of which too many rows were made, whatever is in the batch beside them.
fn too_many(taken: &Taken, places: &UInt32Array) -> BTreeSet<usize> {
    let mut made = vec![0_usize; taken.origins.len()];
    for place in places.values() {
        if let Some(count) = made.get_mut(*place as usize) {
            *count += 1;
        }
    }
    let mut first = 0;
    let mut many = BTreeSet::new();
    for (place, (origin, made)) in taken.origins.iter().zip(&made).enumerate() {
        if *made > (origin.end - first) as usize * ROWS_PER_ROW_MAX {
            many.insert(place);
        }
        first = origin.end;
    }
    many
}

/// A row stays on the day of what it is made of: so a day of history can be derived again by itself.
pub(crate) fn fault_of_time(name: &str, micros: Option<i64>, day: i32) -> Option<String> {
    let Some(micros) = micros else { return Some(format!("the row has no {name}")) };
    let own = Timestamp(micros.div_euclid(1_000)).day();
    (own != day).then(|| format!("the row's {name} is on another UTC day than what it is made of"))
}

fn without_origin(rows: &RecordBatch) -> Result<RecordBatch, String> {
    let wanted: Vec<usize> = (0..rows.num_columns()).filter(|at| rows.schema().field(*at).name() != ORIGIN).collect();
    rows.project(&wanted).map_err(|error| error.to_string())
}
