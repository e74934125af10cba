//! Looking at processes from outside, and a process that holds a stack.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Waits for what will become true; fails loudly when it does not.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "still not so after 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn is_running(pid: u32) -> bool {
    let output = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    let state = String::from_utf8(output.stdout).unwrap();
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

/// Processes with this text in their command line, which every process of a stack has in some form.
pub(crate) fn running_in(dir: &Path) -> Vec<String> {
    let output = Command::new("ps").args(["-A", "-ww", "-o", "pid=,args="]).output().unwrap();
    let all = String::from_utf8_lossy(&output.stdout).into_owned();
    let dir = dir.to_string_lossy().into_owned();
    all.lines()
        .filter(|line| line.contains(&dir) && !line.contains("devstack-hold"))
        .map(str::to_owned)
        .collect()
}

/// `devstack-hold` in a process of its own.
pub(crate) struct Holder {
    pub child: Child,
    pub nats_pid: u32,
    pub postgres_pid: u32,
    pub nats_url: String,
    pub database_url: String,
    pub data_dir: PathBuf,
}

impl Holder {
    pub fn start(dir: Option<&Path>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_devstack-hold"));
        command.args(dir).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told: serde_json::Value = serde_json::from_str(&line).unwrap();
        let pid = |name: &str| u32::try_from(told[name].as_u64().unwrap()).unwrap();
        let text = |name: &str| told[name].as_str().unwrap().to_owned();
        Self {
            nats_pid: pid("natsPid"),
            postgres_pid: pid("postgresPid"),
            nats_url: text("natsUrl"),
            database_url: text("databaseUrl"),
            data_dir: PathBuf::from(text("dataDir")),
            child,
        }
    }

    /// `kill -9`: no destructor of the process runs.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Fails when it has ended already, as it has in a test that went well.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
