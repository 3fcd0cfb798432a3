//! Who gets in, and what they see.

use kizashi_desk::{AccessEvent, Owner, Role};
use kizashi_model::TenantId;

use crate::support::{Running, TOKEN, by, code};

const TENANTS: &str = "select string_agg(distinct tenant, ',') from samples";

fn tenants(door: &Running, client: &tokio_postgres::Client) -> String {
    door.block_on(client.query_one(TENANTS, &[])).unwrap().get(0)
}

#[test]
fn any_token_of_a_person_is_the_password_and_shows_the_persons_tenant() {
    let door = Running::start();
    let hanako = door.person("hanako", Some("acme"));
    let (_, first) = door.token(Owner::Person(hanako), "laptop", "sql.run");
    let (_, second) = door.token(Owner::Person(hanako), "desk", "sql.run");
    for token in [first, second] {
        let client = door.connect(&door.config("hanako", &token)).unwrap();
        assert_eq!(tenants(&door, &client), "acme");
    }
    let entries = door.block_on(door.desk.access_log(None, None, 100)).unwrap();
    assert!(entries.iter().any(|entry| entry.event == AccessEvent::TokenUsed && entry.actor == "hanako"));
}

#[test]
fn the_configured_token_and_services_sign_in_by_name() {
    let door = Running::start();
    assert!(["acme,globex", "globex,acme"].contains(&tenants(&door, &door.admin()).as_str()));
    let owner = Owner::Service { role: Role::Analyst, tenant: Some(TenantId::new("globex").unwrap()) };
    let (_, token) = door.token(owner, "reporting", "sql.run");
    let client = door.connect(&door.config("reporting", &token)).unwrap();
    assert_eq!(tenants(&door, &client), "globex");
}

#[test]
fn what_is_wrong_revoked_or_not_for_sql_stays_outside() {
    let door = Running::start();
    let taro = door.person("taro", Some("acme"));
    let (id, token) = door.token(Owner::Person(taro), "laptop", "sql.run");
    let (_, reading) = door.token(Owner::Person(taro), "reader", "state.read");
    assert_eq!(code(door.connect(&door.config("taro", "guessed"))), "28P01");
    assert_eq!(code(door.connect(&door.config("nobody", &token))), "28P01");
    assert_eq!(code(door.connect(&door.config("taro", TOKEN))), "28P01");
    assert_eq!(code(door.connect(&door.config("taro", &reading))), "42501");
    door.connect(&door.config("taro", &token)).unwrap();
    door.block_on(door.desk.revoke_token(id, &by())).unwrap();
    assert_eq!(code(door.connect(&door.config("taro", &token))), "28P01");
    assert_eq!(code(door.connect(door.config("admin", TOKEN).dbname("postgres"))), "3D000");
    assert_eq!(code(door.connect(door.config("admin", TOKEN).options("-c no_such_thing=1"))), "42704");
}

#[test]
fn a_token_in_place_of_the_user_is_not_written_down() {
    let door = Running::start();
    let taro = door.person("taro", None);
    let (_, token) = door.token(Owner::Person(taro), "laptop", "sql.run");
    assert_eq!(code(door.connect(&door.config(&token, "x"))), "28P01");
    let entries = door.block_on(door.desk.access_log(None, None, 100)).unwrap();
    assert!(entries.iter().any(|entry| entry.event == AccessEvent::LoginFailed && entry.actor == "?"), "{entries:?}");
    assert!(entries.iter().all(|entry| !entry.actor.contains(&token)));
}

#[test]
fn who_guesses_on_has_to_wait_and_is_in_the_record() {
    let door = Running::start();
    let codes: Vec<String> = (0..12).map(|n| code(door.connect(&door.config("admin", &format!("guess{n}"))))).collect();
    assert_eq!(codes.first().unwrap(), "28P01");
    assert_eq!(codes.last().unwrap(), "28000");
    assert_eq!(code(door.connect(&door.config("admin", TOKEN))), "28000", "also with the right one, for a while");
    let entries = door.block_on(door.desk.access_log(None, None, 100)).unwrap();
    let of = |event| entries.iter().filter(|entry| entry.event == event).count();
    assert!(of(AccessEvent::LoginFailed) >= 5 && of(AccessEvent::LoginLimited) >= 1, "{entries:?}");
}
