//! Hearing of tickets as they are published, whatever waits before them in the queue.
//!
//! Only a hint: the ticket itself goes into the queue, and who hears of it has no claim on the job. It reaches one of
//! those who listen, or nobody.

use async_nats::Subscriber;
use futures_util::StreamExt;
use protocol::{Priority, Ticket, fresh_subject};

use crate::topology::consumer_name;
use crate::{Bus, BusError};

/// The newest tickets of a lane. Listens from the first [`Fresh::next`] on, until [`Fresh::pause`].
#[derive(Debug)]
pub struct Fresh {
    bus: Bus,
    priority: Priority,
    hearing: Option<Subscriber>,
}

impl Bus {
    /// The newest tickets of a lane.
    pub fn fresh(&self, priority: Priority) -> Fresh {
        Fresh { bus: self.clone(), priority, hearing: None }
    }

    /// Tells those who listen of a ticket that is published, at most one of them. Waits for no answer: there is none.
    pub async fn hint(&self, ticket: &Ticket) {
        let payload = serde_json::to_vec(ticket).unwrap_or_default();
        if let Err(error) = self.send_unanswered(fresh_subject(ticket.priority), None, payload).await {
            tracing::debug!(job.id = %ticket.job_id, error = %error, "nobody was told of a ticket");
        }
    }
}

impl Fresh {
    /// The next ticket that is published. Waits for as long as there is none.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// If the connection is closed for good.
    pub async fn next(&mut self) -> Result<Ticket, BusError> {
        if self.hearing.is_none() {
            let group = consumer_name(self.priority);
            let subscribed = self.bus.client.queue_subscribe(fresh_subject(self.priority), group).await;
            self.hearing = Some(subscribed.map_err(BusError::unavailable)?);
        }
        while let Some(hearing) = &mut self.hearing {
            match hearing.next().await {
                // What is no ticket is the queue's trouble.
                Some(message) => {
                    if let Ok(ticket) = serde_json::from_slice(&message.payload) {
                        return Ok(ticket);
                    }
                }
                None => self.hearing = None,
            }
        }
        Err(BusError::Unavailable("not listening".to_owned()))
    }

    /// Listens no more, and forgets what was heard and not taken.
    pub fn pause(&mut self) {
        self.hearing = None;
    }
}
