//! What every door asks through. While a statement runs its connection is its alone, so that dropping either ends both.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use bytes::Bytes;
use kizashi_engine::{Description, Dialect, EngineConfig, Limit, Parameters, QueryError, QueryResult, Scope};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::callers::{Callers, Place};
use crate::frame::{Frame, FrameError, Kind};
use crate::link::Link;
use crate::message::{self, End, Head};
use crate::pool::{Connection, Pool};
use crate::rows::{self, Decoder, Message};
use crate::supervisor::Status;

/// How long a statement waits for a worker that is being started.
const START_WITHIN: Duration = Duration::from_secs(10);
/// How long an error waits for the reason why the worker ended.
const REASON_WITHIN: Duration = Duration::from_secs(1);
/// Before a worker is taken for stuck.
const MARGIN: Duration = Duration::from_secs(2);

/// A statement and whose it is.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who asks: each has a bound on statements at the same time.
    pub caller: String,
    pub scope: Scope,
    pub sql: String,
    pub parameters: Parameters,
    /// [`EngineConfig::rows_max`] if not given.
    pub rows_max: Option<usize>,
    /// At most [`EngineConfig::timeout`], which it is if not given.
    pub timeout: Option<Duration>,
    /// Such as `Asia/Tokyo`; UTC if not given.
    pub time_zone: Option<String>,
    pub dialect: Dialect,
    /// Ends the statement with [`QueryError::Cancelled`]; dropping the rows ends it without a word.
    pub cancel: CancellationToken,
}

impl Request {
    #[must_use]
    pub fn new(caller: impl Into<String>, scope: Scope, sql: impl Into<String>) -> Self {
        Self {
            caller: caller.into(),
            scope,
            sql: sql.into(),
            parameters: Parameters::new(),
            rows_max: None,
            timeout: None,
            time_zone: None,
            dialect: Dialect::Own,
            cancel: CancellationToken::new(),
        }
    }
}

/// Cheap to clone; clones share the places of the callers.
#[derive(Clone, Debug)]
pub struct SqlClient(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    socket: PathBuf,
    config: EngineConfig,
    callers: Callers,
    pool: Pool,
    status: watch::Receiver<Status>,
    /// Says which worker is to be ended.
    end: mpsc::Sender<u64>,
}

impl SqlClient {
    pub(crate) fn new(
        socket: PathBuf,
        config: EngineConfig,
        status: watch::Receiver<Status>,
        end: mpsc::Sender<u64>,
    ) -> Self {
        Self(Arc::new(Inner {
            socket,
            callers: Callers::new(config.clone()),
            pool: Pool::default(),
            config,
            status,
            end,
        }))
    }

    /// Asks a worker that somebody else keeps running, such as [`crate::worker::serve`] in a test.
    #[must_use]
    pub fn connect(socket: PathBuf, config: EngineConfig) -> Self {
        let (_, status) = watch::channel(Status::Ready { worker: 0 });
        let (end, _) = mpsc::channel(1);
        Self::new(socket, config, status, end)
    }

    /// How long a statement may be.
    #[must_use]
    pub fn statement_bytes_max(&self) -> usize {
        self.0.config.statement_bytes_max
    }

    /// How the worker is.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.0.status.clone()
    }

    /// Runs one read-only statement and holds its rows, within `result_mb`.
    ///
    /// # Errors
    /// [`QueryError`]; also [`QueryError::Unavailable`] when there is no worker, or it ended meanwhile.
    pub async fn query(&self, request: Request) -> Result<QueryResult, QueryError> {
        let mut rows = self.stream(request).await?;
        let mut batches = Vec::new();
        while let Some(batch) = rows.next_batch().await? {
            if rows.bytes > EngineConfig::bytes(self.0.config.result_mb) {
                return Err(QueryError::limit(
                    Limit::ResultBytes,
                    format!("the result is larger than {} MB: select fewer columns or rows", self.0.config.result_mb),
                ));
            }
            batches.push(batch);
        }
        let Rows { schema, data_versions, truncated, .. } = rows;
        Ok(QueryResult { schema, batches, truncated, data_versions })
    }

    /// Runs one read-only statement and hands its rows over as they come.
    ///
    /// # Errors
    /// As [`SqlClient::query`]; later ones come from [`Rows::next_batch`].
    pub async fn stream(&self, request: Request) -> Result<Rows, QueryError> {
        let (mut link, place) = self.ask(&request, false).await?;
        let head: Head = link.expect(Kind::Head, &request.cancel).await?;
        link.started(self.slack());
        let (schema, decoder, messages) = head_of(&mut link, Kind::Rows, &request.cancel).await?;
        Ok(Rows {
            schema,
            data_versions: head.data_versions,
            truncated: false,
            bytes: 0,
            ready: messages.into(),
            decoder,
            cancel: request.cancel,
            link: Some(link),
            _place: place,
        })
    }

    /// What a statement takes and gives, without running it.
    ///
    /// # Errors
    /// As [`SqlClient::query`].
    pub async fn describe(&self, request: &Request) -> Result<Description, QueryError> {
        let (mut link, _place) = self.ask(request, true).await?;
        let (parameters, ..) = head_of(&mut link, Kind::Parameters, &request.cancel).await?;
        let parameters = parameters.fields().iter().map(|field| field.data_type().clone()).collect::<Vec<DataType>>();
        let (schema, ..) = head_of(&mut link, Kind::Rows, &request.cancel).await?;
        link.give_back();
        Ok(Description { parameters, schema })
    }

    /// Past every bound that the worker itself keeps.
    fn slack(&self) -> Duration {
        self.0.config.grace.duration() + MARGIN
    }

    /// Sends the question once it has its place, and hears that somebody listens.
    async fn ask(&self, request: &Request, describe: bool) -> Result<(Link, Place), QueryError> {
        let own = &self.0;
        if request.sql.len() > own.config.statement_bytes_max {
            let (bytes, most) = (request.sql.len(), own.config.statement_bytes_max);
            let message = format!("the statement is {bytes} bytes long; at most {most} are accepted");
            return Err(QueryError::limit(Limit::StatementBytes, message));
        }
        let (place, worker) = tokio::select! {
            turn = self.turn(&request.caller) => turn?,
            () = request.cancel.cancelled() => return Err(QueryError::Cancelled),
        };
        let most = own.config.timeout.duration();
        let timeout = request.timeout.map_or(most, |wanted| wanted.min(most));
        let slack = own.config.queue_wait.duration() + self.slack();
        let connection = match own.pool.take(worker) {
            Some(connection) => Ok(connection),
            None => Connection::open(&own.socket, worker).await,
        };
        let mut link = match connection {
            Ok(connection) => Link::new(self.clone(), connection, timeout, slack),
            Err(error) => return Err(self.ended(worker, &error.to_string()).await),
        };
        link.ask(request, own.config.rows_max, describe).await?;
        Ok((link, place))
    }

    /// For the next statement.
    pub(crate) fn keep(&self, connection: Connection) {
        self.0.pool.give(connection);
    }

    /// Has a worker ended that does not answer.
    pub(crate) fn end(&self, worker: u64) {
        // Full means that it was asked for already.
        let _ = self.0.end.try_send(worker);
    }

    async fn turn(&self, caller: &str) -> Result<(Place, u64), QueryError> {
        let place = self.0.callers.enter(caller).await?;
        Ok((place, self.worker().await?))
    }

    /// The worker that answers now; waits for one that is being started.
    async fn worker(&self) -> Result<u64, QueryError> {
        let mut status = self.0.status.clone();
        let up = status.wait_for(|status| matches!(status, Status::Ready { .. } | Status::Stopped));
        match tokio::time::timeout(START_WITHIN, up).await {
            Ok(Ok(status)) => match *status {
                Status::Ready { worker } => Ok(worker),
                _ => Err(QueryError::Unavailable("the product is stopping".to_owned())),
            },
            // The sender is gone: what was said last holds.
            Ok(Err(_)) => match *self.0.status.borrow() {
                Status::Ready { worker } => Ok(worker),
                _ => Err(QueryError::Unavailable("the product is stopping".to_owned())),
            },
            Err(_) => {
                let why = self.reason().unwrap_or_else(|| "it is still starting".to_owned());
                Err(QueryError::Unavailable(format!("the SQL worker does not run ({why}): try again in a moment")))
            }
        }
    }

    fn reason(&self) -> Option<String> {
        match &*self.0.status.borrow() {
            Status::Down { why } => Some(why.clone()),
            Status::Starting | Status::Ready { .. } | Status::Stopped => None,
        }
    }

    /// The worker is gone: the error says why, if that comes to be known.
    pub(crate) async fn ended(&self, worker: u64, error: &str) -> QueryError {
        tracing::debug!(worker, "the connection to the SQL worker ended: {error}");
        let mut status = self.0.status.clone();
        let known = status.wait_for(|status| *status != Status::Ready { worker });
        let why = match tokio::time::timeout(REASON_WITHIN, known).await {
            Ok(Ok(status)) => match &*status {
                Status::Down { why } => format!(" ({why})"),
                Status::Starting | Status::Ready { .. } | Status::Stopped => String::new(),
            },
            _ => String::new(),
        };
        QueryError::Unavailable(format!(
            "the SQL worker ended while this statement ran{why}; it is started again: send the statement once more, and ask for less if it happens again"
        ))
    }
}

/// The schema that a frame brings, and what reads the rest of its stream.
async fn head_of(
    link: &mut Link,
    kind: Kind,
    cancel: &CancellationToken,
) -> Result<(SchemaRef, Decoder, Vec<Message>), QueryError> {
    let frame = link.next(cancel).await?;
    let mut decoder = Decoder::default();
    let read = match frame.kind == kind {
        true => rows::messages(frame.payload),
        false => Err(FrameError::Content("no schema came".to_owned())),
    };
    let read = read.and_then(|messages| Ok((decoder.head(&messages)?, messages)));
    match read {
        Ok((schema, messages)) => Ok((schema, decoder, messages)),
        Err(error) => Err(link.broken(error).await),
    }
}

/// Rows as they come. Dropping it ends the statement.
#[derive(Debug)]
pub struct Rows {
    pub schema: SchemaRef,
    pub data_versions: BTreeMap<String, i64>,
    /// Whether rows were cut off; final once the rows have ended.
    pub truncated: bool,
    /// Size of what came so far.
    pub bytes: usize,
    /// What came and was not handed over.
    ready: VecDeque<Message>,
    decoder: Decoder,
    cancel: CancellationToken,
    /// None once the rows have ended.
    link: Option<Link>,
    _place: Place,
}

impl Rows {
    /// The next rows, or nothing at the end. A call that is abandoned loses no row.
    ///
    /// # Errors
    /// As [`SqlClient::query`]; afterwards the rows have ended.
    pub async fn next_batch(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        while let Some(message) = self.next_message().await? {
            match self.decoder.rows(&message) {
                Ok(Some(batch)) if batch.num_rows() > 0 => return Ok(Some(batch)),
                Ok(_) => {}
                Err(error) => return Err(self.broken(error).await),
            }
        }
        Ok(None)
    }

    /// The next rows as they came, the schema first: for those who hand them on as they are. Not to be mixed with
    /// [`Rows::next_batch`].
    ///
    /// # Errors
    /// As [`Rows::next_batch`].
    pub async fn next_message(&mut self) -> Result<Option<Message>, QueryError> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            let Some(link) = &mut self.link else { return Ok(None) };
            let frame = match link.next(&self.cancel).await {
                Ok(frame) => frame,
                Err(error) => {
                    self.link = None;
                    return Err(error);
                }
            };
            let taken = match frame.kind {
                Kind::Rows => self.take(frame.payload),
                _ => self.end(&frame),
            };
            if let Err(error) = taken {
                return Err(self.broken(error).await);
            }
        }
    }

    fn take(&mut self, payload: Bytes) -> Result<(), FrameError> {
        self.bytes = self.bytes.saturating_add(payload.len());
        self.ready.extend(rows::messages(payload)?);
        Ok(())
    }

    fn end(&mut self, frame: &Frame) -> Result<(), FrameError> {
        self.truncated = message::decode::<End>(frame, Kind::End)?.truncated;
        if let Some(link) = self.link.take() {
            link.give_back();
        }
        Ok(())
    }

    async fn broken(&mut self, error: FrameError) -> QueryError {
        self.ready.clear();
        match self.link.take() {
            Some(link) => link.broken(error).await,
            None => QueryError::internal(&error),
        }
    }
}
