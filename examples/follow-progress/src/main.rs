//! Follows the jobs of a workspace live, as any service may that speaks NATS:
//!
//! ```sh
//! cargo run -p follow-progress -- --nats nats://viewer:…@127.0.0.1:4222 acme
//! ```
//!
//! Three things to copy from it:
//!
//! * **Subscribe, then read.** `sync.progress.<workspace>.<job>` carries every change, at most once. What was there before
//!   is in the bucket `sync_progress`. Whoever reads first and subscribes then misses what happens in between.
//! * **Read again after a reconnect.** Changes that happened meanwhile were sent to nobody.
//! * **The greater `revision` wins.** The same view may come twice, and a read may be older than what was just received.

use std::collections::HashMap;

use anyhow::Context;
use async_nats::jetstream;
use async_nats::{ConnectOptions, Event, ServerAddr};
use clap::Parser;
use futures_util::{StreamExt, TryStreamExt};
use serde::Deserialize;
use tokio::sync::mpsc;

#[derive(Debug, Parser)]
struct Args {
    /// NATS, with a user who may read: `viewer`.
    #[arg(long, default_value = "nats://127.0.0.1:4222", value_name = "URL")]
    nats: String,
    /// The workspace.
    workspace: String,
    /// End when this job is over.
    #[arg(long, value_name = "ID")]
    until_over: Option<String>,
}

/// What this service wants to know of a job. There is more; unknown fields are left alone.
#[derive(Debug, Deserialize)]
struct Job {
    id: String,
    status: String,
    progress: Progress,
    revision: u64,
}

#[derive(Debug, Deserialize)]
struct Progress {
    current: u64,
    total: u64,
    message: String,
}

/// The newest revision seen of each job.
#[derive(Default)]
struct Seen(HashMap<String, u64>);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let (connected, mut connects) = mpsc::channel(1);
    let client = options(&args.nats)?
        .event_callback(move |event| {
            let connected = connected.clone();
            async move {
                if matches!(event, Event::Connected) {
                    // One that waits already is as good.
                    connected.try_send(()).ok();
                }
            }
        })
        .connect(&args.nats)
        .await
        .context("NATS cannot be reached")?;
    let mut changes = client.subscribe(format!("sync.progress.{}.*", args.workspace)).await?;
    let mut seen = Seen::default();
    loop {
        let jobs = tokio::select! {
            change = changes.next() => vec![serde_json::from_slice(&change.context("the subscription ended")?.payload)?],
            // Of the first connection it is told, too.
            Some(()) = connects.recv() => current(&client, &args.workspace).await.unwrap_or_else(|error| {
                eprintln!("the board cannot be read yet: {error:#}");
                Vec::new()
            }),
        };
        for job in jobs.iter().filter(|job| seen.is_news(job)) {
            let Progress { current, total, message } = &job.progress;
            println!("{} {} {current}/{total} {message}", job.id, job.status);
            let is_over = matches!(job.status.as_str(), "completed" | "failed" | "cancelled");
            if is_over && args.until_over.as_ref() == Some(&job.id) {
                return Ok(());
            }
        }
    }
}

/// The client library does not take the user out of the URL by itself.
fn options(url: &str) -> anyhow::Result<ConnectOptions> {
    let server: ServerAddr = url.parse().context("--nats is no URL of a NATS server")?;
    let options = ConnectOptions::new();
    Ok(match (server.username(), server.password()) {
        (Some(user), Some(password)) => options.user_and_password(user.to_owned(), password.to_owned()),
        _ => options,
    })
}

/// What the board shows now.
async fn current(client: &async_nats::Client, workspace: &str) -> anyhow::Result<Vec<Job>> {
    let board = jetstream::new(client.clone()).get_key_value("sync_progress").await?;
    let keys: Vec<String> = board.keys().await?.try_collect().await?;
    let of_workspace = format!("{workspace}.");
    let mut jobs = Vec::new();
    for key in keys.into_iter().filter(|key| key.starts_with(&of_workspace)) {
        // It may have expired since it was listed.
        if let Some(value) = board.get(key).await? {
            jobs.push(serde_json::from_slice(&value)?);
        }
    }
    Ok(jobs)
}

impl Seen {
    fn is_news(&mut self, job: &Job) -> bool {
        let newest = self.0.entry(job.id.clone()).or_default();
        let is_news = job.revision > *newest;
        *newest = job.revision.max(*newest);
        is_news
    }
}
