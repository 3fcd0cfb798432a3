//! What every door asks through. One connection is one statement, so that dropping either ends both.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use kizashi_engine::{Description, Dialect, EngineConfig, Limit, Parameters, QueryError, QueryResult, Scope};
use kizashi_model::tables::Table;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::callers::{Callers, Place};
use crate::frame::{self, Frame, FrameError, Kind, Reader};
use crate::message::{self, End, Head, Hello, Query, Refused, VERSION};
use crate::rows;
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
        Self(Arc::new(Inner { socket, callers: Callers::new(config.clone()), config, status, end }))
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
        link.within = link.timeout + self.slack();
        let mut rows = Rows {
            schema: Arc::new(arrow::datatypes::Schema::empty()),
            data_versions: head.data_versions(),
            truncated: false,
            bytes: 0,
            ready: Vec::new().into_iter(),
            ended: false,
            cancel: request.cancel,
            link,
            _place: place,
        };
        let first = rows.link.next(&rows.cancel).await?;
        if first.kind != Kind::Rows {
            return Err(rows.link.broken(FrameError::Content("no schema came".to_owned())).await);
        }
        rows.take(first).await?;
        Ok(rows)
    }

    /// What a statement takes and gives, without running it.
    ///
    /// # Errors
    /// As [`SqlClient::query`].
    pub async fn describe(&self, request: &Request) -> Result<Description, QueryError> {
        let (mut link, _place) = self.ask(request, true).await?;
        let mut schema = async |kind: Kind| {
            let frame = link.next(&request.cancel).await?;
            let decoded = match frame.kind == kind {
                true => rows::decode(frame.payload).map(|(schema, _)| schema),
                false => Err(FrameError::Content("no schema came".to_owned())),
            };
            match decoded {
                Ok(schema) => Ok(schema),
                Err(error) => Err(link.broken(error).await),
            }
        };
        let parameters = schema(Kind::Parameters).await?;
        let parameters = parameters.fields().iter().map(|field| field.data_type().clone()).collect();
        Ok(Description { parameters, schema: schema(Kind::Rows).await? })
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
        let mut link = match crate::socket::connect(&own.socket).await {
            Ok(stream) => Link::new(stream, self.clone(), worker, timeout, slack),
            Err(error) => return Err(self.ended(worker, &error.to_string()).await),
        };
        if let Err(error) = link.ask(request, own.config.rows_max, describe).await {
            return Err(link.broken(error).await);
        }
        let hello: Hello = link.expect(Kind::Hello, &request.cancel).await?;
        hello.check("the SQL worker").map_err(QueryError::Unavailable)?;
        Ok((link, place))
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
    async fn ended(&self, worker: u64, error: &str) -> QueryError {
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

/// One connection.
#[derive(Debug)]
struct Link {
    client: SqlClient,
    worker: u64,
    timeout: Duration,
    /// How long the next frame may take.
    within: Duration,
    reader: Reader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    cancelled: bool,
}

impl Link {
    fn new(stream: UnixStream, client: SqlClient, worker: u64, timeout: Duration, slack: Duration) -> Self {
        let (reader, writer) = stream.into_split();
        let within = timeout + slack;
        Self { client, worker, timeout, within, reader: Reader::new(reader), writer, cancelled: false }
    }

    async fn ask(&mut self, request: &Request, rows_max: usize, describe: bool) -> Result<(), FrameError> {
        let query = Query {
            sql: request.sql.clone(),
            scope: request.scope.clone().into(),
            rows_max: request.rows_max.unwrap_or(rows_max),
            timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
            time_zone: request.time_zone.clone(),
            dialect: request.dialect.into(),
            describe,
        };
        let hello = message::encode(&Hello { version: VERSION })?;
        frame::write(&mut self.writer, Kind::Hello, &hello).await?;
        if !request.parameters.is_empty() {
            let bytes = rows::parameters_to_bytes(&request.parameters);
            let bytes = bytes.map_err(|error| FrameError::Content(error.to_string()))?;
            frame::write(&mut self.writer, Kind::Parameters, &bytes).await?;
        }
        frame::write(&mut self.writer, Kind::Query, &message::encode(&query)?).await
    }

    async fn expect<T: serde::de::DeserializeOwned>(
        &mut self,
        kind: Kind,
        cancel: &CancellationToken,
    ) -> Result<T, QueryError> {
        let frame = self.next(cancel).await?;
        match message::decode(&frame, kind) {
            Ok(message) => Ok(message),
            Err(error) => Err(self.broken(error).await),
        }
    }

    /// The next frame that is no refusal.
    async fn next(&mut self, cancel: &CancellationToken) -> Result<Frame, QueryError> {
        let stuck = tokio::time::sleep(self.within);
        tokio::pin!(stuck);
        let read = loop {
            tokio::select! {
                biased;
                read = self.reader.next() => break read,
                () = cancel.cancelled(), if !self.cancelled => {
                    self.cancelled = true;
                    if let Err(error) = frame::write(&mut self.writer, Kind::Cancel, &[]).await {
                        break Err(error);
                    }
                }
                () = &mut stuck => {
                    tracing::error!(worker = self.worker, "the SQL worker does not answer and is ended");
                    // Full means that it was asked for already.
                    let _ = self.client.0.end.try_send(self.worker);
                    return Err(QueryError::limit(Limit::Time, format!(
                        "the statement ran for more than {} ms and could not be interrupted: the SQL worker is started again",
                        self.timeout.as_millis()
                    )));
                }
            }
        };
        let frame = match read {
            Ok(Some(frame)) => frame,
            Ok(None) => return Err(self.client.ended(self.worker, "closed").await),
            Err(error) => return Err(self.broken(error).await),
        };
        if frame.kind != Kind::Refused {
            return Ok(frame);
        }
        match message::decode::<Refused>(&frame, Kind::Refused) {
            Ok(refused) => Err(refused.into()),
            Err(error) => Err(self.broken(error).await),
        }
    }

    async fn broken(&self, error: FrameError) -> QueryError {
        match error {
            FrameError::Io(error) => self.client.ended(self.worker, &error.to_string()).await,
            FrameError::Header { .. } | FrameError::Content(_) => {
                tracing::error!(worker = self.worker, %error, "the SQL worker cannot be understood: {error}");
                QueryError::Internal("the SQL worker could not be understood; the product's log says why".to_owned())
            }
        }
    }
}

/// Rows as they come. Dropping it ends the statement.
#[derive(Debug)]
pub struct Rows {
    pub schema: SchemaRef,
    pub data_versions: BTreeMap<Table, i64>,
    /// Whether rows were cut off; final once the rows have ended.
    pub truncated: bool,
    /// Size of what came so far.
    pub bytes: usize,
    ready: std::vec::IntoIter<RecordBatch>,
    ended: bool,
    cancel: CancellationToken,
    link: Link,
    _place: Place,
}

impl Rows {
    /// The next rows, or nothing at the end. A call that is abandoned loses no row.
    ///
    /// # Errors
    /// As [`SqlClient::query`]; afterwards the rows have ended.
    pub async fn next_batch(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        loop {
            if let Some(batch) = self.ready.next() {
                return Ok(Some(batch));
            }
            if self.ended {
                return Ok(None);
            }
            let next = self.link.next(&self.cancel).await;
            let taken = match next {
                Ok(frame) => self.take(frame).await,
                Err(error) => Err(error),
            };
            if let Err(error) = taken {
                self.ended = true;
                return Err(error);
            }
        }
    }

    async fn take(&mut self, frame: Frame) -> Result<(), QueryError> {
        self.bytes = self.bytes.saturating_add(frame.payload.len());
        let taken = match frame.kind {
            Kind::Rows => rows::decode(frame.payload).map(|(schema, batches)| {
                self.schema = schema;
                self.ready = batches.into_iter();
            }),
            _ => message::decode::<End>(&frame, Kind::End).map(|end| {
                self.truncated = end.truncated;
                self.ended = true;
            }),
        };
        match taken {
            Ok(()) => Ok(()),
            Err(error) => Err(self.link.broken(error).await),
        }
    }
}
