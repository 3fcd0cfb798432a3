//! The fixed words of the API as types, so that the OpenAPI document lists them and a wrong one is refused by name.

use kizashi_model as model;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident of $model:ident { $($variant:ident = $text:literal),* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        pub enum $name {
            $(#[serde(rename = $text)] $variant),*
        }

        impl $name {
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl From<model::$model> for $name {
            fn from(value: model::$model) -> Self {
                match value { $(model::$model::$variant => Self::$variant),* }
            }
        }

        impl From<$name> for model::$model {
            fn from(value: $name) -> Self {
                match value { $($name::$variant => Self::$variant),* }
            }
        }
    )*};
}
names! {
    /// The state of a check, in the order of Nagios plugin exit codes.
    State of State { Ok = "OK", Warning = "WARNING", Critical = "CRITICAL", Unknown = "UNKNOWN" }

    /// The phase of a problem: opened and changed while it lasts, recovered or retired when it has ended.
    ProblemPhase of ProblemPhase {
        Opened = "opened", Changed = "changed", Recovered = "recovered", Retired = "retired"
    }

    /// What a ticket is about: something is broken, something will be, something is unusual.
    TicketKind of TicketKind { Incident = "incident", Prediction = "prediction", Finding = "finding" }

    /// Open; resolved when the cause is gone; closed by a person.
    TicketStatus of TicketStatus { Open = "open", Resolved = "resolved", Closed = "closed" }

    /// What happened to a ticket.
    TicketAction of TicketAction {
        Opened = "opened", Updated = "updated", Commented = "commented", Assigned = "assigned",
        Prioritised = "prioritised", Resolved = "resolved", Reopened = "reopened", Closed = "closed"
    }

    /// What became of a prediction: it happened, it did not, work prevented it, or nobody was looking.
    Outcome of Outcome { Hit = "hit", Miss = "miss", Prevented = "prevented", Void = "void" }
}
