//! The ticket: a JetStream message that says "this job wants a worker". It carries no truth, only a pointer.

use serde::{Deserialize, Serialize};

use crate::{ConnectorName, JobId, Priority, TicketSubject, WorkspaceId};

/// The version this build writes.
pub const TICKET_VERSION: u32 = 1;

/// The payload of a message on `sync.jobs.>`.
///
/// Unknown fields are ignored, so that a newer ingress can talk to an older worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    /// [`TICKET_VERSION`].
    pub v: u32,
    /// The job that wants a worker.
    pub job_id: JobId,
    /// Counts the tickets of the job, from 1. Part of the message id: JetStream remembers ids after the
    /// message is gone, so each ticket needs a new one.
    pub ticket_no: i32,
    /// The tenant.
    pub workspace_id: WorkspaceId,
    /// `sync`.
    pub job_type: ConnectorName,
    /// For a sync, the connector.
    pub scope: ConnectorName,
    /// The lane.
    pub priority: Priority,
}

impl Ticket {
    /// The value of `Nats-Msg-Id`.
    pub fn message_id(&self) -> String {
        format!("{}-{}", self.job_id, self.ticket_no)
    }

    /// Where the ticket is published.
    pub fn subject(&self) -> TicketSubject {
        TicketSubject {
            priority: self.priority,
            workspace_id: self.workspace_id.clone(),
            job_type: self.job_type.clone(),
            scope: self.scope.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_format_of_a_ticket_is_frozen() {
        let wire = r#"{"v":1,"jobId":"01890a5d-ac96-774b-bcce-b302099a8057","ticketNo":2,"workspaceId":"acme","jobType":"sync","scope":"hubspot","priority":"normal"}"#;
        let ticket: Ticket = serde_json::from_str(wire).unwrap();
        assert_eq!(serde_json::to_string(&ticket).unwrap(), wire);
        assert_eq!(ticket.message_id(), "01890a5d-ac96-774b-bcce-b302099a8057-2");
        assert_eq!(ticket.subject().to_string(), "sync.jobs.normal.acme.sync.hubspot");
    }

    #[test]
    fn a_field_of_a_newer_version_is_ignored() {
        let wire = r#"{"v":1,"jobId":"01890a5d-ac96-774b-bcce-b302099a8057","ticketNo":1,"workspaceId":"a","jobType":"sync","scope":"b","priority":"low","new":true}"#;
        assert!(serde_json::from_str::<Ticket>(wire).is_ok());
    }
}
