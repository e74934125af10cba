//! Stopping: the first signal asks, the second one insists.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a shell reports for a process that was interrupted: 128 + SIGINT.
const EXIT_CODE_INTERRUPTED: i32 = 130;

/// The wish to stop, as every part of a process sees it.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

impl Shutdown {
    /// Listens for SIGINT and SIGTERM. The first one cancels the token, so that work is drained; the next
    /// one ends the process at once with code 130. Call it once, inside the Tokio runtime.
    pub fn install() -> io::Result<Self> {
        let shutdown = Self::manual();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let token = shutdown.token();
        // Nobody waits for this task: it has to outlive the drain to see the second signal.
        TaskTracker::new().spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = interrupt.recv() => "SIGINT",
                    _ = terminate.recv() => "SIGTERM",
                };
                if token.is_cancelled() {
                    tracing::warn!(signal = name, "asked to stop again, exiting at once");
                    std::process::exit(EXIT_CODE_INTERRUPTED);
                }
                tracing::info!(signal = name, "stopping; a second signal exits at once");
                token.cancel();
            }
        });
        Ok(shutdown)
    }

    /// One that no signal reaches, for tests and for processes inside a process.
    pub fn manual() -> Self {
        Self::default()
    }

    /// The token that is cancelled when the process has to stop.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Asks to stop, as the first signal does.
    pub fn trigger(&self) {
        self.token.cancel();
    }

    /// Does the work to its end, but for no longer than `deadline` after the wish to stop. Answers what became of it, or
    /// `None` if it was cut off.
    pub async fn within<T>(&self, deadline: Duration, work: impl Future<Output = T>) -> Option<T> {
        let over = async {
            self.requested().await;
            tokio::time::sleep(deadline).await;
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = over => {
                tracing::warn!("not everything was done {deadline:?} after the wish to stop; cut off");
                None
            }
        }
    }

    /// Waits for the wish to stop.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }
}

/// Takes no more tasks and waits for those that run. `false` when the deadline came first.
pub async fn drain(tracker: &TaskTracker, deadline: Duration) -> bool {
    tracker.close();
    tokio::time::timeout(deadline, tracker.wait()).await.is_ok()
}
