//! The one place that settles, and the sign of life while a job runs.
//!
//! JetStream does not fence acks: a zombie's ack would remove the ticket from under the new worker. So only
//! the holder of a lease may settle a ticket it worked on; who never got the lease may only hand it back.

use std::time::Duration;

use async_nats::jetstream::AckKind;
use tokio_util::task::AbortOnDropHandle;

use crate::{Bus, BusError, Delivery};

/// What a ticket is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// Done with: the job is over, or the relay makes a new ticket when it is due.
    Ack,
    /// Deliver again after so long.
    Nak(Duration),
    /// Done with, because the job failed or was cancelled.
    Term,
}

/// Tells JetStream that a ticket is being worked on, for as long as it lives. Dropped by a panic, too.
#[derive(Debug)]
pub struct InProgress(#[expect(dead_code, reason = "aborts on drop")] AbortOnDropHandle<()>);

impl Bus {
    /// Settles a ticket. `Ack` and `Term` wait until the server has it, so that the next publish on the
    /// subject is not refused; a `Nak` does not.
    ///
    /// # Errors
    /// If NATS is away: then the ticket comes again, finds the row settled, and is discarded.
    pub async fn settle(&self, delivery: &Delivery, settlement: Settlement) -> Result<(), BusError> {
        self.require_connection()?;
        let message = &delivery.message;
        let settled = async {
            match settlement {
                Settlement::Ack => message.double_ack().await,
                Settlement::Term => message.double_ack_with(AckKind::Term).await,
                // A nak with a zero delay would be a plain one; it says so here to be exact.
                Settlement::Nak(Duration::ZERO) => message.ack_with(AckKind::Nak(None)).await,
                Settlement::Nak(delay) => message.ack_with(AckKind::Nak(Some(delay))).await,
            }
        };
        tokio::time::timeout(self.request_timeout, settled)
            .await
            .map_err(BusError::unavailable)?
            .map_err(BusError::unavailable)
    }

    /// Says every `interval` that the ticket is being worked on, until the guard is dropped.
    pub fn in_progress(&self, delivery: &Delivery, interval: Duration) -> InProgress {
        let message = delivery.message.clone();
        let beat = async move {
            loop {
                tokio::time::sleep(interval).await;
                if let Err(error) = message.ack_with(AckKind::Progress).await {
                    tracing::debug!(error = %error, "a sign of life was not sent");
                }
            }
        };
        // On a guard instead of a tracker: it must die with the task that runs the job.
        #[expect(
            clippy::disallowed_methods,
            reason = "aborted by the guard when the run ends, panics included"
        )]
        InProgress(AbortOnDropHandle::new(tokio::spawn(beat)))
    }
}

/// A message that is no ticket can never be worked on; it would block its subject for ever.
pub(crate) async fn discard_unreadable(message: &async_nats::jetstream::Message, error: &serde_json::Error) {
    tracing::error!(subject = %message.subject, error = %error, "a message on the queue is no ticket; discarded");
    if let Err(error) = message.double_ack_with(AckKind::Term).await {
        tracing::warn!(error = %error, "it could not be discarded");
    }
}
