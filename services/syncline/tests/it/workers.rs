//! Roles in other processes, with the settings people run with.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use devstack::testing::TestEnv;

use crate::up::Up;

/// A further process that does nothing but one role: `up --without` all the others, on the same stores.
struct Worker(Child);

impl Worker {
    fn start(up: &Up) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_syncline"))
            .args(["worker", "--config", up.text("configFile")])
            .env("SYNCLINE_LOG_FILTER", "warn,async_nats=off")
            .env("SYNCLINE_HTTP_LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn slow(dir: &Path) -> (&Path, [&str; 4]) {
    (dir, ["--lab-latency-ms", "80", "--without", "worker"])
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_of_a_worker_process_another_one_finishes_the_sync() {
    let (env, dir) = (TestEnv::new().await, tempfile::tempdir().unwrap());
    let (dir, options) = slow(dir.path());
    let up = Up::start(&env, dir, &options).await;
    let first = Worker::start(&up);
    let accepted = up.post().await;
    let id = accepted["jobId"].as_str().unwrap();
    up.until(id, |job| job["progress"]["current"].as_u64() >= Some(300)).await;
    let second = Worker::start(&up);
    drop(first);
    let job = up.completed(id).await;
    assert_eq!((job["attempts"].as_u64(), job["takeovers"].as_u64()), (Some(1), Some(1)), "{job}");
    assert_eq!(job["result"]["totalRecords"], 2_250 - 3 + 16, "owners and stages are records, too");
    drop(second);
}
