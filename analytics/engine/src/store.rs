//! The only files that a statement can reach: those under the lake's root, and only for reading. Nothing in SQL names a
//! file, so this is the second lock on the same door.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::DataFusionError;
use datafusion::execution::object_store::ObjectStoreRegistry;
use deltalake_core::logstore::object_store::{self, local::LocalFileSystem};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};
use url::Url;

type StorePath = object_store::path::Path;

/// Serves `file://` from the lake, and no other scheme.
#[derive(Debug)]
pub(crate) struct LakeOnly(Arc<LakeStore>);

impl LakeOnly {
    pub fn new(lake_root: &Path) -> Self {
        let roots = [Some(lake_root.to_owned()), lake_root.canonicalize().ok()];
        let roots = roots.into_iter().flatten().filter_map(|root| StorePath::from_absolute_path(root).ok()).collect();
        Self(Arc::new(LakeStore { files: LocalFileSystem::new(), roots }))
    }
}

impl ObjectStoreRegistry for LakeOnly {
    fn register_store(&self, _: &Url, _: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, url: &Url) -> datafusion::common::Result<Arc<dyn ObjectStore>> {
        if url.scheme() == "file" {
            return Ok(self.0.clone());
        }
        Err(DataFusionError::Plan(format!("nothing can be read from {}: only the lake's tables can", url.scheme())))
    }
}

#[derive(Debug)]
struct LakeStore {
    files: LocalFileSystem,
    roots: Vec<StorePath>,
}

impl fmt::Display for LakeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lake")
    }
}

impl LakeStore {
    fn inside(&self, location: &StorePath) -> Result<()> {
        if self.roots.iter().any(|root| location.prefix_matches(root)) {
            return Ok(());
        }
        Err(object_store::Error::PermissionDenied {
            path: location.to_string(),
            source: "only files of the lake can be read".into(),
        })
    }
}

fn read_only<T>() -> Result<T> {
    Err(object_store::Error::NotSupported { source: "SQL never writes".into() })
}

#[async_trait]
impl ObjectStore for LakeStore {
    async fn put_opts(&self, _: &StorePath, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        read_only()
    }

    async fn put_multipart_opts(&self, _: &StorePath, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        read_only()
    }

    async fn get_opts(&self, location: &StorePath, options: GetOptions) -> Result<GetResult> {
        self.inside(location)?;
        self.files.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<StorePath>>) -> BoxStream<'static, Result<StorePath>> {
        locations.map(|_| read_only()).boxed()
    }

    fn list(&self, prefix: Option<&StorePath>) -> BoxStream<'static, Result<ObjectMeta>> {
        if let Err(error) = self.inside(prefix.unwrap_or(&StorePath::default())) {
            return futures::stream::once(async { Err(error) }).boxed();
        }
        self.files.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&StorePath>) -> Result<ListResult> {
        self.inside(prefix.unwrap_or(&StorePath::default()))?;
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &StorePath, _: &StorePath, _: CopyOptions) -> Result<()> {
        read_only()
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;

    use super::*;

    #[tokio::test]
    async fn only_the_lake_is_read_and_nothing_is_written() {
        let lake = tempfile::tempdir().unwrap();
        let root = lake.path().canonicalize().unwrap();
        std::fs::write(root.join("part"), "rows").unwrap();
        let registry = LakeOnly::new(&root);
        let store = registry.get_store(&Url::parse("file:///").unwrap()).unwrap();
        let inside = StorePath::from_absolute_path(root.join("part")).unwrap();
        assert_eq!(store.get(&inside).await.unwrap().bytes().await.unwrap().as_ref(), b"rows");
        assert!(store.get(&StorePath::from("etc/passwd")).await.is_err());
        assert!(store.list(None).next().await.unwrap().is_err());
        assert!(store.put(&inside, PutPayload::from("x")).await.is_err());
        assert!(store.delete(&inside).await.is_err());
        assert!(registry.get_store(&Url::parse("http://example.com/").unwrap()).is_err());
    }
}
