//! Whether the columns of a statement are what its panel draws.

use arrow::datatypes::{DataType, Schema};

use crate::PanelKind;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Time,
    Number,
    Text,
    Other,
}

impl Sort {
    fn of(of: &DataType) -> Self {
        match of {
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Self::Time,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Dictionary(_, value) => Self::of(value),
            of if of.is_numeric() => Self::Number,
            _ => Self::Other,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Number => "number",
            Self::Text => "text",
            Self::Other => "other",
        }
    }
}

/// Whether a panel of this kind can draw these columns; `None` is a variable, which needs a column.
///
/// # Errors
/// What is missing, and what there is.
pub fn judge(kind: Option<PanelKind>, columns: &Schema) -> Result<(), String> {
    let sorts: Vec<(&str, Sort)> =
        columns.fields().iter().map(|field| (field.name().as_str(), Sort::of(field.data_type()))).collect();
    let has = |wanted: Sort| sorts.iter().any(|(_, sort)| *sort == wanted);
    let (time, number) = ((has(Sort::Time), "a column of times"), (has(Sort::Number), "a column of numbers"));
    let needs = match kind {
        Some(PanelKind::TimeSeries) => vec![time, number],
        Some(PanelKind::HeatMap) => {
            let numbers = sorts.iter().filter(|(_, sort)| *sort == Sort::Number).count();
            vec![time, number, (has(Sort::Text) || numbers > 1, "a column that names its rows")]
        }
        Some(PanelKind::StateTimeline) => {
            vec![time, (sorts.contains(&("state", Sort::Text)), "a text column called state")]
        }
        _ => vec![(!sorts.is_empty(), "a column")],
    };
    let missing: Vec<&str> = needs.into_iter().filter(|(there, _)| !there).map(|(_, what)| what).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let there: Vec<String> = sorts.iter().map(|(name, sort)| format!("{name} ({})", sort.name())).collect();
    let what = kind.map_or("variable", PanelKind::name);
    Err(format!("a {what} needs {}; the columns are {}", missing.join(" and "), there.join(", ")))
}
