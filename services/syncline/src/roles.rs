//! The roles of a process.

use std::fmt;

/// What a process can do. `up` does all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub(crate) enum Role {
    Ingress,
    Worker,
    Status,
    Scheduler,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Worker => "worker",
            Self::Status => "status",
            Self::Scheduler => "scheduler",
        })
    }
}
