//! Findings and predictions on their way out.

use kizashi_desk::{DeskError, Recorded};
use kizashi_model::{Finding, Outcome, Prediction, TenantId, TicketStatus};
use serde_json::json;

use crate::support::{World, finding, prediction, scored, tenant};

#[tokio::test]
async fn each_leaves_once_however_often_it_is_recorded() {
    let world = World::new().await;
    let record = |state: i64| {
        let desk = world.desk.clone();
        async move {
            let (findings, predictions) = (vec![finding("f1"), finding("f1")], vec![prediction("p1")]);
            desk.record_foresight(&tenant(), "exhaustion", json!({"slot": state}), findings, predictions).await.unwrap()
        }
    };
    assert_eq!(record(1).await, Recorded { findings: 1, predictions: 1 });
    assert_eq!(record(2).await, Recorded::default());
    assert_eq!(world.desk.foresight_state(&tenant(), "exhaustion").await.unwrap(), Some(json!({"slot": 2})));
    assert_eq!(world.desk.foresight_state(&tenant(), "other").await.unwrap(), None);

    let running = world.start();
    world.outbox_empty().await;
    world.caught_up().await;
    running.stop().await;
    assert_eq!(world.records::<Finding>().await, [(Some(1), finding("f1"))]);
    assert_eq!(world.records::<Prediction>().await, [(Some(2), prediction("p1"))]);
    assert_eq!(world.tickets().await.len(), 2);
}

#[tokio::test]
async fn a_prediction_waits_until_it_is_scored() {
    let world = World::new().await;
    let record = |predictions| world.desk.record_foresight(&TENANT, "exhaustion", json!(null), vec![], predictions);
    record(vec![prediction("p1"), prediction("p2")]).await.unwrap();
    assert_eq!(world.desk.open_predictions(&tenant()).await.unwrap(), [prediction("p1"), prediction("p2")]);
    record(vec![scored("p1", Outcome::Miss)]).await.unwrap();
    assert_eq!(world.desk.open_predictions(&tenant()).await.unwrap(), [prediction("p2")]);

    let running = world.start();
    world.outbox_empty().await;
    world.caught_up().await;
    running.stop().await;
    let mut tickets: Vec<_> = world.tickets().await.into_iter().map(|t| (t.ticket_key, t.status)).collect();
    tickets.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        tickets,
        [("prediction:p1".to_owned(), TicketStatus::Resolved), ("prediction:p2".to_owned(), TicketStatus::Open)]
    );
}

#[tokio::test]
async fn events_of_another_tenant_are_refused_as_a_whole() {
    let world = World::new().await;
    let foreign = Finding { tenant: TenantId::new("other").unwrap(), ..finding("f2") };
    let result = world.desk.record_foresight(&tenant(), "q", json!(1), vec![finding("f1"), foreign], vec![]).await;
    assert!(matches!(result, Err(DeskError::Invalid(text)) if text.contains("tenant other")));
    assert_eq!(world.desk.foresight_state(&tenant(), "q").await.unwrap(), None);
    assert_eq!(world.desk.outbox_depth().await.unwrap(), 0);
}

static TENANT: std::sync::LazyLock<TenantId> = std::sync::LazyLock::new(tenant);
