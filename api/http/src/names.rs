//! The fixed words of the API as types, so that the OpenAPI document lists them and a wrong one is refused by name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use {kizashi_desk as desk, kizashi_model as model};

macro_rules! names {
    ($($(#[$attribute:meta])* $name:ident of $of:ident::$model:ident { $($variant:ident),* })*) => {$(
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
        $(#[$attribute])*
        pub enum $name {
            $($variant),*
        }

        impl $name {
            #[allow(dead_code, reason = "not every list is filtered by its words")]
            pub fn as_str(self) -> &'static str {
                $of::$model::from(self).as_str()
            }
        }

        impl From<$of::$model> for $name {
            fn from(value: $of::$model) -> Self {
                match value { $($of::$model::$variant => Self::$variant),* }
            }
        }

        impl From<$name> for $of::$model {
            fn from(value: $name) -> Self {
                match value { $($name::$variant => Self::$variant),* }
            }
        }
    )*};
}
names! {
    /// The state of a check, in the order of Nagios plugin exit codes.
    #[serde(rename_all = "UPPERCASE")]
    State of model::State { Ok, Warning, Critical, Unknown }

    /// The phase of a problem: opened and changed while it lasts, recovered or retired when it has ended.
    #[serde(rename_all = "snake_case")]
    ProblemPhase of model::ProblemPhase { Opened, Changed, Recovered, Retired }

    /// What a ticket is about: something is broken, something will be, something is unusual.
    #[serde(rename_all = "snake_case")]
    TicketKind of model::TicketKind { Incident, Prediction, Finding }

    /// Open; resolved when the cause is gone; closed by a person.
    #[serde(rename_all = "snake_case")]
    TicketStatus of model::TicketStatus { Open, Resolved, Closed }

    /// What happened to a ticket.
    #[serde(rename_all = "snake_case")]
    TicketAction of model::TicketAction {
        Opened, Updated, Commented, Assigned, Prioritised, Resolved, Reopened, Closed
    }

    /// What became of a prediction: it happened, it did not, work prevented it, or nobody was looking.
    #[serde(rename_all = "snake_case")]
    Outcome of model::Outcome { Hit, Miss, Prevented, Void }

    /// What someone is here for.
    #[serde(rename_all = "snake_case")]
    Role of desk::Role { Administrator, Operator, Analyst, Manager, DataEngineer, TenantUser }

    /// The language of the pages.
    #[serde(rename_all = "lowercase")]
    Language of desk::Language { Ja, En }

    /// What the access log tells.
    #[serde(rename_all = "snake_case")]
    AccessEvent of desk::AccessEvent {
        LoginOk, LoginFailed, LoginLimited, Logout, TokenUsed, TokenCreated, TokenRevoked, PasswordChanged, PasswordReset,
        PersonCreated, PersonChanged
    }
}
