//! What is broken when. Pure: a seed gives a schedule, the same one every time.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::roles::Role;

/// One process of the fleet, whichever process that is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot {
    pub role: Role,
    pub number: u16,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.role, self.number)
    }
}

/// Every process there is.
pub(super) fn slots(of: impl Fn(Role) -> u16) -> Vec<Slot> {
    let roles = [Role::Ingress, Role::Worker, Role::Status, Role::Scheduler];
    roles.into_iter().flat_map(|role| (0..of(role)).map(move |number| Slot { role, number })).collect()
}

/// A connection of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Link {
    Nats,
    Postgres,
    Vendor,
}

/// What is wrong with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Cut,
    Delay { ms: u64 },
    HalfOpen,
}

/// What the vendor does to the next so many requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VendorTrouble {
    Storm { retry_after: Option<u64> },
    Truncated,
    Status(u16),
    Html,
    Late { ms: u64 },
}

/// One thing that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// `kill -9`, and started again after a while.
    Kill { slot: Slot, down_ms: u64 },
    /// SIGSTOP, and SIGCONT after a while.
    HoldUp { slot: Slot, for_ms: u64 },
    /// A connection of one process, or of all.
    Link { link: Link, slot: Option<Slot>, trouble: Trouble, for_ms: u64 },
    /// `kill -9` of a nats-server: of the only one, or of this node of the cluster.
    KillNats { node: usize, down_ms: u64 },
    /// `kill -9` of Postgres.
    KillPostgres { down_ms: u64 },
    /// The whole JetStream store is deleted.
    Wipe,
    /// The next requests of one account, or of any.
    Vendor { trouble: VendorTrouble, portal: Option<u64>, count: u64 },
}

/// A fault and its time, counted from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Planned {
    pub at: Duration,
    pub fault: Fault,
}

/// What there is to break.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub slots: Vec<Slot>,
    pub portals: u64,
    /// How many nats-servers. One is wiped, too; of several one at a time is killed.
    pub nodes: usize,
    /// How long a lease lives: some are held up for longer.
    pub lease_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Kill,
    HoldUp,
    Link,
    Nats,
    Postgres,
    Wipe,
    Vendor,
}

/// How often each kind comes, in milliseconds on average. About one `kill -9` each 6.5 s: 277 in half an hour.
const PERIODS_MS: [(Kind, u64); 7] = [
    (Kind::Kill, 6_500),
    (Kind::HoldUp, 17_000),
    (Kind::Link, 11_000),
    (Kind::Nats, 55_000),
    (Kind::Postgres, 70_000),
    (Kind::Wipe, 80_000),
    (Kind::Vendor, 12_000),
];
/// A cluster goes on without one of its servers: they can be killed more often.
const NODE_PERIOD_MS: u64 = 20_000;
/// The longest that a process is held up.
const HELD_UP_LONG_MS: u64 = 60_000;
/// The first fault: not before the first jobs run.
const QUIET_START_MS: u64 = 2_000;
/// After the end of the last fault: so that there is an end to be seen.
const QUIET_END_MS: u64 = 1_000;
/// Before every second deletion nothing else is broken for so long: effects of before are gone by then.
const CALM_BEFORE_MS: u64 = 5_000;
/// Nor for so long after its begin: it takes 1 to 3 s, and then those who waited have to be picked up.
const CALM_AFTER_MS: u64 = 8_000;
/// A shorter run has no time for calm.
const CALM_FROM: Duration = Duration::from_secs(120);

/// The faults of a run, in order.
pub(super) fn plan(seed: u64, duration: Duration, target: &Target) -> Vec<Planned> {
    let mut rng = StdRng::seed_from_u64(seed);
    let end_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).saturating_sub(QUIET_END_MS);
    let times = times(&mut rng, end_ms, target);
    let calms = if duration < CALM_FROM { Vec::new() } else { calms(&times) };
    let mut planner = Planner { rng, target, end_ms, calms, busy: Vec::new() };
    times.into_iter().filter_map(|(at_ms, kind)| planner.fault(at_ms, kind)).collect()
}

/// When which kind comes. In a short run each comes at least once.
fn times(rng: &mut StdRng, end_ms: u64, target: &Target) -> Vec<(u64, Kind)> {
    let mut times = Vec::new();
    for (kind, period_ms) in PERIODS_MS {
        let period_ms = match kind {
            Kind::Nats if target.nodes > 1 => NODE_PERIOD_MS,
            Kind::Wipe if target.nodes > 1 => continue,
            _ => period_ms,
        };
        let period_ms = period_ms.min(end_ms.saturating_sub(QUIET_START_MS) / 2).max(1);
        let mut at_ms = QUIET_START_MS + rng.random_range(period_ms / 5..=period_ms);
        while at_ms < end_ms {
            times.push((at_ms, kind));
            at_ms += rng.random_range(period_ms / 2..=period_ms * 3 / 2).max(1);
        }
    }
    times.sort_by_key(|(at_ms, _)| *at_ms);
    times
}

/// Around every second deletion, beginning with the first: what it costs shows only if nothing else is broken.
fn calms(times: &[(u64, Kind)]) -> Vec<Range<u64>> {
    let wipes = times.iter().filter(|(_, kind)| *kind == Kind::Wipe).step_by(2);
    wipes.map(|(at_ms, _)| at_ms.saturating_sub(CALM_BEFORE_MS)..at_ms + CALM_AFTER_MS).collect()
}

struct Planner<'a> {
    rng: StdRng,
    target: &'a Target,
    end_ms: u64,
    /// When nothing but the queue's store is broken, in order. A vendor may fail: its faults last for requests.
    calms: Vec<Range<u64>>,
    /// Which process is down or held up until when.
    busy: Vec<(Slot, u64)>,
}

impl Planner<'_> {
    /// `None` if it would disturb a calm, or nothing is left to be broken. What begins before a calm ends before it.
    fn fault(&mut self, at_ms: u64, kind: Kind) -> Option<Planned> {
        let disturbs = !matches!(kind, Kind::Wipe | Kind::Vendor);
        if disturbs && self.calms.iter().any(|calm| calm.contains(&at_ms)) {
            return None;
        }
        let calm_ms = self.calms.iter().map(|calm| calm.start).find(|start_ms| *start_ms > at_ms);
        let until_ms = calm_ms.unwrap_or(self.end_ms).min(self.end_ms);
        let left = until_ms.saturating_sub(at_ms).max(1);
        let fault = match kind {
            Kind::Kill => {
                let down_ms = self.rng.random_range(300..=3_000).min(left);
                Fault::Kill { slot: self.take_slot(at_ms, down_ms)?, down_ms }
            }
            Kind::HoldUp => {
                let long = self.rng.random_bool(0.4);
                let lease_ms = self.target.lease_ms;
                let range = if long { lease_ms + 1_000..=lease_ms + 6_000 } else { 500..=lease_ms / 2 };
                let for_ms = self.rng.random_range(range);
                // Now and then for a minute: it comes back into another world.
                let for_ms =
                    if long && self.rng.random_bool(0.15) { HELD_UP_LONG_MS } else { for_ms }.min(left);
                Fault::HoldUp { slot: self.take_slot(at_ms, for_ms)?, for_ms }
            }
            Kind::Link => self.link(left),
            Kind::Nats => {
                let node = self.rng.random_range(0..self.target.nodes);
                Fault::KillNats { node, down_ms: self.rng.random_range(200..=5_000).min(left) }
            }
            Kind::Postgres => Fault::KillPostgres { down_ms: self.rng.random_range(200..=2_500).min(left) },
            Kind::Wipe => Fault::Wipe,
            Kind::Vendor => self.vendor(),
        };
        Some(Planned { at: Duration::from_millis(at_ms), fault })
    }

    /// A process that runs at this time. Workers are what it is about.
    fn take_slot(&mut self, at_ms: u64, for_ms: u64) -> Option<Slot> {
        self.busy.retain(|(_, until_ms)| *until_ms > at_ms);
        let busy = &self.busy;
        let is_free = |slot: &&Slot| !busy.iter().any(|(one, _)| one == *slot);
        let wants_worker = self.rng.random_bool(0.6);
        let free: Vec<Slot> = self.target.slots.iter().filter(is_free).copied().collect();
        let wanted: Vec<Slot> =
            free.iter().filter(|slot| (slot.role == Role::Worker) == wants_worker).copied().collect();
        let slot = *wanted.choose(&mut self.rng).or_else(|| free.first())?;
        // A moment more: it has to start.
        self.busy.push((slot, at_ms + for_ms + 1_000));
        Some(slot)
    }

    fn link(&mut self, left: u64) -> Fault {
        let slot = self.target.slots.choose(&mut self.rng).copied();
        // Now and then all of them: the server itself is cut off.
        let slot = slot.filter(|_| self.rng.random_bool(0.75));
        let has_vendor = slot.is_none_or(|slot| slot.role == Role::Worker);
        let link = match self.rng.random_range(0..if has_vendor { 3 } else { 2 }) {
            0 => Link::Nats,
            1 => Link::Postgres,
            _ => Link::Vendor,
        };
        let trouble = match self.rng.random_range(0..3) {
            0 => Trouble::Cut,
            1 => Trouble::Delay { ms: self.rng.random_range(20..=400) },
            _ => Trouble::HalfOpen,
        };
        Fault::Link { link, slot, trouble, for_ms: self.rng.random_range(500..=6_000).min(left) }
    }

    fn vendor(&mut self) -> Fault {
        let trouble = match self.rng.random_range(0..8) {
            0..=2 => VendorTrouble::Storm {
                retry_after: self.rng.random_bool(0.5).then(|| self.rng.random_range(1..=3)),
            },
            3..=4 => VendorTrouble::Truncated,
            5 => VendorTrouble::Status(*[500, 502, 503, 423].choose(&mut self.rng).unwrap_or(&500)),
            6 => VendorTrouble::Html,
            _ => VendorTrouble::Late { ms: self.rng.random_range(200..=2_000) },
        };
        let portal = self.rng.random_bool(0.5).then(|| self.rng.random_range(1..=self.target.portals));
        let count = match (portal, trouble) {
            // More in a row would use up all attempts of a job, which is not what it is about.
            (Some(_), VendorTrouble::Storm { .. }) => self.rng.random_range(1..=4),
            (Some(_), _) => self.rng.random_range(1..=2),
            (None, VendorTrouble::Storm { .. }) => self.rng.random_range(10..=60),
            (None, _) => self.rng.random_range(3..=15),
        };
        Fault::Vendor { trouble, portal, count }
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
