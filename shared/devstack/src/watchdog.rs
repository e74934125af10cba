//! Starts `watchdog.sh`, which stops the servers when their owner is gone, even by `kill -9`.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::identity::Identity;

const SCRIPT: &str = include_str!("watchdog.sh");

/// In the data directory: which process its watchdog is.
pub(crate) const IDENTITY_FILE: &str = "watchdog.pid";

/// Whose end is the servers' end.
#[derive(Debug, Clone)]
pub(crate) enum Owner {
    /// This process, or whoever drops the stack.
    Us,
    /// Another process, which outlives this one.
    Other(Identity),
}

/// The watchdog's end of the pipe. Closing it sets the watchdog to work.
pub(crate) struct Watchdog {
    child: Option<Child>,
    pipe: Mutex<Option<ChildStdin>>,
}

impl Watchdog {
    /// For the servers of `dir`. `remove` is deleted when they are gone.
    pub fn start(dir: &Path, remove: Option<&Path>, owner: &Owner) -> Result<Self> {
        // As a file, for whoever meets it in `ps`.
        let script = dir.join("watchdog.sh");
        fs::write(&script, SCRIPT).context("write the watchdog's script")?;
        let mut command = Command::new("/bin/sh");
        command.arg(script);
        command.arg(remove.unwrap_or(Path::new("")));
        if let Owner::Other(owner) = owner {
            command.arg(owner.pid.to_string()).arg(&owner.born);
        } else {
            command.args(["", ""]);
        }
        // Null, not inherited: whoever reads our output must not wait for the watchdog to close it.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Its own group: Ctrl-C in the terminal is for us.
        command.process_group(0).current_dir("/");
        let mut child = command.spawn().context("start the watchdog (/bin/sh)")?;
        let pipe = Mutex::new(child.stdin.take());
        let identity = Identity::of(child.id());
        let watchdog = Self { child: Some(child), pipe };
        if let Some(identity) = identity {
            fs::write(dir.join(IDENTITY_FILE), identity.to_line()).context("write who the watchdog is")?;
        }
        Ok(watchdog)
    }

    /// From now on the watchdog stops this server, with this signal first.
    pub fn watch(&self, pid: u32, polite: &str) -> Result<()> {
        self.say(&format!("watch {pid} {polite}\n")).context("the watchdog is gone")
    }

    /// The server is gone; its id may soon be another process's.
    pub fn forget(&self, pid: u32) {
        if let Err(error) = self.say(&format!("forget {pid}\n")) {
            tracing::debug!(%error, "the watchdog is gone");
        }
    }

    /// Sets the watchdog to work; the child is to be waited for.
    pub fn release(&mut self) -> Option<Child> {
        self.pipe.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        self.child.take()
    }

    fn say(&self, line: &str) -> std::io::Result<()> {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let pipe = pipe.as_mut().ok_or(std::io::ErrorKind::BrokenPipe)?;
        pipe.write_all(line.as_bytes())
    }
}
