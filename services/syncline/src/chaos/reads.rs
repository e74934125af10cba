//! Polls while a server is down: a process that has answered for a job before goes on answering, from memory or from the
//! other server.

use time::OffsetDateTime;
use uuid::Uuid;

use super::faults::Incident;
use super::schedule::{Fault, Link, Slot};
use super::takeovers::AFTER_EFFECT;

/// A poll of a process that had answered for the job before, with no older a revision than was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Read {
    pub at: OffsetDateTime,
    /// When it was answered, or given up.
    pub until: OffsetDateTime,
    pub slot: Slot,
    pub job: Uuid,
    pub answered: bool,
}

/// What was down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Down {
    Postgres,
    /// The only server, or one of the cluster; perhaps without what it had stored.
    Nats,
}

/// Polls while nothing but one server was broken, as far as the process that was asked is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reads {
    pub down: Down,
    pub polls: usize,
    pub unanswered: Vec<Read>,
}

/// By what was down.
pub(super) fn reads(all: &[Read], incidents: &[Incident]) -> [Reads; 2] {
    [Down::Postgres, Down::Nats].map(|down| {
        let of: Vec<Read> =
            all.iter().filter(|read| is_beside_nothing_else(read, down, incidents)).copied().collect();
        let polls = of.len();
        Reads { down, polls, unanswered: of.into_iter().filter(|read| !read.answered).collect() }
    })
}

fn is_beside_nothing_else(read: &Read, down: Down, incidents: &[Incident]) -> bool {
    let is_its = |one: &Incident| of(one.fault) == Some(down);
    let during = |one: &&Incident| is_its(one) && one.begun <= read.at && read.at <= one.ended;
    let disturbs = |one: &&Incident| {
        let concerns_it = match one.fault {
            Fault::Kill { slot, .. } | Fault::HoldUp { slot, .. } => slot == read.slot,
            Fault::Link { link: Link::Vendor, .. } | Fault::Vendor { .. } => false,
            Fault::Link { slot, .. } => slot.is_none_or(|slot| slot == read.slot),
            Fault::KillNats { .. } | Fault::KillPostgres { .. } | Fault::Wipe => !is_its(one),
        };
        concerns_it && one.begun <= read.until && one.ended + AFTER_EFFECT >= read.at
    };
    incidents.iter().any(|one| during(&one)) && !incidents.iter().any(|one| disturbs(&one))
}

fn of(fault: Fault) -> Option<Down> {
    match fault {
        Fault::KillPostgres { .. } => Some(Down::Postgres),
        Fault::KillNats { .. } | Fault::Wipe => Some(Down::Nats),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use time::Duration as Span;

    use super::*;
    use crate::roles::Role;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Span::seconds(seconds)
    }

    fn slot(number: u16) -> Slot {
        Slot { role: Role::Status, number }
    }

    fn incident(fault: Fault, begun: i64, ended: i64) -> Incident {
        Incident { fault, pid: None, begun: at(begun), ended: at(ended) }
    }

    /// How many polls were judged for Postgres and for NATS, of one unanswered poll from 12 to 14 by way of status-0.
    fn judged(incidents: &[Incident]) -> [usize; 2] {
        let read = Read { at: at(12), until: at(14), slot: slot(0), job: Uuid::nil(), answered: false };
        reads(&[read], incidents).map(|of| of.unanswered.len())
    }

    #[test]
    fn a_poll_that_is_not_answered_while_one_server_is_down_is_found() {
        let postgres = incident(Fault::KillPostgres { down_ms: 1 }, 10, 15);
        let nats = incident(Fault::KillNats { node: 0, down_ms: 1 }, 10, 15);
        assert_eq!(judged(std::slice::from_ref(&postgres)), [1, 0]);
        assert_eq!(judged(std::slice::from_ref(&nats)), [0, 1]);
        assert_eq!(judged(&[incident(Fault::Wipe, 10, 15)]), [0, 1]);
        assert_eq!(judged(&[postgres, nats]), [0, 0], "both are down");
        assert_eq!(judged(&[]), [0, 0]);
    }

    #[test]
    fn a_poll_of_a_process_that_is_broken_itself_says_nothing() {
        let with = |fault, begun, ended| {
            let postgres = incident(Fault::KillPostgres { down_ms: 1 }, 10, 15);
            judged(&[postgres, incident(fault, begun, ended)])[0]
        };
        let hold_up = |number| Fault::HoldUp { slot: slot(number), for_ms: 1 };
        assert_eq!(with(hold_up(0), 13, 20), 0);
        assert_eq!(with(hold_up(0), 5, 10), 0, "it has just come back");
        assert_eq!(with(hold_up(0), 5, 8), 1, "it came back long ago");
        assert_eq!(with(hold_up(0), 15, 20), 1, "later");
        assert_eq!(with(hold_up(1), 13, 20), 1, "another process");
        let cut = |slot| Fault::Link {
            link: Link::Nats,
            slot,
            trouble: super::super::schedule::Trouble::Cut,
            for_ms: 1,
        };
        assert_eq!([with(cut(None), 13, 20), with(cut(Some(slot(0))), 13, 20)], [0, 0]);
        assert_eq!(with(cut(Some(slot(1))), 13, 20), 1);
    }
}
