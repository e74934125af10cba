//! Many workspaces with one vendor account, synced without a pause by workers in processes of their own: together they
//! must keep to the account's limit, and use it.

use std::time::Duration;

use anyhow::{Context, ensure};
use lab::{LabConfig, PortalStats, Stats};
use protocol::{JobStatus, WorkspaceId};
use runtime::Config;
use serde::Serialize;
use serde_json::json;
use store::SecretKey;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::report::mark;
use super::worker_process::WorkerProcess;
use crate::client::Client;
use crate::instance::Instance;
use crate::lab_workspace;
use crate::roles::Role;

const WORKERS: usize = 8;
/// As many as there are slots, so that each worker has jobs at any time, and each workspace its first contact at the
/// start: the request that asks which account it is cannot be counted for the account before the answer.
const WORKSPACES: usize = WORKERS * SLOTS;
/// Jobs at a time in a worker.
const SLOTS: usize = 2;
/// How long the measured time is, if nothing is said.
pub(super) const SECONDS: u32 = 180;
/// Answers of 429 in 10,000 requests.
const REFUSED_MAX: f64 = 3.0;
/// The least part of the allowed rate.
const USED_MIN: f64 = 0.9;
/// All workers are at work by then, and the first window is over.
const WARM_UP: Duration = Duration::from_secs(15);
/// Jobs are in the table by then.
const START_MAX: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// What the lab counts in one window.
const WINDOW_S: f64 = 10.0;

/// The part's result.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Budgets {
    pub workers: usize,
    pub workspaces: usize,
    pub seconds: f64,
    /// Of all classes, from the start on.
    pub requests: u64,
    /// Of them, refused with 429.
    pub refused: u64,
    /// Requests that count against the ten-second limit, accepted in the measured time.
    pub accepted: u64,
    /// Searches, in the measured time.
    pub searches: u64,
    /// The most in any ten seconds, and what is allowed.
    pub most_in_window: u64,
    pub limit: u32,
    /// The accepted part of the allowed rate.
    pub used: f64,
    /// Syncs that were completed.
    pub syncs: u64,
}

pub(super) async fn measure(config: &Config, seconds: u32) -> anyhow::Result<Budgets> {
    let lab =
        LabConfig { contacts: 4_000, companies: 1_500, deals: 300, latency_ms: 40, ..LabConfig::default() };
    let mut config = config.clone();
    // The workers open what the instance sealed.
    config.secrets.encryption_key = SecretKey::generate()?.into();
    (config.worker.slots_high, config.worker.slots_normal, config.worker.slots_low) = (0, SLOTS, 0);
    config.http.listen = ([127, 0, 0, 1], 0).into();
    let instance = Box::pin(super::start(&config, Some(lab.clone()), vec![Role::Worker])).await?;
    let measured = measure_on(&instance, &config, &lab, seconds).await;
    instance.stop().await?;
    measured
}

async fn measure_on(
    instance: &Instance,
    config: &Config,
    lab: &LabConfig,
    seconds: u32,
) -> anyhow::Result<Budgets> {
    let mut syncs = JoinSet::new();
    for number in 0..WORKSPACES {
        let workspace = connect(instance, number).await?;
        syncs.spawn(sync_for_ever(Client::new(&instance.base_url)?, workspace));
    }
    let start = |_| WorkerProcess::start(config, lab, instance);
    let workers: Vec<_> = (0..WORKERS).map(start).collect::<anyhow::Result<_>>()?;
    timeout(START_MAX, at_work(instance)).await.context("not every worker has a job")??;
    sleep(WARM_UP).await;
    let before = account(instance).await?;
    let begun = std::time::Instant::now();
    let ended = timeout(Duration::from_secs(seconds.into()), syncs.join_next()).await;
    ensure!(ended.is_err(), "a workspace could not be synced: {ended:?}");
    let after = account(instance).await?;
    let elapsed_s = begun.elapsed().as_secs_f64();
    ensure!(workers.iter().all(WorkerProcess::lives), "a worker died");
    let completed = completed(instance).await?;
    Ok(Budgets::new(&before, &after, elapsed_s, lab.limits.objects_per_10s, completed))
}

/// A workspace with the lab's account 1, as all have.
async fn connect(instance: &Instance, number: usize) -> anyhow::Result<WorkspaceId> {
    let workspace: WorkspaceId = format!("bench-{number}").parse()?;
    instance.store.put_workspace(&workspace, "Bench").await?;
    let credentials = json!({"accessToken": lab_workspace::TOKEN});
    instance
        .store
        .put_connection(&workspace, &"hubspot".parse()?, &credentials, lab_workspace::SHARE)
        .await?;
    Ok(workspace)
}

/// One sync after another. Ends only if one fails.
async fn sync_for_ever(client: Client, workspace: WorkspaceId) -> anyhow::Result<()> {
    loop {
        let accepted = client.post_sync(workspace.as_str(), Some("hubspot"), Some("full")).await?;
        loop {
            let job = client.job(workspace.as_str(), &accepted.job_id).await?;
            ensure!(job.status != JobStatus::Failed, "a sync failed: {:?}", job.error);
            if job.status.is_over() {
                break;
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}

/// Every workspace is being synced.
async fn at_work(instance: &Instance) -> anyhow::Result<()> {
    while jobs(instance, "running").await? < WORKSPACES as u64 {
        sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

async fn completed(instance: &Instance) -> anyhow::Result<u64> {
    jobs(instance, "completed").await
}

async fn jobs(instance: &Instance, status: &str) -> anyhow::Result<u64> {
    let client = Client::new(&instance.base_url)?;
    let mut count = 0;
    for number in 0..WORKSPACES {
        count += client.jobs(&format!("bench-{number}"), 100, Some(status)).await?.jobs.len() as u64;
    }
    Ok(count)
}

async fn account(instance: &Instance) -> anyhow::Result<PortalStats> {
    let lab_url = instance.lab_url.as_deref().context("the lab runs")?;
    let stats: Stats = reqwest::get(format!("{lab_url}/_lab/stats")).await?.json().await?;
    stats.by_portal.into_values().next().context("the account was used")
}

impl Budgets {
    fn new(before: &PortalStats, after: &PortalStats, seconds: f64, limit: u32, syncs: u64) -> Self {
        let accepted = after.accepted.saturating_sub(before.accepted);
        Self {
            workers: WORKERS,
            workspaces: WORKSPACES,
            seconds,
            requests: after.requests,
            refused: after.answers429,
            accepted,
            searches: after.accepted_searches.saturating_sub(before.accepted_searches),
            most_in_window: after.max_in_window,
            limit,
            used: accepted as f64 / (f64::from(limit) * seconds / WINDOW_S),
            syncs,
        }
    }

    fn refused_in_10_000(&self) -> f64 {
        self.refused as f64 * 10_000.0 / self.requests.max(1) as f64
    }

    fn is_within(&self) -> bool {
        self.requests > 0 && self.refused_in_10_000() <= REFUSED_MAX
    }

    pub(super) fn is_well(&self) -> bool {
        self.is_within() && self.used >= USED_MIN
    }

    pub(super) fn table(&self) -> String {
        let Self { workers, workspaces, seconds, requests, refused, .. } = self;
        [
            format!("budget: {workers} worker processes sync {workspaces} workspaces with one account, {seconds:.0} s"),
            format!("  {requests} requests, {refused} of them refused with 429; {} syncs completed", self.syncs),
            format!(
                "  {} requests and {} searches in the measured time; {} in ten seconds at most, {} allowed",
                self.accepted, self.searches, self.most_in_window, self.limit
            ),
            format!(
                "{} {:.1} answers of 429 in 10,000 requests (at most {REFUSED_MAX})",
                mark(self.is_within()),
                self.refused_in_10_000()
            ),
            format!(
                "{} {:.1} % of the allowed rate used (at least {:.0} %)",
                mark(self.used >= USED_MIN),
                self.used * 100.0,
                USED_MIN * 100.0
            ),
        ]
        .join("\n")
            + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_and_an_unused_rate_are_not_well() {
        let of = |requests, refused, used| Budgets { requests, refused, used, ..Budgets::default() };
        assert!(of(10_000, 3, 0.9).is_well());
        assert!(!of(10_000, 4, 0.9).is_well() && !of(2_000, 1, 0.9).is_well());
        assert!(!of(10_000, 0, 0.89).is_well() && !of(0, 0, 0.0).is_well());
    }
}
