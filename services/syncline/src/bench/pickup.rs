//! From an accepted post to the first request at the vendor, one job after another on an idle system.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use lab::{LabConfig, Limits, Stats};
use protocol::JobStatus;
use runtime::Config;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::load::Post;
use super::report::Latency;
use super::resources::{Meter, Resources};
use crate::client::Client;
use crate::instance::Instance;

const PREFIX: &str = "pickup";
const WARM_UPS: usize = 20;
const SAMPLES: usize = 200;
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Everything the last job left to do is done by then.
const PAUSE: Duration = Duration::from_millis(20);
/// Their first is the portal of the instance's own workspace.
const PORTAL_FIRST: usize = 1_000;

/// The part's result.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pickup {
    pub samples: usize,
    /// From when the 202 was read; 0 if the vendor was asked before that.
    pub from_answer: Latency,
    /// From before the POST was sent.
    pub from_post: Latency,
    pub resources: Resources,
}

struct Sample {
    portal: usize,
    sent_us: u64,
    answered_us: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    job_id: String,
}

pub(super) async fn measure(config: &Config) -> anyhow::Result<Pickup> {
    let lab = LabConfig {
        contacts: 1,
        companies: 1,
        deals: 1,
        limits: Limits::unlimited(),
        ..LabConfig::default()
    };
    let instance = Box::pin(super::start(config, Some(lab), Vec::new())).await?;
    let measured = measure_on(&instance).await;
    instance.stop().await?;
    measured
}

async fn measure_on(instance: &Instance) -> anyhow::Result<Pickup> {
    let lab_url = instance.lab_url.as_ref().context("the lab runs")?;
    let credentials = |n: usize| json!({"accessToken": format!("pat-lab-{}", PORTAL_FIRST + n)});
    instance.store.seed_workspaces(PREFIX, WARM_UPS + SAMPLES, &"hubspot".parse()?, credentials).await?;
    let client = Client::new(&instance.base_url)?;
    let mut post = Post::connect(super::address(&instance.base_url)).await?;
    for n in 0..WARM_UPS {
        sample(&mut post, &client, n).await?;
    }
    let meter = Meter::begin(None);
    let mut samples = Vec::with_capacity(SAMPLES);
    for n in WARM_UPS..WARM_UPS + SAMPLES {
        samples.push(sample(&mut post, &client, n).await?);
    }
    let resources = meter.end();
    let stats: Stats = reqwest::get(format!("{lab_url}/_lab/stats")).await?.json().await?;
    let (mut from_answer, mut from_post) = (histogram()?, histogram()?);
    for sample in &samples {
        let portal = stats.by_portal.get(&sample.portal.to_string()).context("a job asked no vendor")?;
        from_answer.record(portal.first_request_at.saturating_sub(sample.answered_us))?;
        from_post.record(portal.first_request_at.saturating_sub(sample.sent_us))?;
    }
    Ok(Pickup {
        samples: samples.len(),
        from_answer: Latency::of(&from_answer),
        from_post: Latency::of(&from_post),
        resources,
    })
}

/// One job, from its post to its end.
async fn sample(post: &mut Post, client: &Client, n: usize) -> anyhow::Result<Sample> {
    let workspace = store::seeded_workspace(PREFIX, n);
    tokio::time::sleep(PAUSE).await;
    let sent_us = now_us()?;
    let body = post.accept(&workspace).await?;
    let answered_us = now_us()?;
    let accepted: Accepted = serde_json::from_slice(body)?;
    loop {
        let job = client.job(&workspace, &accepted.job_id).await?;
        if job.status.is_over() {
            ensure!(job.status == JobStatus::Completed, "a job ended as {}: {:?}", job.status, job.error);
            return Ok(Sample { portal: PORTAL_FIRST + n, sent_us, answered_us });
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_max(60_000_000, 3)?)
}

/// The clock of the lab's statistics.
fn now_us() -> anyhow::Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?)
}

impl Pickup {
    pub(super) fn table(&self) -> String {
        let line = |name: &str, latency: &Latency| {
            format!("  {name:<20}{:>10}{:>10}{:>10}", latency.p50(), latency.p99(), latency.max())
        };
        [
            format!("pickup: accepted → first request to the vendor, idle, {} jobs one by one", self.samples),
            format!("  {:<20}{:>10}{:>10}{:>10}", "", "p50", "p99", "max"),
            line("after the 202", &self.from_answer),
            line("after the POST", &self.from_post),
            self.resources.line("all"),
        ]
        .join("\n")
            + "\n"
    }
}
