//! The data directory: one stack at a time, and what a crashed one left behind.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::identity::{Identity, command_line_of};
use crate::watchdog::IDENTITY_FILE;

const LOCK: &str = "syncline.lock";
/// The watchdog needs ten seconds when a server does not stop.
const WATCHDOG_WITHIN: Duration = Duration::from_secs(20);
const LEFTOVER_WITHIN: Duration = Duration::from_secs(10);

/// A data directory that is ours until this is dropped.
pub(crate) struct Claim {
    /// Absolute, without links.
    pub dir: PathBuf,
    _lock: File,
}

impl Claim {
    /// Makes the directory if need be, waits for a dead owner's watchdog, stops servers that nobody owns any more.
    pub async fn take(dir: &Path, ephemeral: bool) -> Result<Self> {
        loop {
            let dir = prepare(dir, ephemeral)?;
            let lock = lock(&dir)?;
            wait_for_watchdog(&dir).await?;
            // That watchdog may have deleted the directory, and our lock with it.
            let ours = lock.metadata()?.ino();
            if fs::metadata(dir.join(LOCK)).is_ok_and(|meta| meta.ino() == ours) {
                for nats in ["nats/nats.pid", "nats-1/nats.pid", "nats-2/nats.pid"] {
                    stop_leftover(&dir, nats, Signal::TERM).await?;
                }
                stop_leftover(&dir, "postgres/data/postmaster.pid", Signal::INT).await?;
                return Ok(Self { dir, _lock: lock });
            }
        }
    }
}

fn prepare(dir: &Path, ephemeral: bool) -> Result<PathBuf> {
    let make = || fs::DirBuilder::new().recursive(true).mode(0o755).create(dir);
    make().with_context(|| format!("make {}", dir.display()))?;
    let dir = dir.canonicalize().with_context(|| format!("find {}", dir.display()))?;
    let owner = fs::metadata(&dir)?.uid();
    ensure!(
        owner == rustix::process::geteuid().as_raw(),
        "{} belongs to another user ({owner})",
        dir.display()
    );
    let is_a_stack = dir.join(LOCK).exists();
    if ephemeral && !is_a_stack && fs::read_dir(&dir)?.next().is_some() {
        bail!("{} has files in it and would be deleted at the end: choose an empty directory", dir.display());
    }
    Ok(dir)
}

fn lock(dir: &Path) -> Result<File> {
    let path = dir.join(LOCK);
    let mut file = File::options().create(true).truncate(false).write(true).open(&path)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            writeln!(file, "{}", std::process::id())?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            bail!("another Syncline (process {}) runs on {}: stop it first", holder.trim(), dir.display())
        }
        Err(TryLockError::Error(error)) => Err(error).context(format!("lock {}", path.display())),
    }
}

async fn wait_for_watchdog(dir: &Path) -> Result<()> {
    let file = dir.join(IDENTITY_FILE);
    let Some(watchdog) = fs::read_to_string(&file).ok().and_then(|line| Identity::from_line(&line)) else {
        return Ok(());
    };
    let deadline = Instant::now() + WATCHDOG_WITHIN;
    while watchdog.is_alive() {
        if Instant::now() >= deadline {
            bail!(
                "an earlier stack on {} does not come to its end (process {})",
                dir.display(),
                watchdog.pid
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Stops a server of this directory whose owner and watchdog are both gone.
async fn stop_leftover(dir: &Path, pid_file: &str, polite: Signal) -> Result<()> {
    let path = dir.join(pid_file);
    let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
    let pid = text.lines().next().and_then(|line| line.trim().parse::<u32>().ok());
    let process = pid.and_then(Identity::of);
    // The id may be another program's by now.
    let is_server = |identity: &Identity| {
        command_line_of(identity.pid).is_some_and(|line| line.contains(&*dir.to_string_lossy()))
    };
    if let Some(process) = process.filter(is_server) {
        tracing::warn!(pid = process.pid, dir = %dir.display(), "stopping a server that an earlier run left");
        for signal in [polite, Signal::KILL] {
            if !process.is_alive() {
                break;
            }
            let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw).context("bad process id")?;
            if let Err(error) = kill_process(pid, signal) {
                tracing::debug!(%error, pid = process.pid, "the leftover server ended by itself");
            }
            let deadline = Instant::now() + LEFTOVER_WITHIN;
            while process.is_alive() && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        ensure!(!process.is_alive(), "cannot stop process {} that an earlier run left", process.pid);
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context(format!("delete {}", path.display()))
        }
        _ => Ok(()),
    }
}
