//! Runs nats-server and Postgres until it is interrupted: `cargo run -p devstack [DATA_DIR]`.
//!
//! Prints one line of JSON when both answer. Without a directory everything is deleted at the end.

use std::process::ExitCode;

use devstack::{NatsUser, Stack, StackOptions};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    match hold().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("devstack-hold: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn hold() -> anyhow::Result<()> {
    let options = match std::env::args_os().nth(1) {
        Some(dir) => StackOptions::in_dir(dir),
        None => StackOptions::ephemeral(),
    };
    // Before the line is printed: whoever reads it may interrupt at once.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stack = Stack::start(options).await?;
    let line = serde_json::json!({
        "natsUrl": stack.nats_url(NatsUser::Admin),
        "databaseUrl": stack.database_url(),
        "natsPid": stack.nats_pid(),
        "postgresPid": stack.postgres_pid(),
        "dataDir": stack.data_dir(),
    });
    println!("{line}");
    interrupt.recv().await;
    stack.stop().await
}
