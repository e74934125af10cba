//! `nats micro ls`: every process answers `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`.

use async_nats::service::ServiceExt;
use tokio_util::sync::CancellationToken;

use crate::{Bus, BusError};

impl Bus {
    /// Answers as `syncline-<role>` until `stop` is cancelled, from when NATS is there.
    pub async fn answer_as(self, role: &'static str, description: &'static str, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => return,
            () = self.connected() => {}
        }
        match self.service(role, description).await {
            Ok(service) => {
                stop.cancelled().await;
                if let Err(error) = service.stop().await {
                    tracing::debug!(error = %error, "the service was gone already");
                }
            }
            // Worth a line and nothing more: no job depends on it.
            Err(error) => tracing::warn!(error = %error, "`nats micro ls` will not show this process"),
        }
    }

    async fn service(&self, role: &str, description: &str) -> Result<async_nats::service::Service, BusError> {
        self.client
            .service_builder()
            .description(description)
            .start(format!("syncline-{role}"), env!("CARGO_PKG_VERSION"))
            .await
            .map_err(BusError::unavailable)
    }
}
