//! Rescue: a running row whose lease is over gets a ticket, so that somebody takes it over. Usually the dead
//! worker's own ticket comes again first; this is for when that is gone, or is still with a worker that hangs.
//!
//! Query: `Store::take_expired`. Plan: Index Scan using jobs_running, one row for each running job, LockRows,
//! Limit; then Nested Loop over the primary key.

use bus::{Bus, Published};
use store::Store;

/// Publishes a ticket for every job whose lease is over. Answers how many were published.
///
/// # Errors
/// If Postgres is away.
pub async fn run(store: &Store, bus: &Bus, batch_max: u32) -> anyhow::Result<usize> {
    let tickets = store.take_expired(batch_max).await?;
    let mut published = bus.publish_tickets(&tickets).await;
    for (ticket, published) in tickets.iter().zip(&mut published) {
        if *published == Published::Occupied {
            *published = bus.replace_ticket(ticket).await.unwrap_or_else(|error| {
                tracing::debug!(job.id = %ticket.job_id, error = %error, "its ticket was not replaced");
                Published::Occupied
            });
        }
        tracing::info!(job.id = %ticket.job_id, published = ?published, "its worker is gone; up for takeover");
    }
    Ok(published.iter().filter(|published| **published == Published::Stored).count())
}
