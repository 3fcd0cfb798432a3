//! How a ticket moves: pure functions from the ticket and what happened to the ticket afterwards.
//!
//! ```text
//!          problem, finding, prediction
//!                      │ opened
//!                      ▼      recovery, retirement, score
//!                    open ─────────────────────────────► resolved
//!                     ▲ │                                  │  │
//!                     │ └────────── close ──► closed ◄─────┘  │
//!                     └───────────── reopen ──┴───────────────┘
//! ```

use kizashi_model::{
    DecodeError, EventBody, Finding, Prediction, PredictionPhase, ProblemEvent, ProblemPhase, State, TenantId,
    TicketAction, TicketKind, TicketStatus, Timestamp,
};

use super::closure::ClosureCode;
use super::{ACTOR, Ticket, TicketCommand};
use crate::{DeskError, bounded};

const TITLE_BYTES_MAX: usize = 200;
const COMMENT_BYTES_MAX: usize = 16 * 1024;
const NAME_BYTES_MAX: usize = 200;
/// Ids that come with events become part of a ticket's key. Ours are far shorter.
const ID_BYTES_MAX: usize = 512;
const EVIDENCE_BYTES_MAX: usize = 256 * 1024;

/// What the desk's consumer reacts to.
#[derive(Clone, Debug)]
pub(crate) enum Cause {
    Problem(ProblemEvent),
    Finding(Finding),
    Prediction(Prediction),
}

/// What is written beside the ticket itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub action: TicketAction,
    pub at_ms: Timestamp,
    pub actor: String,
    pub comment: Option<String>,
    pub evidence: Option<serde_json::Value>,
    /// Id of the event behind it.
    pub cause: Option<String>,
}

impl Cause {
    pub fn id(&self) -> String {
        match self {
            Self::Problem(e) => e.id(),
            Self::Finding(e) => e.id(),
            Self::Prediction(e) => e.id(),
        }
    }

    pub fn tenant(&self) -> &TenantId {
        match self {
            Self::Problem(e) => &e.tenant,
            Self::Finding(e) => &e.tenant,
            Self::Prediction(e) => &e.tenant,
        }
    }

    /// Whatever passes here fits a ticket and its event: all other text is cut to its own bound.
    ///
    /// # Errors
    /// When an id or the evidence is too large to be kept.
    pub fn check_size(&self) -> Result<(), DecodeError> {
        let (name, id, evidence) = match self {
            Self::Problem(e) => ("problem_id", &e.problem_id, None),
            Self::Finding(e) => ("finding_id", &e.finding_id, Some(&e.evidence)),
            Self::Prediction(e) => ("prediction_id", &e.prediction_id, Some(&e.evidence)),
        };
        let within = |name: &str, bytes: usize, bytes_max: usize| {
            if bytes <= bytes_max {
                return Ok(());
            }
            Err(DecodeError::Implausible(format!("{name} is {bytes} bytes; a ticket takes at most {bytes_max}")))
        };
        within(name, id.len(), ID_BYTES_MAX)?;
        within("evidence", evidence.map_or(0, |json| json.to_string().len()), EVIDENCE_BYTES_MAX)
    }

    pub fn ticket_key(&self) -> String {
        match self {
            Self::Problem(e) => format!("{}:{}", TicketKind::Incident.as_str(), e.problem_id),
            Self::Finding(e) => format!("{}:{}", TicketKind::Finding.as_str(), e.finding_id),
            Self::Prediction(e) => format!("{}:{}", TicketKind::Prediction.as_str(), e.prediction_id),
        }
    }

    fn entry(&self, action: TicketAction, comment: Option<String>) -> Entry {
        let at_ms = match self {
            Self::Problem(e) => e.time(),
            Self::Finding(e) => e.time(),
            Self::Prediction(e) => e.time(),
        };
        Entry { action, at_ms, actor: ACTOR.to_owned(), comment, evidence: None, cause: Some(self.id()) }
    }
}

/// 1 (highest) to 5. A known outage comes before not knowing, and that before a warning.
fn priority(state: State) -> u8 {
    match state {
        State::Critical => 2,
        State::Unknown => 3,
        State::Warning | State::Ok => 4,
    }
}

fn explained(summary: &str, runbook: Option<&str>) -> Option<String> {
    Some(comment(runbook.map_or_else(|| summary.to_owned(), |link| format!("{summary}\nRunbook: {link}"))))
}

fn comment(mut text: String) -> String {
    text.truncate(bounded(&text, COMMENT_BYTES_MAX).len());
    text
}

/// Check, state, and the first line of what it said.
fn incident(event: &ProblemEvent) -> String {
    match event.output.lines().next().filter(|line| !line.is_empty()) {
        Some(line) => format!("{} {}: {line}", event.check_id, event.state),
        None => format!("{} {}", event.check_id, event.state),
    }
}

/// A value as a title shows it: two decimals, or an exponent where that says more.
fn figure(value: f64) -> String {
    let size = value.abs();
    if size >= 1e9 || (size > 0.0 && size < 0.01) {
        return format!("{value:.2e}");
    }
    let text = format!("{value:.2}");
    text.strip_suffix(".00").unwrap_or(&text).to_owned()
}

/// RFC 3339 in UTC to the minute, without its `T`.
fn minute(at: Timestamp) -> String {
    let text = at.rfc3339();
    match text.get(..16) {
        Some(minute) => format!("{} UTC", minute.replace('T', " ")),
        None => text,
    }
}

/// The ticket (its number is given by the store) that the event opens. `None` when it only ends something.
pub(crate) fn open(cause: &Cause, now: Timestamp) -> Option<(Ticket, Entry)> {
    let (kind, check_id, title, priority, recorded) = match cause {
        Cause::Problem(e) if e.phase.is_end() => return None,
        Cause::Prediction(e) if e.phase == PredictionPhase::Scored => return None,
        Cause::Problem(e) => {
            let title = incident(e);
            (TicketKind::Incident, &e.check_id, title, priority(e.state), e.recorded)
        }
        Cause::Finding(e) => {
            let (low, high) = (figure(e.expected_low), figure(e.expected_high));
            let title =
                format!("{} {} is unusual: {} (expected {low} to {high})", e.check_id, e.metric, figure(e.value));
            (TicketKind::Finding, &e.check_id, title, 4, e.recorded)
        }
        Cause::Prediction(e) => {
            let (limit, at) = (figure(e.limit_value), minute(e.expected_at_ms));
            let title = format!("{} {} will reach {limit} about {at}", e.check_id, e.metric);
            (TicketKind::Prediction, &e.check_id, title, 3, e.recorded)
        }
    };
    let (comment, evidence) = match cause {
        Cause::Problem(e) => (explained(&e.output, None), None),
        Cause::Finding(e) => (explained(&e.summary, e.runbook.as_deref()), Some(e.evidence.clone())),
        Cause::Prediction(e) => (explained(&e.summary, e.runbook.as_deref()), Some(e.evidence.clone())),
    };
    let entry = Entry { evidence, ..cause.entry(TicketAction::Opened, comment) };
    let ticket = Ticket {
        tenant: cause.tenant().clone(),
        number: 0,
        ticket_key: cause.ticket_key(),
        kind,
        status: TicketStatus::Open,
        title: bounded(&title, TITLE_BYTES_MAX).to_owned(),
        check_id: check_id.clone(),
        priority,
        priority_by_person: false,
        assignee: None,
        closure_code: None,
        opened_at_ms: entry.at_ms,
        updated_at_ms: now,
        changes: 0,
        recorded,
    };
    Some((ticket, entry))
}

/// What a later event does to the ticket. `None`: nothing. A person's closure stands; what comes afterwards is only noted.
pub(crate) fn follow(ticket: &Ticket, cause: &Cause, now: Timestamp) -> Option<(Ticket, Entry)> {
    let mut after = Ticket { updated_at_ms: now, ..ticket.clone() };
    let ending = match cause {
        Cause::Problem(e) => match e.phase {
            ProblemPhase::Opened => return None,
            ProblemPhase::Changed => {
                if after.status != TicketStatus::Closed {
                    after.title = bounded(&incident(e), TITLE_BYTES_MAX).to_owned();
                    if !after.priority_by_person {
                        after.priority = priority(e.state);
                    }
                }
                let change = comment(format!("The state is now {}: {}", e.state, e.output));
                return Some((after, cause.entry(TicketAction::Updated, Some(change))));
            }
            ProblemPhase::Recovered => comment(format!("Recovered: {}", e.output)),
            ProblemPhase::Retired => "The check was retired: it is no longer configured.".to_owned(),
        },
        Cause::Finding(_) => return None,
        Cause::Prediction(e) => match (e.phase, e.outcome) {
            (PredictionPhase::Made, _) => return None,
            (PredictionPhase::Scored, outcome) => {
                let outcome = outcome.map_or("unknown", |o| o.as_str());
                let reason = e.outcome_reason.as_deref().unwrap_or("no reason was given");
                comment(format!("Outcome {outcome}: {reason}"))
            }
        },
    };
    match ticket.status {
        TicketStatus::Open => {
            after.status = TicketStatus::Resolved;
            Some((after, cause.entry(TicketAction::Resolved, Some(ending))))
        }
        TicketStatus::Closed => Some((after, cause.entry(TicketAction::Updated, Some(ending)))),
        TicketStatus::Resolved => None,
    }
}

/// What a person's command does. `None`: the ticket is like that already.
///
/// # Errors
/// `Invalid` when a value is wrong, `Conflict` when the ticket's status does not allow it.
pub(crate) fn act(
    ticket: &Ticket,
    command: TicketCommand,
    actor: &str,
    now: Timestamp,
) -> Result<Option<(Ticket, Entry)>, DeskError> {
    if name("the actor", actor)? == ACTOR {
        return Err(DeskError::Invalid(format!("{ACTOR:?} is the desk itself; act under a person's name")));
    }
    let conflict = |reason| DeskError::Conflict { number: ticket.number, status: ticket.status, reason };
    let closed = ticket.status == TicketStatus::Closed;
    let mut after = Ticket { updated_at_ms: now, ..ticket.clone() };
    let (action, comment) = match command {
        TicketCommand::Comment { comment } => (TicketAction::Commented, Some(text(comment)?)),
        TicketCommand::Assign { assignee } => {
            let assignee = assignee.map(|person| name("the assignee", &person)).transpose()?;
            if ticket.assignee == assignee {
                return Ok(None);
            }
            if closed {
                return Err(conflict("reopen it before you assign it"));
            }
            after.assignee = assignee;
            (TicketAction::Assigned, None)
        }
        TicketCommand::Prioritise { priority } => {
            if !(1..=5).contains(&priority) {
                return Err(DeskError::Invalid(format!("priority {priority} is not between 1 (highest) and 5")));
            }
            if closed {
                return Err(conflict("reopen it before you change its priority"));
            }
            if ticket.priority == priority && ticket.priority_by_person {
                return Ok(None);
            }
            (after.priority, after.priority_by_person) = (priority, true);
            (TicketAction::Prioritised, None)
        }
        TicketCommand::Close { code, comment } => {
            let code = ClosureCode::from_name(&code)?;
            if closed {
                return Err(conflict("it cannot be closed twice"));
            }
            (after.status, after.closure_code) = (TicketStatus::Closed, Some(code.as_str().to_owned()));
            (TicketAction::Closed, comment.map(text).transpose()?)
        }
        TicketCommand::Reopen { comment } => {
            if ticket.status == TicketStatus::Open {
                return Err(conflict("only a resolved or closed ticket can be reopened"));
            }
            (after.status, after.closure_code) = (TicketStatus::Open, None);
            (TicketAction::Reopened, comment.map(text).transpose()?)
        }
    };
    let entry = Entry { action, at_ms: now, actor: actor.trim().to_owned(), comment, evidence: None, cause: None };
    Ok(Some((after, entry)))
}

fn name(what: &str, value: &str) -> Result<String, DeskError> {
    let value = value.trim();
    if value.is_empty() || value.len() > NAME_BYTES_MAX || value.chars().any(char::is_control) {
        return Err(DeskError::Invalid(format!(
            "{what} must be a name of 1 to {NAME_BYTES_MAX} bytes without control characters"
        )));
    }
    Ok(value.to_owned())
}

fn text(comment: String) -> Result<String, DeskError> {
    if comment.trim().is_empty() || comment.len() > COMMENT_BYTES_MAX {
        return Err(DeskError::Invalid(format!("a comment has 1 to {COMMENT_BYTES_MAX} bytes and is not blank")));
    }
    Ok(comment)
}
