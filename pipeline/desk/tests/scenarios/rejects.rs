//! Rejects are decided once, and what is sent again leaves once.

use kizashi_desk::DeskError;
use kizashi_model::{Event, EventBody, ProblemEvent, RejectAction, RejectDecided, Timestamp};

use crate::support::{World, opened, tenant};

fn decided(action: RejectAction) -> RejectDecided {
    RejectDecided {
        reject_id: "problems/0/7".into(),
        tenant: Some(tenant()),
        action,
        at_ms: Timestamp(1_800_000_000_000),
        actor: "mika".into(),
        comment: Some("repaired".into()),
    }
}

#[tokio::test]
async fn what_is_sent_again_leaves_once_however_often_it_is_asked_for() {
    let world = World::new().await;
    let retry = decided(RejectAction::Retried);
    let event = || Some(Event::of(&opened(), "anybody").unwrap());
    let (first, second) =
        tokio::join!(world.desk.decide_reject(&retry, event()), world.desk.decide_reject(&retry, event()));
    let refused = first.and(second).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "reject problems/0/7 was decided before by mika at 2027-01-15T08:00:00.000Z: it was retried"
    );
    let dropped = world.desk.decide_reject(&decided(RejectAction::Dropped), None).await.unwrap_err();
    assert!(matches!(dropped, DeskError::Refused(_)), "{dropped}");

    world.drain().await;
    assert_eq!(world.tickets().await.len(), 1, "the problem has reached the desk");
    let sent: Vec<_> = world.records::<ProblemEvent>().await;
    assert_eq!(sent.iter().filter(|(_, problem)| problem.id() == opened().id()).count(), 1);
    let told: Vec<RejectDecided> = world.records().await.into_iter().map(|(_, told)| told).collect();
    assert_eq!(told, [retry]);
}

#[tokio::test]
async fn a_comment_has_a_bound_and_nothing_is_written_beyond_it() {
    let world = World::new().await;
    let long = RejectDecided { comment: Some("x".repeat(2_001)), ..decided(RejectAction::Dropped) };
    let error = world.desk.decide_reject(&long, None).await.unwrap_err();
    assert!(matches!(&error, DeskError::Invalid(why) if why.contains("2000 at most")), "{error}");
    world.desk.decide_reject(&decided(RejectAction::Dropped), None).await.unwrap();
}
