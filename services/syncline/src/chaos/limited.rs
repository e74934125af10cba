//! Answers of 429 that no storm gave: whose, when, and what was broken so shortly before that it may explain them.

use std::time::Duration;

use lab::{Class, Refused};
use time::OffsetDateTime;

use super::faults::Incident;
use super::schedule::{Fault, Link, VendorTrouble};
use crate::roles::Role;

/// The vendor's longest window but the day, and a little.
const WITHIN: Duration = Duration::from_secs(12);

/// Three in ten thousand, rounded up: a short run may have one.
pub(super) fn allowed(requests: u64) -> u64 {
    (requests * 3).div_ceil(10_000)
}

/// One line: the account, the time, the limit, and what may explain it with its times in seconds before.
pub(super) fn explained(refused: &Refused, incidents: &[Incident]) -> String {
    let Refused { at_us, portal, class } = refused;
    let Ok(at) = OffsetDateTime::from_unix_timestamp_nanos(i128::from(*at_us) * 1_000) else {
        return format!("account {portal}");
    };
    let near = incidents.iter().filter(|one| may_explain(one) && one.begun <= at && one.ended + WITHIN >= at);
    let since = |then: OffsetDateTime| (then - at).as_seconds_f64();
    let text = |one: &Incident| {
        format!("{}{} {:.1}..{:.1} s", one.kind(), one.whose(), since(one.begun), since(one.ended).min(0.0))
    };
    let near: Vec<String> = near.map(text).collect();
    let what = if near.is_empty() { "nothing broken explains it".to_owned() } else { near.join("; ") };
    let limit = match class {
        Class::Objects => "in 10 s",
        Class::Search => "searches in 1 s",
    };
    let (hour, minute, second) = at.time().as_hms();
    format!("account {portal} at {hour:02}:{minute:02}:{second:02} UTC, {limit}: {what}")
}

/// Whether requests may arrive later than their turns by it, or processes not know of each other.
fn may_explain(incident: &Incident) -> bool {
    match incident.fault {
        Fault::Kill { slot, .. } | Fault::HoldUp { slot, .. } => slot.role == Role::Worker,
        Fault::Link { link, slot, .. } => {
            link != Link::Postgres && slot.is_none_or(|slot| slot.role == Role::Worker)
        }
        Fault::KillNats { .. } | Fault::Wipe => true,
        Fault::Vendor { trouble, .. } => matches!(trouble, VendorTrouble::Late { .. }),
        Fault::KillPostgres { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use time::Duration as Span;

    use super::super::schedule::Slot;
    use super::*;

    #[test]
    fn three_in_ten_thousand_are_allowed_rounded_up() {
        let cases = [(0, 0), (1, 1), (3_333, 1), (3_334, 2), (10_000, 3), (10_001, 4), (241_895, 73)];
        for (requests, most) in cases {
            assert_eq!(allowed(requests), most, "{requests}");
        }
    }

    #[test]
    fn a_429_is_told_with_what_was_broken_shortly_before() {
        let at = |seconds| OffsetDateTime::UNIX_EPOCH + Span::seconds(seconds);
        let refused = Refused { at_us: 100_000_000, portal: 7, class: Class::Search };
        let held_up = |role, begun, ended| {
            let fault = Fault::HoldUp { slot: Slot { role, number: 2 }, for_ms: 1 };
            let incident = Incident { fault, pid: Some(1), begun: at(begun), ended: at(ended) };
            explained(&refused, &[incident])
        };
        let line = "account 7 at 00:01:40 UTC, searches in 1 s: ";
        let worker = held_up(Role::Worker, 80, 90);
        assert_eq!(worker, format!("{line}SIGSTOP and SIGCONT worker-2 -20.0..-10.0 s"));
        for none in
            [held_up(Role::Worker, 80, 87), held_up(Role::Worker, 101, 102), held_up(Role::Status, 80, 99)]
        {
            assert_eq!(none, format!("{line}nothing broken explains it"));
        }
    }
}
