//! What no client sends.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use kizashi_engine::EngineConfig;
use kizashi_postgres::PostgresConfig;

use crate::support::{Running, WAIT_MAX, code};

fn raw(door: &Running) -> TcpStream {
    let stream = TcpStream::connect(door.address).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    stream
}

/// Everything that comes until the end.
fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

fn startup(parameters: &[&str]) -> Vec<u8> {
    let mut body = 196_608_u32.to_be_bytes().to_vec();
    for parameter in parameters {
        body.extend_from_slice(parameter.as_bytes());
        body.push(0);
    }
    body.push(0);
    [&u32::try_from(body.len() + 4).unwrap().to_be_bytes()[..], &body].concat()
}

#[test]
fn garbage_ends_its_own_connection_and_nobody_elses() {
    let door = Running::start();
    let client = door.admin();
    for garbage in
        [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0; 64], &[0xff; 64], b"\x00\x00\x00\x08\x04\xd2\x16\x30"]
    {
        let mut stream = raw(&door);
        stream.write_all(garbage).unwrap();
        // It may have ended already.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        rest(stream);
    }
    assert_eq!(door.block_on(client.query_one("select 1", &[])).unwrap().get::<_, i64>(0), 1);
}

#[test]
fn a_message_that_promises_a_gigabyte_is_refused_at_once() {
    let door = Running::start();
    let mut stream = raw(&door);
    stream.write_all(&startup(&["user", "admin", "database", "kizashi"])).unwrap();
    let mut offered = [0; 24];
    stream.read_exact(&mut offered).unwrap();
    assert!(String::from_utf8_lossy(&offered).contains("SCRAM-SHA-256"));
    stream.write_all(&[b'p', 0x3f, 0xff, 0xff, 0xff, b'x']).unwrap();
    let told = String::from_utf8_lossy(&rest(stream)).into_owned();
    assert!(told.contains("at most"), "{told}");
}

#[test]
fn a_statement_that_is_too_long_is_refused_and_the_connection_goes_on() {
    let door = Running::start();
    let client = door.admin();
    let long = format!("select '{}'", "x".repeat(200_000));
    assert_eq!(code(door.block_on(client.simple_query(&long))), "54000");
    assert_eq!(code(door.block_on(client.prepare(&long))), "54000");
    let deep = format!("select {}1{}", "(".repeat(200), ")".repeat(200));
    assert_eq!(code(door.block_on(client.simple_query(&deep))), "54001");
    assert_eq!(door.block_on(client.query_one("select 1", &[])).unwrap().get::<_, i64>(0), 1);
}

#[test]
fn a_connection_too_many_is_told_so() {
    let config = PostgresConfig { connections_max: 2, ..PostgresConfig::default() };
    let door = Running::with(config, EngineConfig::for_testing());
    let kept = [door.admin(), door.admin()];
    assert_eq!(code(door.connect(&door.config("admin", crate::support::TOKEN))), "53300");
    drop(kept);
    crate::support::eventually(|| door.connect(&door.config("admin", crate::support::TOKEN)).is_ok());
}

#[test]
fn who_goes_in_the_middle_of_a_result_leaves_nothing_running() {
    let door = Running::start();
    let cross = "select a.value from samples a, samples b, samples c";
    for _ in 0..8 {
        let client = door.admin();
        let stream = door.block_on(client.query_raw(cross, Vec::<String>::new())).unwrap();
        drop((stream, client));
    }
    // All places would be taken if any of those statements still ran.
    let client = door.admin();
    assert_eq!(door.block_on(client.query_one("select count(*) from samples", &[])).unwrap().get::<_, i64>(0), 100);
}
