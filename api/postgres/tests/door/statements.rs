//! What statements answer: values as themselves, errors with their codes and places.

use chrono::{DateTime, Utc};
use kizashi_engine::EngineConfig;
use kizashi_model::Span;
use kizashi_postgres::PostgresConfig;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::types::Type;

use crate::support::{NOW, Running, code};

fn texts(door: &Running, client: &tokio_postgres::Client, sql: &str) -> Vec<String> {
    let messages = door.block_on(client.simple_query(sql)).unwrap();
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|n| row.get(n).unwrap_or("NULL")).collect::<Vec<_>>().join("|"))
        }
        _ => None,
    };
    messages.into_iter().filter_map(row).collect()
}

#[test]
fn values_arrive_as_themselves_in_text_and_in_binary() {
    let door = Running::start();
    let client = door.admin();
    let sql = "select value, slot, tenant, recorded, day, arrow_cast('12.50', 'Decimal128(10,2)') as cost, \
               interval '1 day 2 hours' as pause, make_array(1, 2) as numbers, cast(null as bigint) as nothing \
               from samples where tenant = 'acme' order by slot desc limit 1";
    let row = door.block_on(client.query_one(sql, &[])).unwrap();
    let types: Vec<Type> = row.columns().iter().map(|column| column.type_().clone()).collect();
    let expected = [
        Type::FLOAT8,
        Type::TIMESTAMPTZ,
        Type::TEXT,
        Type::BOOL,
        Type::DATE,
        Type::NUMERIC,
        Type::INTERVAL,
        Type::INT8_ARRAY,
        Type::INT8,
    ];
    assert_eq!(types, expected);
    let slot: DateTime<Utc> = row.get("slot");
    assert_eq!((row.get::<_, f64>("value"), slot.timestamp_millis()), (40.5, NOW.0));
    assert_eq!((row.get::<_, Vec<i64>>("numbers"), row.get::<_, Option<i64>>("nothing")), (vec![1, 2], None));
    let text = texts(&door, &client, sql);
    assert_eq!(text, ["40.5|2026-11-22 09:30:00.000000+00|acme|f|2026-11-22|12.50|1 day 02:00:00|{1,2}|NULL"]);
}

/// What a LIMIT follows is the worker's.
#[test]
fn literals_are_answered_as_the_worker_answers_them() {
    let door = Running::start();
    let client = door.admin();
    let statements = [
        "select 1",
        "SELECT -7, 0, 9223372036854775807",
        "select 1.5, -0.25, 100.0, 007",
        "select 'it''s', '', '日本'",
        "select null, true, false",
        "select 1 as uno, 'x' as \"X y\", null nothing",
    ];
    for sql in statements {
        let columns = |sql: &str| {
            let prepared = door.block_on(client.prepare(sql)).unwrap();
            prepared.columns().iter().map(|c| (c.name().to_owned(), c.type_().clone())).collect::<Vec<_>>()
        };
        let limited = format!("{sql} limit 1");
        assert_eq!(columns(sql), columns(&limited), "{sql}");
        assert_eq!(texts(&door, &client, sql), texts(&door, &client, &limited), "{sql}");
    }
    let row = door.block_on(client.query_one("select 1, 'x', 0.5, null", &[])).unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, &str>(1), row.get::<_, f64>(2)), (1, "x", 0.5));
}

#[test]
fn parameters_are_bound_by_the_types_that_the_statement_gives() {
    let door = Running::start();
    let client = door.admin();
    let sql = "select count(*) from samples where tenant = $1 and value > $2 and slot >= $3 and recorded = $4";
    let since = DateTime::<Utc>::from_timestamp_millis(NOW.0 - 10 * 60_000).unwrap();
    let count = |tenant: &str| {
        let row = door.block_on(client.query_one(sql, &[&tenant, &42.0_f64, &since, &false])).unwrap();
        row.get::<_, i64>(0)
    };
    // Minutes 0 to 10, of which those from 2 on are above 42.
    assert_eq!((count("acme"), count("initech")), (9, 0));
    let quoted = door.block_on(client.query_one("select $1::text || '!'", &[&"it's; drop table x --"])).unwrap();
    assert_eq!(quoted.get::<_, &str>(0), "it's; drop table x --!");
    let any = "select count(*) from samples where tenant = any($1)";
    let typed = door.block_on(client.prepare_typed(any, &[Type::TEXT_ARRAY])).unwrap();
    let row = door.block_on(client.query_one(&typed, &[&vec!["acme", "globex"]])).unwrap();
    assert_eq!(row.get::<_, i64>(0), 100);
}

#[test]
fn every_mistake_has_its_code_its_place_and_a_hint() {
    let door = Running::start();
    let client = door.admin();
    let of = |sql: &str| code(door.block_on(client.simple_query(sql)));
    for (sql, expected) in [
        ("selec 1", "42601"),
        ("select 1 +", "42601"),
        ("select nothing from samples", "42703"),
        ("select * from nowhere", "42P01"),
        ("select nothing_such(1)", "42883"),
        ("insert into samples select * from samples", "25006"),
        ("copy samples from stdin", "25006"),
        ("select 1/0", "22012"),
        ("select cast('x' as bigint)", "22P02"),
        ("select tenant, value from samples group by tenant", "42803"),
        ("set no_such_thing = 1", "42704"),
        ("fetch 1 from nothing", "34000"),
        ("listen x", "0A000"),
        ("execute x", "0A000"),
    ] {
        assert_eq!(of(sql), expected, "{sql}");
    }
    let error = door.block_on(client.simple_query("select 1;\n select nothing from samples")).unwrap_err();
    let told = error.as_db_error().unwrap();
    assert!(told.hint().is_some_and(|hint| hint.contains("columns")), "{told:?}");
    assert_eq!(told.position(), Some(&tokio_postgres::error::ErrorPosition::Original(19)), "{told:?}");
    assert_eq!(texts(&door, &client, "select 1"), ["1"], "the connection goes on");
}

#[test]
fn a_result_larger_than_its_bound_is_an_error_and_not_cut_off() {
    let door = Running::with(PostgresConfig { rows_max: 10, ..PostgresConfig::default() }, EngineConfig::for_testing());
    let client = door.admin();
    assert_eq!(code(door.block_on(client.simple_query("select * from samples"))), "54000");
    assert_eq!(texts(&door, &client, "select tenant from samples limit 10").len(), 10);
}

#[test]
fn a_statement_ends_when_it_is_cancelled_or_its_time_is_over() {
    let engine = EngineConfig { timeout: Span::from_secs(60), ..EngineConfig::for_testing() };
    let door = Running::with(PostgresConfig::default(), engine);
    let client = door.admin();
    let long = "select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b";
    door.block_on(client.simple_query("set statement_timeout = '200ms'")).unwrap();
    assert_eq!(code(door.block_on(client.simple_query(long))), "57014");
    door.block_on(client.simple_query("reset statement_timeout")).unwrap();
    let cancel = client.cancel_token();
    let (answered, _) = door.block_on(async {
        let wait = async {
            // Until the statement runs, cancelling changes nothing: again and again, within the test's bound.
            let mut every = tokio::time::interval(std::time::Duration::from_millis(20));
            loop {
                every.tick().await;
                cancel.cancel_query(tokio_postgres::NoTls).await.unwrap();
            }
        };
        tokio::select! {
            answered = client.simple_query(long) => (answered, ()),
            () = wait => unreachable!(),
        }
    });
    assert_eq!(code(answered), "57014");
    assert_eq!(texts(&door, &client, "select 1"), ["1"]);
}

#[test]
fn the_catalog_lists_tables_columns_comments_and_keys() {
    let door = Running::start();
    let client = door.admin();
    let tables = "select c.relname, c.relkind from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                  where n.nspname = 'public' and c.relname in ('samples', 'current_state') order by 1";
    assert_eq!(texts(&door, &client, tables), ["current_state|v", "samples|r"]);
    let columns = "select a.attname, format_type(a.atttypid, a.atttypmod), col_description(a.attrelid, a.attnum) \
                   from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid \
                   where c.relname = 'samples' and a.attnum in (1, 4) order by a.attnum";
    assert_eq!(
        texts(&door, &client, columns),
        ["tenant|text|Whose row it is", "slot|timestamp with time zone|Slot of the check result that it came with"]
    );
    let keys = "select count(*) from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indrelid \
                where c.relname = 'samples' and i.indisprimary";
    assert_eq!(texts(&door, &client, keys), ["1"]);
}
