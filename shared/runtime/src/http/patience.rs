//! More time for a request that is answered late on purpose.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::time::{Instant, sleep_until};

/// How long [`http::shell`](super::shell) waits for the head of this request's answer. A handler takes it as an
/// extractor, and extends it by as long as it means to wait: a long poll. Such a handler has to end its
/// waiting at shutdown itself.
#[derive(Debug, Clone)]
pub struct Patience {
    since: Instant,
    granted_ms: Arc<AtomicU64>,
}

impl Patience {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { since: Instant::now(), granted_ms: Arc::new(AtomicU64::new(millis(timeout))) }
    }

    /// Gives this one request more time.
    pub fn extend(&self, by: Duration) {
        self.granted_ms.fetch_add(millis(by), Ordering::Relaxed);
    }

    /// All the time the request has.
    pub(super) fn granted(&self) -> Duration {
        Duration::from_millis(self.granted_ms.load(Ordering::Relaxed))
    }

    /// Resolves when the time is over, extensions included.
    pub(super) async fn over(&self) {
        loop {
            let granted = self.granted();
            sleep_until(self.since + granted).await;
            if self.granted() == granted {
                return;
            }
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Patience {
    type Rejection = Infallible;

    /// Without a shell around the route nothing ends, and there is nothing to extend.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_else(|| Self::new(Duration::ZERO)))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
