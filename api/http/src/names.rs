//! The fixed words of the API as types, so that the OpenAPI document lists them and a wrong one is refused by name.

use kizashi_model as model;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! names {
    ($($(#[$attribute:meta])* $name:ident of $model:ident { $($variant:ident),* })*) => {$(
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        $(#[$attribute])*
        pub enum $name {
            $($variant),*
        }

        impl $name {
            pub fn as_str(self) -> &'static str {
                model::$model::from(self).as_str()
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
    #[serde(rename_all = "UPPERCASE")]
    State of State { Ok, Warning, Critical, Unknown }

    /// The phase of a problem: opened and changed while it lasts, recovered or retired when it has ended.
    #[serde(rename_all = "snake_case")]
    ProblemPhase of ProblemPhase { Opened, Changed, Recovered, Retired }

    /// What a ticket is about: something is broken, something will be, something is unusual.
    #[serde(rename_all = "snake_case")]
    TicketKind of TicketKind { Incident, Prediction, Finding }

    /// Open; resolved when the cause is gone; closed by a person.
    #[serde(rename_all = "snake_case")]
    TicketStatus of TicketStatus { Open, Resolved, Closed }

    /// What happened to a ticket.
    #[serde(rename_all = "snake_case")]
    TicketAction of TicketAction {
        Opened, Updated, Commented, Assigned, Prioritised, Resolved, Reopened, Closed
    }

    /// What became of a prediction: it happened, it did not, work prevented it, or nobody was looking.
    #[serde(rename_all = "snake_case")]
    Outcome of Outcome { Hit, Miss, Prevented, Void }
}
