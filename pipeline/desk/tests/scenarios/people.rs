//! People: signing in, what a session survives, tokens, and the record of it all.

use std::collections::BTreeSet;
use std::net::IpAddr;

use kizashi_desk::{
    AccessEvent, By, DeskError, LoginRefused, NewPerson, NewToken, Owner, Person, PersonChange, Role, Secret,
};
use kizashi_model::{TenantId, Timestamp};
use sea_orm::{ConnectionTrait, Database};

use crate::support::{NOW, World};

const PASSWORD: &str = "correct horse battery";
const HOUR_MS: i64 = 3_600_000;

fn by() -> By {
    By { name: "admin".to_owned(), address: None }
}

fn from(last: u8) -> Option<IpAddr> {
    Some(IpAddr::from([192, 0, 2, last]))
}

async fn world() -> World {
    let world = World::new().await;
    assert!(world.desk.first_administrator(Some(PASSWORD)).await.unwrap().unwrap().password.is_none());
    world
}

async fn add(world: &World, name: &str, role: Role, tenant: Option<&str>) -> Result<(Person, Secret), DeskError> {
    let tenant = tenant.map(|tenant| TenantId::new(tenant).unwrap());
    let new = NewPerson { name: name.into(), display_name: name.into(), role, tenant, language: None };
    world.desk.create_person(&new, &by()).await
}

async fn events(world: &World) -> Vec<(AccessEvent, String)> {
    let entries = world.desk.access_log(None, None, 1_000).await.unwrap();
    entries.into_iter().rev().map(|entry| (entry.event, entry.actor)).collect()
}

#[tokio::test]
async fn the_first_administrator_is_made_once_and_a_generated_password_must_be_changed() {
    let mut world = World::new().await;
    let error = world.desk.first_administrator(Some("short")).await.unwrap_err();
    assert!(matches!(error, DeskError::Invalid(_)), "{error}");
    let first = world.desk.first_administrator(None).await.unwrap().unwrap();
    let password = first.password.unwrap();
    assert_eq!(format!("{password:?}"), "Secret(…)", "no log shows it");
    world.reopen().await;
    assert!(world.desk.first_administrator(Some(PASSWORD)).await.unwrap().is_none(), "there is one already");
    let signed_in = world.desk.login("Admin", password.reveal(), None).await.unwrap();
    assert!(signed_in.person.must_change_password && signed_in.person.role == Role::Administrator);
}

#[tokio::test]
async fn a_session_lasts_as_long_as_it_is_used_but_no_longer_than_a_week() {
    let world = world().await;
    let secret = world.desk.login("admin", PASSWORD, None).await.unwrap().secret;
    let alive = async || world.desk.session(secret.reveal()).await.unwrap().is_some();
    for _ in 0..(7 * 24 / 11) {
        world.hand.advance_ms(11 * HOUR_MS);
        assert!(alive().await, "used every 11 hours, at {}", world.clock.now());
    }
    world.hand.set(Timestamp(NOW.0 + 7 * 24 * HOUR_MS));
    assert!(!alive().await, "after a week");

    let secret = world.desk.login("admin", PASSWORD, None).await.unwrap().secret;
    world.hand.advance_ms(12 * HOUR_MS);
    assert!(world.desk.session(secret.reveal()).await.unwrap().is_none(), "12 hours unused");
    for forged in ["", "x", &"0".repeat(48), &"a".repeat(100_000)] {
        assert!(world.desk.session(forged).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_thousand_guesses_get_five_looks_and_one_record_of_the_refusals() {
    let world = world().await;
    let mut limited = 0;
    for n in 0..1_000 {
        match world.desk.login("admin", &format!("guess number {n}"), from((n % 200) as u8)).await.unwrap_err() {
            LoginRefused::Wrong => {}
            LoginRefused::Limited { wait_ms } => {
                assert!(wait_ms <= 1_000);
                limited += 1;
            }
            LoginRefused::Desk(error) => panic!("{error}"),
        }
    }
    assert_eq!(limited, 995);
    assert!(matches!(world.desk.login("admin", PASSWORD, None).await, Err(LoginRefused::Limited { .. })));
    world.hand.advance_ms(1_000);
    world.desk.login("admin", PASSWORD, None).await.unwrap();
    let told: Vec<_> = events(&world).await.into_iter().map(|(event, _)| event).collect();
    let count = |wanted| told.iter().filter(|event| **event == wanted).count();
    assert_eq!(count(AccessEvent::LoginFailed), 5);
    assert_eq!(count(AccessEvent::LoginLimited), 1);
    assert_eq!(count(AccessEvent::LoginOk), 1);
}

#[tokio::test]
async fn what_is_no_name_is_refused_like_a_wrong_password_and_not_written_down() {
    let world = world().await;
    let long = "n".repeat(100_000);
    for name in ["", "nobody", "a\0b", "\u{1b}[2J", "desk", long.as_str(), "correct horse battery"] {
        let refused = world.desk.login(name, "a\0password\u{7}", None).await.unwrap_err();
        assert!(matches!(refused, LoginRefused::Wrong | LoginRefused::Limited { .. }), "{name:?}: {refused}");
    }
    let actors: BTreeSet<_> = events(&world).await.into_iter().map(|(_, actor)| actor).collect();
    assert_eq!(actors, ["?", "desk", "nobody"].map(str::to_owned).into());
}

#[tokio::test]
async fn who_is_disabled_or_reset_or_gets_another_role_is_signed_out_everywhere() {
    let world = world().await;
    let (person, given) = add(&world, "sato", Role::Operator, None).await.unwrap();
    assert!(person.must_change_password);
    let sign_in = async |password: &str| world.desk.login("sato", password, None).await.unwrap();
    let open = async |secret: &Secret| world.desk.session(secret.reveal()).await.unwrap().is_some();

    let (one, two) = (sign_in(given.reveal()).await, sign_in(given.reveal()).await);
    let change = world.desk.change_password(&person, given.reveal(), PASSWORD, Some(one.secret.reveal()), None);
    change.await.unwrap();
    assert!(open(&one.secret).await && !open(&two.secret).await, "the other sessions end");
    assert!(!world.desk.person(person.id).await.unwrap().unwrap().must_change_password);
    assert!(matches!(world.desk.login("sato", given.reveal(), None).await, Err(LoginRefused::Wrong)));

    let role = PersonChange { role: Some(Role::Analyst), ..PersonChange::default() };
    assert_eq!(world.desk.change_person(person.id, &role, &by()).await.unwrap().role, Role::Analyst);
    assert!(!open(&one.secret).await, "another role");

    let three = sign_in(PASSWORD).await;
    let reset = world.desk.reset_password(person.id, &by()).await.unwrap();
    assert!(!open(&three.secret).await, "reset");
    let four = sign_in(reset.reveal()).await;
    assert!(four.person.must_change_password);
    let off = PersonChange { disabled: Some(true), ..PersonChange::default() };
    world.desk.change_person(person.id, &off, &by()).await.unwrap();
    assert!(!open(&four.secret).await, "disabled");
    assert!(matches!(world.desk.login("sato", reset.reveal(), None).await, Err(LoginRefused::Wrong)));
}

#[tokio::test]
async fn one_person_has_a_bounded_number_of_sessions() {
    let world = world().await;
    let first = world.desk.login("admin", PASSWORD, None).await.unwrap().secret;
    for _ in 0..32 {
        world.hand.advance_ms(1_000);
        world.desk.login("admin", PASSWORD, None).await.unwrap();
    }
    assert!(world.desk.session(first.reveal()).await.unwrap().is_none(), "the oldest gave way");
}

#[tokio::test]
async fn people_keep_to_the_rules_and_an_administrator_of_all_is_always_left() {
    let world = world().await;
    for name in ["", "Sato", "a b", "desk", "-a", "a\n", &"a".repeat(65)] {
        assert!(matches!(add(&world, name, Role::Analyst, None).await, Err(DeskError::Invalid(_))), "{name:?}");
    }
    assert!(matches!(add(&world, "kurata", Role::TenantUser, None).await, Err(DeskError::Invalid(_))));
    add(&world, "sato", Role::Operator, Some("alpha")).await.unwrap();
    assert!(matches!(add(&world, "sato", Role::Analyst, None).await, Err(DeskError::Refused(_))));

    let admin = world.desk.people(None, None, 10).await.unwrap().remove(0);
    let alpha = PersonChange { tenant: Some(TenantId::new("alpha").ok()), ..PersonChange::default() };
    let off = PersonChange { disabled: Some(true), ..PersonChange::default() };
    for change in [&alpha, &off] {
        let error = world.desk.change_person(admin.id, change, &by()).await.unwrap_err();
        assert!(matches!(&error, DeskError::Refused(_)), "{error}");
    }
    add(&world, "mori", Role::Administrator, None).await.unwrap();
    world.desk.change_person(admin.id, &off, &by()).await.unwrap();
    assert!(matches!(world.desk.change_person(9_999, &off, &by()).await, Err(DeskError::NotFound(_))));

    let names = |people: Vec<Person>| people.into_iter().map(|person| person.name).collect::<Vec<_>>();
    assert_eq!(names(world.desk.people(TenantId::new("alpha").ok().as_ref(), None, 10).await.unwrap()), ["sato"]);
    assert_eq!(names(world.desk.people(None, Some(admin.id), 1).await.unwrap()), ["sato"]);
}

#[tokio::test]
async fn a_token_opens_until_it_is_over_revoked_or_its_person_disabled_and_each_hour_of_use_is_recorded() {
    let world = world().await;
    let (person, _) = add(&world, "sato", Role::Analyst, None).await.unwrap();
    let new = |owner: Owner, days| NewToken {
        name: "report".into(),
        owner,
        scopes: BTreeSet::from(["sql.run".to_owned()]),
        days,
    };
    let make = async |owner, days| world.desk.create_token(&new(owner, days), &by()).await;
    for days in [0, -1, 367, i64::MAX] {
        assert!(matches!(make(Owner::Person(person.id), days).await, Err(DeskError::Invalid(_))), "{days}");
    }
    let (token, secret) = make(Owner::Person(person.id), 1).await.unwrap();
    let bearer = async |secret: &Secret| world.desk.bearer(secret.reveal()).await.unwrap();
    world.hand.set(Timestamp(NOW.0 - NOW.0 % HOUR_MS + HOUR_MS));
    for step in [0, 10 * 60_000, 60 * 60_000] {
        world.hand.advance_ms(step);
        let bearer = bearer(&secret).await.unwrap();
        assert_eq!(bearer.person.as_ref().unwrap().name, "sato");
        world.desk.token_used(&bearer, &by()).await;
        world.desk.token_used(&bearer, &by()).await;
    }
    let used = events(&world).await.into_iter().filter(|(event, _)| *event == AccessEvent::TokenUsed).count();
    assert_eq!(used, 2, "three uses in two hours");
    world.hand.set(token.expires_at_ms);
    assert!(bearer(&secret).await.is_none(), "over");

    let service = Owner::Service { role: Role::Analyst, tenant: TenantId::new("alpha").ok() };
    let (token, secret) = make(service, 30).await.unwrap();
    assert!(secret.reveal().starts_with("kzs_") && bearer(&secret).await.unwrap().person.is_none());
    world.desk.revoke_token(token.id, &by()).await.unwrap();
    world.desk.revoke_token(token.id, &by()).await.unwrap();
    assert!(bearer(&secret).await.is_none(), "revoked");

    let (_, secret) = make(Owner::Person(person.id), 30).await.unwrap();
    let off = PersonChange { disabled: Some(true), ..PersonChange::default() };
    world.desk.change_person(person.id, &off, &by()).await.unwrap();
    assert!(bearer(&secret).await.is_none(), "its person is disabled");
    let alpha = TenantId::new("alpha").unwrap();
    assert_eq!(world.desk.tokens(None, None, None, 10).await.unwrap().len(), 3);
    assert_eq!(world.desk.tokens(Some(person.id), None, None, 10).await.unwrap().len(), 2);
    assert_eq!(world.desk.tokens(None, Some(&alpha), None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_database_holds_no_secret_and_the_access_log_cannot_be_changed() {
    let world = world().await;
    let session = world.desk.login("admin", PASSWORD, from(7)).await.unwrap().secret;
    let owner = Owner::Service { role: Role::Analyst, tenant: None };
    let scopes = BTreeSet::from(["sql.run".to_owned()]);
    let (_, token) =
        world.desk.create_token(&NewToken { name: "x".into(), owner, scopes, days: 1 }, &by()).await.unwrap();
    let entry = world.desk.access_log(None, None, 10).await.unwrap().remove(1);
    assert_eq!((entry.event, entry.address.as_deref()), (AccessEvent::LoginOk, Some("192.0.2.7")));
    world.desk.close().await;

    let other = Database::connect(format!("sqlite://{}", world.database().display())).await.unwrap();
    for change in ["DELETE FROM access_log", "UPDATE access_log SET actor = 'nobody'"] {
        let refused = other.execute_unprepared(change).await.unwrap_err().to_string();
        assert!(refused.contains("only ever added to"), "{refused}");
    }
    other.close().await.unwrap();
    let bytes = std::fs::read(world.database()).unwrap();
    for secret in [PASSWORD, session.reveal(), token.reveal()] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "a secret is in the file");
    }
}
