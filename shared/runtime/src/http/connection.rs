//! Connections: accepted up to a limit, tracked, and ended in order.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Open connections of one listener. One more waits in the kernel's queue until another one closes.
const CONNECTIONS_MAX: usize = 16_384;

/// How long a connection may take to send the head of its next request. Above the 60 s for which load
/// balancers keep idle connections, so that they close first and never send into a closing one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// How long a caller may take nothing of its answer. One that never reads, as a follower of a job might, would keep its
/// connection and its seat for ever.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// The pause after an accept that failed because the machine is short of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The connections of one listener.
pub(super) struct Connections {
    router: Router,
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
    /// Finish the answer under way, then close.
    stop: CancellationToken,
    /// Close now. Also when [`serve`](super::serve) itself is dropped: connections never outlive it.
    cut: CancellationToken,
    _cut_on_drop: DropGuard,
}

impl Connections {
    pub(super) fn new(router: Router, stop: CancellationToken) -> Self {
        let cut = CancellationToken::new();
        Self {
            router,
            permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            tasks: TaskTracker::new(),
            stop,
            _cut_on_drop: cut.clone().drop_guard(),
            cut,
        }
    }

    /// Accepts until the token is cancelled. An error means the listener itself is broken.
    pub(super) async fn accept_until(
        &self,
        listener: TcpListener,
        token: CancellationToken,
    ) -> io::Result<()> {
        loop {
            let accepted = tokio::select! {
                biased;
                () = token.cancelled() => return Ok(()),
                accepted = self.accept(&listener) => accepted,
            };
            match accepted {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection, trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// A permit first, then the next connection.
    async fn accept(&self, listener: &TcpListener) -> io::Result<()> {
        let Ok(permit) = self.permits.clone().acquire_owned().await else {
            return Err(io::ErrorKind::InvalidInput.into()); // closed: nobody closes it
        };
        let (stream, _) = listener.accept().await?;
        // An answer is one small write; waiting to fill a segment only adds delay.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "the connection was gone at once");
            return Ok(());
        }
        let connection = converse(stream, self.router.clone(), self.stop.clone(), self.cut.clone());
        self.tasks.spawn(async move {
            connection.await;
            drop(permit);
        });
        Ok(())
    }

    /// Ends all connections: in order until the deadline, then by force. Says how many it had to force.
    pub(super) async fn finish(&self, deadline: Duration) -> usize {
        self.stop.cancel();
        if crate::shutdown::drain(&self.tasks, deadline).await {
            return 0;
        }
        let late = self.tasks.len();
        self.cut.cancel();
        self.tasks.wait().await;
        late
    }
}

/// One connection, from its first byte to its last.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    router: Router,
    stop: CancellationToken,
    cut: CancellationToken,
) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    tokio::pin!(connection);
    tokio::select! {
        biased;
        () = cut.cancelled() => return,
        ended = connection.as_mut() => return log_end(ended),
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        () = cut.cancelled() => {}
        ended = connection.as_mut() => log_end(ended),
    }
}

/// A caller that hangs up is nothing to worry about.
fn log_end(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Body;
    use axum::routing::get;
    use futures_util::stream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Whoever asks for it gets bytes without end.
    async fn endless() -> Body {
        Body::from_stream(stream::repeat_with(|| Ok::<_, Infallible>("x".repeat(1_024))))
    }

    /// Asks, and takes so many bytes every so often. Answers how long it was served.
    async fn served(bytes: usize, pause: Duration, until: Duration) -> Duration {
        let (mut caller, ours) = tokio::io::duplex(4_096);
        let router = Router::new().route("/", get(endless));
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let began = tokio::time::Instant::now();
        let take = async {
            caller.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            let mut taken = vec![0; bytes];
            loop {
                tokio::time::sleep(pause).await;
                caller.read_exact(&mut taken).await.unwrap();
            }
        };
        let conversation = converse(ours, router, stop.clone(), cut);
        tokio::select! {
            () = conversation => {}
            () = take => {}
            () = tokio::time::sleep(until) => {}
        }
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_takes_nothing_of_its_answer_is_left_and_a_slow_one_is_not() {
        assert_eq!(served(1, 60 * MINUTE, 10 * MINUTE).await, WRITE_TIMEOUT);
        assert_eq!(served(4_096, WRITE_TIMEOUT / 2, 10 * MINUTE).await, 10 * MINUTE);
    }
}
