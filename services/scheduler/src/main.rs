//! `syncline-scheduler`: relay, rescue, repair. Run one or many.

use std::path::PathBuf;

use runtime::{Config, Shutdown, Sources, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let sources = Sources::from_process(std::env::args_os().nth(1).map(PathBuf::from));
    let config = Config::load_requiring(&sources, scheduler::REQUIRED)?;
    telemetry::init(&config.log)?;
    scheduler::serve(&config, &Shutdown::install()?).await
}
