//! Which process is meant: a process id alone is used again by the system.

use std::process::Command;

/// A process id and the moment the process was born.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub pid: u32,
    /// Ticks since boot where `/proc` exists, else the start time as `ps` prints it. Same form as in `watchdog.sh`.
    pub born: String,
}

impl Identity {
    /// The living process with this id; `None` when there is none, or a zombie.
    pub fn of(pid: u32) -> Option<Self> {
        let born = if proc_exists() { born_by_proc(pid) } else { born_by_ps(pid) };
        born.map(|born| Self { pid, born })
    }

    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).is_some_and(|now| now == *self)
    }

    /// `PID BORN`, for a file.
    pub fn to_line(&self) -> String {
        format!("{} {}\n", self.pid, self.born)
    }

    pub fn from_line(line: &str) -> Option<Self> {
        let (pid, born) = line.trim().split_once(' ')?;
        Some(Self { pid: pid.parse().ok()?, born: born.to_owned() })
    }
}

/// The short name of a living process.
pub(crate) fn name_of(pid: u32) -> Option<String> {
    if proc_exists() {
        return Some(std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_owned());
    }
    let path = ps(pid, &["-o", "comm="])?;
    Some(path.rsplit('/').next().unwrap_or(&path).to_owned())
}

/// The full command line of a living process.
pub(crate) fn command_line_of(pid: u32) -> Option<String> {
    if proc_exists() {
        let raw = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&raw).replace('\0', " "));
    }
    ps(pid, &["-o", "args="])
}

fn proc_exists() -> bool {
    std::path::Path::new("/proc/self/stat").exists()
}

fn born_by_proc(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may contain anything; the fields are counted behind it.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

fn born_by_ps(pid: u32) -> Option<String> {
    let line = ps(pid, &["-o", "stat=", "-o", "lstart="])?;
    let mut words = line.split_whitespace();
    if words.next()?.starts_with('Z') {
        return None;
    }
    let born = words.collect::<Vec<_>>().join("_");
    Some(born.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect())
}

fn ps(pid: u32, columns: &[&str]) -> Option<String> {
    let output = Command::new("ps").args(columns).arg("-p").arg(pid.to_string()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!text.is_empty()).then_some(text)
}
