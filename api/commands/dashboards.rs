//! Judges the dashboards: their files, and their statements over empty tables.

use anyhow::{Result, bail};
use kizashi_dashboards::{Dashboard, Fault, Source, judge};
use kizashi_engine::{Causal, Engine, EngineConfig, Parameters, ScalarValue, Scope, Session, rows, timestamp};
use kizashi_model::derived::Derived;
use kizashi_model::tables::Table;

use crate::config::Loaded;

/// How many there are.
///
/// # Errors
/// Everything that is wrong with them, with file, line and key.
pub async fn check(loaded: &Loaded, derived: &[Derived]) -> Result<usize> {
    let mut engine = Engine::builder("/", EngineConfig::default()).derived(derived);
    for table in Table::ALL.into_iter().chain(derived.iter().copied().map(Table::Derived)) {
        engine = engine.rows(table, vec![rows::batch(table, &[]).map_err(anyhow::Error::msg)?]);
    }
    let session = crate::up::open(engine, loaded.views().as_deref())?.session(Scope::All);
    let all = loaded.dashboards().list()?;
    let mut wrong = Vec::new();
    for found in &all {
        let faults = match &found.parsed {
            Ok(dashboard) => statements(&session, Source(&found.text), dashboard).await,
            Err(faults) => faults.clone(),
        };
        wrong.extend(faults.iter().map(|fault| format!("{}:{fault}", found.file)));
    }
    if !wrong.is_empty() {
        bail!("dashboards:\n  {}", wrong.join("\n").replace('\n', "\n  "));
    }
    Ok(all.len())
}

async fn statements(session: &Session, source: Source<'_>, dashboard: &Dashboard) -> Vec<Fault> {
    let now = timestamp(crate::clock::system().now());
    let mut faults = Vec::new();
    for statement in dashboard.statements() {
        let mut parameters = Parameters::from([
            ("from".to_owned(), now.clone()),
            ("to".to_owned(), now.clone()),
            ("step".to_owned(), ScalarValue::Utf8(Some("60 seconds".to_owned()))),
        ]);
        let texts = statement.known.iter().map(|name| ((*name).to_owned(), ScalarValue::Utf8(Some(String::new()))));
        parameters.extend(texts);
        match session.query_with(statement.sql, &parameters, Causal::No).await {
            Ok(result) => {
                let wrong = judge(statement.kind, &result.schema).err();
                faults.extend(wrong.map(|message| source.fault(&statement.key, 0, message)));
            }
            Err(error) => {
                let line = error.position().map_or(0, |at| usize::try_from(at.line).unwrap_or(0));
                faults.push(source.fault(&statement.key, line, error.to_string()));
            }
        }
    }
    faults
}
