//! `syncline-lab`: a fake HubSpot on a port.

use std::net::SocketAddr;

use anyhow::Context;
use clap::Parser;
use lab::{Lab, LabConfig, Limits};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A fake HubSpot: paging, limits, 429s, faults on demand.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:4010")]
    listen: SocketAddr,
    /// Equal seeds give equal records.
    #[arg(long, default_value_t = LabConfig::default().seed)]
    seed: u64,
    #[arg(long, default_value_t = LabConfig::default().contacts)]
    contacts: u64,
    #[arg(long, default_value_t = LabConfig::default().companies)]
    companies: u64,
    #[arg(long, default_value_t = LabConfig::default().deals)]
    deals: u64,
    /// Multiplies all counts.
    #[arg(long, default_value_t = 1)]
    scale: u64,
    /// Added to every accepted request.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Requests of a portal in any rolling 10 s; 0 is unlimited.
    #[arg(long, default_value_t = Limits::strict().objects_per_10s)]
    limit_objects_per_10s: u32,
    /// Searches of a portal in any rolling second; 0 is unlimited.
    #[arg(long, default_value_t = Limits::strict().search_per_s)]
    limit_search_per_s: u32,
    /// No limits at all, the daily one included.
    #[arg(long)]
    unlimited: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let args = Args::parse();
    let listener =
        TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    println!("lab listens on http://{}", listener.local_addr()?);

    let shutdown = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop_on_signal = async {
        tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
        shutdown.cancel();
        std::future::pending().await
    };
    tokio::select! {
        served = Lab::serve(listener, args.into(), shutdown.clone()) => served.context("the lab failed"),
        () = stop_on_signal => Ok(()),
    }
}

impl From<Args> for LabConfig {
    fn from(args: Args) -> Self {
        let limits = Limits {
            objects_per_10s: args.limit_objects_per_10s,
            search_per_s: args.limit_search_per_s,
            ..Limits::strict()
        };
        Self {
            seed: args.seed,
            contacts: args.contacts,
            companies: args.companies,
            deals: args.deals,
            scale: args.scale,
            limits: if args.unlimited { Limits::unlimited() } else { limits },
            latency_ms: args.latency_ms,
        }
    }
}
