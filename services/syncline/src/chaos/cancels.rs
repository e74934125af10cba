//! How long jobs ran on that somebody asked to cancel while they ran. From what the witness in Postgres saw.

use std::collections::BTreeMap;
use std::time::Duration;

use store::JobChange;
use uuid::Uuid;

use super::faults::Incident;
use super::schedule::{Fault, Link, Slot};
use super::takeovers::{by_job, is_of};

/// A running job that was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cancelled {
    pub job: Uuid,
    /// From the request to the end.
    pub took: Duration,
    /// Whether something that the worker needs for it was broken meanwhile, or within a lease before: the worker itself,
    /// a server, or a connection to one.
    pub disturbed: bool,
}

/// One for each job that ran when somebody first asked, and that was cancelled. `workers` says which process was which.
pub(super) fn cancels(
    incidents: &[Incident],
    changes: &[JobChange],
    workers: &BTreeMap<u32, Slot>,
    lease: Duration,
) -> Vec<Cancelled> {
    let of = |(job, changes): (Uuid, Vec<&JobChange>)| {
        let position = changes.iter().position(|change| change.cancel_requested_at.is_some())?;
        let asked = *changes.get(position).filter(|asked| asked.status == "running")?;
        let end = changes.get(position..)?.iter().find(|change| change.status == "cancelled")?;
        let from = asked.cancel_requested_at?;
        let holder = asked.holder.as_deref()?;
        let slot = workers.iter().find(|(pid, _)| is_of(holder, **pid)).map(|(_, slot)| *slot);
        let disturbs =
            |one: &Incident| concerns(one, slot) && one.begun <= end.at && one.ended + lease >= from;
        let took = (end.at - from).unsigned_abs();
        Some(Cancelled { job, took, disturbed: incidents.iter().any(disturbs) })
    };
    by_job(changes).into_iter().filter_map(of).collect()
}

/// Whether a worker in this place may notice it. If nobody knows the place, it may be any.
fn concerns(incident: &Incident, worker: Option<Slot>) -> bool {
    let is_its = |slot: Slot| worker.is_none_or(|worker| worker == slot);
    match incident.fault {
        Fault::KillNats { .. } | Fault::KillPostgres { .. } | Fault::Wipe => true,
        // It drops what it waits for.
        Fault::Link { link: Link::Vendor, .. } | Fault::Vendor { .. } => false,
        Fault::Link { slot, .. } => slot.is_none_or(is_its),
        Fault::Kill { slot, .. } | Fault::HoldUp { slot, .. } => is_its(slot),
    }
}

#[cfg(test)]
mod tests {
    use time::Duration as Span;

    use super::super::checker::tests::{TOKEN, WORKER, at, change};
    use super::*;
    use crate::roles::Role;

    const LEASE: Duration = Duration::from_secs(6);

    fn slot(number: u16) -> Slot {
        Slot { role: Role::Worker, number }
    }

    /// Claimed at 1, asked to be cancelled at 20 by an ingress, cancelled so long after that.
    fn cancelled(ms: i64) -> Vec<JobChange> {
        let asked = Some(at(20));
        let held = (Some(TOKEN), Some(TOKEN));
        vec![
            change(1, WORKER, "running", (None, Some(TOKEN))),
            JobChange {
                at: at(20),
                cancel_requested_at: asked,
                ..change(2, "syncline-ingress", "running", held)
            },
            JobChange { at: at(20), cancel_requested_at: asked, ..change(3, WORKER, "running", held) },
            JobChange {
                at: at(20) + Span::milliseconds(ms),
                cancel_requested_at: asked,
                ..change(4, WORKER, "cancelled", (Some(TOKEN), None))
            },
        ]
    }

    fn seen(incidents: &[Incident], changes: &[JobChange]) -> Vec<(u128, bool)> {
        let workers = BTreeMap::from([(7, slot(0)), (8, slot(1))]);
        let seen = cancels(incidents, changes, &workers, LEASE);
        seen.into_iter().map(|one| (one.took.as_millis(), one.disturbed)).collect()
    }

    fn incident(fault: Fault, begun: i64, ended: i64) -> Incident {
        Incident { fault, pid: Some(1), begun: at(begun), ended: at(ended) }
    }

    #[test]
    fn a_cancellation_takes_from_the_first_request_to_the_end() {
        assert_eq!(seen(&[], &cancelled(1_500)), [(1_500, false)]);
        let mut waited = cancelled(0);
        waited[1].status = "cancelled".to_owned();
        assert_eq!(seen(&[], &waited[..2]), [], "it did not run");
        assert_eq!(seen(&[], &cancelled(1)[..3]), [], "it did not end");
    }

    #[test]
    fn what_is_broken_of_its_worker_or_the_servers_disturbs_it() {
        let with = |fault, begun, ended| seen(&[incident(fault, begun, ended)], &cancelled(2_000))[0].1;
        let postgres = Fault::KillPostgres { down_ms: 1 };
        assert!(with(postgres, 21, 22) && with(postgres, 13, 14) && with(postgres, 10, 30));
        assert!(!with(postgres, 12, 13), "longer ago than a lease");
        assert!(!with(postgres, 23, 24), "later");
        let hold_up = |number| Fault::HoldUp { slot: slot(number), for_ms: 1 };
        assert!(with(hold_up(0), 21, 22) && !with(hold_up(1), 21, 22), "another worker");
    }
}
