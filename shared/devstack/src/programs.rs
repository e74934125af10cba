//! Programs of our own beside the servers: processes that can be killed, stopped and started again, and that do not
//! outlive us either.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::process::{Launch, Process};
use crate::watchdog::{Owner, Watchdog};

/// Starts programs, and sees to it that they end when this is dropped or this process is killed.
pub struct Programs {
    watchdog: Watchdog,
}

/// What to run. It gets no variable of ours, and no standard input.
#[derive(Debug, Clone)]
pub struct ProgramOptions {
    /// The file.
    pub program: PathBuf,
    /// What it is called with.
    pub args: Vec<OsString>,
    /// Both its outputs are appended to this file.
    pub log: PathBuf,
}

/// A running program.
pub struct Program {
    process: Process,
}

impl Programs {
    /// Keeps two small files in `dir`, which is made if it is not there.
    pub fn new(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        Ok(Self { watchdog: Watchdog::start(dir, None, &Owner::Us)? })
    }

    /// Starts a program. When this returns it has been started, not more.
    pub fn start(&self, options: ProgramOptions) -> Result<Program> {
        let ProgramOptions { program, args, log } = options;
        let launch = Launch { program, args, envs: Vec::new(), run_as: None, log, polite: Signal::TERM };
        Ok(Program { process: Process::spawn(launch, &self.watchdog)? })
    }

    /// `kill -9`; returns when it is gone.
    pub async fn kill(&self, program: &mut Program) -> Result<()> {
        program.process.kill(&self.watchdog).await
    }

    /// Asks it to end, and kills it when it has not ended in time. Says whether it ended by itself, and well.
    pub async fn stop(&self, program: &mut Program, patience: Duration) -> Result<bool> {
        program.process.stop(&self.watchdog, patience).await?;
        Ok(program.process.exited()?.is_some_and(|status| status.success()))
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        // The watchdog ends what still runs; the thread only collects it.
        let watchdog: Option<Child> = self.watchdog.release();
        std::thread::spawn(move || watchdog.map(|mut watchdog| watchdog.wait()));
    }
}

impl Program {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.process.exited()?.is_none())
    }

    /// What it wrote since it was started; the last few kilobytes.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    /// Holds it up: it does nothing, not even answer, until [`Program::go_on`].
    pub fn hold_up(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub fn go_on(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        // Not reaped before we say so: nobody else can have this id.
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw).context("impossible process id")?;
        kill_process(pid, signal).context("signal a program")
    }
}
