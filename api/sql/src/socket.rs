//! The socket's place. A path in a Unix socket's address has at most 107 bytes; a data folder may lie deeper than that, and
//! then the folder is named by a handle on it.

use std::fs::File;
use std::io::Result;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::frame::FrameError;

const PATH_BYTES_MAX: usize = 107;

/// The path to use, and what must live as long as it is used.
fn short(path: &Path) -> Result<(PathBuf, Option<File>)> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(std::io::Error::other(format!("{} is no place for a socket", path.display())));
    };
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return Ok((path.to_owned(), None));
    }
    let handle = File::open(folder)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd())).join(name), Some(handle)))
}

/// Listens in a folder that only this user can enter. What an earlier process left there is replaced.
///
/// # Errors
/// When the folder or the socket cannot be made.
pub fn listen(path: &Path) -> Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (at, _handle) = short(path)?;
    let listener = UnixListener::bind(at)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Takes connections, `most` at a time, and lets `converse` answer on each, until `stop`; those under way end then.
pub async fn serve_each<F>(
    listener: UnixListener,
    most: usize,
    stop: CancellationToken,
    converse: impl Fn(UnixStream) -> F,
) where
    F: Future<Output = std::result::Result<(), FrameError>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < most => match accepted {
                Ok((stream, _)) => {
                    let conversation = converse(stream);
                    connections.spawn(async move {
                        if let Err(error) = conversation.await {
                            tracing::debug!("a connection broke off: {error}");
                        }
                    });
                }
                Err(error) => {
                    // Out of descriptors or memory, both of which pass.
                    tracing::warn!(%error, "a connection could not be taken: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
}

/// # Errors
/// When nobody listens there.
pub async fn connect(path: &Path) -> Result<UnixStream> {
    let (at, _handle) = short(path)?;
    UnixStream::connect(at).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_for_this_user_only_and_may_lie_deep() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["sql".to_owned(), format!("{}/sql", "a-long-name/".repeat(20))] {
            std::fs::create_dir_all(root.path().join(&folder).parent().unwrap()).unwrap();
            let path = root.path().join(folder).join("worker.socket");
            drop(listen(&path).unwrap());
            assert!(connect(&path).await.is_err(), "nobody listens any more");
            let listener = listen(&path).unwrap();
            let (there, here) = tokio::join!(connect(&path), listener.accept());
            assert!(there.is_ok() && here.is_ok());
            let mode = |at: &Path| std::fs::metadata(at).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        }
    }
}
