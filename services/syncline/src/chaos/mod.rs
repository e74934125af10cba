//! `syncline chaos`: a fleet of processes that is broken on purpose by a seeded schedule, and a checker that trusts
//! nobody. Start reading at `run.rs`; what is broken when is `schedule.rs`, what must hold all the same `checker.rs`.

mod asking;
mod book;
mod cancels;
mod causes;
mod check;
mod checker;
mod faults;
mod fields;
mod fleet;
mod handovers;
mod limited;
mod memory;
mod polling;
mod reads;
mod report;
mod run;
mod schedule;
mod source;
mod table;
mod takeovers;
mod traffic;
mod verdict;
mod world;
mod writes;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use runtime::{Config, Shutdown};

use crate::roles::Role;
use world::World;

#[derive(Debug, Clone, Args)]
pub(crate) struct ChaosArgs {
    /// How long things are broken. Starting, draining and checking come on top.
    #[arg(long, default_value_t = 5.0, value_name = "N", value_parser = minutes)]
    minutes: f64,
    /// Equal seeds give equal schedules; any seed unless given.
    #[arg(long, value_name = "S")]
    seed: Option<u32>,
    /// Three nats-servers and three copies of everything in them; one server at a time is killed, none is wiped.
    #[arg(long)]
    cluster: bool,
    /// Workspaces. Every fourth one shares the account of the one before it.
    #[arg(long, default_value_t = 40, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    workspaces: u16,
    /// Contacts of each account. Companies are two fifths of it, deals a tenth.
    #[arg(long, default_value_t = 1_500, value_name = "N")]
    records: u64,
    /// Print one object of JSON instead of the table.
    #[arg(long)]
    json: bool,
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    // Less is over before anything is broken.
    if (0.2..=1440.0).contains(&minutes) { Ok(minutes) } else { Err("between 0.2 and 1440".to_owned()) }
}

impl ChaosArgs {
    fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }

    /// What repeats this run.
    fn command(&self, seed: u32) -> String {
        let mut command = format!("cargo run --release -- chaos --minutes {} --seed {seed}", self.minutes);
        if self.cluster {
            command.push_str(" --cluster");
        }
        if (self.workspaces, self.records) != (40, 1_500) {
            command.push_str(&format!(" --workspaces {} --records {}", self.workspaces, self.records));
        }
        command
    }
}

/// How many processes of a role there are.
fn processes(role: Role) -> u16 {
    if role == Role::Worker { 4 } else { 2 }
}

/// Breaks things. Exit code 0 means that every promise was kept.
pub(crate) async fn run(config: Config, args: ChaosArgs) -> anyhow::Result<ExitCode> {
    let shutdown = Shutdown::install()?;
    let seed = args.seed.unwrap_or_else(rand::random);
    if !args.json {
        println!("Seed {seed}. To repeat: {}\n", args.command(seed));
    }
    let world = tokio::select! {
        world = Box::pin(World::start(&config, &args)) => world?,
        () = shutdown.requested() => anyhow::bail!("stopped before it began"),
    };
    let report = tokio::select! {
        report = Box::pin(run::run(&world, &args, seed)) => report,
        () = shutdown.requested() => Err(anyhow::anyhow!("stopped before the end")),
    };
    let keep = report.as_ref().is_ok_and(|report| !report.is_well());
    let kept = world.stop(keep).await.context("the end of it")?;
    let report = report?;
    if args.json {
        println!("{}", serde_json::to_string(&report.json())?);
    } else {
        report.print(&args.command(seed), kept.as_deref());
    }
    Ok(if report.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
