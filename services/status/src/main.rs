//! `syncline-status`: answers out.

use std::path::PathBuf;

use runtime::{Config, Shutdown, Sources, health, http, telemetry};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let sources = Sources::from_process(std::env::args_os().nth(1).map(PathBuf::from));
    let config = Config::load_requiring(&sources, &["database.url", "nats.url", "secrets.encryption_key"])?;
    telemetry::init(&config.log)?;
    let shutdown = Shutdown::install()?;
    let listener = TcpListener::bind(config.http.listen).await?;
    let status = status::from_config(&config).await?;
    let tracker = TaskTracker::new();
    tracker.spawn(status.board.clone().watch_until(status.bus.clone(), shutdown.token()));
    let ready = health::router(vec![status.check()]);
    let router = http::shell(status::router(status).merge(ready), http::ShellConfig::from(&config.http));
    tracing::info!(listen = %config.http.listen, "syncline-status is up");
    http::serve(listener, router, shutdown.token(), config.shutdown.deadline).await?;
    tracker.close();
    runtime::drain(&tracker, config.shutdown.deadline).await;
    Ok(())
}
