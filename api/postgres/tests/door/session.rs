//! What a session sets, opens and copies.

use futures::StreamExt as _;
use kizashi_engine::EngineConfig;
use kizashi_postgres::PostgresConfig;
use tokio_postgres::SimpleQueryMessage;

use crate::support::{Running, code};

fn first(door: &Running, client: &tokio_postgres::Client, sql: &str) -> String {
    let messages = door.block_on(client.simple_query(sql)).unwrap();
    messages
        .into_iter()
        .find_map(|m| match m {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
            _ => None,
        })
        .unwrap()
}

#[test]
fn times_show_in_the_zone_that_the_session_sets() {
    let door = Running::start();
    let client = door.connect(door.config("admin", crate::support::TOKEN).options("-c TimeZone=Asia/Tokyo")).unwrap();
    let newest = "select max(slot) from samples";
    assert_eq!(first(&door, &client, newest), "2026-11-22 18:30:00.000000+09");
    assert_eq!(first(&door, &client, "show time zone"), "Asia/Tokyo");
    door.block_on(client.batch_execute("set time zone 'UTC'")).unwrap();
    assert_eq!(first(&door, &client, newest), "2026-11-22 09:30:00.000000+00");
    let hour = "select count(*) from samples where tenant = 'acme' and slot > timestamptz '2026-11-22 18:00:00'";
    assert_eq!(first(&door, &client, hour), "0");
    door.block_on(client.batch_execute("set time zone 'Asia/Tokyo'")).unwrap();
    assert_eq!(first(&door, &client, hour), "30", "a time without a zone is read in the session's");
}

#[test]
fn a_cursor_hands_over_its_rows_piece_by_piece() {
    let door = Running::start();
    let client = door.admin();
    door.block_on(client.batch_execute("begin; declare c cursor for select value from samples order by value, tenant"))
        .unwrap();
    let fetch = |count: &str| door.block_on(client.query(&format!("fetch {count} from c"), &[])).unwrap().len();
    assert_eq!((fetch("forward 30"), fetch("1"), fetch("all"), fetch("all")), (30, 1, 69, 0));
    door.block_on(client.batch_execute("commit")).unwrap();
    assert_eq!(code(door.block_on(client.simple_query("fetch 1 from c"))), "34000", "it ended with the transaction");
}

#[test]
fn a_portal_hands_over_its_rows_piece_by_piece() {
    let door = Running::start();
    let mut client = door.admin();
    let counts = door.block_on(async {
        let transaction = client.transaction().await.unwrap();
        let portal = transaction.bind("select value from samples where tenant = $1", &[&"acme"]).await.unwrap();
        let mut counts = Vec::new();
        for _ in 0..3 {
            counts.push(transaction.query_portal(&portal, 20).await.unwrap().len());
        }
        counts
    });
    assert_eq!(counts, [20, 20, 10]);
}

#[test]
fn copies_come_as_text_and_csv() {
    let door = Running::start();
    let client = door.admin();
    let copy = |sql: &str| {
        let copied = door.block_on(async {
            let stream = client.copy_out(sql).await.unwrap();
            stream.map(|bytes| String::from_utf8(bytes.unwrap().to_vec()).unwrap()).collect::<Vec<_>>().await
        });
        copied.concat()
    };
    let query = "select tenant, value, 'a,\"b\"' as text from samples order by value, tenant limit 1";
    assert_eq!(
        copy(&format!("copy ({query}) to stdout with (format csv, header)")),
        "tenant,value,text\nacme,40.5,\"a,\"\"b\"\"\"\n"
    );
    assert_eq!(copy(&format!("copy ({query}) to stdout")), "acme\t40.5\ta,\"b\"\n");
    assert_eq!(copy("copy samples (tenant) to stdout").lines().count(), 100);
}

#[test]
fn a_transaction_that_failed_does_nothing_until_it_is_rolled_back() {
    let door = Running::start();
    let client = door.admin();
    let run = |sql: &str| door.block_on(client.batch_execute(sql));
    run("begin").unwrap();
    assert_eq!(code(run("select nothing from samples")), "42703");
    assert_eq!(code(run("select 1")), "25P02");
    run("rollback").unwrap();
    run("select 1; begin; select 2; commit").unwrap();
}

#[test]
fn a_session_holds_so_many_prepared_statements_and_no_more() {
    let config = PostgresConfig { prepared_max: 3, ..PostgresConfig::default() };
    let door = Running::with(config, EngineConfig::for_testing());
    let client = door.admin();
    let kept: Vec<_> = (0..3).map(|n| door.block_on(client.prepare(&format!("select {n}"))).unwrap()).collect();
    assert_eq!(code(door.block_on(client.prepare("select 3"))), "53000");
    drop(kept);
    crate::support::eventually(|| door.block_on(client.prepare("select 3")).is_ok());
    door.block_on(client.batch_execute("deallocate all")).unwrap();
    let kept: Vec<_> = (0..3).map(|n| door.block_on(client.prepare(&format!("select {n}"))).unwrap()).collect();
    assert_eq!(kept.len(), 3);
}
