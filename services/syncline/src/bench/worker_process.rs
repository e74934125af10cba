//! A worker in a process of its own, so that its memory and CPU time are its alone.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use lab::LabConfig;
use runtime::Config;
use tempfile::TempDir;

use super::resources;
use crate::instance::Instance;
use crate::lab_workspace;

/// Runs the worker, says its process id, and kills it when standard input ends: however this process ends, even
/// by SIGKILL, the worker ends too. Ctrl-C reaches it as well, and must not end it before the worker.
const GUARD: &str =
    r#"trap '' INT TERM HUP QUIT; "$@" </dev/null >&2 & echo $!; cat >/dev/null; kill -KILL $!"#;

/// A running worker. It is killed when this is dropped.
pub(super) struct WorkerProcess {
    guard: Child,
    pid: u32,
    /// Has the settings.
    _dir: TempDir,
}

impl WorkerProcess {
    /// Starts a worker for an instance that was started with these settings and has none of its own.
    pub(super) fn start(config: &Config, lab: &LabConfig, instance: &Instance) -> anyhow::Result<Self> {
        let mut config = config.clone();
        config.nats.url = instance.nats_url.clone().into();
        config.database.url = instance.database_url.clone().into();
        lab_workspace::use_lab(&mut config, instance.lab_url.as_deref().context("the lab runs")?, lab);
        let dir = tempfile::tempdir().context("no directory for the worker's settings")?;
        let file = dir.path().join("syncline.toml");
        config.write_to(&file).context("the worker's settings could not be written")?;
        let mut guard = guard(&file)?;
        let pid = read_pid(&mut guard);
        // Made first, so that the guard ends whatever it was that it said.
        let mut worker = Self { guard, pid: 0, _dir: dir };
        worker.pid = pid.context("the worker did not start")?;
        Ok(worker)
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn lives(&self) -> bool {
        resources::lives(self.pid)
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        if let Err(error) = self.guard.wait() {
            tracing::warn!(error = %error, "the worker may still run");
        }
    }
}

fn guard(settings: &Path) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("where this program is")?;
    Command::new("/bin/sh")
        .args(["-c", GUARD, "sh"])
        .arg(program)
        .arg("worker")
        .arg("--config")
        .arg(settings)
        // Variables go over the file, and could name real servers. What they said before is in the file.
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("the worker could not be started")
}

fn read_pid(guard: &mut Child) -> anyhow::Result<u32> {
    let mut line = String::new();
    BufReader::new(guard.stdout.take().context("the guard has an output")?).read_line(&mut line)?;
    Ok(line.trim().parse()?)
}
