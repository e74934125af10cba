//! Topology: after somebody wiped the JetStream store, streams, consumers and bucket are made again.

use bus::{Bus, TopologyError};
use store::Store;

/// Makes what is missing. If the stream of tickets is among it no ticket is left, however young it was: every waiting row
/// gets another one.
///
/// # Errors
/// If NATS or Postgres is away. Settings that differ are somebody's decision and are left alone, with a log line.
pub async fn repair(store: &Store, bus: &Bus, replicas: u32) -> anyhow::Result<()> {
    let no_ticket_is_left = match bus.verify().await {
        Ok(()) => return Ok(()),
        Err(TopologyError::Different(lines)) if lines.iter().any(|line| line.ends_with(" is missing")) => {
            tracing::warn!("streams are missing; provisioning");
            lines.iter().any(|line| line.trim() == "SYNC_JOBS is missing")
        }
        Err(TopologyError::Different(lines)) => {
            tracing::debug!(differences = lines.join("; "), "NATS has other settings than nats/*.json");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    if no_ticket_is_left {
        // Before it: whoever dies after it has left a stream that looks as it should.
        store.mark_all_unticketed().await?;
    }
    let provisioned = bus.provision_missing(replicas).await?;
    tracing::info!(created = ?provisioned.created, "provisioned");
    if provisioned.created.iter().any(|name| name == "SYNC_JOBS") {
        // And what was published meanwhile, and went nowhere.
        store.mark_all_unticketed().await?;
    }
    Ok(())
}
