//! Parameters as clients bind them: of the type that they name, or else of the type that the statement gives them.

use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow_pg::datatypes::df::deserialize_parameters;
use arrow_pg::datatypes::into_pg_type;
use kizashi_engine::{Parameters, ScalarValue};
use pgwire::api::Type;
use pgwire::api::portal::{Format, Portal};
use pgwire::api::stmt::StoredStatement;
use pgwire::error::{PgWireError, PgWireResult};

use crate::error;

/// Whether what the statement itself says is needed to understand them.
pub fn needs_description<S>(portal: &Portal<S>) -> bool {
    (0..portal.parameters.len()).any(|place| declared(portal, place).is_none())
}

fn declared<S>(portal: &Portal<S>, place: usize) -> Option<&Type> {
    portal.statement.parameter_types.get(place)?.as_ref().filter(|of| **of != Type::UNKNOWN)
}

/// Values by their number. `described` are the types that the statement gives, where they were needed.
pub fn parameters<S: Clone + Default>(portal: &Portal<S>, described: &[DataType]) -> PgWireResult<Parameters> {
    let count = portal.parameters.len();
    if let Format::Individual(formats) = &portal.parameter_format
        && formats.len() != count
    {
        return Err(error::error("08P01", format!("{} formats were given for {count} parameters", formats.len())));
    }
    let given = |place: usize| described.get(place).filter(|of| **of != DataType::Null);
    let of = |place: usize| match (declared(portal, place), given(place)) {
        (Some(declared), _) => Ok(Some(declared.clone())),
        (None, Some(given)) if portal.parameter_format.is_binary(place) => Ok(Some(into_pg_type(given)?)),
        _ => Ok(Some(Type::TEXT)),
    };
    let types = (0..count).map(of).collect::<PgWireResult<Vec<_>>>()?;
    let mut typed = Portal::<S>::default();
    let statement = portal.statement.statement.clone();
    typed.statement = Arc::new(StoredStatement::new(portal.statement.id.clone(), statement, types));
    typed.parameter_format = portal.parameter_format.clone();
    typed.parameters = portal.parameters.clone();
    let values = deserialize_parameters(&typed, &[]).map_err(unreadable)?;
    let datafusion_values = match values {
        kizashi_engine::ParamValues::List(values) => values,
        kizashi_engine::ParamValues::Map(_) => Vec::new(),
    };
    let value = |(place, value): (usize, ScalarValue)| {
        let text = declared(portal, place).is_none() && !portal.parameter_format.is_binary(place);
        let value = match given(place).filter(|_| text) {
            Some(wanted) if *wanted != value.data_type() => {
                value.cast_to(wanted).map_err(|why| error::error("22P02", format!("${}: {why}", place + 1)))?
            }
            _ => value,
        };
        Ok(((place + 1).to_string(), value))
    };
    datafusion_values.into_iter().map(|value| value.value().clone()).enumerate().map(value).collect()
}

fn unreadable(why: PgWireError) -> PgWireError {
    match why {
        known @ PgWireError::UserError(_) => known,
        other => error::error("22P02", other.to_string()),
    }
}
