//! Waiting for Postgres in the middle of a run.

use std::time::Duration;

use store::StoreError;

/// The pause before Postgres is asked again.
const AGAIN: Duration = Duration::from_millis(200);

/// Asks until Postgres answers; only for what may be asked twice. That it is away or busy for a moment is no fault of the
/// job, and must not cost it an attempt or a takeover. If it is away for longer the lease is lost, and the attempt is
/// dropped with whatever waits in it.
pub(crate) async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    loop {
        match ask().await {
            Err(error) if error.is_transient() => tokio::time::sleep(AGAIN).await,
            other => return other,
        }
    }
}
