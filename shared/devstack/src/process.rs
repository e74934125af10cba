//! One running server process.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::run_as::RunAs;
use crate::watchdog::Watchdog;

/// Waits for a line before it becomes the server, so that no server runs that the watchdog does not know:
/// if we die in between, `read` fails.
const GATE: &str = r#"read -r go || exit 1; exec "$@" </dev/null"#;

const POLL: Duration = Duration::from_millis(5);
const LOG_SIZE_MAX: u64 = 10 * 1024 * 1024;
const LOG_TAIL_BYTES: u64 = 4096;

/// What to run.
pub(crate) struct Launch {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub envs: Vec<(String, OsString)>,
    pub run_as: Option<RunAs>,
    pub log: PathBuf,
    /// What asks this server to stop in good order.
    pub polite: Signal,
}

/// A server that was started, and where its log begins.
pub(crate) struct Process {
    child: Child,
    polite: Signal,
    log: PathBuf,
    log_start: u64,
}

impl Process {
    pub fn spawn(launch: Launch, watchdog: &Watchdog) -> Result<Self> {
        let Launch { program, args, envs, run_as, log, polite } = launch;
        let (file, log_start) = open_log(&log)?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", GATE, "syncline-gate"]).arg(&program).args(args);
        // No inherited settings (PGPORT, PGDATA …) and none of our secrets.
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").envs(envs);
        command.stdin(Stdio::piped()).stdout(file.try_clone()?).stderr(file);
        command.process_group(0).current_dir("/");
        if let Some(run_as) = &run_as {
            run_as.apply(&mut command);
        }
        let child = command.spawn().with_context(|| format!("start {}", program.display()))?;
        let mut process = Self { child, polite, log, log_start };
        let opened = watchdog.watch(process.id(), signal_name(polite)).and_then(|()| {
            let mut gate = process.child.stdin.take().context("the server's gate has no handle")?;
            gate.write_all(b"go\n").context("open the server's gate")
        });
        if opened.is_err() {
            // Still behind its gate, and nobody would stop it.
            drop(process.child.stdin.take());
            process.child.wait().context("wait for a server that was not let start")?;
        }
        opened.map(|()| process)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("look after a server process")
    }

    /// What the server logged since it was started; the last few kilobytes.
    pub fn log_tail(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let end = file.seek(SeekFrom::End(0))?;
            file.seek(SeekFrom::Start(self.log_start.max(end.saturating_sub(LOG_TAIL_BYTES))))?;
            let mut bytes = Vec::new();
            file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_else(|error| format!("(cannot read {}: {error})", self.log.display()))
    }

    /// Asks politely, and kills when the deadline has passed.
    pub async fn stop(&mut self, watchdog: &Watchdog, patience: Duration) -> Result<()> {
        if self.exited()?.is_none() {
            self.signal(self.polite)?;
        }
        if !self.wait(patience).await? {
            tracing::warn!(pid = self.id(), "server did not stop in time, killing it");
            return self.kill(watchdog).await;
        }
        watchdog.forget(self.id());
        Ok(())
    }

    /// `kill -9`, and waits until it is gone.
    pub async fn kill(&mut self, watchdog: &Watchdog) -> Result<()> {
        self.child.kill().context("kill a server process")?;
        while !self.wait(Duration::from_secs(1)).await? {}
        watchdog.forget(self.id());
        Ok(())
    }

    /// Waits for a program that ends by itself.
    pub async fn end(&mut self, watchdog: &Watchdog) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.exited()? {
                watchdog.forget(self.id());
                return Ok(status);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The child, for whoever reaps it.
    pub fn into_child(self) -> Child {
        self.child
    }

    async fn wait(&mut self, patience: Duration) -> Result<bool> {
        let deadline = Instant::now() + patience;
        while self.exited()?.is_none() {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(true)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw).context("impossible process id")?;
        kill_process(pid, signal).context("signal a server process")
    }
}

/// As `kill -s` of the watchdog's shell knows it.
fn signal_name(signal: Signal) -> &'static str {
    if signal == Signal::INT { "INT" } else { "TERM" }
}

fn open_log(path: &Path) -> Result<(File, u64)> {
    let size = fs::metadata(path).map_or(0, |meta| meta.len());
    if size > LOG_SIZE_MAX {
        fs::rename(path, path.with_extension("log.old")).context("put the old log aside")?;
    }
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("open {}", path.display()))?;
    let start = file.seek(SeekFrom::End(0))?;
    Ok((file, start))
}
