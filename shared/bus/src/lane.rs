//! Pulling deliveries: one for each free slot, never more.

use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::{self, MessagesErrorKind};
use futures_util::StreamExt;
use protocol::{Priority, Ticket};

use crate::topology::{STREAM, consumer_name};
use crate::{Bus, BusError};

/// A ticket that JetStream handed to us. Settled by [`crate::Bus::settle`] and nowhere else.
#[derive(Debug)]
pub struct Delivery {
    /// What it says.
    pub ticket: Ticket,
    pub(crate) message: async_nats::jetstream::Message,
}

/// One priority's queue, as a worker sees it.
pub struct Lane {
    bus: Bus,
    priority: Priority,
    pulling: Option<pull::Stream>,
    missed_heartbeats: u32,
    ack_wait: Duration,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("priority", &self.priority).finish_non_exhaustive()
    }
}

/// A pull request lives this long on the server; then the client makes a new one.
const PULL_EXPIRES: Duration = Duration::from_secs(30);
/// The server says this often that an idle pull is alive. Missing two of them is an error.
const IDLE_HEARTBEAT: Duration = Duration::from_millis(500);
/// After so many errors in a row the consumer is looked up anew: the store may have been wiped.
const MISSED_HEARTBEATS_MAX: u32 = 2;

impl Bus {
    /// The lane of a priority. Attaches when first used.
    pub fn lane(&self, priority: Priority) -> Lane {
        Lane {
            bus: self.clone(),
            priority,
            pulling: None,
            missed_heartbeats: 0,
            ack_wait: Duration::from_secs(6),
        }
    }
}

impl Lane {
    /// The next ticket. Waits for as long as there is none. Take the slot first: a ticket that waits in a
    /// buffer of ours is a ticket that nobody works on while its clock runs.
    ///
    /// Cancel-safe: a ticket that was handed out and not returned is delivered again after the ack wait.
    ///
    /// # Errors
    /// If NATS is away or the consumer is gone. Call again after a moment: it attaches anew.
    pub async fn next(&mut self) -> Result<Delivery, BusError> {
        loop {
            let message = match self.pull().await?.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) if error.kind() == MessagesErrorKind::MissingHeartbeat => {
                    self.missed_heartbeats += 1;
                    if self.missed_heartbeats >= MISSED_HEARTBEATS_MAX {
                        self.pulling = None;
                        self.missed_heartbeats = 0;
                    }
                    continue;
                }
                Some(Err(error)) => {
                    self.pulling = None;
                    return Err(BusError::unavailable(error));
                }
                None => {
                    self.pulling = None;
                    continue;
                }
            };
            self.missed_heartbeats = 0;
            match serde_json::from_slice(&message.payload) {
                Ok(ticket) => return Ok(Delivery { ticket, message }),
                Err(error) => crate::settle::discard_unreadable(&message, &error).await,
            }
        }
    }

    /// Stops asking. To be called when there is no free slot: the client library asks again by itself, and a ticket
    /// would come that nobody works on.
    pub fn pause(&mut self) {
        self.pulling = None;
    }

    /// After how long without a sign of life a ticket is delivered again: the consumer's own setting.
    pub fn ack_wait(&self) -> Duration {
        self.ack_wait
    }

    async fn pull(&mut self) -> Result<&mut pull::Stream, BusError> {
        if self.pulling.is_none() {
            self.bus.require_connection()?;
            let name = consumer_name(self.priority);
            let mut consumer: PullConsumer =
                self.bus.jetstream.get_consumer_from_stream(&name, STREAM).await.map_err(|error| {
                    if error.to_string().contains("not found") {
                        BusError::Missing(format!("consumer {name}"))
                    } else {
                        BusError::unavailable(error)
                    }
                })?;
            let info = consumer.info().await.map_err(BusError::unavailable)?;
            self.ack_wait = info.config.ack_wait;
            let stream = consumer
                .stream()
                .max_messages_per_batch(1)
                .heartbeat(IDLE_HEARTBEAT)
                .expires(PULL_EXPIRES)
                .messages()
                .await
                .map_err(BusError::unavailable)?;
            self.pulling = Some(stream);
        }
        self.pulling.as_mut().ok_or_else(|| BusError::Unavailable("not attached".to_owned()))
    }
}
