//! Topology: after somebody wiped the JetStream store, streams, consumers and bucket are made again.

use bus::{Bus, TopologyError};

/// Makes what is missing. Answers whether the stream of tickets was among it: then no ticket is left.
///
/// # Errors
/// If NATS is away. Settings that differ are somebody's decision and are left alone, with a log line.
pub async fn repair(bus: &Bus, replicas: u32) -> anyhow::Result<bool> {
    match bus.verify().await {
        Ok(()) => return Ok(false),
        Err(TopologyError::Different(lines)) if lines.iter().any(|line| line.ends_with(" is missing")) => {
            tracing::warn!("streams are missing; provisioning");
        }
        Err(TopologyError::Different(lines)) => {
            tracing::debug!(differences = lines.join("; "), "NATS has other settings than nats/*.json");
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    }
    let provisioned = bus.provision_missing(replicas).await?;
    tracing::info!(created = ?provisioned.created, "provisioned");
    Ok(provisioned.created.iter().any(|name| name == "SYNC_JOBS"))
}
