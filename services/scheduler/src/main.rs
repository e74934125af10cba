//! `syncline-scheduler`: relay, rescue, repair. Run one or many.

use std::path::PathBuf;

use runtime::{Config, Shutdown, Sources, health, http, telemetry};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let sources = Sources::from_process(std::env::args_os().nth(1).map(PathBuf::from));
    let config = Config::load_requiring(&sources, &["database.url", "nats.url", "secrets.encryption_key"])?;
    telemetry::init(&config.log)?;
    let shutdown = Shutdown::install()?;
    let listener = TcpListener::bind(config.http.listen).await?;
    let scheduler = scheduler::from_config(&config).await?;
    let router = http::shell(health::router(scheduler.checks()), http::ShellConfig::from(&config.http));
    tracing::info!(listen = %config.http.listen, "syncline-scheduler is up");
    let serve = http::serve(listener, router, shutdown.token(), config.shutdown.deadline);
    let (served, ()) = tokio::join!(serve, scheduler.run_until(shutdown.token()));
    Ok(served?)
}
