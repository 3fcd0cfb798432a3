//! The envelope of everything on the relay: CloudEvents 1.0 in the Kafka protocol binding's binary mode, that is,
//! attributes as headers `ce_*` and the JSON body as the record's value. The optional `subject` is left out: the record's
//! key and the body name the check, and a client parses and allocates every header of every record.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::plausible::plausible;
use crate::{
    CheckResult, CheckRetired, Finding, Prediction, ProblemEvent, RejectDecided, TenantId, TicketEvent, Timestamp,
    Topic,
};

pub const HEADER_ID: &str = "ce_id";
pub const HEADER_SOURCE: &str = "ce_source";
pub const HEADER_SPECVERSION: &str = "ce_specversion";
pub const HEADER_TYPE: &str = "ce_type";
pub const HEADER_TIME: &str = "ce_time";
/// Read, not written any more.
pub const HEADER_SUBJECT: &str = "ce_subject";
pub const HEADER_TENANT: &str = "ce_tenant";
/// CloudEvents' sequence extension: counts up per source. A consumer that has seen a higher one on the same partition
/// from the same source has seen this event: that is how a resent outbox changes nothing.
pub const HEADER_SEQUENCE: &str = "ce_sequence";
pub const HEADER_CONTENT_TYPE: &str = "content-type";
/// What an event carries before its sequence. Spools store the place in this list: add at the end, never reorder.
pub const HEADERS: [&str; 8] = [
    HEADER_ID,
    HEADER_SOURCE,
    HEADER_SPECVERSION,
    HEADER_TYPE,
    HEADER_TIME,
    HEADER_SUBJECT,
    HEADER_TENANT,
    HEADER_CONTENT_TYPE,
];
pub const CONTENT_TYPE: &str = "application/json";

/// The largest body that a producer may send and a consumer decodes; a larger one is a reject.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    CheckResult,
    CheckRetired,
    Problem,
    TicketEvent,
    Finding,
    Prediction,
    RejectDecided,
}

impl EventType {
    pub const ALL: [Self; 7] = [
        Self::CheckResult,
        Self::CheckRetired,
        Self::Problem,
        Self::TicketEvent,
        Self::Finding,
        Self::Prediction,
        Self::RejectDecided,
    ];

    /// The CloudEvents `type`; its schema is `ingest/model/schemas/<name>.json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CheckResult => "kizashi.check_result.v1",
            Self::CheckRetired => "kizashi.check_retired.v1",
            Self::Problem => "kizashi.problem.v1",
            Self::TicketEvent => "kizashi.ticket_event.v1",
            Self::Finding => "kizashi.finding.v1",
            Self::Prediction => "kizashi.prediction.v1",
            Self::RejectDecided => "kizashi.reject_decided.v1",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }

    #[must_use]
    pub fn topic(self) -> Topic {
        match self {
            Self::CheckResult | Self::CheckRetired => Topic::CheckResults,
            Self::Problem => Topic::Problems,
            Self::TicketEvent => Topic::TicketEvents,
            Self::Finding => Topic::Findings,
            Self::Prediction => Topic::Predictions,
            Self::RejectDecided => Topic::RejectDecisions,
        }
    }
}

/// A body that travels: what the envelope needs to know of it.
pub trait EventBody: Serialize + DeserializeOwned {
    const TYPE: EventType;
    const TOPIC: Topic;

    /// Derived from the content: the same event always has the same id.
    fn id(&self) -> String;
    /// `None` where nobody knows.
    fn tenant(&self) -> Option<&TenantId>;
    /// What it is about, mostly a check.
    fn subject(&self) -> &str;
    fn time(&self) -> Timestamp;
    fn recorded(&self) -> bool;
}

/// An event ready for the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub topic: Topic,
    /// `tenant/check`: order is kept per key.
    pub key: String,
    /// `ce_*` attributes and the content type.
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Event {
    /// `source` names the producer: instance and function, such as `kizashi/checks`.
    ///
    /// # Errors
    /// When the body is over [`BODY_BYTES_MAX`] or does not serialise (a non-finite number is refused by the model).
    pub fn of<B: EventBody>(body: &B, source: &str) -> Result<Self, DecodeError> {
        let bytes = serde_json::to_vec(body).map_err(|e| DecodeError::Body(B::TYPE.name(), e.to_string()))?;
        if bytes.len() > BODY_BYTES_MAX {
            return Err(DecodeError::TooLarge(bytes.len()));
        }
        let tenant = body.tenant().map(TenantId::as_str);
        let mut headers = vec![
            (HEADER_ID, body.id()),
            (HEADER_SOURCE, source.to_owned()),
            (HEADER_SPECVERSION, "1.0".to_owned()),
            (HEADER_TYPE, B::TYPE.name().to_owned()),
            (HEADER_TIME, body.time().rfc3339()),
            (HEADER_CONTENT_TYPE, CONTENT_TYPE.to_owned()),
        ];
        headers.extend(tenant.map(|tenant| (HEADER_TENANT, tenant.to_owned())));
        let key = format!("{}/{}", tenant.unwrap_or("-"), body.subject());
        Ok(Self { topic: B::TOPIC, key, headers, body: bytes })
    }

    #[must_use]
    pub fn with_sequence(mut self, sequence: u64) -> Self {
        self.headers.push((HEADER_SEQUENCE, sequence.to_string()));
        self
    }

    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str())
    }
}

/// Why a record is a reject. The text goes to the rejects table as its reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the record has no {0} header; send CloudEvents 1.0 in Kafka binary mode")]
    MissingHeader(&'static str),
    #[error("event type {0:?} is not known here")]
    UnknownType(String),
    #[error("a {0} does not belong on topic {1}")]
    WrongTopic(&'static str, Topic),
    #[error("the body is {0} bytes; at most {BODY_BYTES_MAX} are accepted")]
    TooLarge(usize),
    #[error("the body is not a {0}: {1}")]
    Body(&'static str, String),
    #[error("the record's key or {HEADER_TENANT} header does not match the body's tenant")]
    TenantMismatch,
    #[error("{0}")]
    Implausible(String),
}

/// The type that the headers declare, if it may be on this topic.
///
/// # Errors
/// The reason for which the record is a reject.
pub fn declared_type(topic: Topic, ce_type: Option<&str>) -> Result<EventType, DecodeError> {
    let name = ce_type.ok_or(DecodeError::MissingHeader(HEADER_TYPE))?;
    let of = EventType::from_name(name).ok_or_else(|| DecodeError::UnknownType(name.chars().take(80).collect()))?;
    if of.topic() == topic { Ok(of) } else { Err(DecodeError::WrongTopic(of.name(), topic)) }
}

/// Decodes and checks a body; every consumer goes through here (the lake's columnar decoder keeps to the same rules).
///
/// # Errors
/// The reason for which the record is a reject.
pub fn decode<B: EventBody>(ce_tenant: Option<&str>, body: &[u8], received: Timestamp) -> Result<B, DecodeError> {
    let decoded: B = decode_own(body, received)?;
    if ce_tenant != decoded.tenant().map(TenantId::as_str) {
        return Err(DecodeError::TenantMismatch);
    }
    Ok(decoded)
}

/// Decodes a body whose tenant is what it says itself.
fn decode_own<B: EventBody>(body: &[u8], received: Timestamp) -> Result<B, DecodeError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(DecodeError::TooLarge(body.len()));
    }
    let decoded: B = serde_json::from_slice(body).map_err(|e| DecodeError::Body(B::TYPE.name(), e.to_string()))?;
    plausible(decoded.time(), received, decoded.recorded()).map_err(DecodeError::Implausible)?;
    Ok(decoded)
}

/// The event anew that a rejected record was meant to be, if its body is one by now. Its tenant is the body's own.
///
/// # Errors
/// The reason for which it would be a reject again.
pub fn rebuilt(
    topic: Topic,
    ce_type: Option<&str>,
    body: &[u8],
    received: Timestamp,
    source: &str,
) -> Result<(Option<TenantId>, Event), DecodeError> {
    fn of<B: EventBody>(
        body: &[u8],
        received: Timestamp,
        source: &str,
    ) -> Result<(Option<TenantId>, Event), DecodeError> {
        let decoded: B = decode_own(body, received)?;
        Ok((decoded.tenant().cloned(), Event::of(&decoded, source)?))
    }
    match declared_type(topic, ce_type)? {
        EventType::CheckResult => of::<CheckResult>(body, received, source),
        EventType::CheckRetired => of::<CheckRetired>(body, received, source),
        EventType::Problem => of::<ProblemEvent>(body, received, source),
        EventType::TicketEvent => of::<TicketEvent>(body, received, source),
        EventType::Finding => of::<Finding>(body, received, source),
        EventType::Prediction => of::<Prediction>(body, received, source),
        EventType::RejectDecided => of::<RejectDecided>(body, received, source),
    }
}
