//! How long jobs waited: for another worker when theirs died, and for any worker when the queue was gone. From what
//! the witness in Postgres saw; it and we read the same clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use store::JobChange;
use time::OffsetDateTime;
use uuid::Uuid;

use super::faults::Incident;
use super::schedule::{Fault, Link, Slot};
use crate::roles::Role;

/// After an outage, until its effects are gone: reconnecting, redelivery.
pub(super) const AFTER_EFFECT: Duration = Duration::from_secs(3);

/// A job whose worker died or hung, and that another one took over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Takeover {
    pub job: Uuid,
    /// When its worker was killed or held up.
    pub from: OffsetDateTime,
    /// From then until another worker claimed it.
    pub took: Duration,
    /// How long of that Postgres was down or recovered: then nobody can claim anything.
    pub postgres_away: Duration,
    /// Whether more than this worker was broken meanwhile: a server, a connection, or another process.
    pub disturbed: bool,
}

/// The takeovers of all workers that were killed, or held up for so long that they lost their leases.
pub(super) fn takeovers(incidents: &[Incident], changes: &[JobChange], lease: Duration) -> Vec<Takeover> {
    let by_job = by_job(changes);
    let mut all = Vec::new();
    for incident in incidents {
        let (Fault::Kill { slot, .. } | Fault::HoldUp { slot, .. }, Some(pid)) =
            (incident.fault, incident.pid)
        else {
            continue;
        };
        // Who was held up for less went on, and what became of its jobs later has another cause.
        let went_on = matches!(incident.fault, Fault::HoldUp { .. })
            && (incident.ended - incident.begun).unsigned_abs() < lease;
        if slot.role != Role::Worker || went_on {
            continue;
        }
        for (job, changes) in &by_job {
            let Some(position) = changes.iter().rposition(|change| change.at <= incident.begun) else {
                continue;
            };
            let held = changes[position].holder.as_deref().is_some_and(|holder| is_of(holder, pid));
            // The next one to change it: the same worker means that it came back in time.
            let next = changes.get(position + 1).filter(|next| !is_of(&next.writer, pid));
            if let Some(next) = next.filter(|next| held && next.token.is_some()) {
                let took = (next.at - incident.begun).unsigned_abs();
                let disturbed = is_disturbed(incidents, incident, incident.begun, next.at);
                let postgres_away = postgres_away(incidents, incident.begun, next.at);
                all.push(Takeover { job: *job, from: incident.begun, took, postgres_away, disturbed });
            }
        }
    }
    all
}

/// Workers are called `syncline-worker-<host>-<process>`.
pub(super) fn is_of(holder: &str, pid: u32) -> bool {
    holder.rsplit('-').next() == Some(pid.to_string().as_str())
}

pub(super) fn by_job(changes: &[JobChange]) -> BTreeMap<Uuid, Vec<&JobChange>> {
    let mut by_job: BTreeMap<Uuid, Vec<&JobChange>> = BTreeMap::new();
    for change in changes {
        by_job.entry(change.job_id).or_default().push(change);
    }
    by_job
}

/// Whether something that a job needs to be picked up was broken between two moments: a server, a worker that may have
/// got the ticket, a scheduler, or a connection of one of them.
fn is_disturbed(incidents: &[Incident], of: &Incident, from: OffsetDateTime, until: OffsetDateTime) -> bool {
    let takes_part = |slot: Slot| matches!(slot.role, Role::Worker | Role::Scheduler);
    incidents.iter().any(|other| {
        let matters = match other.fault {
            Fault::KillNats { .. } | Fault::KillPostgres { .. } | Fault::Wipe => true,
            Fault::Link { link: Link::Vendor, .. } | Fault::Vendor { .. } => false,
            Fault::Link { slot, .. } => slot.is_none_or(takes_part),
            Fault::Kill { slot, .. } | Fault::HoldUp { slot, .. } => takes_part(slot),
        };
        let is_same = other.fault == of.fault && other.begun == of.begun;
        matters && !is_same && other.begun <= until && other.ended + AFTER_EFFECT >= from
    })
}

/// How long Postgres was down between two moments. It is killed again only after it was back.
fn postgres_away(incidents: &[Incident], from: OffsetDateTime, until: OffsetDateTime) -> Duration {
    let down = incidents.iter().filter(|one| matches!(one.fault, Fault::KillPostgres { .. }));
    let within = down.filter(|one| one.begun < until && one.ended > from);
    within.map(|one| (one.ended.min(until) - one.begun.max(from)).unsigned_abs()).sum()
}

/// What was broken while a job waited for another worker, and from when to when, in seconds after its own died.
pub(super) fn beside(takeover: &Takeover, incidents: &[Incident]) -> String {
    let until = takeover.from + takeover.took;
    let reaches = |one: &&Incident| {
        one.begun <= until && one.ended + AFTER_EFFECT >= takeover.from && !one.is_vendors()
    };
    let since = |at: OffsetDateTime| (at - takeover.from).as_seconds_f64();
    let text = |one: &Incident| {
        let whose = one.whose();
        format!("{}{whose} {:.1}..{:.1}", one.kind(), since(one.begun), since(one.ended))
    };
    incidents.iter().filter(reaches).map(text).collect::<Vec<_>>().join("; ")
}

/// What a deletion of the JetStream store cost the jobs that waited then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wiped {
    /// Jobs that were due and waited when the server was back.
    pub waiting: usize,
    /// From then until the first of them was claimed.
    pub first: Duration,
    /// Until the last of them was.
    pub last: Duration,
    /// Whether more was broken until the last of them was claimed.
    pub disturbed: bool,
}

/// One for each deletion that found jobs waiting.
pub(super) fn wipes(incidents: &[Incident], changes: &[JobChange]) -> Vec<Wiped> {
    let by_job = by_job(changes);
    let wipes = incidents.iter().filter(|incident| incident.fault == Fault::Wipe);
    let of = |wipe: &Incident| {
        let mut waits = BTreeSet::new();
        for changes in by_job.values() {
            let Some(position) = changes.iter().rposition(|change| change.at <= wipe.ended) else { continue };
            let was = changes[position];
            let waited = was.status == "pending" && was.run_at <= wipe.ended;
            if let Some(next) = changes.get(position + 1).filter(|next| waited && next.token.is_some()) {
                waits.insert((next.at - wipe.ended).unsigned_abs());
            }
        }
        let (first, last) = (*waits.first()?, *waits.last()?);
        let disturbed = is_disturbed(incidents, wipe, wipe.ended, wipe.ended + last);
        Some(Wiped { waiting: waits.len(), first, last, disturbed })
    };
    wipes.filter_map(of).collect()
}

/// The value that so many per mille are at or below.
pub(super) fn quantile(sorted: &[Duration], per_mille: usize) -> Option<Duration> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last * per_mille).div_ceil(1_000)).copied()
}

#[cfg(test)]
#[path = "takeovers_tests.rs"]
mod tests;
