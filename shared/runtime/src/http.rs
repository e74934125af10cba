//! HTTP: what every service's API has in common, around the routes that are its own.

mod connection;
mod layer;
pub(crate) mod patience;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Method;
use protocol::ProblemKind;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::sections::HttpConfig;
use crate::problem::ApiError;

/// The limits of [`shell`].
#[derive(Debug, Clone)]
pub struct ShellConfig {
    body_max_bytes: usize,
    request_timeout: Duration,
}

impl ShellConfig {
    /// The largest body of a request, and the longest time a handler has until the head of its answer. One
    /// that answers late on purpose asks for more: [`Patience`](crate::Patience).
    pub fn new(body_max_bytes: usize, request_timeout: Duration) -> Self {
        Self { body_max_bytes, request_timeout }
    }
}

impl From<&HttpConfig> for ShellConfig {
    fn from(config: &HttpConfig) -> Self {
        Self::new(config.body_max_bytes, config.request_timeout)
    }
}

/// Puts what every request needs around a service's routes: a request id, a span, a body limit, a
/// timeout, and problems for a panic, an unknown path and a method that is not there.
///
/// It is one layer, because each more costs a boxed future a request.
pub fn shell(router: Router, config: ShellConfig) -> Router {
    router
        .fallback(async || ApiError::new(ProblemKind::UnknownPath, "Nothing is served under this path."))
        .method_not_allowed_fallback(async |method: Method| {
            let detail = format!("{method} is not possible here; the Allow header lists what is.");
            ApiError::new(ProblemKind::MethodNotAllowed, detail)
        })
        .layer(layer::ShellLayer::new(Arc::new(config)))
}

/// Serves until the token is cancelled, then stops in order: no new connection, no new request on an open
/// one, time until `deadline` for the answers under way, then the rest is cut off.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    token: CancellationToken,
    deadline: Duration,
) -> io::Result<()> {
    let connections = connection::Connections::new(router, token.child_token());
    let accepted = connections.accept_until(listener, token).await;
    let cut = connections.finish(deadline).await;
    if cut > 0 {
        tracing::warn!(connections = cut, "cut off: their answers were not done at the deadline");
    }
    accepted
}
