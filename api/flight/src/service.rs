//! What clients of Flight SQL ask: statements, prepared ones, and what there is to read.

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::writer::IpcWriteOptions;
use arrow::record_batch::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
    CommandPreparedStatementQuery, CommandStatementQuery, CommandStatementUpdate, DoPutPreparedStatementResult,
    ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{
    Action, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse, IpcMessage,
    SchemaAsIpc, Ticket,
};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use kizashi_engine::{Limit, QueryError, Scope};
use kizashi_sql::Rows;
use prost::Message as _;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::Door;
use crate::handle::{Handle, parameters_of};
use crate::login;

const CATALOG: &str = "kizashi";
const SCHEMA: &str = "public";
/// Of bound parameters: one row is taken, and a second is enough to refuse them.
const BATCHES_MAX: usize = 4;

type DoGet = <Service as FlightService>::DoGetStream;

pub struct Service {
    door: Door,
    info: SqlInfoData,
}

impl Service {
    /// # Errors
    /// When what the server says of itself cannot be put together.
    pub fn new(door: Door) -> Result<Self, FlightError> {
        let mut info = SqlInfoDataBuilder::new();
        info.append(SqlInfo::FlightSqlServerName, "Kizashi");
        info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
        info.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
        info.append(SqlInfo::FlightSqlServerReadOnly, true);
        Ok(Self { door, info: info.build()? })
    }

    /// What a statement takes and gives.
    async fn described<T>(&self, request: &Request<T>, sql: &str) -> Result<(Vec<DataType>, SchemaRef), Status> {
        let account = self.door.account(request.metadata(), request.extensions()).await?;
        let described = self.door.sql.describe(&account.statement(sql)).await.map_err(|why| status(&why))?;
        Ok((described.parameters, described.schema))
    }

    async fn rows<T>(&self, request: &Request<T>, handle: Handle) -> Result<Response<DoGet>, Status> {
        let account = self.door.account(request.metadata(), request.extensions()).await?;
        let mut statement = account.statement(&handle.sql);
        statement.parameters = handle.parameters;
        statement.rows_max = Some(self.door.config.rows_max);
        let rows = self.door.sql.stream(statement).await.map_err(|why| status(&why))?;
        Ok(Response::new(stream::try_unfold(rows, next).boxed()))
    }

    /// An answer that is known: one batch.
    async fn known<T>(&self, request: &Request<T>, batch: RecordBatch) -> Result<Response<DoGet>, Status> {
        self.door.account(request.metadata(), request.extensions()).await?;
        Ok(answer(batch.schema(), stream::iter([Ok(batch)])))
    }

    /// Where an answer with these columns is had: here, with `ticket`.
    async fn info<T>(
        &self,
        request: Request<T>,
        ticket: Vec<u8>,
        schema: &Schema,
    ) -> Result<Response<FlightInfo>, Status>
    where
        T: Into<Option<FlightDescriptor>>,
    {
        self.door.account(request.metadata(), request.extensions()).await?;
        let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket));
        let mut info = FlightInfo::new().try_with_schema(schema).map_err(internal)?.with_endpoint(endpoint);
        info.flight_descriptor = request.into_inner().into();
        Ok(Response::new(info))
    }

    fn tables(&self, wanted: CommandGetTables) -> Result<RecordBatch, Status> {
        let mut tables = wanted.into_builder();
        for relation in self.door.engine.session(Scope::All).relations().iter() {
            let kind = if relation.is_view { "VIEW" } else { "TABLE" };
            tables.append(CATALOG, SCHEMA, &relation.name, kind, relation.schema()).map_err(internal)?;
        }
        tables.build().map_err(internal)
    }

    fn catalogs() -> Result<RecordBatch, Status> {
        let mut catalogs = CommandGetCatalogs {}.into_builder();
        catalogs.append(CATALOG);
        catalogs.build().map_err(internal)
    }

    fn schemas(wanted: CommandGetDbSchemas) -> Result<RecordBatch, Status> {
        let mut schemas = wanted.into_builder();
        schemas.append(CATALOG, SCHEMA);
        schemas.build().map_err(internal)
    }

    fn kinds() -> Result<RecordBatch, Status> {
        let kinds: ArrayRef = Arc::new(StringArray::from(vec!["TABLE", "VIEW"]));
        let schema = Schema::new(vec![Field::new("table_type", DataType::Utf8, false)]);
        RecordBatch::try_new(Arc::new(schema), vec![kinds]).map_err(internal)
    }
}

fn answer(
    schema: SchemaRef,
    batches: impl Stream<Item = Result<RecordBatch, FlightError>> + Send + 'static,
) -> Response<DoGet> {
    let data = FlightDataEncoderBuilder::new().with_schema(schema).build(batches);
    let data = data.map_err(|why| match why {
        FlightError::Tonic(status) => *status,
        other => internal(other),
    });
    Response::new(data.boxed())
}

/// The worker's messages are those of Flight: they are handed on as they come, in the order schema, rows.
async fn next(mut rows: Rows) -> Result<Option<(FlightData, Rows)>, Status> {
    match rows.next_message().await {
        Ok(Some(message)) => {
            let data = FlightData { data_header: message.head, data_body: message.body, ..FlightData::default() };
            Ok(Some((data, rows)))
        }
        Ok(None) if rows.truncated => {
            Err(Status::out_of_range("the result has more rows than flight.rows_max: add a LIMIT"))
        }
        Ok(None) => Ok(None),
        Err(why) => Err(status(&why)),
    }
}

/// What went wrong, as gRPC names it.
fn status(why: &QueryError) -> Status {
    let code = match why {
        QueryError::User { .. } => Code::InvalidArgument,
        QueryError::Limit { which: Limit::Time, .. } => Code::DeadlineExceeded,
        QueryError::Limit { .. } => Code::ResourceExhausted,
        QueryError::Cancelled => Code::Cancelled,
        QueryError::Unavailable(_) => Code::Unavailable,
        QueryError::Internal(_) => Code::Internal,
    };
    Status::new(code, why.to_string())
}

fn internal(why: impl std::fmt::Display) -> Status {
    tracing::error!("the Flight SQL door could not answer: {why}");
    Status::internal("the request could not be answered; the product's log says why")
}

fn ipc(schema: &Schema) -> Result<IpcMessage, Status> {
    SchemaAsIpc::new(schema, &IpcWriteOptions::default()).try_into().map_err(internal)
}

#[tonic::async_trait]
impl FlightSqlService for Service {
    type FlightService = Self;

    /// A name and a token as password; the token comes back as a bearer for what follows.
    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>>, Status> {
        self.door.account(request.metadata(), request.extensions()).await?;
        let bearer = format!("Bearer {}", login::token(request.metadata())?);
        let said = HandshakeResponse { protocol_version: 0, payload: bearer.clone().into_bytes().into() };
        let mut response = Response::new(stream::iter([Ok(said)]).boxed());
        let header = bearer.parse().map_err(|_| Status::unauthenticated("the token holds characters that none has"))?;
        response.metadata_mut().insert("authorization", header);
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let handle = Handle::new(query.query)?;
        let (_, schema) = self.described(&request, &handle.sql).await?;
        let ticket = TicketStatementQuery { statement_handle: handle.to_bytes()?.into() };
        self.info(request, ticket.as_any().encode_to_vec(), &schema).await
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<DoGet>, Status> {
        self.rows(&request, Handle::of_bytes(&ticket.statement_handle)?).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let handle = Handle::new(query.query)?;
        let (parameters, schema) = self.described(&request, &handle.sql).await?;
        let name = |(place, of): (usize, &DataType)| Field::new(format!("${}", place + 1), of.clone(), true);
        let parameters = Schema::new(parameters.iter().enumerate().map(name).collect::<Vec<_>>());
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: handle.to_bytes()?.into(),
            dataset_schema: ipc(&schema)?.0,
            parameter_schema: ipc(&parameters)?.0,
        })
    }

    /// Nothing is kept, so nothing is closed.
    async fn do_action_close_prepared_statement(
        &self,
        _: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        self.door.account(request.metadata(), request.extensions()).await.map(drop)
    }

    /// Parameters become a part of the handle, which goes back to the client.
    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        self.door.account(request.metadata(), request.extensions()).await?;
        let mut handle = Handle::of_bytes(&query.prepared_statement_handle)?;
        let data = request.into_inner().map_err(|why| FlightError::Tonic(Box::new(why)));
        let rows = FlightRecordBatchStream::new_from_flight_data(data).take(BATCHES_MAX);
        let rows: Vec<RecordBatch> =
            rows.try_collect().await.map_err(|why| Status::invalid_argument(why.to_string()))?;
        handle.parameters = parameters_of(&rows)?;
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(handle.to_bytes()?.into()) })
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let handle = Handle::of_bytes(&query.prepared_statement_handle)?;
        let (_, schema) = self.described(&request, &handle.sql).await?;
        self.info(request, query.as_any().encode_to_vec(), &schema).await
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<DoGet>, Status> {
        self.rows(&request, Handle::of_bytes(&query.prepared_statement_handle)?).await
    }

    /// Some clients ask so whatever the statement is; one that writes is refused by the engine.
    async fn do_put_statement_update(
        &self,
        _: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        self.door.account(request.metadata(), request.extensions()).await?;
        Err(Status::invalid_argument("SQL here only reads: run it as a query"))
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.info(request, query.as_any().encode_to_vec(), &Self::catalogs()?.schema()).await
    }

    async fn do_get_catalogs(
        &self,
        _: CommandGetCatalogs,
        request: Request<Ticket>,
    ) -> Result<Response<DoGet>, Status> {
        self.known(&request, Self::catalogs()?).await
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.info(request, query.as_any().encode_to_vec(), &Self::schemas(query)?.schema()).await
    }

    async fn do_get_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<Ticket>,
    ) -> Result<Response<DoGet>, Status> {
        self.known(&request, Self::schemas(query)?).await
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let ticket = query.as_any().encode_to_vec();
        self.info(request, ticket, &self.tables(query)?.schema()).await
    }

    async fn do_get_tables(
        &self,
        query: CommandGetTables,
        request: Request<Ticket>,
    ) -> Result<Response<DoGet>, Status> {
        self.known(&request, self.tables(query)?).await
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.info(request, query.as_any().encode_to_vec(), &Self::kinds()?.schema()).await
    }

    async fn do_get_table_types(
        &self,
        _: CommandGetTableTypes,
        request: Request<Ticket>,
    ) -> Result<Response<DoGet>, Status> {
        self.known(&request, Self::kinds()?).await
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = query.clone().into_builder(&self.info).schema();
        self.info(request, query.as_any().encode_to_vec(), &schema).await
    }

    async fn do_get_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<Ticket>,
    ) -> Result<Response<DoGet>, Status> {
        let batch = query.into_builder(&self.info).build().map_err(internal)?;
        self.known(&request, batch).await
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}
