//! Publishing tickets.

use std::error::Error as _;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use futures_util::future::join_all;
use protocol::Ticket;
use tokio::time::{Instant, sleep, timeout_at};

use crate::topology::STREAM;
use crate::{Bus, BusError};

/// What became of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// It is in the queue.
    Stored,
    /// The scope's last ticket is not settled yet; this one was refused.
    Occupied,
    /// NATS is away or did not answer; it may be in the queue or not.
    Unknown,
}

/// `maximum messages per subject exceeded`: the subject's last message is still there.
const MAX_MESSAGES_PER_SUBJECT: u64 = 10077;
/// After a settled ticket a cluster may refuse the next one for about 2 ms (28 of 100 seen with R3).
const OCCUPIED_RETRY: Duration = Duration::from_millis(2);
const OCCUPIED_RETRIES: u32 = 3;

impl Bus {
    /// Publishes tickets, all at once, and waits until each is acked or has failed. Answers in the order of
    /// `tickets`, within the request timeout whatever NATS does.
    pub async fn publish_tickets(&self, tickets: &[Ticket]) -> Vec<Published> {
        if self.require_connection().is_err() {
            return vec![Published::Unknown; tickets.len()];
        }
        let deadline = Instant::now() + self.request_timeout;
        join_all(tickets.iter().map(|ticket| self.publish_ticket(ticket, deadline))).await
    }

    /// How many tickets are in the queue: waiting, handed out, or put off.
    ///
    /// # Errors
    /// If NATS is away or the stream is gone.
    pub async fn tickets_queued(&self) -> Result<u64, BusError> {
        self.require_connection()?;
        let stream = self.jetstream.get_stream(STREAM).await.map_err(BusError::unavailable)?;
        Ok(stream.cached_info().state.messages)
    }

    async fn publish_ticket(&self, ticket: &Ticket, deadline: Instant) -> Published {
        for _ in 0..OCCUPIED_RETRIES {
            match timeout_at(deadline, self.publish_once(ticket)).await {
                Ok(Published::Occupied) => sleep(OCCUPIED_RETRY).await,
                Ok(published) => return published,
                Err(_) => return Published::Unknown,
            }
        }
        Published::Occupied
    }

    async fn publish_once(&self, ticket: &Ticket) -> Published {
        let Ok(payload) = serde_json::to_vec(ticket) else { return Published::Unknown };
        let message = PublishMessage::build().message_id(ticket.message_id()).payload(payload.into());
        // Two awaits: the first sends, the second is the ack.
        let acked = async { self.jetstream.send_publish(ticket.subject().to_string(), message).await?.await };
        match acked.await {
            // A duplicate was stored earlier and may be gone; every ticket has an id of its own, so this is
            // only ever our own publish, sent again.
            Ok(_) => Published::Stored,
            Err(error) if is_occupied(&error) => Published::Occupied,
            Err(error) => {
                tracing::debug!(job.id = %ticket.job_id, error = %error, "a ticket was not published");
                Published::Unknown
            }
        }
    }
}

fn is_occupied(error: &PublishError) -> bool {
    error.kind() == PublishErrorKind::Other
        && error
            .source()
            .and_then(|source| source.downcast_ref::<jetstream::Error>())
            .is_some_and(|error| error.error_code().0 == MAX_MESSAGES_PER_SUBJECT)
}
