//! Problems, findings and predictions as tickets.

use kizashi_desk::{TicketCommand, TicketFilter, TicketOrder};
use kizashi_model::{
    Event, Finding, Outcome, Prediction, ProblemEvent, ProblemPhase, State, TicketAction, TicketKind, TicketStatus,
    Timestamp, Topic,
};

use crate::support::{NOW, World, check, finding, opened, prediction, problem, recovered, scored, tenant, until};

fn actions(history: &[kizashi_desk::HistoryEntry]) -> Vec<TicketAction> {
    history.iter().map(|entry| entry.action).collect()
}

#[tokio::test]
async fn a_problem_opens_one_ticket_and_recovery_resolves_it() {
    let world = World::new().await;
    world.publish(&[opened(), recovered()]).await;
    world.drain().await;

    let tickets = world.tickets().await;
    assert_eq!(tickets.len(), 1);
    let ticket = &tickets[0];
    assert_eq!((ticket.number, ticket.kind, ticket.status), (1, TicketKind::Incident, TicketStatus::Resolved));
    assert_eq!((ticket.title.as_str(), ticket.priority), ("disk:/var CRITICAL: CRITICAL, 97 % used", 2));
    assert_eq!(ticket.ticket_key, format!("incident:{}", opened().problem_id));
    assert_eq!(ticket.opened_at_ms, opened().at_ms);

    let detail = world.desk.ticket(&tenant(), 1).await.unwrap().unwrap();
    assert_eq!(actions(&detail.history), [TicketAction::Opened, TicketAction::Resolved]);
    assert!(detail.history.iter().all(|entry| entry.actor == "desk"));
    assert_eq!(detail.history[1].comment.as_deref(), Some("Recovered: OK, 97 % used"));
}

#[tokio::test]
async fn priorities_follow_the_state_until_a_person_sets_one() {
    let world = World::new().await;
    let running = world.start();
    world.publish(&[problem(ProblemPhase::Opened, State::Warning, 60, 58)]).await;
    world.caught_up().await;
    assert_eq!(world.tickets().await[0].priority, 4);

    world.publish(&[problem(ProblemPhase::Changed, State::Unknown, 60, 50)]).await;
    world.caught_up().await;
    let ticket = world.tickets().await.remove(0);
    assert_eq!((ticket.priority, ticket.title.as_str()), (3, "disk:/var UNKNOWN: UNKNOWN, 97 % used"));

    world.desk.act(&tenant(), 1, TicketCommand::Prioritise { priority: 1 }, "mika").await.unwrap();
    world.publish(&[problem(ProblemPhase::Changed, State::Critical, 60, 40)]).await;
    world.caught_up().await;
    let ticket = world.tickets().await.remove(0);
    assert_eq!((ticket.priority, ticket.title.as_str()), (1, "disk:/var CRITICAL: CRITICAL, 97 % used"));
    running.stop().await;
}

#[tokio::test]
async fn a_retired_check_resolves_its_ticket_with_the_reason() {
    let world = World::new().await;
    world.publish(&[opened(), problem(ProblemPhase::Retired, State::Critical, 60, 5)]).await;
    world.drain().await;
    let detail = world.desk.ticket(&tenant(), 1).await.unwrap().unwrap();
    assert_eq!(detail.ticket.status, TicketStatus::Resolved);
    assert!(detail.history[1].comment.as_deref().unwrap().starts_with("The check was retired"));
}

#[tokio::test]
async fn what_a_person_closed_stays_closed_and_the_recovery_is_noted() {
    let world = World::new().await;
    world.publish(&[opened()]).await;
    world.drain().await;
    let close = TicketCommand::Close { code: "fixed".into(), comment: Some("cleaned up".into()) };
    world.desk.act(&tenant(), 1, close, "mika").await.unwrap();
    world.publish(&[recovered()]).await;
    world.drain().await;

    let detail = world.desk.ticket(&tenant(), 1).await.unwrap().unwrap();
    assert_eq!((detail.ticket.status, detail.ticket.closure_code.as_deref()), (TicketStatus::Closed, Some("fixed")));
    assert_eq!(actions(&detail.history), [TicketAction::Opened, TicketAction::Closed, TicketAction::Updated]);
    assert_eq!((detail.history[1].actor.as_str(), detail.history[1].at_ms), ("mika", NOW));
}

#[tokio::test]
async fn the_next_problem_of_a_check_is_another_ticket() {
    let world = World::new().await;
    world.publish(&[opened(), recovered(), problem(ProblemPhase::Opened, State::Warning, 5, 4)]).await;
    world.drain().await;
    let open = TicketFilter { status: Some(TicketStatus::Open), ..TicketFilter::default() };
    let open = world.desk.tickets(&open).await.unwrap();
    assert_eq!(open.iter().map(|t| t.number).collect::<Vec<_>>(), [2]);
    assert_eq!(world.tickets().await.len(), 2);
}

#[tokio::test]
async fn a_finding_opens_a_ticket_with_its_evidence_and_runbook() {
    let world = World::new().await;
    world.publish(&[finding("f1")]).await;
    world.drain().await;
    let detail = world.desk.ticket(&tenant(), 1).await.unwrap().unwrap();
    assert_eq!((detail.ticket.kind, detail.ticket.priority), (TicketKind::Finding, 4));
    assert_eq!(detail.ticket.ticket_key, "finding:f1");
    assert_eq!(detail.history[0].evidence, Some(finding("f1").evidence));
    let comment = detail.history[0].comment.clone().unwrap();
    assert_eq!(comment, "97 % where 40 to 60 % was to be expected\nRunbook: https://example.com/runbook");
}

#[tokio::test]
async fn a_prediction_opens_a_ticket_that_its_score_resolves() {
    let world = World::new().await;
    world.publish(&[prediction("p1")]).await;
    world.drain().await;
    let ticket = world.tickets().await.remove(0);
    assert_eq!((ticket.kind, ticket.priority, ticket.status), (TicketKind::Prediction, 3, TicketStatus::Open));
    world.publish(&[scored("p1", Outcome::Hit)]).await;
    world.drain().await;
    let detail = world.desk.ticket(&tenant(), 1).await.unwrap().unwrap();
    assert_eq!(detail.ticket.status, TicketStatus::Resolved);
    assert_eq!(detail.history[0].evidence, Some(prediction("p1").evidence));
    assert_eq!(detail.history[1].comment.as_deref(), Some("Outcome hit: the limit was reached after 80 minutes"));
}

#[tokio::test]
async fn what_does_not_decode_is_passed_over_and_counted() {
    let world = World::new().await;
    let good = Event::of(&opened(), "tests").unwrap();
    let broken = Event { body: b"{\"problem_id\": 7}".to_vec(), ..good.clone() };
    let unknown = Event { headers: vec![("ce_type", "kizashi.other.v9".into())], ..good.clone() };
    let mut ahead = opened();
    ahead.at_ms = Timestamp(NOW.0 + 86_400_000);
    let ahead = Event::of(&ahead, "tests").unwrap();
    let misplaced = Event { topic: Topic::Findings, ..good.clone() };
    world.relay.publish(vec![broken, unknown, ahead, misplaced, good]).await.unwrap();
    world.drain().await;
    assert_eq!(world.tickets().await.len(), 1);
    assert_eq!(world.desk.ticket_counters().rejected.load(std::sync::atomic::Ordering::Relaxed), 4);
}

#[tokio::test]
async fn events_as_large_as_the_relay_takes_do_not_hold_up_the_ones_behind_them() {
    let world = World::new().await;
    let large = "x".repeat(1024 * 1024 - 1_000);
    let with_output = |event: ProblemEvent| ProblemEvent { output: large.clone(), ..event };
    world
        .publish(&[opened(), problem(ProblemPhase::Changed, State::Warning, 60, 50), recovered()].map(with_output))
        .await;
    let foreign = |id: &str| ProblemEvent { problem_id: id.into(), ..opened() };
    world.publish(&[foreign(&large), foreign(&"y".repeat(513)), foreign(&"z".repeat(512))]).await;
    let evidence = serde_json::json!({ "values": &large[..256 * 1024] });
    world.publish(&[finding(&large), Finding { evidence: evidence.clone(), ..finding("f1") }, finding("f2")]).await;
    let wordy = Prediction { outcome_reason: Some(large.clone()), ..scored("p2", Outcome::Hit) };
    let swollen = Prediction { evidence, ..prediction("p1") };
    world.publish(&[prediction(&large), swollen, prediction("p2"), wordy]).await;
    world.drain().await;

    let mut keys: Vec<_> = world.tickets().await.into_iter().map(|ticket| ticket.ticket_key).collect();
    keys.sort();
    let mut kept = [format!("incident:{}", opened().problem_id), format!("incident:{}", "z".repeat(512))].to_vec();
    kept.extend(["finding:f2".to_owned(), "prediction:p2".to_owned()]);
    kept.sort();
    assert_eq!(keys, kept);
    assert_eq!(world.desk.ticket_counters().rejected.load(std::sync::atomic::Ordering::Relaxed), 6);
    let cut: Vec<_> = world.ticket_events().await.into_iter().filter_map(|event| event.comment).collect();
    let is_cut = |beginning: &str| cut.iter().any(|text| text.starts_with(beginning) && text.len() == 16 * 1024);
    assert!(is_cut("The state is now WARNING: x") && is_cut("Recovered: x") && is_cut("Outcome hit: x"));
}

#[tokio::test]
async fn every_change_comes_back_as_an_event_with_the_ticket_as_it_then_was() {
    let world = World::new().await;
    let running = world.start();
    world.publish(&[opened()]).await;
    world.caught_up().await;
    world.hand.advance_ms(1_000);
    let assign = TicketCommand::Assign { assignee: Some("ken".into()) };
    world.desk.act(&tenant(), 1, assign, "mika").await.unwrap();
    world.publish(&[recovered()]).await;
    world.caught_up().await;
    world.outbox_empty().await;
    running.stop().await;

    let events = world.ticket_events().await;
    let seen: Vec<_> = events.iter().map(|e| (e.sequence, e.action, e.status, e.assignee.as_deref())).collect();
    assert_eq!(
        seen,
        [
            (1, TicketAction::Opened, TicketStatus::Open, None),
            (2, TicketAction::Assigned, TicketStatus::Open, Some("ken")),
            (3, TicketAction::Resolved, TicketStatus::Resolved, Some("ken")),
        ]
    );
    assert_eq!((events[1].actor.as_str(), events[1].at_ms.0, events[1].number), ("mika", NOW.0 + 1_000, 1));
}

#[tokio::test]
async fn tickets_are_listed_by_the_filter_and_page_by_page() {
    let world = World::new().await;
    let findings: Vec<_> = (1..=25).map(|n| finding(&format!("f{n}"))).collect();
    world.publish(&findings).await;
    world.publish(&[opened()]).await;
    world.drain().await;
    let of_findings = TicketFilter {
        tenant: Some(tenant()),
        kind: Some(TicketKind::Finding),
        check_id: Some(check()),
        limit: 10,
        ..TicketFilter::default()
    };
    let (mut after, mut numbers) = (None, Vec::new());
    loop {
        let page = TicketFilter { after, ..of_findings.clone() };
        let page = world.desk.tickets(&page).await.unwrap();
        assert!(page.len() <= 10);
        let Some(last) = page.last() else { break };
        after = Some(last.place(of_findings.order));
        numbers.extend(page.iter().map(|t| t.number));
    }
    assert_eq!(numbers.len(), 25);
    assert!(numbers.is_sorted_by(|a, b| a > b));
}

#[tokio::test]
async fn tickets_of_all_tenants_come_in_any_order_and_no_page_repeats_or_skips_one() {
    let world = World::new().await;
    let findings: Vec<_> = (1..=9).map(|n| finding(&format!("f{n}"))).collect();
    world.publish(&findings).await;
    world.publish(&[opened()]).await;
    world.drain().await;
    for number in [2, 5, 6] {
        world.desk.act(&tenant(), number, TicketCommand::Prioritise { priority: 1 }, "mika").await.unwrap();
    }
    for (order, first) in [
        (TicketOrder::MostUrgent, Some([6, 5, 2])),
        (TicketOrder::Oldest, Some([1, 2, 3])),
        (TicketOrder::Newest, Some([10, 9, 8])),
        (TicketOrder::UpdatedLast, Some([10, 9, 8])),
        (TicketOrder::OpenedFirst, None),
        (TicketOrder::OpenedLast, None),
    ] {
        let (mut after, mut numbers) = (None, Vec::new());
        loop {
            let page = TicketFilter { order, after, limit: 2, ..TicketFilter::default() };
            let page = world.desk.tickets(&page).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.place(order));
            numbers.extend(page.iter().map(|t| t.number));
        }
        assert!(first.is_none_or(|first| numbers[..3] == first), "{order:?}: {numbers:?}");
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=10).collect::<Vec<_>>(), "{order:?}");
    }
    let mine = TicketFilter { assignee: Some("ken".into()), ..TicketFilter::default() };
    assert_eq!(world.desk.tickets(&mine).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_problem_is_a_ticket_within_milliseconds() {
    let world = World::new().await;
    let running = world.start();
    world.publish(&[finding("warm-up")]).await;
    world.caught_up().await;
    let mut slowest = std::time::Duration::ZERO;
    for n in 1..=20i64 {
        let started = std::time::Instant::now();
        world.publish(&[problem(ProblemPhase::Opened, State::Critical, 100 + n, 50)]).await;
        until("the ticket is there", async || world.tickets().await.len() as i64 == n + 1).await;
        slowest = slowest.max(started.elapsed());
    }
    running.stop().await;
    assert!(slowest.as_millis() < 1_000, "the slowest took {slowest:?}");
}

#[tokio::test]
async fn past_tickets_that_resemble_one_come_with_what_a_person_wrote() {
    let world = World::new().await;
    let of = |name: &str, minutes: i64, output: &str| {
        let mut problem = problem(ProblemPhase::Opened, State::Critical, minutes, minutes);
        problem.check_id = kizashi_model::CheckId::new(name).unwrap();
        problem.problem_id = ProblemEvent::derive_id(&tenant(), &problem.check_id, problem.first_failing_slot_ms);
        problem.output = output.into();
        problem
    };
    // In the order of their numbers.
    for problem in [
        of("disk:/srv", 90, "space used is 96.4% (critical at 95%)"),
        of("disk:/var", 80, "space used is 97.3% (critical at 95%)"),
        of("web:shop", 70, "cannot connect to 127.0.0.1:9: Connection refused"),
        of("disk:/var", 60, "space used is 95.2% (critical at 95%)"),
        of("disk:/var", 50, "space used is 99.9% (critical at 95%)"),
    ] {
        world.publish(&[problem]).await;
        world.drain().await;
    }
    for (number, comment) in [(1, Some("Old logs removed")), (2, Some("Partition enlarged")), (3, None)] {
        let close = TicketCommand::Close { code: "fixed".into(), comment: comment.map(str::to_owned) };
        world.desk.act(&tenant(), number, close, "mika").await.unwrap();
    }

    let similar = world.desk.similar_tickets(&tenant(), 5).await.unwrap().unwrap();
    let found: Vec<_> = similar.iter().map(|s| (s.ticket.number, s.comment.as_deref())).collect();
    assert_eq!(
        found,
        [(2, Some("Partition enlarged")), (1, Some("Old logs removed"))],
        "4 is open, 3 is about something else"
    );
    assert!(similar.iter().all(|s| s.likeness > 0.5), "{similar:?}");
    assert!(world.desk.similar_tickets(&tenant(), 9).await.unwrap().is_none());
    let elsewhere = kizashi_model::TenantId::new("other").unwrap();
    assert!(world.desk.similar_tickets(&elsewhere, 5).await.unwrap().is_none(), "numbers are a tenant's own");
}
