//! The local file system as a store in which what was written survives a power failure: a file is flushed to the disk
//! before it gets its name, and its folder after that. Without it a commit could survive whose data files did not.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path as FsPath, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use deltalake_core::logstore::object_store;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

#[derive(Debug)]
pub(crate) struct DurableFiles {
    files: LocalFileSystem,
    /// Files in the making get names that no other process, dead or alive, has given: a leftover may be a second name of
    /// a commit, and must never be written to.
    nonce: u64,
    staged: AtomicU64,
}

impl DurableFiles {
    pub fn new() -> Self {
        let nonce = getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()));
        Self { files: LocalFileSystem::new(), nonce, staged: AtomicU64::new(0) }
    }

    /// `name#<digits>` is how the store names files in the making: they are never listed.
    fn staging(&self, path: &FsPath) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(format!("#{:020}{:09}", self.nonce, self.staged.fetch_add(1, Ordering::Relaxed)));
        PathBuf::from(name)
    }
}

impl fmt::Display for DurableFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DurableFiles")
    }
}

fn write(staging: &FsPath, path: &FsPath, payload: &PutPayload, create: bool) -> io::Result<()> {
    let mut file = match OpenOptions::new().write(true).create_new(true).open(staging) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(folder(path))?;
            OpenOptions::new().write(true).create_new(true).open(staging)?
        }
        other => other?,
    };
    for part in payload {
        file.write_all(part)?;
    }
    file.sync_data()?;
    drop(file);
    if create {
        fs::hard_link(staging, path)?;
        // It has its name; a second one that stays behind is not listed.
        let _ = fs::remove_file(staging);
    } else {
        fs::rename(staging, path)?;
    }
    File::open(folder(path))?.sync_all()
}

fn folder(path: &FsPath) -> &FsPath {
    path.parent().unwrap_or(FsPath::new("/"))
}

fn put(staging: &FsPath, path: &FsPath, payload: &PutPayload, create: bool) -> Result<PutResult> {
    write(staging, path, payload, create).map_err(|source| {
        let _ = fs::remove_file(staging);
        let shown = path.display().to_string();
        match source.kind() {
            ErrorKind::AlreadyExists => Error::AlreadyExists { path: shown, source: source.into() },
            ErrorKind::PermissionDenied => Error::PermissionDenied { path: shown, source: source.into() },
            _ => Error::Generic { store: "local files", source: format!("{shown}: {source}").into() },
        }
    })?;
    Ok(PutResult { e_tag: None, version: None })
}

#[async_trait::async_trait]
impl ObjectStore for DurableFiles {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let create = match options.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => return self.files.put_opts(location, payload, options).await,
        };
        let path = self.files.path_to_filesystem(location)?;
        let staging = self.staging(&path);
        tokio::task::spawn_blocking(move || put(&staging, &path, &payload, create))
            .await
            .map_err(|source| Error::JoinError { source })?
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.files.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
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
        self.files.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use object_store::ObjectStoreExt;

    use super::*;

    #[tokio::test]
    async fn a_name_is_given_once_and_nothing_half_written_is_listed() {
        let dir = tempfile::tempdir().unwrap();
        let store = DurableFiles::new();
        let name = Path::from_absolute_path(dir.path().join("log").join("1.json")).unwrap();
        let create = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        store.put_opts(&name, "first".into(), create()).await.unwrap();
        let second = store.put_opts(&name, "second".into(), create()).await;
        assert!(matches!(second, Err(Error::AlreadyExists { .. })), "{second:?}");
        assert_eq!(store.get(&name).await.unwrap().bytes().await.unwrap(), "first");

        store.put(&name, "third".into()).await.unwrap();
        assert_eq!(store.get(&name).await.unwrap().bytes().await.unwrap(), "third");

        fs::write(dir.path().join("log").join("2.json#17"), "half").unwrap();
        let prefix = Path::from_absolute_path(dir.path()).unwrap();
        let listed: Vec<_> = store.list(Some(&prefix)).try_collect().await.unwrap();
        assert_eq!(listed.len(), 1, "{listed:?}");
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_says_so() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("log"), "a file where the folder should be").unwrap();
        let name = Path::from_absolute_path(dir.path().join("log").join("1.json")).unwrap();
        let error = DurableFiles::new().put(&name, "x".into()).await.unwrap_err().to_string();
        assert!(error.contains("1.json") && error.contains("Not a directory"), "{error}");
    }
}
