//! What people may do to a ticket, and what is refused.

use kizashi_desk::{DeskError, ONCE_KEPT_MS, Once, Terms, TicketCommand};
use kizashi_model::{TicketAction, TicketStatus};

use crate::support::{World, opened, tenant};

async fn with_a_ticket() -> World {
    let world = World::new().await;
    world.publish(&[opened()]).await;
    world.drain().await;
    world
}

fn close(code: &str) -> TicketCommand {
    TicketCommand::Close { code: code.into(), comment: None }
}

async fn refused(world: &World, command: TicketCommand) -> DeskError {
    world.desk.act(&tenant(), 1, command, "mika").await.unwrap_err()
}

#[tokio::test]
async fn an_unknown_closure_code_is_refused_with_the_list() {
    let world = with_a_ticket().await;
    let error = refused(&world, close("done")).await;
    assert!(matches!(error, DeskError::Invalid(_)));
    assert_eq!(
        error.to_string(),
        r#"closure code "done" is not known; use one of fixed, false_alarm, duplicate, no_action_needed, expected"#
    );
    assert_eq!(world.desk.ticket(&tenant(), 1).await.unwrap().unwrap().history.len(), 1, "nothing was written");
}

#[tokio::test]
async fn closing_twice_says_that_it_is_closed() {
    let world = with_a_ticket().await;
    let closed = world.desk.act(&tenant(), 1, close("fixed"), "mika").await.unwrap();
    assert_eq!(closed.status, TicketStatus::Closed);
    let error = refused(&world, close("expected")).await;
    assert!(matches!(error, DeskError::Conflict { number: 1, status: TicketStatus::Closed, .. }));
    assert_eq!(error.to_string(), "ticket 1 is closed: it cannot be closed twice");
}

#[tokio::test]
async fn a_closed_ticket_takes_comments_and_nothing_else_until_it_is_reopened() {
    let world = with_a_ticket().await;
    world.desk.act(&tenant(), 1, close("false_alarm"), "mika").await.unwrap();
    let assign = TicketCommand::Assign { assignee: Some("ken".into()) };
    assert!(matches!(refused(&world, assign.clone()).await, DeskError::Conflict { .. }));
    let urgent = TicketCommand::Prioritise { priority: 1 };
    assert!(matches!(refused(&world, urgent).await, DeskError::Conflict { .. }));
    let comment = TicketCommand::Comment { comment: "seen again".into() };
    world.desk.act(&tenant(), 1, comment, "ken").await.unwrap();
    let reopened = world.desk.act(&tenant(), 1, TicketCommand::Reopen { comment: None }, "ken").await.unwrap();
    assert_eq!((reopened.status, reopened.closure_code), (TicketStatus::Open, None));
    assert_eq!(world.desk.act(&tenant(), 1, assign, "ken").await.unwrap().assignee.as_deref(), Some("ken"));
    let error = refused(&world, TicketCommand::Reopen { comment: None }).await;
    assert_eq!(error.to_string(), "ticket 1 is open: only a resolved or closed ticket can be reopened");
}

#[tokio::test]
async fn wrong_values_are_refused_with_what_is_accepted() {
    let world = with_a_ticket().await;
    for (command, says) in [
        (TicketCommand::Prioritise { priority: 0 }, "between 1 (highest) and 5"),
        (TicketCommand::Prioritise { priority: 6 }, "between 1 (highest) and 5"),
        (TicketCommand::Comment { comment: " \n".into() }, "not blank"),
        (TicketCommand::Comment { comment: "x".repeat(20_000) }, "16384 bytes"),
        (TicketCommand::Assign { assignee: Some("a\nb".into()) }, "the assignee must be a name"),
    ] {
        let error = refused(&world, command).await;
        assert!(matches!(&error, DeskError::Invalid(text) if text.contains(says)), "{error}");
    }
    let comment = TicketCommand::Comment { comment: "hello".into() };
    let error = world.desk.act(&tenant(), 1, comment.clone(), "desk").await.unwrap_err();
    assert!(error.to_string().contains("under a person's name"), "{error}");
    let error = world.desk.act(&tenant(), 99, comment, "mika").await.unwrap_err();
    assert!(matches!(error, DeskError::NotFound(_)) && error.to_string() == "there is no ticket 99");
}

#[tokio::test]
async fn a_command_that_changes_nothing_leaves_no_trace() {
    let world = with_a_ticket().await;
    let assign = TicketCommand::Assign { assignee: Some("ken".into()) };
    world.desk.act(&tenant(), 1, assign.clone(), "mika").await.unwrap();
    world.desk.act(&tenant(), 1, assign, "mika").await.unwrap();
    assert_eq!(world.desk.ticket(&tenant(), 1).await.unwrap().unwrap().history.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_who_close_at_once_one_succeeds() {
    let world = with_a_ticket().await;
    let (me, own) = (tenant(), tenant());
    let (first, second) = tokio::join!(
        world.desk.act(&me, 1, close("fixed"), "mika"),
        world.desk.act(&own, 1, close("expected"), "ken"),
    );
    let (won, lost) = if first.is_ok() { (first, second) } else { (second, first) };
    let code = won.unwrap().closure_code;
    assert!(matches!(lost.unwrap_err(), DeskError::Conflict { status: TicketStatus::Closed, .. }));
    let detail = world.desk.ticket(&tenant(), 1).await.unwrap().unwrap();
    assert_eq!(detail.ticket.closure_code, code);
    assert_eq!(detail.history.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_leave_a_history_without_gaps() {
    let world = with_a_ticket().await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..50 {
        let desk = world.desk.clone();
        tasks.spawn(async move {
            let comment = TicketCommand::Comment { comment: format!("comment {n}") };
            desk.act(&tenant(), 1, comment, "mika").await.map(|_| ())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    let history = world.desk.ticket(&tenant(), 1).await.unwrap().unwrap().history;
    assert_eq!(history.iter().map(|e| e.sequence).collect::<Vec<_>>(), (1..=51).collect::<Vec<_>>());
}

#[tokio::test]
async fn who_worked_on_a_ticket_is_on_record() {
    let world = with_a_ticket().await;
    let key = format!("incident:{}", opened().problem_id);
    assert_eq!(world.desk.worked_on(&tenant(), &key).await.unwrap(), None);
    world.desk.act(&tenant(), 1, close("no_action_needed"), "mika").await.unwrap();
    assert_eq!(world.desk.worked_on(&tenant(), &key).await.unwrap(), None, "no action was needed");
    world.desk.act(&tenant(), 1, TicketCommand::Reopen { comment: None }, "mika").await.unwrap();
    let comment = TicketCommand::Comment { comment: "removed old logs".into() };
    world.desk.act(&tenant(), 1, comment, "ken").await.unwrap();
    let work = world.desk.worked_on(&tenant(), &key).await.unwrap().unwrap();
    assert_eq!((work.actor.as_str(), work.action), ("ken", TicketAction::Commented));
    assert_eq!(work.comment.as_deref(), Some("removed old logs"));
    assert_eq!(world.desk.worked_on(&tenant(), "incident:none").await.unwrap(), None);
}

fn once(key: &str, fingerprint: &str) -> Terms {
    let once = Once { caller: "mika".into(), key: key.into(), fingerprint: fingerprint.into() };
    Terms { once: Some(once), ..Terms::default() }
}

fn comment(text: &str) -> TicketCommand {
    TicketCommand::Comment { comment: text.into() }
}

#[tokio::test]
async fn a_command_on_what_was_seen_is_refused_when_the_ticket_has_changed() {
    let world = with_a_ticket().await;
    let seen = |changes: &[i64]| Terms { seen: Some(changes.to_vec()), ..Terms::default() };
    let act = async |terms: Terms| world.desk.act_on(&tenant(), 1, comment("x"), "mika", &terms).await;
    assert_eq!(act(seen(&[1])).await.unwrap().changes, 2);
    let error = act(seen(&[1])).await.unwrap_err();
    assert!(matches!(error, DeskError::Stale { number: 1, changes: 2 }), "{error}");
    assert_eq!(act(seen(&[7, 2])).await.unwrap().changes, 3);
    assert!(matches!(act(seen(&[])).await, Err(DeskError::Stale { .. })));
}

#[tokio::test]
async fn a_command_that_is_sent_again_is_done_once_and_answered_alike() {
    let world = with_a_ticket().await;
    let send = async |text: &str, key: &str, fingerprint: &str| {
        world.desk.act_on(&tenant(), 1, comment(text), "mika", &once(key, fingerprint)).await
    };
    let first = send("hello", "k1", "a").await.unwrap();
    world.desk.act(&tenant(), 1, comment("in between"), "ken").await.unwrap();
    assert_eq!(send("hello", "k1", "a").await.unwrap(), first, "as it was then");
    assert_eq!(world.desk.ticket(&tenant(), 1).await.unwrap().unwrap().history.len(), 3);
    let error = send("other", "k1", "b").await.unwrap_err();
    assert!(matches!(error, DeskError::KeyReused(_)), "{error}");
    assert_eq!(send("hello", "k2", "a").await.unwrap().changes, 4, "another key is another command");

    // What was refused is not kept: it may be mended and sent again.
    assert!(matches!(send(" ", "k3", "c").await, Err(DeskError::Invalid(_))));
    assert_eq!(send("hello", "k3", "d").await.unwrap().changes, 5);

    world.hand.advance_ms(ONCE_KEPT_MS);
    assert_eq!(send("other", "k1", "b").await.unwrap().changes, 6, "after a day a key is free again");
}
