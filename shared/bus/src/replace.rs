//! Replacing the ticket of a job whose worker is gone.

use async_nats::jetstream::stream::LastRawMessageErrorKind;
use protocol::Ticket;
use tokio::time::timeout;

use crate::topology::{STREAM, consumer_name};
use crate::{Bus, BusError, Published};

impl Bus {
    /// Puts a ticket in the place of one that was handed out to a worker that is gone, so that the next worker need not
    /// wait until that one is delivered again: which may be to the open pull of a process that hangs.
    ///
    /// Only if nothing waits in the lane: then it is delivered at once. Behind a backlog the old one comes sooner. One that
    /// was never handed out keeps its place.
    ///
    /// For the scheduler, whose user may delete a message. Whoever works on the old ticket nevertheless settles nothing
    /// by that, and loses nothing: the job's row decides.
    ///
    /// # Errors
    /// If NATS is away, or the stream is gone: then the ticket comes again by itself, or the relay makes one.
    pub async fn replace_ticket(&self, ticket: &Ticket) -> Result<Published, BusError> {
        self.require_connection()?;
        let replaced = timeout(self.request_timeout, self.make_room(ticket)).await;
        if !replaced.map_err(BusError::unavailable)?? {
            return Ok(Published::Occupied);
        }
        let published = self.publish_tickets(std::slice::from_ref(ticket)).await;
        Ok(published.first().copied().unwrap_or(Published::Unknown))
    }

    /// Removes what was handed out on the ticket's subject. `false` if it is to stay.
    async fn make_room(&self, ticket: &Ticket) -> Result<bool, BusError> {
        let stream = self.jetstream.get_stream_no_info(STREAM).await.map_err(BusError::unavailable)?;
        let lane =
            stream.consumer_info(consumer_name(ticket.priority)).await.map_err(BusError::unavailable)?;
        if lane.num_pending > 0 {
            return Ok(false);
        }
        let last = stream.get_last_raw_message_by_subject(&ticket.subject().to_string()).await;
        let sequence = match last {
            Ok(last) if last.sequence <= lane.delivered.stream_sequence => last.sequence,
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return Ok(true),
            Err(error) => return Err(BusError::unavailable(error)),
        };
        stream.delete_message(sequence).await.map_err(BusError::unavailable)?;
        Ok(true)
    }
}
