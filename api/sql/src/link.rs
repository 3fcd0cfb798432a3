//! One statement's hold on a connection.

use std::time::Duration;

use kizashi_engine::{Limit, QueryError};
use tokio_util::sync::CancellationToken;

use crate::client::{Request, SqlClient};
use crate::frame::{Frame, FrameError, Kind};
use crate::message::{self, Hello, Query, Refused, VERSION};
use crate::pool::Connection;
use crate::rows;

/// Dropped, it closes the connection, which ends the statement; given back, another statement takes it.
#[derive(Debug)]
pub struct Link {
    client: SqlClient,
    connection: Connection,
    timeout: Duration,
    /// How long the next frame may take.
    within: Duration,
    cancelled: bool,
}

impl Link {
    pub fn new(client: SqlClient, connection: Connection, timeout: Duration, slack: Duration) -> Self {
        Self { client, connection, timeout, within: timeout + slack, cancelled: false }
    }

    /// Sends the question, and hears that somebody listens.
    pub async fn ask(&mut self, request: &Request, rows_max: usize, describe: bool) -> Result<(), QueryError> {
        let greeted = self.connection.greeted;
        if let Err(error) = self.send(request, rows_max, describe).await {
            return Err(self.broken(error).await);
        }
        if !greeted {
            let hello: Hello = self.expect(Kind::Hello, &request.cancel).await?;
            hello.check("the SQL worker").map_err(QueryError::Unavailable)?;
            self.connection.greeted = true;
        }
        Ok(())
    }

    async fn send(&mut self, request: &Request, rows_max: usize, describe: bool) -> Result<(), FrameError> {
        let query = Query {
            sql: request.sql.clone(),
            scope: request.scope.clone().into(),
            rows_max: request.rows_max.unwrap_or(rows_max),
            timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
            time_zone: request.time_zone.clone(),
            dialect: request.dialect.into(),
            describe,
        };
        let Connection { writer, greeted, .. } = &mut self.connection;
        if !*greeted {
            writer.put(Kind::Hello, message::encode(&Hello { version: VERSION })?)?;
        }
        if !request.parameters.is_empty() {
            let bytes = rows::parameters_to_bytes(&request.parameters);
            writer.put(Kind::Parameters, bytes.map_err(|error| FrameError::Content(error.to_string()))?)?;
        }
        writer.put(Kind::Query, message::encode(&query)?)?;
        writer.send().await
    }

    pub async fn expect<T: serde::de::DeserializeOwned>(
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

    /// From here on each frame has so long, and no longer the time that a turn may take.
    pub fn started(&mut self, slack: Duration) {
        self.within = self.timeout + slack;
    }

    /// The next frame that is no refusal.
    pub async fn next(&mut self, cancel: &CancellationToken) -> Result<Frame, QueryError> {
        let worker = self.connection.worker;
        let stuck = tokio::time::sleep(self.within);
        tokio::pin!(stuck);
        let read = loop {
            tokio::select! {
                biased;
                read = self.connection.reader.next() => break read,
                () = cancel.cancelled(), if !self.cancelled => {
                    self.cancelled = true;
                    if let Err(error) = self.say_cancelled().await {
                        break Err(error);
                    }
                }
                () = &mut stuck => {
                    tracing::error!(worker, "the SQL worker does not answer and is ended");
                    self.client.end(worker);
                    return Err(QueryError::limit(Limit::Time, format!(
                        "the statement ran for more than {} ms and could not be interrupted: the SQL worker is started again",
                        self.timeout.as_millis()
                    )));
                }
            }
        };
        let frame = match read {
            Ok(Some(frame)) => frame,
            Ok(None) => return Err(self.client.ended(worker, "closed").await),
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

    async fn say_cancelled(&mut self) -> Result<(), FrameError> {
        self.connection.writer.put(Kind::Cancel, Vec::new())?;
        self.connection.writer.send().await
    }

    pub async fn broken(&self, error: FrameError) -> QueryError {
        let worker = self.connection.worker;
        match error {
            FrameError::Io(error) => self.client.ended(worker, &error.to_string()).await,
            FrameError::Header { .. } | FrameError::Content(_) => {
                tracing::error!(worker, %error, "the SQL worker cannot be understood: {error}");
                QueryError::Internal("the SQL worker could not be understood; the product's log says why".to_owned())
            }
        }
    }

    /// The statement has ended and left nothing on the way, unless it was cancelled: that may arrive after its end.
    pub fn give_back(self) {
        if !self.cancelled {
            self.client.keep(self.connection);
        }
    }
}
