//! From an accepted post to the first request at the vendor, one job after another on an idle system.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use lab::{FaultKind, FaultRule, LabConfig, Limits, Stats};
use protocol::{ConnectorName, JOB_TYPE_SYNC, JobId, JobStatus, Priority, SyncOptions};
use runtime::Config;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::NewJob;

use super::load::Post;
use super::report::{Latency, mark};
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

/// Jobs of others that wait for their vendors' quota.
const PARKED: usize = 10_000;
/// How long they do: longer than this takes.
const PARKED_FOR: Duration = Duration::from_secs(3_600);
/// Jobs of low priority that wait for a worker.
const LOW: usize = 5_000;
/// Jobs of normal priority that do. All of one slow account, so that they wait for longer than this takes.
const QUEUED: usize = 10_000;
const QUEUED_PORTAL: u64 = 998;
const QUEUED_LATENCY_MS: u64 = 5_000;
/// For how long they have waited.
const QUEUED_SINCE: Duration = Duration::from_secs(300);
/// Beside others a job is picked up after so many times what it takes alone, at the median.
const SLOWDOWN_MAX: f64 = 1.5;
/// Until the relay has given all of them tickets, and the reserve is free of those that came first.
const QUEUED_WAIT: Duration = Duration::from_secs(25);

/// The part's result.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pickup {
    /// Nothing else is there.
    pub idle: Run,
    /// [`PARKED`] jobs wait for a quota.
    pub beside_parked: Run,
    /// [`QUEUED`] jobs of the same priority wait for a worker, and all slots are taken.
    pub beside_queued: Run,
    /// High priority, while [`LOW`] jobs of low priority wait and two of them run.
    pub high_beside_low: Run,
    pub resources: Resources,
}

/// Jobs one after another.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Run {
    pub samples: usize,
    /// From when the 202 was read; 0 if the vendor was asked before that.
    pub from_answer: Latency,
    /// From before the POST was sent.
    pub from_post: Latency,
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
    let connector: ConnectorName = "hubspot".parse()?;
    let credentials = |n: usize| json!({"accessToken": format!("pat-lab-{}", PORTAL_FIRST + n)});
    let workspaces = WARM_UPS + 4 * SAMPLES;
    instance.store.seed_workspaces(PREFIX, workspaces, &connector, credentials).await?;
    let client = Client::new(&instance.base_url)?;
    let mut post = Post::connect(super::address(&instance.base_url)).await?;
    for n in 0..WARM_UPS {
        sample(&mut post, &client, n, Priority::Normal).await?;
    }
    let meter = Meter::begin(None);
    let idle = run(instance, &mut post, &client, WARM_UPS, Priority::Normal).await?;
    let resources = meter.end();

    instance.store.seed_parked("parked", PARKED, &connector, PARKED_FOR).await?;
    let beside_parked = run(instance, &mut post, &client, WARM_UPS + SAMPLES, Priority::Normal).await?;

    wait(instance, &connector, "low", LOW, 999, Priority::Low).await?;
    // The relay looks every second.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let high_beside_low = run(instance, &mut post, &client, WARM_UPS + 2 * SAMPLES, Priority::High).await?;

    let rule = FaultRule {
        portal: Some(QUEUED_PORTAL),
        delay_ms: Some(QUEUED_LATENCY_MS),
        ..FaultRule::new(FaultKind::Latency)
    };
    let lab_url = instance.lab_url.as_ref().context("the lab runs")?;
    let set = reqwest::Client::new().post(format!("{lab_url}/_lab/faults")).json(&[rule]).send().await?;
    ensure!(set.status().is_success(), "the lab refused a fault: {}", set.status());
    wait(instance, &connector, "queued", QUEUED, QUEUED_PORTAL, Priority::Normal).await?;
    tokio::time::sleep(QUEUED_WAIT).await;
    let beside_queued = run(instance, &mut post, &client, WARM_UPS + 3 * SAMPLES, Priority::Normal).await?;
    Ok(Pickup { idle, beside_parked, beside_queued, high_beside_low, resources })
}

/// Jobs that wait, all of one account that nobody samples. The relay gives them tickets.
async fn wait(
    instance: &Instance,
    connector: &ConnectorName,
    prefix: &str,
    count: usize,
    portal: u64,
    priority: Priority,
) -> anyhow::Result<()> {
    let credentials = |_| json!({"accessToken": format!("pat-lab-{portal}")});
    instance.store.seed_workspaces(prefix, count, connector, credentials).await?;
    let mut jobs = Vec::with_capacity(count);
    for n in 0..count {
        let id = JobId::new();
        jobs.push(NewJob {
            id,
            sync_id: id,
            workspace_id: store::seeded_workspace(prefix, n).parse()?,
            job_type: JOB_TYPE_SYNC.parse()?,
            scope: connector.clone(),
            priority,
            max_attempts: 3,
            options: SyncOptions::default(),
            retry_of: None,
        });
    }
    instance.store.accept(&jobs).await?;
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    instance.store.seed_waited(&ids, QUEUED_SINCE).await?;
    instance.store.mark_unticketed(&ids).await?;
    Ok(())
}

async fn run(
    instance: &Instance,
    post: &mut Post,
    client: &Client,
    first: usize,
    priority: Priority,
) -> anyhow::Result<Run> {
    let mut samples = Vec::with_capacity(SAMPLES);
    for n in first..first + SAMPLES {
        samples.push(sample(post, client, n, priority).await?);
    }
    let lab_url = instance.lab_url.as_ref().context("the lab runs")?;
    let stats: Stats = reqwest::get(format!("{lab_url}/_lab/stats")).await?.json().await?;
    let (mut from_answer, mut from_post) = (histogram()?, histogram()?);
    for sample in &samples {
        let portal = stats.by_portal.get(&sample.portal.to_string()).context("a job asked no vendor")?;
        from_answer.record(portal.first_request_at.saturating_sub(sample.answered_us))?;
        from_post.record(portal.first_request_at.saturating_sub(sample.sent_us))?;
    }
    let (from_answer, from_post) = (Latency::of(&from_answer), Latency::of(&from_post));
    Ok(Run { samples: samples.len(), from_answer, from_post })
}

/// One job, from its post to its end.
async fn sample(post: &mut Post, client: &Client, n: usize, priority: Priority) -> anyhow::Result<Sample> {
    let workspace = store::seeded_workspace(PREFIX, n);
    tokio::time::sleep(PAUSE).await;
    let sent_us = now_us()?;
    let body = match priority {
        Priority::High => post.accept_high(&workspace).await?,
        Priority::Normal | Priority::Low => post.accept(&workspace).await?,
    };
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
    /// The slowest median beside others, as a multiple of the one alone.
    fn slowdown(&self) -> f64 {
        let beside = [&self.beside_parked, &self.beside_queued, &self.high_beside_low];
        let slowest = beside.map(|run| run.from_answer.p50_ms).into_iter().fold(0.0, f64::max);
        slowest / self.idle.from_answer.p50_ms
    }

    pub(super) fn is_well(&self) -> bool {
        self.slowdown() <= SLOWDOWN_MAX
    }

    pub(super) fn table(&self) -> String {
        let line = |name: &str, latency: &Latency| {
            format!("  {name:<32}{:>10}{:>10}{:>10}", latency.p50(), latency.p99(), latency.max())
        };
        [
            format!(
                "pickup: accepted → first request to the vendor, {} jobs one by one, four times",
                self.idle.samples
            ),
            format!("  {:<32}{:>10}{:>10}{:>10}", "", "p50", "p99", "max"),
            line("idle: after the 202", &self.idle.from_answer),
            line("idle: after the POST", &self.idle.from_post),
            line("beside 10,000 parked jobs", &self.beside_parked.from_answer),
            line("beside 10,000 queued jobs", &self.beside_queued.from_answer),
            line("high beside 5,000 low jobs", &self.high_beside_low.from_answer),
            format!(
                "{} others make it {:.2} times as long at the median (at most {SLOWDOWN_MAX})",
                mark(self.is_well()),
                self.slowdown()
            ),
            self.resources.line("all"),
        ]
        .join("\n")
            + "\n"
    }
}
