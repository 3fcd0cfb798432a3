//! For tests: a timer whose time is moved by hand, and a check that does what it is told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, pending};
use kizashi_model::{State, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::probe::{Context, Probe, Report};
use crate::timer::Timer;

/// 2027-01-15T08:00:00Z, the start of a slot of any interval that divides a minute.
pub const NOON: i64 = 1_800_000_000_000;

#[derive(Debug)]
pub struct VirtualTimer(Mutex<Waiting>);

#[derive(Debug)]
struct Waiting {
    now: i64,
    next_id: u64,
    sleepers: BTreeMap<(i64, u64), oneshot::Sender<()>>,
}

impl VirtualTimer {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Waiting { now: NOON, next_id: 0, sleepers: BTreeMap::new() })))
    }

    /// Lets everything run that can, then moves the time from one sleeper to the next, for `ms` in all. Needs the
    /// current-thread runtime.
    pub async fn pass(&self, ms: i64) {
        let end = self.0.lock().unwrap().now + ms;
        loop {
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
            let mut waiting = self.0.lock().unwrap();
            waiting.sleepers.retain(|_, sleeper| !sleeper.is_closed());
            let Some(first) = waiting.sleepers.first_entry().filter(|first| first.key().0 <= end) else {
                waiting.now = end;
                return;
            };
            let (at, _) = *first.key();
            let _ = first.remove().send(());
            waiting.now = waiting.now.max(at);
        }
    }
}

impl Timer for VirtualTimer {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.lock().unwrap().now)
    }

    fn until(&self, at: Timestamp) -> BoxFuture<'_, ()> {
        let (wake, woken) = oneshot::channel();
        let mut waiting = self.0.lock().unwrap();
        if at.0 <= waiting.now {
            return futures::future::ready(()).boxed();
        }
        waiting.next_id += 1;
        let key = (at.0, waiting.next_id);
        waiting.sleepers.insert(key, wake);
        async move {
            let _ = woken.await;
        }
        .boxed()
    }

    fn after(&self, duration: Duration) -> BoxFuture<'_, ()> {
        self.until(self.now().plus(duration))
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Act {
    Find(State),
    /// Takes this long, in ms.
    Take(i64),
    /// Waits for an answer that does not come.
    Wait,
    /// A blocking call that outlives its timeout, until [`Scripted::release`].
    Hang,
    Panic,
}

/// Does one act after the other, and the last one from then on.
pub struct Scripted {
    pub timer: Arc<VirtualTimer>,
    acts: Vec<Act>,
    pub runs: AtomicUsize,
    pub at_once: AtomicUsize,
    pub at_once_most: AtomicUsize,
    hung: Mutex<Vec<Arc<OwnedSemaphorePermit>>>,
    /// What each run was given as its mark; each leaves its number.
    pub marks: Mutex<Vec<Option<Vec<u8>>>>,
}

impl Scripted {
    pub fn new(timer: &Arc<VirtualTimer>, acts: &[Act]) -> Arc<Self> {
        Arc::new(Self {
            timer: Arc::clone(timer),
            acts: acts.to_vec(),
            runs: AtomicUsize::new(0),
            at_once: AtomicUsize::new(0),
            at_once_most: AtomicUsize::new(0),
            hung: Mutex::default(),
            marks: Mutex::default(),
        })
    }

    pub fn release(&self) {
        self.hung.lock().unwrap().clear();
    }

    async fn act(&self, act: Act, context: &Context) -> Report {
        match act {
            Act::Find(state) => {
                let mut report = Report::ok("found");
                report.fail(state, "as told");
                report
            }
            Act::Take(ms) => {
                self.timer.after(Duration::from_millis(ms.unsigned_abs())).await;
                Report::ok("took its time")
            }
            Act::Wait => {
                context.stage("waiting for an answer");
                pending().await
            }
            Act::Hang => {
                self.hung.lock().unwrap().push(Arc::clone(&context.running));
                pending().await
            }
            Act::Panic => panic!("as told"),
        }
    }
}

impl Probe for Scripted {
    fn timed_out(&self) -> State {
        State::Critical
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Report> {
        async move {
            let run = self.runs.fetch_add(1, Ordering::SeqCst);
            self.marks.lock().unwrap().push(context.mark.clone());
            let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.at_once_most.fetch_max(at_once, Ordering::SeqCst);
            let mut report = self.act(self.acts[run.min(self.acts.len() - 1)], context).await;
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            report.mark = Some(run.to_string().into_bytes());
            report
        }
        .boxed()
    }
}
