//! The tail of another process.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int32Type, Int64Type, UInt32Type};
use futures::future::{BoxFuture, FutureExt};
use kizashi_engine::TailSource;
use kizashi_model::derived::Derived;
use kizashi_model::tables::Table;
use kizashi_model::tail::{Origin, Segment, Tail};
use kizashi_model::{Topic, TopicPartition};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{Answer, Ask};
use crate::frame::{FrameError, Kind, Reader, Writer};
use crate::message::{self, Hello, VERSION};
use crate::rows::{Decoder, messages};

/// A statement goes on with what is committed when nobody answers.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Asks over one connection, which is made when it is needed.
#[derive(Debug)]
pub struct RemoteTail {
    path: PathBuf,
    derived: Vec<Derived>,
    /// Taken out while it is asked: what breaks off in the middle is not used again.
    connected: Mutex<Option<Connected>>,
    away: AtomicBool,
}

#[derive(Debug)]
struct Connected {
    reader: Reader<OwnedReadHalf>,
    writer: Writer<OwnedWriteHalf>,
    /// Whether the other side has said which version it speaks.
    greeted: bool,
    known: Arc<Tail>,
    after: u64,
}

impl RemoteTail {
    #[must_use]
    pub fn new(path: &Path, derived: &[Derived]) -> Self {
        Self {
            path: path.to_owned(),
            derived: derived.to_vec(),
            connected: Mutex::new(None),
            away: AtomicBool::new(false),
        }
    }

    async fn ask(&self) -> Result<Arc<Tail>, FrameError> {
        let mut place = self.connected.lock().await;
        let mut connected = match place.take() {
            Some(connected) if connected.reader.is_open() => connected,
            _ => Connected::open(&self.path).await?,
        };
        let tail = connected.ask(&self.derived).await?;
        *place = Some(connected);
        Ok(tail)
    }
}

impl TailSource for RemoteTail {
    fn now(&self) -> BoxFuture<'_, Option<Arc<Tail>>> {
        async {
            let why = match timeout(ANSWER_WITHIN, self.ask()).await {
                Ok(Ok(tail)) => {
                    self.away.store(false, Ordering::Relaxed);
                    return Some(tail);
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            if !self.away.swap(true, Ordering::Relaxed) {
                tracing::warn!("rows that are not committed yet are not seen: {}: {why}", self.path.display());
            }
            None
        }
        .boxed()
    }
}

impl Connected {
    async fn open(path: &Path) -> Result<Self, FrameError> {
        let (reader, writer) = crate::socket::connect(path).await?.into_split();
        let (reader, mut writer) = (Reader::new(reader), Writer::new(writer));
        // Goes out, and is answered, together with the first question.
        writer.put(Kind::Hello, message::encode(&Hello { version: VERSION })?)?;
        Ok(Self { reader, writer, greeted: false, known: Arc::default(), after: 0 })
    }

    async fn ask(&mut self, derived: &[Derived]) -> Result<Arc<Tail>, FrameError> {
        let ask = Ask { writer: self.known.writer, after: self.after };
        self.writer.put(Kind::Tail, message::encode(&ask)?)?;
        self.writer.send().await?;
        if !self.greeted {
            let hello: Hello = message::decode(&next(&mut self.reader).await?, Kind::Hello)?;
            hello.check("the product").map_err(FrameError::Content)?;
            self.greeted = true;
        }
        self.hear(derived).await
    }

    async fn hear(&mut self, derived: &[Derived]) -> Result<Arc<Tail>, FrameError> {
        let answer: Answer = message::decode(&next(&mut self.reader).await?, Kind::Tail)?;
        let mut segments: HashMap<u64, Arc<Segment>> = HashMap::new();
        if self.known.writer == answer.writer {
            let known = self.known.tables.values().flat_map(|of| &of.segments);
            segments.extend(known.map(|segment| (segment.id, segment.clone())));
        }
        for id in &answer.new {
            let origins = origins(&self.batch().await?).ok_or_else(|| content("no records that rows came from"))?;
            let segment = Segment::new(*id, self.batch().await?, origins).map_err(FrameError::Content)?;
            segments.insert(*id, Arc::new(segment));
            self.after = self.after.max(*id);
        }
        let mut tail = Tail { writer: answer.writer, ..Tail::default() };
        for (name, told) in &answer.tables {
            let own = || derived.iter().copied().find(|of| of.definition().name == *name).map(Table::Derived);
            let Some(table) = Table::from_name(name).or_else(own) else {
                // Of a step that this reader is about to be told of, or was.
                continue;
            };
            let mut of = told.table().ok_or_else(|| content("a topic that is not known here"))?;
            for id in &told.segments {
                of.segments.push(segments.get(id).cloned().ok_or_else(|| content("a segment that was never sent"))?);
            }
            tail.tables.insert(table, of);
        }
        self.known = Arc::new(tail);
        Ok(self.known.clone())
    }

    /// The rows up to the next end.
    async fn batch(&mut self) -> Result<RecordBatch, FrameError> {
        let mut decoder = Decoder::default();
        let first = next(&mut self.reader).await?;
        let schema = decoder.head(&messages(first.payload)?)?;
        let mut batches = Vec::new();
        loop {
            let frame = next(&mut self.reader).await?;
            match frame.kind {
                Kind::Rows => {
                    for message in messages(frame.payload)? {
                        batches.extend(decoder.rows(&message)?);
                    }
                }
                Kind::End => break,
                other => return Err(content(&format!("a frame of kind {other:?} among rows"))),
            }
        }
        match batches.as_slice() {
            [one] => Ok(one.clone()),
            several => concat_batches(&schema, several).map_err(|error| FrameError::Content(error.to_string())),
        }
    }
}

fn content(what: &str) -> FrameError {
    FrameError::Content(what.to_owned())
}

async fn next(reader: &mut Reader<OwnedReadHalf>) -> Result<crate::frame::Frame, FrameError> {
    reader.next().await?.ok_or_else(|| content("the other side closed"))
}

fn origins(rows: &RecordBatch) -> Option<Vec<Origin>> {
    let topics = rows.column_by_name("topic")?.as_string_opt::<i32>()?;
    let partitions = rows.column_by_name("partition")?.as_primitive_opt::<Int32Type>()?;
    let offsets = rows.column_by_name("offset")?.as_primitive_opt::<Int64Type>()?;
    let ends = rows.column_by_name("end")?.as_primitive_opt::<UInt32Type>()?;
    let origin = |row: usize| {
        let at = TopicPartition { topic: Topic::from_name(topics.value(row))?, partition: partitions.value(row) };
        Some(Origin { at, offset: offsets.value(row), end: ends.value(row) })
    };
    (0..rows.num_rows()).map(origin).collect()
}
