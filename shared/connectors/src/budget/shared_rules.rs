//! What of a class's rules is shared with other processes.

use std::time::Duration;

use protocol::BudgetLimit;

use super::quota_share::QuotaShare;
use super::rules::ClassRules;
use super::timetable::MARGIN_MS;

/// Windows longer than this (a daily limit) are not in the timetable: each process counts its own requests, and the
/// vendor's refusal holds all of them.
const PER_MAX: Duration = Duration::from_secs(60);
/// A larger limit is none, and costs nothing.
const LIMIT_MAX: u32 = 100_000;
/// So many different moments are in a window at most; the times of turns are rounded up accordingly.
const MOMENTS_MAX: u64 = 1_000;
/// Turns are taken for so long in advance, if that many are waited for.
const AHEAD: Duration = Duration::from_millis(500);

/// What is shared of a class's rules, as it is in force. `windows` is not empty.
#[derive(Debug, Clone)]
pub(super) struct SharedRules {
    /// All that is allowed, of what is shared, and the share that this process is to use.
    whole: ClassRules,
    pub(super) windows: Vec<Window>,
    pub(super) spacing_ms: u64,
    pub(super) paced: Option<Paced>,
    /// Times of turns are multiples of it.
    pub(super) quantum_ms: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) limit: u32,
    pub(super) per_ms: u64,
}

/// Above how many turns in a window they are spread, and how far apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paced {
    pub(super) per_ms: u64,
    pub(super) burst: u32,
    pub(super) pace_us: u64,
}

impl SharedRules {
    /// `None` if nothing of it can be shared, or has to be.
    pub(super) fn new(rules: &ClassRules) -> Option<Self> {
        let mut whole = rules.clone();
        whole.windows.retain(|window| window.per <= PER_MAX && window.limit <= LIMIT_MAX);
        (!whole.windows.is_empty()).then(|| Self::of(whole.clone(), whole.share, &[]))
    }

    fn of(whole: ClassRules, share: QuotaShare, reported: &[BudgetLimit]) -> Self {
        let said = |per| reported.iter().find(|said| said.per_ms == ms(per)).map(|said| said.limit);
        let rules = whole.in_force(share, said);
        let longest = rules.windows.iter().map(|w| ms(w.per)).max().unwrap_or(0);
        let limit = rules.windows.iter().map(|w| w.limit).max().unwrap_or(0);
        let paced = rules.paced_window().filter(|_| rules.spacing.is_zero()).and_then(|index| {
            let rule = rules.windows.get(index)?;
            let pace_us = u64::try_from(rule.pace().as_micros()).unwrap_or(u64::MAX);
            Some(Paced { per_ms: ms(rule.per), burst: rules.burst.unwrap_or(rule.limit / 3), pace_us })
        });
        let quantum_ms = if u64::from(limit) <= MOMENTS_MAX { 1 } else { longest.div_ceil(MOMENTS_MAX) };
        let windows = rules.windows.iter().map(|w| Window { limit: w.limit.max(1), per_ms: ms(w.per) });
        Self { windows: windows.collect(), spacing_ms: ms(rules.spacing), paced, quantum_ms, whole }
    }

    /// From now on this process is to use that share. Until [`SharedRules::in_force`] nothing else changes.
    pub(super) fn set_share(&mut self, share: QuotaShare) {
        self.whole.share = share;
    }

    /// In millionths, for others.
    pub(super) fn share_ppm(&self) -> u32 {
        self.whole.share.millionths()
    }

    /// The rules that are in force between processes which were told to use these shares, of which the smallest counts,
    /// and what the vendor reports.
    pub(super) fn in_force<'a>(
        &self,
        shares: impl Iterator<Item = &'a u32>,
        reported: &[BudgetLimit],
    ) -> Self {
        let smallest = shares.copied().map(QuotaShare::from_millionths).min();
        let share = smallest.map_or(self.whole.share, |others| others.min(self.whole.share));
        Self::of(self.whole.clone(), share, reported)
    }

    pub(super) fn longest_ms(&self) -> u64 {
        self.windows.iter().map(|window| window.per_ms).max().unwrap_or(0)
    }

    pub(super) fn shortest_ms(&self) -> u64 {
        self.windows.iter().map(|window| window.per_ms).min().unwrap_or(0)
    }

    /// So many turns are taken at a time at most: as many as are used up in [`AHEAD`] at the even rate.
    pub(super) fn at_a_time(&self) -> u32 {
        let rate = |w: &Window| u64::from(w.limit) * ms(AHEAD) / w.per_ms.max(1);
        let least = self.windows.iter().map(rate).min().unwrap_or(0);
        u32::try_from(least.clamp(1, MOMENTS_MAX)).unwrap_or(1)
    }

    /// The time between two turns of the grid, on which no window overflows.
    fn grid_ms(&self) -> u64 {
        let even = self.windows.iter().map(|w| (w.per_ms + MARGIN_MS).div_ceil(w.limit.into()));
        even.max().unwrap_or(1).max(self.spacing_ms).max(1)
    }

    /// The first turn after a moment of one of `n` who share the grid: each has every n-th.
    pub(super) fn grid_turn(&self, after_ms: u64, (place, n): (u64, u64)) -> u64 {
        let (n, grid) = (n.max(1), self.grid_ms());
        let number = after_ms / grid + 1;
        let ahead = (place + n - number % n) % n;
        (number + ahead) * grid
    }

    /// The time that a turn due then has.
    pub(super) fn round_up(&self, at_ms: u64) -> u64 {
        at_ms.div_ceil(self.quantum_ms) * self.quantum_ms
    }
}

pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
