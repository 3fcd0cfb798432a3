//! From the checks to the spool: results become durable here, each in one write with the position of its check.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use kizashi_checks::kinds::pipeline::PIPELINE;
use kizashi_checks::{Outcome, Resume};
use kizashi_http::{ComponentHealth, Metrics};
use kizashi_model::{CheckId, CheckResult, CheckRetired, DecodeError, Event, TenantId, Timestamp};
use kizashi_relay::Spool;
use tokio::sync::mpsc;
use tracing::{error, warn};

/// `ce_source` of check results.
pub const SOURCE: &str = "kizashi/checks";

/// Of the spool's marks.
const PREFIX: &str = "check/";
const BATCH_MAX: usize = 256;
const RETRY_MS_MAX: u64 = 5_000;

/// Where results and removals come in, and how it goes.
#[derive(Debug)]
pub struct Intake {
    pub spool: Arc<Spool>,
    pub results: mpsc::Receiver<Outcome>,
    pub retired: mpsc::Receiver<CheckRetired>,
    /// Of the pipeline itself; they must be heard where nothing can be written too.
    pub watchdog: mpsc::Sender<CheckResult>,
    pub health: ComponentHealth,
    pub metrics: Arc<Metrics>,
}

/// Runs until every sender is gone, so that nothing measured is left behind.
pub async fn run(mut intake: Intake) -> Result<()> {
    intake.health.ready();
    let mut batch = Vec::with_capacity(BATCH_MAX);
    loop {
        // Results first: those of a retired check were sent before its retirement.
        tokio::select! {
            biased;
            count = intake.results.recv_many(&mut batch, BATCH_MAX) => {
                if count == 0 {
                    break;
                }
                let mut events = Vec::with_capacity(count);
                let mut marks = Vec::with_capacity(count);
                for outcome in batch.drain(..) {
                    let result = &outcome.result;
                    intake.metrics.check_result(result.state);
                    if result.kind == PIPELINE && intake.watchdog.try_send(result.clone()).is_err() {
                        warn!("the watchdog of the pipeline does not follow");
                    }
                    keep(Event::of(result, SOURCE), &mut events);
                    marks.push((mark_key(&result.tenant, &result.check_id), mark(result.slot_ms, outcome.mark.as_deref())));
                }
                append(&intake.spool, events, marks, &intake.health).await?;
            }
            Some(retired) = intake.retired.recv() => {
                let mut events = Vec::with_capacity(1);
                keep(Event::of(&retired, SOURCE), &mut events);
                let forget = (mark_key(&retired.tenant, &retired.check_id), Vec::new());
                append(&intake.spool, events, vec![forget], &intake.health).await?;
            }
        }
    }
    Ok(())
}

fn keep(event: Result<Event, DecodeError>, events: &mut Vec<Event>) {
    match event {
        Ok(event) => events.push(event),
        Err(reason) => error!(%reason, "what a check said could not be encoded and is dropped"),
    }
}

/// Tries until it is written: while the disk is full the checks wait behind the bounded channel.
async fn append(
    spool: &Arc<Spool>,
    events: Vec<Event>,
    marks: Vec<(String, Vec<u8>)>,
    health: &ComponentHealth,
) -> Result<()> {
    let mut wait_ms = 100;
    loop {
        let (own, events, own_marks) = (spool.clone(), events.clone(), marks.clone());
        match tokio::task::spawn_blocking(move || own.append(events, own_marks)).await? {
            Ok(()) => {
                health.ready();
                return Ok(());
            }
            Err(error) if error.may_retry() => {
                warn!(%error, wait_ms, "check results wait for the spool");
                health.degraded(error.to_string());
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                wait_ms = (wait_ms * 2).min(RETRY_MS_MAX);
                if kept(spool, &marks) {
                    return Ok(());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether a write that was reported as failed is there all the same: a mark is in one piece with its events, and no two
/// results of a check have the same one. A retirement has none; repeating it does no harm.
fn kept(spool: &Spool, marks: &[(String, Vec<u8>)]) -> bool {
    marks
        .iter()
        .any(|(key, mark)| !mark.is_empty() && spool.mark(key).is_ok_and(|stored| stored.as_ref() == Some(mark)))
}

/// Every check that has ever handed a result to this spool and was not retired since.
///
/// # Errors
/// When the spool cannot be read.
pub fn known(spool: &Spool) -> Result<BTreeSet<(TenantId, CheckId)>> {
    let mut checks = BTreeSet::new();
    for (key, _) in spool.marks(PREFIX)? {
        let name = key.strip_prefix(PREFIX).and_then(|name| name.split_once('/'));
        if let Some((Ok(tenant), Ok(check))) = name.map(|(t, c)| (TenantId::new(t), CheckId::new(c))) {
            checks.insert((tenant, check));
        }
    }
    Ok(checks)
}

fn mark_key(tenant: &TenantId, check: &CheckId) -> String {
    format!("{PREFIX}{tenant}/{check}")
}

/// The slot, eight bytes big-endian, then what the check itself wants to remember; absent and empty are told apart.
fn mark(slot: Timestamp, own: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = slot.0.to_be_bytes().to_vec();
    if let Some(own) = own {
        bytes.push(1);
        bytes.extend_from_slice(own);
    }
    bytes
}

/// Where a check goes on. A mark that cannot be read starts it afresh, and says so.
pub fn resume(spool: &Spool, tenant: &TenantId, check: &CheckId) -> Resume {
    let bytes = match spool.mark(&mark_key(tenant, check)) {
        Ok(bytes) => bytes.unwrap_or_default(),
        Err(error) => {
            warn!(%tenant, %check, %error, "the position of {check} cannot be read; it starts afresh");
            Vec::new()
        }
    };
    let Some((slot, rest)) = bytes.split_first_chunk::<8>() else { return Resume::default() };
    let own = rest.split_first().map(|(_, own)| own.to_vec());
    Resume { last_slot: Some(Timestamp(i64::from_be_bytes(*slot))), mark: own }
}
