//! The words of the command line, and the help that teaches them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kizashi_model::{CheckId, Span, TenantId};

#[derive(Parser, Debug)]
#[command(
    name = "kizashi",
    version,
    about = "Kizashi (兆) watches systems and opens the ticket before the outage",
    long_about = "Kizashi (兆, the sign before the event) runs checks, keeps every result in a lake that speaks SQL, opens one \
                  ticket per problem, and predicts failures before they happen.\n\n\
                  With no command it starts everything and watches this host.",
    after_help = "Examples:\n  \
        kizashi                                   start, and watch this host\n  \
        kizashi sql 'select * from current_state' ask the running product\n  \
        kizashi tickets                           what is open\n  \
        kizashi tickets close 3 --code fixed --comment 'log rotation was off'\n  \
        kizashi demo                              a real recording: the ticket comes before the failure\n  \
        kizashi validate --schema                 the JSON Schema of the configuration"
)]
pub struct Cli {
    #[command(flatten)]
    pub place: Place,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Where the product is: shared by every command.
#[derive(Args, Debug, Clone)]
pub struct Place {
    /// The configuration file. Without it: kizashi.toml in this folder, if there is one, else the defaults. The folder
    /// kizashi.d beside it may hold more checks (*.toml) and your own SQL (queries/).
    #[arg(long, short, global = true, env = "KIZASHI_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data folder, instead of the one in the configuration.
    #[arg(long, global = true, env = "KIZASHI_DATA", value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Address of the running product, for the commands that ask it; without it: the configuration's.
    #[arg(long, global = true, env = "KIZASHI_URL", value_name = "URL")]
    pub url: Option<String>,
    /// Token for the running product; without it: the one that `up` left in the data folder for this user. Given to `up`, it
    /// becomes the administrator's token.
    #[arg(long, global = true, env = "KIZASHI_ADMIN_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Start everything (the default command)
    #[command(
        after_help = "SIGTERM and Ctrl-C drain and stop within 20 s. SIGHUP reads the checks again and keeps their states, the steps, and the certificate."
    )]
    Up(UpArgs),
    /// Check the configuration, the queries and their tests without starting anything
    Validate(ValidateArgs),
    /// Run the tests of steps, views, detectors and predictions
    Test,
    /// Take over steps as they are in the files, and derive history again where days are given
    #[command(after_help = "Examples:\n  \
        kizashi apply                                        steps that are new or changed, from now on\n  \
        kizashi apply --backfill 2026-01-01..2026-01-31      and January as well, put in place step by step\n  \
        kizashi apply --backfill 2026-01-01..2026-01-31 --step samples_hourly --rows-per-second 50000")]
    Apply(ApplyArgs),
    /// List the steps, and how far their history is derived again
    Steps(StepsArgs),
    /// Ask the running product in SQL
    #[command(
        after_help = "Tables: check_results, samples, check_retirements, problems, ticket_events, findings, predictions, rejects,\n\
        reject_decisions, and those of steps, such as samples_hourly.\n\
        Views:  current_state, tickets, open_tickets, availability_per_day and more; `select * from columns` explains each column.\n\n\
        Example: kizashi sql --format csv \"select slot, value from samples where metric = 'used_percent' order by slot\""
    )]
    Sql(SqlArgs),
    /// List tickets, read one, and work on it
    Tickets(TicketsArgs),
    /// List what could not be taken in, read one, send it again or drop it
    #[command(after_help = "Examples:\n  \
        kizashi rejects                                     what is open\n  \
        kizashi rejects show check-results/3/41             its headers and its value\n  \
        kizashi rejects retry check-results/3/41 --payload repaired.json\n  \
        kizashi rejects --reason 'unknown type' drop --every-open --comment 'a test'")]
    Rejects(RejectsArgs),
    /// Take every row of a tenant out of the lake and the database, for good; without a tenant: list what is being erased
    Erase(EraseArgs),
    /// Make the lake anew from what the relay still has, beside the first one; without a name: list the rebuilds
    #[command(after_help = "Examples:\n  \
        kizashi rebuild check                               its tables are in the data folder, under rebuilds/check\n  \
        kizashi rebuild check --remove")]
    Rebuild(RebuildArgs),
    /// Make, list and revoke tokens for programs
    Token(TokenArgs),
    /// Bring a CSV or Parquet file of times and values onto a check; the same file again changes nothing
    Import(ImportArgs),
    /// Replay a recording at speed, judged at the recording's own time
    Replay(ReplayArgs),
    /// Run a detector or a prediction over stored history and print its decisions
    Backtest(BacktestArgs),
    /// Replay a real recording of a failure and watch the ticket appear before it
    Demo(DemoArgs),
    /// Run people's SQL; started by `up`
    #[command(hide = true)]
    SqlWorker,
}

impl Default for Command {
    fn default() -> Self {
        Self::Up(UpArgs::default())
    }
}

#[derive(Args, Debug, Default)]
pub struct UpArgs {
    /// Listen here instead of the configured address, such as 127.0.0.1:0 for a free port
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<std::net::SocketAddr>,
}

#[derive(Args, Debug)]
pub struct ApplyArgs {
    /// Derive these days (UTC) again, the last included
    #[arg(long, value_name = "FROM..TO")]
    pub backfill: Option<String>,
    /// Only of this step; may be given again
    #[arg(long = "step", value_name = "NAME", requires = "backfill")]
    pub steps: Vec<String>,
    /// Read no more rows than that in a second
    #[arg(long, value_name = "N", requires = "backfill")]
    pub rows_per_second: Option<u64>,
    /// Do not wait for the end
    #[arg(long)]
    pub detach: bool,
}

#[derive(Args, Debug)]
pub struct StepsArgs {
    /// One JSON object per line
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct RebuildArgs {
    /// Names its folder
    pub name: Option<String>,
    /// Read no more records than that in a second
    #[arg(long, value_name = "N", requires = "name")]
    pub records_per_second: Option<u64>,
    /// Do not wait for the end
    #[arg(long, requires = "name")]
    pub detach: bool,
    /// End it and delete its tables
    #[arg(long, requires = "name", conflicts_with_all = ["detach", "records_per_second"])]
    pub remove: bool,
    /// One JSON object per line
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct EraseArgs {
    /// Whose rows
    pub tenant: Option<TenantId>,
    /// It is meant: nothing brings them back
    #[arg(long, requires = "tenant")]
    pub yes: bool,
    /// Wait so long for the end; it goes on either way
    #[arg(long, default_value = "10m")]
    pub within: Span,
    /// One JSON object per line
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct TokenArgs {
    #[command(subcommand)]
    pub action: TokenAction,
}

#[derive(Subcommand, Debug)]
pub enum TokenAction {
    /// Make a token for a service and print it, once
    Create {
        /// What it is for, and under which name the service acts
        name: String,
        /// The permissions that it has, separated by commas, such as state.read,sql.run
        #[arg(long, value_delimiter = ',', required = true)]
        scopes: Vec<String>,
        /// The role that bounds them
        #[arg(long, default_value = "analyst")]
        role: String,
        /// The only tenant that it sees; without it every one
        #[arg(long)]
        tenant: Option<TenantId>,
        /// How long it lasts, 1 to 366
        #[arg(long, default_value_t = 90)]
        days: i64,
    },
    /// List every token, newest first
    List,
    /// End a token for good
    Revoke { id: i64 },
}

#[derive(Args, Debug)]
pub struct ValidateArgs {
    /// Print the JSON Schema of the configuration, or of a dashboard, and stop
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "configuration")]
    pub schema: Option<Schema>,
    /// Run every check once and show what it says
    #[arg(long)]
    pub run: bool,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    Configuration,
    Dashboard,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Table,
    Csv,
    Json,
    Parquet,
}

impl Format {
    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Parquet => "parquet",
        }
    }
}

#[derive(Args, Debug)]
pub struct SqlArgs {
    /// One statement; `-` reads it from standard input
    pub statement: String,
    #[arg(long, short, value_enum, default_value = "table")]
    pub format: Format,
    /// Only this tenant's rows; without it every tenant that the token covers
    #[arg(long)]
    pub tenant: Option<TenantId>,
    /// At most so many rows; without it 10,000 as a table, and as many as the product gives for the other formats
    #[arg(long)]
    pub rows: Option<u64>,
    /// Write to a file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct TicketsArgs {
    #[command(subcommand)]
    pub action: Option<TicketAction>,
    /// The tenant; without it the list covers all, and a number is one of tenant default
    #[arg(long, global = true)]
    pub tenant: Option<TenantId>,
    /// Also the closed ones
    #[arg(long)]
    pub all: bool,
    /// One JSON object per line
    #[arg(long, global = true)]
    pub json: bool,
    /// Who acts, as the history will say
    #[arg(long = "as", global = true, env = "USER", value_name = "NAME")]
    pub actor: Option<String>,
}

#[derive(Subcommand, Debug)]
pub enum TicketAction {
    /// Show one ticket with its history and evidence
    Show {
        /// Its number within the tenant
        number: i64,
    },
    /// Add a comment
    Comment {
        /// Its number within the tenant
        number: i64,
        text: String,
    },
    /// Give it to a person, or take it back by leaving the person out
    Assign {
        /// Its number within the tenant
        number: i64,
        person: Option<String>,
    },
    /// Set the priority
    Prioritise {
        /// Its number within the tenant
        number: i64,
        /// 1 (highest) to 5
        #[arg(value_parser = clap::value_parser!(u8).range(1..=5))]
        priority: u8,
    },
    /// Close it with the reason, by which the rules that open tickets are judged
    Close {
        /// Its number within the tenant
        number: i64,
        #[arg(long, value_enum)]
        code: ClosureCode,
        /// What was done
        #[arg(long)]
        comment: Option<String>,
    },
    /// Open a resolved or closed ticket again
    Reopen {
        /// Its number within the tenant
        number: i64,
        /// Why
        #[arg(long)]
        comment: Option<String>,
    },
}

#[derive(Args, Debug)]
pub struct RejectsArgs {
    #[command(subcommand)]
    pub action: Option<RejectAction>,
    #[command(flatten)]
    pub filter: RejectFilter,
    /// Also those that were sent again or dropped
    #[arg(long)]
    pub all: bool,
    /// One JSON object per line
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct RejectFilter {
    /// Only of this tenant
    #[arg(long)]
    pub tenant: Option<TenantId>,
    /// Only of this topic, such as check-results
    #[arg(long)]
    pub topic: Option<String>,
    /// Only those whose reason holds this text
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

#[derive(Subcommand, Debug)]
pub enum RejectAction {
    /// Show one with its headers and its value
    Show {
        /// Topic, partition and offset, as the list names it
        id: String,
    },
    /// Send the event again, once; what would be rejected again is told and stays open
    Retry {
        #[command(flatten)]
        pick: RejectPick,
        /// A file with the value in place of the one that was rejected; - is standard input
        #[arg(long, value_name = "FILE")]
        payload: Option<PathBuf>,
        /// The type in place of the one in its headers
        #[arg(long = "type", value_name = "TYPE")]
        event_type: Option<String>,
        /// Why
        #[arg(long)]
        comment: Option<String>,
    },
    /// Say that it is not wanted
    Drop {
        #[command(flatten)]
        pick: RejectPick,
        /// Why
        #[arg(long)]
        comment: Option<String>,
    },
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct RejectPick {
    /// Topic, partition and offset of each, as the list names it
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// All that are open and that the filters before the word let through
    #[arg(long)]
    pub every_open: bool,
}

#[derive(ValueEnum, Debug, Clone, Copy)]
#[value(rename_all = "snake_case")]
pub enum ClosureCode {
    /// There was a fault, and work removed it
    Fixed,
    /// There was no fault: the check or the rule was wrong
    FalseAlarm,
    /// Another ticket covers it
    Duplicate,
    /// There was a fault, and it went away or does no harm
    NoActionNeeded,
    /// Planned: maintenance, a test, a known load
    Expected,
}

impl ClosureCode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::FalseAlarm => "false_alarm",
            Self::Duplicate => "duplicate",
            Self::NoActionNeeded => "no_action_needed",
            Self::Expected => "expected",
        }
    }
}

/// How a file of times and values becomes samples of a check.
#[derive(Args, Debug, Clone)]
pub struct SeriesArgs {
    /// CSV with a header, or Parquet
    pub file: PathBuf,
    /// The check that gets the samples
    #[arg(long)]
    pub check: CheckId,
    #[arg(long, default_value = "default")]
    pub tenant: TenantId,
    /// Column with the time: RFC 3339, `YYYY-MM-DD HH:MM:SS` (UTC), or a number of seconds or milliseconds since the epoch
    #[arg(long, default_value = "timestamp", value_name = "COLUMN")]
    pub time: String,
    /// Column with the value
    #[arg(long, default_value = "value", value_name = "COLUMN")]
    pub value: String,
    /// Name of the metric
    #[arg(long, default_value = "value")]
    pub metric: String,
    /// Unit of the metric, such as %, ms, By
    #[arg(long, default_value = "1")]
    pub unit: String,
    /// The value at which the resource is exhausted, such as 100 for a percentage: what is predicted towards
    #[arg(long)]
    pub limit: Option<f64>,
    /// At or above this value (below, with --falling) the state is WARNING
    #[arg(long)]
    pub warning: Option<f64>,
    /// At or above this value (below, with --falling) the state is CRITICAL
    #[arg(long)]
    pub critical: Option<f64>,
    /// Low values are the bad ones
    #[arg(long)]
    pub falling: bool,
}

#[derive(Args, Debug)]
pub struct ImportArgs {
    #[command(flatten)]
    pub series: SeriesArgs,
}

#[derive(Args, Debug)]
pub struct ReplayArgs {
    #[command(flatten)]
    pub series: SeriesArgs,
    /// How much faster than it happened
    #[arg(long, default_value_t = 3600.0)]
    pub speed: f64,
}

#[derive(Args, Debug)]
pub struct BacktestArgs {
    /// Name of a shipped detector or prediction or of one in kizashi.d/queries, such as resource_exhaustion
    pub query: String,
    #[arg(long, default_value = "default")]
    pub tenant: TenantId,
    /// First slot, RFC 3339 or a date; without it: where the history begins
    #[arg(long)]
    pub from: Option<String>,
    /// Last slot, RFC 3339 or a date; without it: where the history ends
    #[arg(long)]
    pub to: Option<String>,
    /// Print every decision, not only those that fired
    #[arg(long)]
    pub all: bool,
    /// One JSON object per line: decisions, then findings and predictions
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct DemoArgs {
    /// How long the replay takes
    #[arg(long, default_value = "90s")]
    pub within: Span,
}
