//! `syncline demo`: a whole sync, real size, and an honest account of it.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context;
use indicatif::HumanCount;
use lab::{Expectation, Stats};
use protocol::JobView;
use runtime::Config;
use store::RecordCounts;
use tokio::time::Instant;

use crate::cli::{DemoArgs, LabArgs};
use crate::client::Client;
use crate::instance::{Instance, InstanceOptions};
use crate::{lab_workspace, watch};

/// The least share of the allowed requests a limited sync must use.
const UTILISATION_MIN: f64 = 0.97;
/// The same of an account that takes as long as [`SLOW_MS`] for each answer.
const UTILISATION_OF_SLOW_MIN: f64 = 0.90;
const SLOW_MS: u64 = 100;

/// Runs the demo. Exit code 0 means that every line of the account adds up.
pub(crate) async fn run(mut config: Config, args: DemoArgs) -> anyhow::Result<ExitCode> {
    let shutdown = runtime::Shutdown::install()?;
    config.http.listen = ([127, 0, 0, 1], 0).into();
    println!("Starting nats-server, Postgres, all services and a fake HubSpot with its real limits ...");
    let lab = Some(lab_workspace::lab_config(&args.lab));
    let options = InstanceOptions { config, data_dir: None, lab, without: Vec::new() };
    let instance = tokio::select! {
        started = Box::pin(Instance::start(options)) => started?,
        () = shutdown.requested() => return Ok(ExitCode::FAILURE),
    };
    let outcome = tokio::select! {
        outcome = sync(&instance, least_utilisation(&args.lab)) => outcome,
        () = shutdown.requested() => Err(anyhow::anyhow!("stopped before the sync was over")),
    };
    instance.stop().await?;
    let well = outcome?;
    println!("Everything is stopped and removed.");
    if well {
        print_next();
        Ok(ExitCode::SUCCESS)
    } else {
        println!("\nSomething does not add up: see the lines marked ✗.");
        Ok(ExitCode::FAILURE)
    }
}

/// `None` without limits.
fn least_utilisation(lab: &LabArgs) -> Option<f64> {
    let least = if lab.lab_latency_ms >= SLOW_MS { UTILISATION_OF_SLOW_MIN } else { UTILISATION_MIN };
    (!lab.lab_unlimited).then_some(least)
}

async fn sync(instance: &Instance, least_utilisation: Option<f64>) -> anyhow::Result<bool> {
    let workspace = instance.workspace_id.as_ref().context("the demo has a workspace")?;
    let lab_url = instance.lab_url.as_ref().context("the demo has a lab")?;
    let client = Client::new(&instance.base_url)?;
    let begun = Instant::now();
    let accepted = client.post_sync(workspace.as_str(), Some("hubspot"), None).await?;
    let answered = begun.elapsed();
    println!(
        "POST /api/workspaces/{workspace}/sync → 202 in {:.1} ms, job {}\n",
        answered.as_secs_f64() * 1e3,
        accepted.job_id
    );
    let job = watch::watch(&client, workspace.as_str(), &accepted.job_id).await?;
    let took = begun.elapsed();
    let stats: Stats = reqwest::get(format!("{lab_url}/_lab/stats")).await?.json().await?;
    let there = reqwest::get(format!("{lab_url}/_lab/expect")).await?.json().await?;
    let counts = instance.store.record_counts(workspace).await?;
    println!(
        "\n{} after {:.1} s{}\n",
        job.status,
        took.as_secs_f64(),
        job.error.as_deref().map(|e| format!(": {e}")).unwrap_or_default()
    );
    Ok(print_objects(&job, &there, &counts) & print_vendor(&stats, least_utilisation))
}

/// One line an object: what the lab has must be what was listed, and what is in Postgres plus what was captured.
fn print_objects(job: &JobView, there: &BTreeMap<String, Expectation>, counts: &RecordCounts) -> bool {
    let Some(result) = &job.result else { return false };
    let n = |n: u64| HumanCount(n).to_string();
    println!("  {:<12}{:>9}{:>18}{:>12}{:>9}", "object", "listed", "rows in Postgres", "captured", "pages");
    let mut all = true;
    let mut sum = (0, 0, 0, 0);
    for object in &result.results {
        // Of the records the lab says itself how many there are.
        let listed = there.get(object.object.as_str()).map_or(object.listed, |there| there.records);
        let table = connectors::Registry::specs()
            .iter()
            .find(|spec| spec.name == object.connector_type.as_str())
            .and_then(|spec| spec.table(&object.object));
        let rows = table.map_or(0, |table| counts.rows(table));
        let captured = counts.captured(&object.object);
        let well = listed == rows + captured && listed == object.listed;
        all &= well;
        sum = (sum.0 + listed, sum.1 + rows, sum.2 + captured, sum.3 + object.pages);
        println!(
            "{} {:<12}{:>9}{:>18}{:>12}{:>9}",
            mark(well),
            object.object.as_str(),
            n(listed),
            n(rows),
            n(captured),
            n(object.pages)
        );
    }
    let well = sum.0 == sum.1 + sum.2 && sum.0 > 0;
    println!(
        "{} {:<12}{:>9}{:>18}{:>12}{:>9}\n",
        mark(well),
        "total",
        n(sum.0),
        n(sum.1),
        n(sum.2),
        n(sum.3)
    );
    all && well
}

fn print_vendor(stats: &Stats, least_utilisation: Option<f64>) -> bool {
    let avoidable = stats.answers429 == 0;
    println!(
        "{} {} requests to the vendor, {} answered with 429",
        mark(avoidable),
        stats.requests,
        stats.answers429
    );
    let twice = stats.pages_fetched_twice.count == 0;
    println!("{} {} pages fetched twice", mark(twice), stats.pages_fetched_twice.count);
    let Some(least) = least_utilisation else { return avoidable && twice };
    let Some(portal) = stats.by_portal.values().next() else { return false };
    let utilisation = portal.utilisation.unwrap_or(1.0);
    let used = utilisation >= least;
    println!(
        "{} {:.1} % of the allowed rate used (90 requests in any 10 s; most seen: {})",
        mark(used),
        utilisation.min(1.0) * 100.0,
        stats.max_in_window
    );
    avoidable && twice && used
}

fn mark(well: bool) -> char {
    if well { '✓' } else { '✗' }
}

fn print_next() {
    println!("\nWhere to look next:");
    println!(
        "  cargo run --release -- up --lab    keep it running: API on http://127.0.0.1:3000, psql and nats URLs printed"
    );
    println!("  cargo run --release -- bench       what it costs on this machine");
    println!("  README.md                          connect a real HubSpot account");
}
