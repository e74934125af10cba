//! `syncline bench`: what Syncline does on this machine, measured on servers of its own with durable settings.
//! Their data is in the directory for temporary files while it runs: `TMPDIR` chooses the disk.

mod accept;
mod budget;
mod first_sync;
mod increments;
mod load;
mod pickup;
mod report;
mod resources;
mod scale;
mod sync;
mod worker_process;

use std::process::ExitCode;

use clap::Args;
use lab::LabConfig;
use runtime::{Config, Shutdown};

use crate::instance::{Instance, InstanceOptions};
use crate::roles::Role;
use report::Report;

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// How long each of the two accept runs counts, 5 by default, and the budget's, 180 by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: Option<u32>,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
    /// Only these parts.
    #[arg(long, value_delimiter = ',', value_name = "PARTS", default_values_t = [Part::Accept, Part::Pickup, Part::Sync])]
    only: Vec<Part>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// POST until 202.
    Accept,
    /// From the 202 to the first request to the vendor.
    Pickup,
    /// First syncs beside COPY and merge, and increments.
    Sync,
    /// First syncs of 64,000 and of a million records: the worker's memory. Takes a minute, so only when asked for.
    Scale,
    /// Eight worker processes with one vendor account. Takes three minutes, so only when asked for.
    Budget,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Accept => "accept",
            Self::Pickup => "pickup",
            Self::Sync => "sync",
            Self::Scale => "scale",
            Self::Budget => "budget",
        })
    }
}

/// Measures. Exit code 0 means that everything that was promised was found done.
pub(crate) async fn run(config: Config, args: BenchArgs) -> anyhow::Result<ExitCode> {
    let shutdown = Shutdown::install()?;
    let report = tokio::select! {
        report = Box::pin(measure(&config, &args)) => report?,
        () = shutdown.requested() => anyhow::bail!("stopped before the end"),
    };
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        report.print_end();
    }
    Ok(if report.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(config: &Config, args: &BenchArgs) -> anyhow::Result<Report> {
    let mut report = Report::of_this_machine();
    let wants = |part| args.only.contains(&part);
    let say = |text: &str| {
        if !args.json {
            println!("{text}");
        }
    };
    say(&format!("{}\n", report.machine));
    if wants(Part::Accept) {
        let accept = Box::pin(accept::measure(config, args.seconds.unwrap_or(accept::SECONDS))).await?;
        say(&accept.table());
        report.accept = Some(accept);
    }
    if wants(Part::Pickup) {
        let pickup = Box::pin(pickup::measure(config)).await?;
        say(&pickup.table());
        report.pickup = Some(pickup);
    }
    if wants(Part::Sync) {
        let sync = Box::pin(first_sync::measure(config)).await?;
        say(&sync.table());
        report.sync = Some(sync);
    }
    if wants(Part::Scale) {
        let scale = Box::pin(scale::measure(config)).await?;
        say(&scale.table());
        report.scale = Some(scale);
    }
    if wants(Part::Budget) {
        let seconds = args.seconds.unwrap_or(budget::SECONDS);
        let budget = Box::pin(budget::measure(config, seconds)).await?;
        say(&budget.table());
        report.budget = Some(budget);
    }
    Ok(report)
}

/// An instance of our own, whatever servers the settings name: a benchmark has no business in real data.
async fn start(config: &Config, lab: Option<LabConfig>, without: Vec<Role>) -> anyhow::Result<Instance> {
    let mut config = config.clone();
    config.http.listen = ([127, 0, 0, 1], 0).into();
    config.nats.url = String::new().into();
    config.database.url = String::new().into();
    Instance::start(InstanceOptions { config, data_dir: None, lab, without }).await
}

/// `127.0.0.1:3000` of `http://127.0.0.1:3000`.
fn address(base_url: &str) -> &str {
    base_url.strip_prefix("http://").unwrap_or(base_url)
}
