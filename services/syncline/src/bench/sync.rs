//! One sync of the lab's account, measured.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use lab::{LabConfig, Stats};
use protocol::{JobStatus, JobView, SyncResult};
use serde::Serialize;

use super::resources::{Meter, Resources};
use super::worker_process::WorkerProcess;
use crate::client::Client;
use crate::instance::Instance;

const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// One sync.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sync {
    /// From the POST until its end is seen.
    pub seconds: f64,
    /// Listed by the vendor.
    pub records: u64,
    pub records_per_s: f64,
    pub written: u64,
    pub unchanged: u64,
    pub captured: u64,
    /// What the vendor was asked.
    pub requests: u64,
    pub resources: Resources,
}

/// What is synced: the lab's account, in an instance.
pub(super) struct Account<'a> {
    workspace: &'a str,
    client: Client,
    http: reqwest::Client,
    lab_url: &'a str,
    /// Who works on the jobs, if it is not the instance itself.
    worker: Option<&'a WorkerProcess>,
}

impl<'a> Account<'a> {
    pub(super) fn of(instance: &'a Instance) -> anyhow::Result<Self> {
        Ok(Self {
            workspace: instance.workspace_id.as_ref().context("the lab has a workspace")?.as_str(),
            client: Client::new(&instance.base_url)?,
            http: reqwest::Client::new(),
            lab_url: instance.lab_url.as_deref().context("the lab runs")?,
            worker: None,
        })
    }

    /// The same, with its jobs done by another process.
    pub(super) fn worked_on_by(self, worker: &'a WorkerProcess) -> Self {
        Self { worker: Some(worker), ..self }
    }

    /// Syncs it, and waits for the end.
    pub(super) async fn sync(&self, mode: Option<&str>) -> anyhow::Result<Sync> {
        let requests_before = self.stats().await?.requests;
        let meter = Meter::begin(self.worker.map(WorkerProcess::pid));
        let begun = Instant::now();
        let accepted = self.client.post_sync(self.workspace, Some("hubspot"), mode).await?;
        let job = self.end_of(&accepted.job_id).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let resources = meter.end();
        ensure!(job.status == JobStatus::Completed, "the sync ended as {}: {:?}", job.status, job.error);
        let requests = self.stats().await?.requests.saturating_sub(requests_before);
        Ok(Sync::new(seconds, &job.result.context("a completed job has a result")?, requests, resources))
    }

    async fn end_of(&self, job_id: &str) -> anyhow::Result<JobView> {
        loop {
            let job = self.client.job(self.workspace, job_id).await?;
            if job.status.is_over() {
                return Ok(job);
            }
            ensure!(self.worker.is_none_or(WorkerProcess::lives), "the worker died");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Gives one in so many of each object's records new values, and answers how many that were.
    pub(super) async fn change(&self, lab: &LabConfig, one_in: u64) -> anyhow::Result<u64> {
        let mut changed = 0;
        for (object, records) in
            [("contacts", lab.contacts), ("companies", lab.companies), ("deals", lab.deals)]
        {
            let change = serde_json::json!({"object": object, "edit": records * lab.scale / one_in});
            let answer =
                self.http.post(format!("{}/_lab/changes", self.lab_url)).json(&change).send().await?;
            let done: lab::Changed = answer.error_for_status()?.json().await?;
            changed += done.edited.len() as u64;
        }
        Ok(changed)
    }

    async fn stats(&self) -> anyhow::Result<Stats> {
        Ok(self.http.get(format!("{}/_lab/stats", self.lab_url)).send().await?.json().await?)
    }
}

impl Sync {
    pub(super) fn new(seconds: f64, result: &SyncResult, requests: u64, resources: Resources) -> Self {
        let records = result.results.iter().map(|object| object.listed).sum();
        Self {
            seconds,
            records,
            records_per_s: records as f64 / seconds,
            written: result.results.iter().map(|object| object.written).sum(),
            unchanged: result.results.iter().map(|object| object.unchanged).sum(),
            captured: result.results.iter().map(|object| object.captured).sum(),
            requests,
            resources,
        }
    }

    /// What stands over the lines of a table of syncs.
    pub(super) fn headings() -> String {
        format!(
            "  {:<22}{:>10}{:>11}{:>12}{:>10}{:>10}{:>10}{:>10}",
            "", "records", "wall time", "records/s", "written", "unchanged", "captured", "requests"
        )
    }

    pub(super) fn line(&self, name: &str) -> String {
        format!(
            "  {name:<22}{:>10}{:>9.2} s{:>12.0}{:>10}{:>10}{:>10}{:>10}",
            self.records,
            self.seconds,
            self.records_per_s,
            self.written,
            self.unchanged,
            self.captured,
            self.requests
        )
    }
}
