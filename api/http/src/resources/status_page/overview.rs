//! What the status page shows, gathered. A part that cannot be read says so and does not hide the others.

use kizashi_desk::{Ticket, TicketFilter};
use kizashi_engine::Scope;
use kizashi_model::{TenantId, TicketStatus};

use crate::resources::checks::{self, Check};
use crate::resources::predictions::{self, Prediction};
use crate::time::Time;
use crate::{AppState, Component, names};

/// Rows per table: the page is for a look; the API lists all.
pub const ROWS_MAX: usize = 50;

#[derive(Debug)]
pub struct Overview {
    pub now: Time,
    pub tenant: Option<TenantId>,
    pub ready: bool,
    pub components: Vec<Component>,
    /// Or why they cannot be read.
    pub checks: Result<Checks, String>,
    pub tickets: Result<Vec<Ticket>, String>,
    pub predictions: Result<Vec<Prediction>, String>,
}

/// Checks counted by state, and the ones that are not OK, worst first.
#[derive(Debug, Default)]
pub struct Checks {
    /// In the order of `State`, then those without a result yet.
    pub counts: [(&'static str, usize); 5],
    pub not_ok: Vec<Check>,
}

pub async fn read(state: &AppState, tenant: Option<TenantId>) -> Overview {
    let checks = checks::all(state, tenant.as_ref()).await.map(|all| count(all.into_iter()));
    let filter = TicketFilter {
        tenant: tenant.clone(),
        status: Some(TicketStatus::Open),
        limit: ROWS_MAX as u64 + 1,
        ..TicketFilter::default()
    };
    let tickets = state.desk.tickets(&filter).await.map_err(crate::error::Error::from);
    let scope = tenant.clone().map_or(Scope::All, Scope::Tenant);
    let predictions = predictions::open(state, scope, ROWS_MAX + 1).await;
    Overview {
        now: Time(state.clock.now()),
        tenant,
        ready: state.health.is_ready(),
        components: state.health.components(),
        checks: checks.map_err(|error| error.detail().to_owned()),
        tickets: tickets.map_err(|error| error.detail().to_owned()),
        predictions: predictions.map_err(|error| error.detail().to_owned()),
    }
}

fn count(all: impl Iterator<Item = Check>) -> Checks {
    let mut counts = [("OK", 0), ("WARNING", 0), ("CRITICAL", 0), ("UNKNOWN", 0), ("pending", 0)];
    let mut not_ok = Vec::new();
    for check in all {
        let state = check.current.as_ref().map_or("pending", |current| current.state.as_str());
        for (name, count) in &mut counts {
            *count += usize::from(*name == state);
        }
        if check.current.as_ref().is_some_and(|current| current.state != names::State::Ok) {
            not_ok.push(check);
        }
    }
    let severity =
        |check: &Check| check.current.as_ref().map_or(0, |now| kizashi_model::State::from(now.state).severity());
    not_ok.sort_by_key(|check| std::cmp::Reverse(severity(check)));
    Checks { counts, not_ok }
}
