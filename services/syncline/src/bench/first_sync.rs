//! A whole first sync without vendor limits, and another one right after with nothing changed.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use lab::{LabConfig, Limits};
use protocol::{JobStatus, SyncResult};
use runtime::Config;
use serde::Serialize;

use super::report::mark;
use super::resources::{Meter, Resources};
use crate::client::Client;
use crate::instance::Instance;

const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The part's result.
#[derive(Debug, Serialize)]
pub(super) struct Syncs {
    pub first: Sync,
    /// Everything listed again, nothing changed.
    pub unchanged: Sync,
    /// What changed since: nothing.
    pub increment: Sync,
}

/// One sync.
#[derive(Debug, Serialize)]
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
    pub resources: Resources,
}

pub(super) async fn measure(config: &Config) -> anyhow::Result<Syncs> {
    let lab = LabConfig { limits: Limits::unlimited(), ..LabConfig::default() };
    let instance = Box::pin(super::start(config, Some(lab), Vec::new())).await?;
    let measured = async {
        Ok(Syncs {
            first: sync(&instance, None).await?,
            unchanged: sync(&instance, Some("full")).await?,
            increment: sync(&instance, None).await?,
        })
    };
    let measured = measured.await;
    instance.stop().await?;
    measured
}

async fn sync(instance: &Instance, mode: Option<&str>) -> anyhow::Result<Sync> {
    let workspace = instance.workspace_id.as_ref().context("the lab has a workspace")?.as_str();
    let client = Client::new(&instance.base_url)?;
    let meter = Meter::begin();
    let begun = Instant::now();
    let accepted = client.post_sync(workspace, Some("hubspot"), mode).await?;
    let job = loop {
        let job = client.job(workspace, &accepted.job_id).await?;
        if job.status.is_over() {
            break job;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    };
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(job.status == JobStatus::Completed, "the sync ended as {}: {:?}", job.status, job.error);
    Ok(Sync::new(seconds, &job.result.context("a completed job has a result")?, meter.end()))
}

impl Sync {
    fn new(seconds: f64, result: &SyncResult, resources: Resources) -> Self {
        let records = result.results.iter().map(|object| object.listed).sum();
        Self {
            seconds,
            records,
            records_per_s: records as f64 / seconds,
            written: result.results.iter().map(|object| object.written).sum(),
            unchanged: result.results.iter().map(|object| object.unchanged).sum(),
            captured: result.results.iter().map(|object| object.captured).sum(),
            resources,
        }
    }

    fn line(&self, name: &str) -> String {
        format!(
            "  {name:<21}{:>10}{:>9.2} s{:>12.0}{:>10}{:>10}{:>10}",
            self.records, self.seconds, self.records_per_s, self.written, self.unchanged, self.captured
        )
    }
}

impl Syncs {
    /// Everything was listed twice, and after the first time nothing was written.
    pub(super) fn is_well(&self) -> bool {
        let Self { first, unchanged, increment } = self;
        first.records == unchanged.records
            && first.records > 0
            && first.unchanged == 0
            && unchanged.written == 0
            && increment.written == 0
            && first.captured == unchanged.captured
    }

    pub(super) fn table(&self) -> String {
        [
            "sync: one HubSpot account without vendor limits".to_owned(),
            format!(
                "  {:<21}{:>10}{:>11}{:>12}{:>10}{:>10}{:>10}",
                "", "records", "wall time", "records/s", "written", "unchanged", "captured"
            ),
            self.first.line("first"),
            self.unchanged.line("full, unchanged"),
            self.increment.line("increment, unchanged"),
            format!("{} the second and third sync wrote nothing", mark(self.is_well())),
            self.first.resources.line("first"),
            self.unchanged.resources.line("full, unchanged"),
        ]
        .join("\n")
            + "\n"
    }
}
