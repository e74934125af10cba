//! Rescue: a running row whose lease is over gets a ticket, so that somebody takes it over. Usually the dead
//! worker's own ticket comes again first, or a worker with a free slot sees the row; this is for when the ticket is gone
//! and all slots are taken.
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
    let published = bus.publish_tickets(&tickets).await;
    for (ticket, published) in tickets.iter().zip(&published) {
        tracing::info!(job.id = %ticket.job_id, published = ?published, "its worker is gone; up for takeover");
    }
    Ok(published.iter().filter(|published| **published == Published::Stored).count())
}
