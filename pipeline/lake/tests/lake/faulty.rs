//! The file system as an object store that can be made to fail: before a write, after it, for want of space, or for good.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use deltalake_core::logstore::object_store;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Notify;

/// What happens to writes; they are counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// The process dies before this write: it and everything after it fails.
    DieBefore(u64),
    /// The process dies after this write, before it learns of its success.
    DieAfter(u64),
    /// This one write is not done and reported as failed.
    FailBefore(u64),
    /// This one write is done and reported as failed.
    FailAfter(u64),
    /// The disk is full.
    NoSpace,
    /// Every write takes this long.
    Slow(Duration),
    /// This one write waits for [`Faulty::release`].
    Hold(u64),
}

#[derive(Debug, Default)]
struct State {
    fault: Fault,
    writes: u64,
    dead: bool,
}

#[derive(Debug)]
pub struct Faulty {
    files: LocalFileSystem,
    state: Mutex<State>,
    held: Notify,
    released: Notify,
}

impl Faulty {
    pub fn new(fault: Fault) -> Self {
        let state = Mutex::new(State { fault, ..State::default() });
        Self { files: LocalFileSystem::new(), state, held: Notify::new(), released: Notify::new() }
    }

    /// Ends when the write that is to be held is being held.
    pub async fn held(&self) {
        self.held.notified().await;
    }

    pub fn release(&self) {
        self.released.notify_one();
    }

    pub fn set(&self, fault: Fault) {
        self.state.lock().unwrap().fault = fault;
    }

    pub fn writes(&self) -> u64 {
        self.state.lock().unwrap().writes
    }

    pub fn is_dead(&self) -> bool {
        self.state.lock().unwrap().dead
    }

    fn alive(&self) -> Result<()> {
        if self.is_dead() { Err(error("the process is dead")) } else { Ok(()) }
    }

    /// What to do to this write, whether to do it, and whether to report success.
    fn judge(&self) -> (Fault, bool, bool) {
        let mut state = self.state.lock().unwrap();
        let this = state.writes;
        state.writes += 1;
        let (write, report) = match state.fault {
            Fault::DieBefore(at) if this == at => (false, false),
            Fault::DieAfter(at) if this == at => (true, false),
            Fault::FailBefore(at) if this == at => (false, false),
            Fault::FailAfter(at) if this == at => (true, false),
            Fault::NoSpace => (false, false),
            _ => (true, true),
        };
        if matches!(state.fault, Fault::DieBefore(at) | Fault::DieAfter(at) if this == at) {
            state.dead = true;
        }
        let fault = match state.fault {
            Fault::Hold(at) if this != at => Fault::None,
            fault => fault,
        };
        (fault, write, report)
    }
}

fn error(what: &str) -> Error {
    Error::Generic { store: "faulty", source: what.to_owned().into() }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.alive()?;
        let (fault, write, report) = self.judge();
        match fault {
            Fault::Slow(time) => tokio::time::sleep(time).await,
            Fault::Hold(_) => {
                self.held.notify_one();
                self.released.notified().await;
            }
            _ => {}
        }
        if !write {
            return Err(error("No space left on device (os error 28)"));
        }
        let result = self.files.put_opts(location, payload, options).await;
        if report { result } else { Err(error("the connection was lost")) }
    }

    async fn put_multipart_opts(&self, to: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.alive()?;
        self.files.put_multipart_opts(to, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.alive()?;
        self.files.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.files.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.alive()?;
        self.files.copy_opts(from, to, options).await
    }
}
