//! The last values behind a finding or prediction.

use kizashi_engine::{QueryError, ScalarValue};
use kizashi_model::{TenantId, Timestamp};

use crate::decision::Decision;
use crate::registry::Query;
use crate::store::{Store, number_at, time_at};

const SQL: &str = "SELECT slot, value FROM samples WHERE check_id = $check AND metric = $metric \
                   AND slot > $from AND slot <= $to ORDER BY slot DESC LIMIT 20";

/// At most twenty (slot, value), newest last.
pub(crate) async fn values(
    store: &Store,
    tenant: &TenantId,
    query: &Query,
    decision: &Decision,
) -> Result<Vec<(Timestamp, f64)>, QueryError> {
    let to = decision.slot_ms;
    let from = to.minus(query.header.lookback.duration());
    let names = [("check", decision.check_id.as_str()), ("metric", decision.metric.as_str())]
        .map(|(name, text)| (name, ScalarValue::Utf8(Some(text.to_owned()))));
    let answer = store.ask(tenant, SQL, (from, to), &names).await?;
    let mut values = Vec::new();
    for batch in &answer.batches {
        for row in 0..batch.num_rows() {
            values.extend(time_at(batch, "slot", row).zip(number_at(batch, "value", row)));
        }
    }
    values.reverse();
    Ok(values)
}
