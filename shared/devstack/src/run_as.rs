//! The user a server runs as: Postgres refuses root.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A user without rights that servers started by root run as.
#[derive(Debug, Clone)]
pub(crate) struct RunAs {
    name: &'static str,
    uid: u32,
    gid: u32,
}

impl RunAs {
    /// `None` when we are not root: then servers run as we do.
    pub fn unprivileged() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        for name in ["postgres", "nobody"] {
            if let (Some(uid), Some(gid)) = (id("-u", name), id("-g", name)) {
                return Ok(Some(Self { name, uid, gid }));
            }
        }
        bail!("Postgres does not run as root, and this machine has neither a user `postgres` nor `nobody`")
    }

    pub fn apply(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    pub fn give(&self, path: &Path) -> Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("give {} to user {}", path.display(), self.name))
    }

    /// Root may use directories that this user cannot even pass through.
    pub fn check_reaches(&self, dir: &Path) -> Result<()> {
        let mut test = Command::new("/bin/sh");
        test.args(["-c", "cd / && test -w \"$1\"", "sh"]).arg(dir);
        self.apply(&mut test);
        if test.status().context("run /bin/sh")?.success() {
            return Ok(());
        }
        bail!(
            "Postgres runs as user `{}`, which cannot reach {}: choose a data directory outside of private ones",
            self.name,
            dir.display()
        )
    }
}

fn id(flag: &str, name: &str) -> Option<u32> {
    let output = Command::new("id").args([flag, name]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
