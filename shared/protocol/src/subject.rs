//! Subjects and keys. Built and parsed here and nowhere else.

use std::fmt;
use std::str::FromStr;

use crate::{ConnectorName, JobId, Priority, WorkspaceId};

/// Every ticket subject: what the stream `SYNC_JOBS` captures.
pub const JOB_SUBJECTS: &str = "sync.jobs.>";
/// Who publishes a ticket also says so on `sync.fresh.<priority>`.
const FRESH_SUBJECT_PREFIX: &str = "sync.fresh";
/// The job type of a sync.
pub const JOB_TYPE_SYNC: &str = "sync";
/// The KV bucket with the live view of jobs.
pub const PROGRESS_BUCKET: &str = "sync_progress";
/// Progress of a job is republished on `sync.progress.<workspace>.<job>`.
pub const PROGRESS_SUBJECT_PREFIX: &str = "sync.progress";

/// The subject of a ticket: `sync.jobs.<priority>.<workspace>.<job_type>.<scope>`.
///
/// One message a subject, so the subject is what makes a queued job unique for its scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketSubject {
    /// Which lane the ticket waits in.
    pub priority: Priority,
    /// The tenant.
    pub workspace_id: WorkspaceId,
    /// What kind of work: `sync`.
    pub job_type: ConnectorName,
    /// What of the workspace the job occupies: for a sync, the connector.
    pub scope: ConnectorName,
}

impl fmt::Display for TicketSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { priority, workspace_id, job_type, scope } = self;
        write!(f, "sync.jobs.{priority}.{workspace_id}.{job_type}.{scope}")
    }
}

/// Where workers hear of the tickets of a lane as they are published. One subject for all: the server keeps something of
/// each subject that it sees.
pub fn fresh_subject(priority: Priority) -> String {
    format!("{FRESH_SUBJECT_PREFIX}.{priority}")
}

/// A subject that is no ticket subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not of the form sync.jobs.<priority>.<workspace>.<job_type>.<scope>")]
pub struct InvalidSubject(String);

impl FromStr for TicketSubject {
    type Err = InvalidSubject;

    fn from_str(s: &str) -> Result<Self, InvalidSubject> {
        let parse = || {
            let mut tokens = s.strip_prefix("sync.jobs.")?.split('.');
            let subject = Self {
                priority: tokens.next()?.parse().ok()?,
                workspace_id: tokens.next()?.parse().ok()?,
                job_type: tokens.next()?.parse().ok()?,
                scope: tokens.next()?.parse().ok()?,
            };
            tokens.next().is_none().then_some(subject)
        };
        parse().ok_or_else(|| InvalidSubject(s.to_owned()))
    }
}

/// The KV key of a job: `<workspace>.<job>`.
pub fn progress_key(workspace_id: &WorkspaceId, job_id: JobId) -> String {
    format!("{workspace_id}.{job_id}")
}

/// Where a job's progress is republished: `sync.progress.<workspace>.<job>`.
pub fn progress_subject(workspace_id: &WorkspaceId, job_id: JobId) -> String {
    format!("{PROGRESS_SUBJECT_PREFIX}.{workspace_id}.{job_id}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_ticket_subject_survives_the_round_trip(
            priority in prop_oneof![Just(Priority::High), Just(Priority::Normal), Just(Priority::Low)],
            workspace in "[A-Za-z0-9_-]{1,64}", job_type in "[a-z]{1,20}", scope in "[a-z-]{1,20}",
        ) {
            let subject = TicketSubject {
                priority,
                workspace_id: workspace.parse().unwrap(),
                job_type: job_type.parse().unwrap(),
                scope: scope.parse().unwrap(),
            };
            prop_assert_eq!(subject.to_string().parse::<TicketSubject>(), Ok(subject));
        }
    }

    #[test]
    fn a_foreign_subject_is_refused() {
        for bad in
            ["sync.jobs", "sync.jobs.high.a.sync", "sync.jobs.urgent.a.sync.b", "sync.jobs.low.a.sync.b.c"]
        {
            assert!(bad.parse::<TicketSubject>().is_err(), "{bad} was accepted");
        }
    }
}
