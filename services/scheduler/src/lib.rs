//! The scheduler: looks at state, not at events, every second. Any number of replicas: each row goes to one.
//!
//! * [`relay`]: rows that want a ticket and have none in the queue;
//! * [`rescue`]: running rows whose lease is over;
//! * [`topology`]: streams and bucket that are gone; then every waiting row is relayed at once;
//! * [`retention`]: rows that have been over for long enough are deleted; every minute is enough for it.

mod build;
pub mod relay;
pub mod rescue;
pub mod retention;
pub mod topology;

use std::time::Duration;

use bus::Bus;
use runtime::health::Check;
use store::Store;
use tokio_util::sync::CancellationToken;

pub use build::{REQUIRED, from_config, serve};

/// How long the first pass waits for NATS at most.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// A pass that takes longer has failed; the next one goes on where it was. It is what bounds the wait for a
/// Postgres that swallows everything. Below the default of `shutdown.deadline_ms`.
const PASS_TIMEOUT: Duration = Duration::from_secs(20);

/// What is configured.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The pause between two passes.
    pub interval: Duration,
    /// A ticket older than this may be lost: it is published again.
    pub relay_after: Duration,
    /// Rows handled in one statement.
    pub batch_max: u32,
    /// Copies of each stream, for when it must be made again: 1, or 3 in a cluster.
    pub replicas: u32,
    /// How long jobs are kept after they are over. None: for ever.
    pub retention: Option<Duration>,
}

/// A scheduler, ready to run.
#[derive(Debug, Clone)]
pub struct Scheduler {
    store: Store,
    bus: Bus,
    settings: Settings,
}

impl Scheduler {
    /// From ready-made parts.
    pub fn new(store: Store, bus: Bus, settings: Settings) -> Self {
        Self { store, bus, settings }
    }

    /// Ready when both stores answer.
    pub fn checks(&self) -> Vec<Check> {
        let (store, bus) = (self.store.clone(), self.bus.clone());
        let postgres = Check::new("postgres", move || {
            let store = store.clone();
            async move { store.ping().await.map_err(|error| error.to_string()) }
        });
        let nats = Check::new("nats", move || {
            let bus = bus.clone();
            async move { bus.ping().await.map_err(|error| error.to_string()) }
        });
        vec![postgres, nats]
    }

    /// Makes passes, and deletes old jobs, until `stop` is cancelled. A pass that fails is logged, and the next one does its work.
    pub async fn run_until(self, stop: CancellationToken) {
        let answer = self.bus.clone().answer_as("scheduler", "Relays, rescues, repairs", stop.clone());
        let retention = retention::run_until(&self.store, self.settings, stop.clone());
        tokio::join!(answer, retention, self.passes(stop));
    }

    async fn passes(&self, stop: CancellationToken) {
        // A pass before NATS is up would only make noise.
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tokio::time::timeout(CONNECT_PATIENCE, self.bus.connected()) => {}
        }
        let mut well = true;
        while !stop.is_cancelled() {
            match self.pass_in_time().await {
                Ok(()) if well => {}
                Ok(()) => {
                    tracing::info!("repairing again");
                    well = true;
                }
                Err(error) if well => {
                    tracing::warn!(error = %error, "a pass failed; trying again every {:?}", self.settings.interval);
                    well = false;
                }
                Err(error) => tracing::debug!(error = %error, "a pass failed"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(self.settings.interval) => {}
            }
        }
    }

    async fn pass_in_time(&self) -> anyhow::Result<()> {
        let late = |_| anyhow::anyhow!("not done within {} s", PASS_TIMEOUT.as_secs());
        tokio::time::timeout(PASS_TIMEOUT, self.pass()).await.map_err(late)?
    }

    /// One pass over everything.
    ///
    /// # Errors
    /// If NATS or Postgres are away: nothing is lost by it.
    pub async fn pass(&self) -> anyhow::Result<()> {
        let repaired = topology::repair(&self.store, &self.bus, self.settings.replicas).await;
        if repaired.is_err() && self.bus.ping().await.is_err() {
            // Rows would be taken for nothing.
            return repaired;
        }
        // Each does its work whatever becomes of the others: trouble with one bucket must not keep jobs from their tickets.
        // Rescue first: it is short, and a relay of many rows may not be.
        let rescued = rescue::run(&self.store, &self.bus, self.settings.batch_max).await;
        let relayed =
            relay::run(&self.store, &self.bus, self.settings.relay_after, self.settings.batch_max).await;
        repaired.and(rescued).and(relayed).map(drop)
    }
}
