//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use runtime::{Config, Sources, telemetry};

use crate::roles::Role;
use crate::{bench, chaos, commands, demo};

/// Copies your SaaS data into Postgres, as background jobs.
#[derive(Debug, Parser)]
#[command(name = "syncline", version, about)]
pub(crate) struct Cli {
    /// A TOML file with settings; `SYNCLINE_*` variables go over it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what Syncline does: a whole sync of 63,691 records on this machine, then stop clean.
    Demo(DemoArgs),
    /// Measure what it costs on this machine; nothing is left behind.
    Bench(bench::BenchArgs),
    /// Run everything in one process, with its own NATS and Postgres unless they are given.
    Up(UpArgs),
    /// Break a whole Syncline of many processes on purpose, again and again, and check what it promises.
    Chaos(chaos::ChaosArgs),
    /// Run a worker and nothing else; `--config` names the file that `up` wrote.
    Worker(RoleArgs),
    /// Run an ingress and nothing else, in the same way.
    Ingress(RoleArgs),
    /// Run a status service and nothing else, in the same way.
    Status(RoleArgs),
    /// Run a scheduler and nothing else, in the same way.
    Scheduler(RoleArgs),
    /// Ask for a sync.
    Sync(SyncArgs),
    /// List a workspace's jobs.
    Jobs(JobsArgs),
    /// Cancel a job; what it committed stays.
    Cancel(JobArgs),
    /// Try a failed or cancelled job again, from where it stopped.
    Retry(JobArgs),
    /// Bring the database's schema up to date.
    Migrate,
    /// Create or update streams, consumers and the bucket in NATS.
    Provision,
    /// Print the `OpenAPI` document.
    Openapi,
}

/// What the fake vendor does.
#[derive(Debug, Clone, Args)]
pub(crate) struct LabArgs {
    /// Contacts of the fake account.
    #[arg(long, default_value_t = 46_000, value_name = "N")]
    pub lab_contacts: u64,
    /// Companies of the fake account.
    #[arg(long, default_value_t = 17_000, value_name = "N")]
    pub lab_companies: u64,
    /// Deals of the fake account.
    #[arg(long, default_value_t = 691, value_name = "N")]
    pub lab_deals: u64,
    /// The fake vendor answers after so many milliseconds.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub lab_latency_ms: u64,
    /// The fake vendor has no rate limits, and Syncline is told so.
    #[arg(long)]
    pub lab_unlimited: bool,
    /// The fake data is made from this.
    #[arg(long, default_value_t = 7, value_name = "N")]
    pub lab_seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    pub lab: LabArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Also run the fake vendor, with a workspace `demo` that uses it.
    #[arg(long)]
    pub lab: bool,
    #[command(flatten)]
    pub lab_args: LabArgs,
    /// Print one line of JSON when ready.
    #[arg(long)]
    pub json: bool,
    /// Leave roles to other processes: ingress, worker, status, scheduler.
    #[arg(long, value_delimiter = ',', value_name = "ROLES")]
    pub without: Vec<Role>,
    /// Where the API listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Where NATS and Postgres keep their data.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// How one role runs in a process of its own.
#[derive(Debug, Args)]
pub(crate) struct RoleArgs {
    /// Where it listens, if only for its health checks: a free port unless given, since the file that `up` wrote has
    /// the address of `up` itself.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
}

/// Where a running Syncline is.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// Its base URL.
    #[arg(long, default_value = "http://127.0.0.1:3000", value_name = "URL")]
    pub url: String,
}

#[derive(Debug, Args)]
pub(crate) struct SyncArgs {
    /// The workspace.
    pub workspace: String,
    /// Only this connector.
    #[arg(long)]
    pub connector: Option<String>,
    /// Read everything again instead of what changed.
    #[arg(long)]
    pub full: bool,
    /// Wait until it is over, with a progress bar.
    #[arg(long)]
    pub watch: bool,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    /// The workspace.
    pub workspace: String,
    /// How many.
    #[arg(long, default_value_t = 20)]
    pub limit: u32,
    /// Only jobs with this status.
    #[arg(long)]
    pub status: Option<String>,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct JobArgs {
    /// The workspace.
    pub workspace: String,
    /// The job, or its syncId.
    pub job: String,
    #[command(flatten)]
    pub server: ServerArgs,
}

impl Cli {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let sources = Sources::from_process(self.config);
        match self.command {
            Command::Sync(args) => return commands::sync(args).await,
            Command::Jobs(args) => return commands::jobs(args).await,
            Command::Cancel(args) => return commands::cancel(args).await,
            Command::Retry(args) => return commands::retry(args).await,
            Command::Openapi => return commands::openapi(),
            _ => {}
        }
        let mut config = Config::load(&sources)?;
        if matches!(self.command, Command::Demo(_) | Command::Bench(_) | Command::Chaos(_))
            && !sources.env.iter().any(|(name, _)| name == "SYNCLINE_LOG_FILTER")
        {
            // Routine log lines would tear the progress bar.
            "error".clone_into(&mut config.log.filter);
        }
        telemetry::init(&config.log)?;
        match self.command {
            Command::Demo(args) => demo::run(config, args).await,
            Command::Bench(args) => bench::run(config, args).await,
            Command::Up(args) => commands::up(config, args).await,
            Command::Chaos(args) => chaos::run(config, args).await,
            Command::Worker(args) => commands::role(config, Role::Worker, &args).await,
            Command::Ingress(args) => commands::role(config, Role::Ingress, &args).await,
            Command::Status(args) => commands::role(config, Role::Status, &args).await,
            Command::Scheduler(args) => commands::role(config, Role::Scheduler, &args).await,
            Command::Migrate => commands::migrate(&config).await,
            Command::Provision => commands::provision(&config).await,
            Command::Sync(_)
            | Command::Jobs(_)
            | Command::Cancel(_)
            | Command::Retry(_)
            | Command::Openapi => Ok(ExitCode::SUCCESS),
        }
    }
}
