//! Somebody with all rights who breaks the board.

use async_nats::jetstream;
use protocol::{JobView, PROGRESS_BUCKET, progress_key};

pub struct Vandal(jetstream::Context);

impl Vandal {
    /// By the URL of the account's admin.
    pub async fn new(url: &str) -> Self {
        let addr: async_nats::ServerAddr = url.parse().unwrap();
        let (user, password) = (addr.username().unwrap().to_owned(), addr.password().unwrap().to_owned());
        let options = async_nats::ConnectOptions::with_user_and_password(user, password);
        Self(jetstream::new(options.connect(url).await.unwrap()))
    }

    /// Deletes the entry's message: nothing is left of it.
    pub async fn purge(&self, job: &JobView) {
        let subject = format!("$KV.{PROGRESS_BUCKET}.{}", progress_key(&job.workspace_id, job.id));
        let stream = self.0.get_stream(format!("KV_{PROGRESS_BUCKET}")).await.unwrap();
        let purged = stream.purge().filter(subject).await.unwrap();
        assert_eq!(purged.purged, 1);
    }

    /// Deletes the entry as a client of KV does: a marker is left.
    pub async fn delete(&self, job: &JobView) {
        let bucket = self.0.get_key_value(PROGRESS_BUCKET).await.unwrap();
        bucket.delete(progress_key(&job.workspace_id, job.id)).await.unwrap();
    }

    /// Puts a view there, without asking what is there.
    pub async fn put(&self, view: &JobView) {
        let bucket = self.0.get_key_value(PROGRESS_BUCKET).await.unwrap();
        let value = serde_json::to_vec(view).unwrap();
        bucket.put(progress_key(&view.workspace_id, view.id), value.into()).await.unwrap();
    }

    pub async fn delete_bucket(&self) {
        self.0.delete_stream(format!("KV_{PROGRESS_BUCKET}")).await.unwrap();
    }
}
