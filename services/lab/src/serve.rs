use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::state::LabState;
use crate::{LabConfig, control, hubspot};

/// How long requests in flight may still take when the lab stops.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// The fake vendors.
#[derive(Debug)]
pub struct Lab;

impl Lab {
    /// Both sides, the vendor's and the lab's own, for a server of your own.
    pub fn router(config: LabConfig) -> Router {
        router_of(Arc::new(LabState::new(config, CancellationToken::new())))
    }

    /// Serves until `shutdown`, then lets requests in flight finish for a few seconds.
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn serve(
        listener: TcpListener,
        config: LabConfig,
        shutdown: CancellationToken,
    ) -> std::io::Result<()> {
        let state = Arc::new(LabState::new(config, shutdown));
        serve_state(listener, state).await
    }
}

pub(crate) async fn serve_state(listener: TcpListener, state: Arc<LabState>) -> std::io::Result<()> {
    let shutdown = state.closing.clone();
    // A page is one write, so waiting for more to send only costs time.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "could not set TCP_NODELAY");
        }
    });
    let serving =
        axum::serve(listener, router_of(state)).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    tokio::select! {
        ended = serving.into_future() => ended,
        () = async { shutdown.cancelled().await; tokio::time::sleep(DRAIN_MAX).await } => Ok(()),
    }
}

fn router_of(state: Arc<LabState>) -> Router {
    Router::new().nest("/_lab", control::router(Arc::clone(&state))).merge(hubspot::router(state))
}
