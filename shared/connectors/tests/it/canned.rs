//! A server that answers every connection with the same bytes, for answers that no sane vendor gives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Serves until it is dropped.
pub struct Canned {
    pub url: String,
    requests: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl Canned {
    /// `repeat` bytes of `filler` follow the head.
    pub async fn start(head: String, filler: Vec<u8>, repeat: usize) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 16 * 1024];
                if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
                // The client may hang up at any time.
                let mut sent = stream.write_all(head.as_bytes()).await;
                let mut left = repeat;
                while left > 0 && sent.is_ok() {
                    sent = stream.write_all(&filler).await;
                    left -= 1;
                }
            }
        });
        Self { url, requests, _serving: serving }
    }

    /// A whole answer with a body.
    pub async fn answer(status: &str, headers: &str, body: &str) -> Self {
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
            body.len()
        );
        Self::start(head, Vec::new(), 0).await
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}
