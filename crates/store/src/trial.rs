//! A bucket in memory for tests: it copies nothing within itself, as others do with large objects, and counts what is asked of
//! it at once.

use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use futures::{StreamExt as _, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, memory::InMemory, path::Path as Key,
};

use crate::{Store, blobs::Blobs};

type Answer<T> = object_store::Result<T>;

#[derive(Debug, Default)]
pub struct Trial {
    inner: InMemory,
    uploads: AtomicUsize,
    asked: Arc<Asked>,
    silent: AtomicBool,
}

#[derive(Debug, Default)]
struct Asked {
    now: AtomicUsize,
    at_once: AtomicUsize,
}

impl Asked {
    /// Others ask meanwhile, if they do not wait for this answer.
    async fn once(&self) {
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.at_once.fetch_max(now, SeqCst);
        tokio::task::yield_now().await;
        self.now.fetch_sub(1, SeqCst);
    }
}

impl Trial {
    /// A registry that keeps its blobs here.
    pub async fn store(self: &Arc<Self>, staging: &Path) -> Store {
        let store = Store::open("sqlite::memory:", "memory://").await.unwrap();
        store.migrate().await.unwrap();
        store.keeping_in(Blobs::Remote(Arc::<Self>::clone(self), Key::from("p"))).staged_in(staging)
    }

    /// Uploads in parts.
    pub fn uploads(&self) -> usize {
        self.uploads.load(SeqCst)
    }

    /// Most objects that were asked for, or removed, at once.
    pub fn at_once(&self) -> usize {
        self.asked.at_once.load(SeqCst)
    }

    /// From now on nothing can be read.
    pub fn fall_silent(&self) {
        self.silent.store(true, SeqCst);
    }

    /// Counts anew.
    pub fn forget(&self) {
        self.asked.at_once.store(0, SeqCst);
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bucket for trials")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Trial {
    async fn put_opts(&self, at: &Key, bytes: PutPayload, how: PutOptions) -> Answer<PutResult> {
        self.inner.put_opts(at, bytes, how).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Key,
        how: PutMultipartOptions,
    ) -> Answer<Box<dyn MultipartUpload>> {
        self.uploads.fetch_add(1, SeqCst);
        self.inner.put_multipart_opts(at, how).await
    }

    async fn get_opts(&self, at: &Key, how: GetOptions) -> Answer<GetResult> {
        self.asked.once().await;
        if self.silent.load(SeqCst) {
            return Err(object_store::Error::Generic { store: "trial", source: "no answer".into() });
        }
        self.inner.get_opts(at, how).await
    }

    fn delete_stream(&self, all: BoxStream<'static, Answer<Key>>) -> BoxStream<'static, Answer<Key>> {
        let asked = Arc::clone(&self.asked);
        let noted = all.then(move |key| {
            let asked = Arc::clone(&asked);
            async move {
                asked.once().await;
                key
            }
        });
        self.inner.delete_stream(noted.boxed())
    }

    fn list(&self, under: Option<&Key>) -> BoxStream<'static, Answer<ObjectMeta>> {
        self.inner.list(under)
    }

    async fn list_with_delimiter(&self, under: Option<&Key>) -> Answer<ListResult> {
        self.inner.list_with_delimiter(under).await
    }

    async fn copy_opts(&self, from: &Key, _: &Key, _: CopyOptions) -> Answer<()> {
        Err(object_store::Error::NotSupported { source: format!("{from} is too large").into() })
    }
}
