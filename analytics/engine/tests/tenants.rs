//! A tenant's session: its own rows, and no trace of any other tenant in rows, counts, plans or errors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use kizashi_engine::{Engine, Scope, Session};
use kizashi_model::tables::Table;
use serde_json::json;
use support::{Lake, csv, result, rows_of, sample, tenant};

/// Stands in every text of the other tenants: wherever it shows up, something leaked.
const SECRET: &str = "xyzzy";

/// Tenant `acme` has 2 results and 2 samples in each of two commits; `other` has 50 more in the same files, `zeta` in others.
async fn shared() -> (Lake, Engine) {
    let lake = Lake::new();
    for half in 0..2 {
        let mut results = Vec::new();
        let mut samples = Vec::new();
        for n in 0..2 {
            results.push(result("acme", "web", half * 2 + n, "OK", "mine 1"));
            samples.push(sample("acme", "web", half * 2 + n, 1.0));
        }
        for n in 0..50 {
            results.push(result("other", &format!("{SECRET}-{n}"), half * 50 + n, "CRITICAL", &format!("{SECRET} 0")));
            samples.push(sample("other", &format!("{SECRET}-{n}"), half * 50 + n, 0.0));
        }
        lake.write(Table::CheckResults, &results).await;
        lake.write(Table::Samples, &samples).await;
    }
    lake.write(Table::CheckResults, &[result("zeta", SECRET, 1, "OK", SECRET)]).await;
    lake.write(
        Table::TicketEvents,
        &[
            json!({"tenant": "other", "check_id": SECRET, "number": 1, "ticket_key": SECRET, "sequence": 1, "at": "2026-01-01T00:00:00Z", "status": "open", "title": SECRET}),
            json!({"tenant": "acme", "check_id": "web", "number": 1, "ticket_key": "mine", "sequence": 1, "at": "2026-01-01T00:00:00Z", "status": "open"}),
        ],
    )
    .await;
    // Of a check with the same name as one of acme's.
    lake.write(
        Table::CheckRetirements,
        &[
            json!({"tenant": "other", "check_id": "web", "at": "2199-01-01T00:00:00Z"}),
            json!({"tenant": "other", "check_id": SECRET, "at": "2199-01-01T00:00:00Z"}),
        ],
    )
    .await;
    lake.write(
        Table::Rejects,
        &[
            json!({"topic": "problems", "reason": SECRET, "received_at": "2026-01-01T00:00:00Z"}),
            json!({"tenant": "acme", "topic": "problems", "reason": "bad", "received_at": "2026-01-01T00:00:00Z"}),
        ],
    )
    .await;
    let engine = lake.engine();
    (lake, engine)
}

async fn whatever_it_answers(session: &Session, sql: &str) -> String {
    match session.query(sql).await {
        Ok(result) => csv(&result),
        Err(error) => format!("{error} {error:?}"),
    }
}

#[tokio::test]
async fn counts_and_aggregates_are_of_ones_own_rows() {
    let (_lake, engine) = shared().await;
    let session = engine.session(tenant("acme"));
    for (sql, expected) in [
        ("select count(*) from check_results", "4"),
        ("select count(1) from samples", "4"),
        ("select count(*) from check_results where day = date '2026-01-01'", "4"),
        ("select count(*) from (select 1 from samples) x", "4"),
        (
            "select min(value), max(value), min(tenant), max(tenant), max(check_id) from samples",
            "1.0,1.0,acme,acme,web",
        ),
        ("select count(distinct tenant) from check_results", "1"),
        ("select approx_distinct(check_id) from check_results", "1"),
        ("select sum(case when tenant <> 'acme' then 1 else 0 end) from samples", "0"),
        ("select count(*) from samples a cross join samples b", "16"),
        ("select count(*) from check_results where tenant = 'other'", "0"),
        ("select count(*) from check_results where tenant = 'other' or true", "4"),
        ("select count(*) from check_results where not (tenant = 'acme')", "0"),
        ("select count(*) from rejects", "1"),
        ("select count(*) from check_retirements", "0"),
        ("select count(*) from tickets", "1"),
        ("select count(*) from current_state", "1"),
        ("select count(*) from kizashi.public.samples", "4"),
        ("select count(*) from samples where value < 0.5", "0"),
        ("select tenant from samples limit 1", "acme"),
        ("select tenant from samples order by value limit 1", "acme"),
        (
            "with recursive r as (select 1 as n union all select n + 1 from r where n < (select count(*) from samples)) select max(n) from r",
            "4",
        ),
    ] {
        assert_eq!(rows_of(&session, sql).await, expected, "{sql}");
    }
    let all = engine.session(Scope::All);
    assert_eq!(rows_of(&all, "select count(*) from check_results").await, "105");
    assert_eq!(rows_of(&all, "select count(*) from rejects").await, "2");
    assert_eq!(rows_of(&engine.session(tenant("nobody")), "select count(*) from check_results").await, "0");
}

#[tokio::test]
async fn no_statement_names_another_tenant_or_its_rows() {
    let (lake, engine) = shared().await;
    let session = engine.session(tenant("acme"));
    for sql in [
        "select * from check_results",
        "select * from samples",
        "select * from ticket_events",
        "select * from rejects",
        "select * from check_retirements",
        "select * from current_state",
        "select * from open_tickets",
        "select * from availability_per_day",
        "select * from latest_samples",
        "select * from rejects_per_reason",
        "select array_agg(distinct tenant) from check_results",
        "select string_agg(output, ',') from check_results",
        "select a.*, b.* from check_results a full join ticket_events b on a.check_id <> b.check_id",
        "select tenant, first_value(output) over (order by slot desc) from check_results",
        "select lag(tenant) over (order by slot), lead(check_id) over (order by slot) from samples",
        "select * from check_results r where exists (select 1 from check_results s where s.tenant <> r.tenant)",
        "select (select max(output) from check_results) from generate_series(1, 3)",
        "with t as (select * from check_results) select * from t union all select * from t",
        "select tenant, count(*) from check_results group by rollup(tenant)",
        "explain select * from check_results where tenant = 'acme'",
        "explain verbose select count(*) from check_results",
        "explain analyze select * from check_results where value > 0",
        "explain analyze select output from check_results",
        "explain analyze verbose select count(*) from samples where value < 0.5",
        "explain format tree select * from samples",
        "explain format pgjson select * from samples",
        "select * from information_schema.tables",
        "select * from information_schema.columns",
        "select * from information_schema.schemata",
        "select * from columns",
        "show tables",
        "show columns from check_results",
        "describe check_results",
        "select cast(output as bigint) from check_results",
        "select 1 / cast(value as bigint) from samples where 1 / cast(value as bigint) >= 1",
        "select * from samples where cast(check_id as int) = 1",
        "select * from check_results where cast(substr(output, 1, 5) as int) > 0",
        "select to_timestamp(output) from check_results",
        "select arrow_cast(output, 'Int64') from check_results",
        "select * from samples where tenant = (select tenant from ticket_events where tenant <> 'acme')",
        "select * from check_results where output like 'xy%' or output ~ 'z+y'",
        "select * from information_schema.df_settings",
        "select * from other.public.check_results",
    ] {
        let answer = whatever_it_answers(&session, sql).await;
        for leak in [SECRET, "other\"", ",other", "zeta", &*lake.root().to_string_lossy(), ".parquet"] {
            let asked = sql.contains(leak.trim_matches([',', '"']));
            assert!(asked || !answer.contains(leak), "{sql} tells of {leak:?}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_plan_tells_no_figures_of_what_was_read_for_others() {
    let (_lake, engine) = shared().await;
    let session = engine.session(tenant("acme"));
    let sql = "explain analyze verbose select count(*) from check_results";
    let plan = whatever_it_answers(&session, sql).await;
    for figure in ["52", "51", "104", "105", "100", "file_groups", "row_groups", "bytes_scanned"] {
        let told = plan.lines().filter(|line| line.contains("TableScan")).any(|line| line.contains(figure));
        assert!(!told, "{figure}: {plan}");
    }
    assert!(plan.contains("TableScan: check_results"), "{plan}");
}

#[tokio::test]
async fn a_condition_that_fails_on_the_rows_of_others_does_not_fail_here() {
    let (_lake, engine) = shared().await;
    let session = engine.session(tenant("acme"));
    assert_eq!(rows_of(&session, "select count(*) from samples where 1 / cast(value as bigint) = 1").await, "4");
    assert_eq!(
        rows_of(&session, "select count(*) from check_results where cast(substr(output, 6) as int) = 1").await,
        "4"
    );
    let all = engine.session(Scope::All);
    assert!(all.query("select count(*) from samples where 1 / cast(value as bigint) = 1").await.is_err());
}

/// Random statements, built from parts, over a deterministic sequence.
#[tokio::test]
async fn statements_of_random_shape_stay_within_the_tenant() {
    let (_lake, engine) = shared().await;
    let session = engine.session(tenant("acme"));
    let mut state = 20_260_101_u64;
    let mut pick = |choices: &[&str]| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        choices[(state >> 33) as usize % choices.len()].to_owned()
    };
    let mut answered = 0;
    for _ in 0..150 {
        let relation = |pick: &mut dyn FnMut(&[&str]) -> String| {
            let table = pick(&[
                "check_results",
                "samples",
                "current_state",
                "latest_samples",
                "(select * from check_results)",
                "(select tenant, check_id, slot from samples union all select tenant, check_id, slot from check_results)",
            ]);
            pick(&[
                "{}",
                "(select * from {} q)",
                "(select distinct tenant, check_id, slot from {} q)",
                "(select * from {} q order by slot desc limit 7)",
                "(select *, count(*) over () as seen from {} q)",
            ])
            .replace("{}", &table)
        };
        let (left, right) = (relation(&mut pick), relation(&mut pick));
        let join = pick(&[
            "cross join R",
            "left join R on l.tenant <> r.tenant",
            "full join R on l.slot = r.slot",
            "right join R on l.check_id = r.check_id",
            "semi",
            "",
        ]);
        let from = match join.as_str() {
            "semi" => format!("{left} l where l.tenant in (select tenant from {right} r)"),
            "" => format!("{left} l"),
            join => format!("{left} l {}", join.replace('R', &format!("{right} r"))),
        };
        let what = pick(&[
            "l.*",
            "l.tenant, l.check_id",
            "count(*)",
            "max(l.tenant), min(l.check_id)",
            "l.tenant, row_number() over (order by l.slot)",
            "array_agg(l.tenant)",
        ]);
        let end = pick(&["", " limit 50", " order by 1", " order by 1 desc limit 3"]);
        let sql = pick(&[
            "S",
            "with t as (S) select * from t",
            "explain S",
            "select count(*) from (S) x",
            "select * from (S) a union all select * from (S) b",
        ])
        .replace('S', &format!("select {what} from {from}{}", if join.is_empty() { "" } else { &end }));
        let answer = whatever_it_answers(&session, &sql).await;
        answered += usize::from(!answer.contains("User {"));
        assert!(!answer.contains(SECRET) && !answer.contains("other") && !answer.contains("zeta"), "{sql}: {answer}");
    }
    assert!(answered > 75, "only {answered} of the statements were answered");
}
