//! The servers, the vendor and the fleet, from start to end.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use devstack::{NatsUser, Stack, StackOptions};
use lab::{LabConfig, RunningLab};
use runtime::Config;
use serde_json::json;
use store::{SecretKey, Store, seeded_workspace};
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::fleet::{Fleet, Servers};
use super::schedule::{Slot, slots};
use super::{ChaosArgs, processes};
use crate::instance::{open_store, provision};
use crate::roles::Role;

/// Of one process: all of them together must fit into what Postgres allows.
const CONNECTIONS_MAX: u32 = 12;
/// A dead worker's jobs must find slots with the others.
const SLOTS: usize = 24;
/// Small pages: more of them for the same records.
const PAGE_SIZE: u32 = 50;
/// How long each request to the vendor takes.
const LATENCY_MS: u64 = 20;
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Everything that a run needs.
pub(super) struct World {
    /// Configurations and logs, and the servers' data.
    dir: TempDir,
    pub stack: Arc<Mutex<Stack>>,
    pub lab: Arc<RunningLab>,
    pub fleet: Arc<Fleet>,
    pub workspaces: Vec<String>,
    /// As every process has it, but with the servers themselves and no proxies.
    pub config: Config,
}

impl World {
    /// Returns when every process answers.
    pub(super) async fn start(config: &Config, args: &ChaosArgs) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("syncline-chaos-").tempdir().context("no directory")?;
        // Postgres may run as another user, who has to get there.
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755))?;
        let options = StackOptions::in_dir(dir.path().join("servers"));
        let options = StackOptions { nats_nodes: if args.cluster { 3 } else { 1 }, ..options };
        let stack = Stack::start(options).await?;
        let lab = RunningLab::start(lab_config(args)).await?;
        let mut config = settings(config)?;
        config.nats.replicas = if args.cluster { 3 } else { 1 };
        config.nats.url = stack.nats_urls(NatsUser::Admin).join(",").into();
        config.database.url = stack.database_url().to_owned().into();
        let store = open_store(&config)?;
        store.migrate().await.context("the database could not be migrated")?;
        store.install_audit().await.context("the audit could not be installed")?;
        let token = |n: usize| json!({"accessToken": RunningLab::token(portal(n as u64))});
        store.seed_workspaces("chaos", args.workspaces.into(), &"hubspot".parse()?, token).await?;
        store.close().await;
        tokio::time::timeout(READY_WITHIN, provisioned(&config)).await.context("NATS has no leader")?;
        let servers = Servers {
            nats: NatsUser::ALL.into_iter().map(|user| (user, stack.nats_urls(user))).collect(),
            database_url: stack.database_url().to_owned(),
            vendor_url: lab.url.clone(),
        };
        let program = std::env::current_exe().context("where this program is")?;
        let fleet = Fleet::start(program, dir.path(), &config, &all_slots(), &servers).await?;
        let world = Self {
            dir,
            stack: Arc::new(Mutex::new(stack)),
            lab: Arc::new(lab),
            fleet: Arc::new(fleet),
            workspaces: (0..args.workspaces.into()).map(|n| seeded_workspace("chaos", n)).collect(),
            config,
        };
        tokio::time::timeout(READY_WITHIN, world.ready()).await.context("not every process got ready")??;
        Ok(world)
    }

    /// To Postgres itself, past every proxy. A new one: connections of before do not outlive what is done to Postgres.
    pub(super) fn open_store(&self) -> anyhow::Result<Store> {
        open_store(&self.config)
    }

    /// What was broken when, beside the logs.
    pub(super) fn note(&self, incidents: &str) -> anyhow::Result<()> {
        std::fs::write(self.dir.path().join("incidents.log"), incidents)
            .context("the journal could not be written")
    }

    async fn ready(&self) -> anyhow::Result<()> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
        for role in [Role::Ingress, Role::Worker, Role::Status, Role::Scheduler] {
            for (slot, url) in self.fleet.urls(role) {
                let ready = async || {
                    let answer = http.get(format!("{url}/readyz")).send().await;
                    answer.is_ok_and(|answer| answer.status().is_success())
                };
                while !ready().await {
                    tracing::debug!(%slot, "not ready");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        Ok(())
    }

    /// Stops everything. The directory is removed, or kept, and then this says where.
    pub(super) async fn stop(self, keep: bool) -> anyhow::Result<Option<PathBuf>> {
        self.fleet.stop().await?;
        self.lab.stop().await;
        match Arc::try_unwrap(self.stack) {
            Ok(stack) => Box::pin(stack.into_inner().stop()).await?,
            // Somebody breaks things still: its end stops it.
            Err(stack) => drop(stack),
        }
        Ok(keep.then(|| self.dir.keep()))
    }
}

/// A cluster has to choose a leader first.
async fn provisioned(config: &Config) {
    while let Err(error) = provision(config).await {
        tracing::debug!(error = %error, "not yet");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

pub(super) fn all_slots() -> Vec<Slot> {
    slots(processes)
}

/// The account of a workspace. Every fourth one shares that of the one before it, and with it the budget.
fn portal(n: u64) -> u64 {
    n + 1 - (n + 1) / 4
}

/// How many accounts so many workspaces have.
pub(super) fn portals(workspaces: u64) -> u64 {
    portal(workspaces.saturating_sub(1))
}

fn lab_config(args: &ChaosArgs) -> LabConfig {
    LabConfig {
        contacts: args.records,
        companies: args.records * 2 / 5,
        deals: args.records / 10,
        latency_ms: LATENCY_MS,
        ..LabConfig::default()
    }
}

/// Own servers, whatever the settings name: chaos has no business in real data.
fn settings(config: &Config) -> anyhow::Result<Config> {
    let mut config = config.clone();
    config.http.listen = ([127, 0, 0, 1], 0).into();
    config.database.connections_max = CONNECTIONS_MAX;
    config.secrets.encryption_key = SecretKey::generate()?.into();
    config.worker.slots_normal = SLOTS;
    config.worker.slots_high = SLOTS;
    config.worker.slots_low = SLOTS;
    "info,async_nats=off".clone_into(&mut config.log.filter);
    if let Some(hubspot) = config.connectors.get_mut("hubspot") {
        hubspot.page_size = PAGE_SIZE;
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fourth_workspace_shares_the_account_of_the_one_before_it() {
        let of: Vec<u64> = (0..9).map(portal).collect();
        assert_eq!(of, [1, 2, 3, 3, 4, 5, 6, 6, 7]);
        assert_eq!([1, 4, 5, 40].map(portals), [1, 3, 4, 30]);
    }
}
