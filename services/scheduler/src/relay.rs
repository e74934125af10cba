//! Relay: a row that waits for a worker gets a ticket, whatever happened to the one before.
//!
//! It takes no event: rows whose ticket was never published, was lost with a wiped store, or was settled while
//! the row still waited, all look the same to it. A ticket too many is refused by the stream.
//!
//! Query: `Store::take_unticketed`. Plan: for each priority, Index Scan using jobs_waiting (priority, run_at <= now()),
//! LockRows, Limit; then Nested Loop over the primary key.

use std::time::{Duration, Instant};

use bus::{Bus, Published};
use store::Store;

/// Relays all rows whose ticket is older than `older_than`. Answers how many tickets were published.
///
/// # Errors
/// If Postgres or NATS are away. The tickets taken are taken again after their age.
pub async fn run(store: &Store, bus: &Bus, older_than: Duration, batch_max: u32) -> anyhow::Result<usize> {
    let (mut relayed, mut lost, began) = (0, 0, Instant::now());
    loop {
        // Older than it was when this began: a row that was just taken is not taken again, also with no age
        // asked for.
        let tickets = store.take_unticketed(older_than + began.elapsed(), batch_max).await?;
        let taken = tickets.len();
        let published = bus.publish_tickets(&tickets).await;
        let with = |outcome| {
            let of = tickets.iter().zip(&published).filter(move |(_, published)| **published == outcome);
            of.map(|(ticket, _)| ticket)
        };
        // Not of those whose ticket is in the queue already: of them somebody was told.
        for ticket in with(Published::Stored) {
            bus.hint(ticket).await;
            relayed += 1;
        }
        let unknown: Vec<_> = with(Published::Unknown).map(|ticket| ticket.job_id).collect();
        if !unknown.is_empty() {
            store.mark_unticketed(&unknown).await?;
            lost += unknown.len();
        }
        // A batch of which nothing got through: NATS is away, and the rest would not get through either. One that
        // got through in part does not keep the rows behind it from theirs.
        if taken < batch_max as usize || unknown.len() == taken {
            break;
        }
    }
    anyhow::ensure!(lost == 0, "{lost} tickets were not published");
    if relayed > 0 {
        tracing::info!(tickets = relayed, "relayed");
    }
    Ok(relayed)
}
