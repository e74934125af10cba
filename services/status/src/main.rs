//! `syncline-status`: answers out.

use std::path::PathBuf;

use runtime::{Config, Shutdown, Sources, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let sources = Sources::from_process(std::env::args_os().nth(1).map(PathBuf::from));
    let config = Config::load_requiring(&sources, status::REQUIRED)?;
    telemetry::init(&config.log)?;
    status::serve(&config, &Shutdown::install()?).await
}
