//! Connections to the worker on which nothing is under way. A statement takes one that is there before it makes another: to
//! connect costs more than a small statement.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Instant;

use crate::frame::{Reader, Writer};

/// As many as are of use to callers who take turns; the worker takes many more.
const IDLE_MAX: usize = 8;
/// Well below what the worker waits, so that it never closes one that is being taken.
const IDLE_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Connection {
    /// The worker that it goes to; workers are counted.
    pub worker: u64,
    pub reader: Reader<OwnedReadHalf>,
    pub writer: Writer<OwnedWriteHalf>,
    /// Whether both sides have said which version they speak.
    pub greeted: bool,
}

impl Connection {
    /// # Errors
    /// When nobody listens there.
    pub async fn open(path: &Path, worker: u64) -> std::io::Result<Self> {
        let (reader, writer) = crate::socket::connect(path).await?.into_split();
        Ok(Self { worker, reader: Reader::new(reader), writer: Writer::new(writer), greeted: false })
    }
}

#[derive(Debug, Default)]
pub struct Pool(Mutex<Vec<(Instant, Connection)>>);

impl Pool {
    /// One that goes to `worker`. Those that go to another, or were left alone for long, are closed.
    pub fn take(&self, worker: u64) -> Option<Connection> {
        let mut idle = self.idle();
        idle.retain(|(since, connection)| connection.worker == worker && since.elapsed() < IDLE_WITHIN);
        while let Some((_, connection)) = idle.pop() {
            if connection.reader.is_open() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps one whose statement has ended; with as many as are kept already it is closed.
    pub fn give(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.len() < IDLE_MAX {
            idle.push((Instant::now(), connection));
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Instant, Connection)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_is_taken_again_unless_it_goes_to_another_worker_or_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let pool = Pool::default();
        assert!(pool.take(1).is_none());
        let mut far = Vec::new();
        for _ in 0..IDLE_MAX + 2 {
            pool.give(Connection::open(&path, 1).await.unwrap());
            far.push(listener.accept().await.unwrap());
        }
        assert_eq!(pool.idle().len(), IDLE_MAX);
        let taken = pool.take(1).unwrap();
        assert_eq!((taken.worker, pool.idle().len()), (1, IDLE_MAX - 1));
        drop((taken, far));
        // What the system tells of a closed connection has to be heard first.
        let hears = async {
            while let Some(open) = pool.take(1) {
                pool.give(open);
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), hears).await.unwrap();
        pool.give(Connection::open(&path, 1).await.unwrap());
        assert!(pool.take(2).is_none() && pool.idle().is_empty());
    }
}
