//! Who may send when: the turns of all processes that use an account, in one entry that each of them changes by
//! compare-and-set. Pure: the time is handed in, in milliseconds of the board's clock.
//!
//! A turn is the right to send one request at its time or a little later. Turns are only ever put behind the last one,
//! where every window has room, so whoever wins the race: no window of all turns together holds more than its limit.
//! A turn that nobody uses is merely wasted, so a process that dies with some harms nobody.

use protocol::{BUDGET_VERSION, BudgetEntry, BudgetLimit, BudgetWindow, Turns};

use super::shared_rules::{SharedRules, Window};

/// Turns are taken at most so far ahead.
pub(super) const HORIZON_MS: u64 = 2_000;
/// Two requests of different processes a window apart arrive this much closer together at worst: half of it for clocks
/// that differ, half for answers that are a little late.
pub(super) const MARGIN_MS: u64 = 100;
/// An answer that comes so long after its turn moves the turn: the request may have arrived that late.
pub(super) const LATE_MS: u64 = MARGIN_MS / 2;
/// Of one process alone the exact log in the process keeps the windows.
const ALONE_MARGIN_MS: u64 = 2;
/// How long those who come back after an outage stay on the grid, so that all of them are back.
pub(super) const RESUME_MS: u64 = 3_000;
/// A process that was not heard of for so long does not count any more.
const SEEN_MS: u64 = 60_000;
/// More names are not kept.
const WORKERS_MAX: usize = 128;
/// Turns stay so much longer than the longest window: what the vendor reports is compared with them later.
const KEEP_MS: u64 = 5_000;
/// The longest hold that is believed.
const HOLD_MAX_MS: u64 = 24 * 60 * 60 * 1_000;
/// Requests that may leave together when their turns were not taken before.
const TOGETHER: u64 = 4;

/// What a process has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    /// A turn that was taken and will not be used.
    Unused(u64),
    /// A turn whose request may have arrived that late.
    Moved { from: u64, to: u64 },
    /// Requests that had no turn.
    Added { at: u64, count: u32 },
}

/// What the vendor said of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Observed {
    pub(super) per_ms: u64,
    pub(super) limit: u32,
    pub(super) remaining: u32,
    /// It counted at some moment between these two.
    pub(super) sent_ms: u64,
    pub(super) answered_ms: u64,
}

/// What a process tells and wants.
#[derive(Debug, Clone, Default)]
pub(super) struct Ask {
    pub(super) name: String,
    pub(super) now_ms: u64,
    pub(super) want: u32,
    pub(super) reports: Vec<Report>,
    pub(super) observed: Option<Observed>,
    pub(super) held_until_ms: Option<u64>,
}

/// What it gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// In order.
    pub(super) turns: Vec<u64>,
    /// When to ask for the rest.
    pub(super) again_ms: Option<u64>,
}

impl SharedRules {
    /// Says what the process has to say and takes turns, all in the entry.
    pub(super) fn apply(&self, entry: &mut BudgetEntry, ask: &Ask) -> Taken {
        self.tidy(entry, ask.now_ms);
        entry.workers.insert(ask.name.clone(), ask.now_ms);
        entry.shares_ppm.insert(ask.name.clone(), self.share_ppm());
        if let Some(observed) = ask.observed.filter(|o| self.windows.iter().any(|w| w.per_ms == o.per_ms)) {
            note_limit(&mut entry.reported, observed.into());
        }
        self.in_force(entry.shares_ppm.values(), &entry.reported).take(entry, ask)
    }

    /// By rules that are in force.
    fn take(&self, entry: &mut BudgetEntry, ask: &Ask) -> Taken {
        let now_ms = ask.now_ms;
        for report in &ask.reports {
            self.note(entry, *report);
        }
        if let Some(observed) = ask.observed {
            self.compare(entry, observed);
        }
        if let Some(until) = ask.held_until_ms.filter(|until| *until > now_ms) {
            entry.held_until_ms = Some(entry.held_until_ms.map_or(until, |held| held.max(until)));
        }
        let mut taken = Taken::default();
        let margin_ms = if self.is_alone(entry, ask) { ALONE_MARGIN_MS } else { MARGIN_MS };
        for _ in 0..ask.want {
            let (at, paced) = self.next(entry, now_ms, margin_ms);
            if at > now_ms + HORIZON_MS {
                taken.again_ms = Some(at - HORIZON_MS);
                break;
            }
            if paced && let Some(rule) = self.paced {
                entry.paced_until_us = entry.paced_until_us.max(at * 1_000) + rule.pace_us;
            }
            entry.turns.add(at, 1);
            taken.turns.push(at);
        }
        entry.at_ms = now_ms;
        let windows =
            self.windows.iter().map(|w| BudgetWindow { limit: w.limit, per_ms: w.per_ms, remaining: 0 });
        entry.windows = windows.collect();
        entry.windows = entry.windows_at(now_ms);
        taken
    }

    /// Forgets what is over, and what cannot be: somebody may have written it by hand.
    fn tidy(&self, entry: &mut BudgetEntry, now_ms: u64) {
        let latest = now_ms + 2 * HORIZON_MS + RESUME_MS;
        entry.v = BUDGET_VERSION;
        for turns in [&mut entry.turns, &mut entry.foreign] {
            turns.keep_between(now_ms.saturating_sub(self.longest_ms() + KEEP_MS), latest);
        }
        entry.paced_until_us = entry.paced_until_us.min(latest * 1_000);
        let held = entry.held_until_ms.map(|until| until.min(now_ms + HOLD_MAX_MS));
        entry.held_until_ms = held.filter(|until| *until > now_ms);
        entry.grid_until_ms = entry.grid_until_ms.filter(|until| (now_ms..=latest).contains(until));
        entry.workers.retain(|_, seen| *seen + SEEN_MS > now_ms && *seen <= latest);
        while entry.workers.len() >= WORKERS_MAX {
            entry.workers.pop_first();
        }
        entry.shares_ppm.retain(|name, _| entry.workers.contains_key(name));
        entry.reported.retain(|said| said.at_ms <= latest);
    }

    fn note(&self, entry: &mut BudgetEntry, report: Report) {
        match report {
            Report::Unused(at) => {
                // Its time is over, maybe, but somebody else can be that much earlier.
                if entry.turns.remove(at) {
                    let pace_us = self.paced.map_or(0, |paced| paced.pace_us);
                    entry.paced_until_us = entry.paced_until_us.saturating_sub(pace_us);
                }
            }
            Report::Moved { from, to } => {
                if entry.turns.remove(from) {
                    entry.turns.add(self.round_up(to), 1);
                }
            }
            Report::Added { at, count } => entry.turns.add(self.round_up(at), count),
        }
    }

    /// Others may use the account too. What the vendor counted beyond all turns that may have reached it by then is
    /// theirs; it matters only where it leaves less than is free here, since the vendor may allow more than is used here.
    fn compare(&self, entry: &mut BudgetEntry, observed: Observed) {
        let Observed { per_ms, limit, remaining, sent_ms, answered_ms } = observed;
        let Some(window) = self.windows.iter().find(|window| window.per_ms == per_ms) else { return };
        let (since, until) = (sent_ms.saturating_sub(per_ms + MARGIN_MS), answered_ms + MARGIN_MS);
        let ours_at_most = entry.turns.between(since, until);
        let known = ours_at_most.saturating_add(entry.foreign.between(since, until));
        let unknown = limit.saturating_sub(remaining).saturating_sub(known);
        let too_many = window.limit.saturating_sub(known).saturating_sub(remaining);
        entry.foreign.add(self.round_up(answered_ms), unknown.min(too_many));
    }

    /// Whether all turns of the longest window are this process's.
    fn is_alone(&self, entry: &BudgetEntry, ask: &Ask) -> bool {
        let lately = ask.now_ms.saturating_sub(self.longest_ms() + HORIZON_MS + KEEP_MS);
        entry.workers.iter().all(|(name, seen)| *name == ask.name || *seen < lately)
    }

    /// When the next turn may be, and whether it is a paced one.
    fn next(&self, entry: &BudgetEntry, now_ms: u64, margin_ms: u64) -> (u64, bool) {
        let last = entry.turns.last().unwrap_or(0);
        let mut at = now_ms.max(last);
        if self.spacing_ms > 0 && last > 0 {
            at = at.max(last + self.spacing_ms);
        }
        at = at.max(entry.held_until_ms.unwrap_or(0)).max(entry.grid_until_ms.unwrap_or(0));
        for window in &self.windows {
            at = at.max(free_at(entry, *window, margin_ms));
        }
        let Some(paced) = self.paced else { return (self.round_up(at), false) };
        let since = at.saturating_sub(paced.per_ms);
        if entry.turns.after(since).saturating_add(entry.foreign.after(since)) < paced.burst {
            return (self.round_up(at), false);
        }
        let due_us = entry.paced_until_us.saturating_sub((TOGETHER - 1) * paced.pace_us);
        (self.round_up(at.max(due_us.div_ceil(1_000))), true)
    }

    /// Everybody comes back to a timetable that was not there for a while: until all of them are back, and have said what
    /// they know, no turns are taken. Those who were on the grid go on with it; then all of it counts as used.
    pub(super) fn resume(&self, entry: &mut BudgetEntry, from_grid: bool, now_ms: u64) {
        let until = now_ms + RESUME_MS;
        // The grid keeps its places: nobody could be seen.
        let before_ms = entry.at_ms;
        entry.workers.retain(|_, seen| *seen + SEEN_MS > before_ms);
        entry.workers.values_mut().for_each(|seen| *seen = now_ms);
        let since = now_ms.saturating_sub(self.longest_ms() + MARGIN_MS);
        let grid = std::iter::successors(Some(since), |at| Some(self.grid_turn(*at, (0, 1))));
        for at in grid.skip(1).take_while(|at| from_grid && *at <= until) {
            entry.turns.add(self.round_up(at), 1);
        }
        entry.grid_until_ms = Some(until);
    }
}

impl From<Observed> for BudgetLimit {
    fn from(Observed { per_ms, limit, answered_ms, .. }: Observed) -> Self {
        Self { limit, per_ms, at_ms: answered_ms }
    }
}

/// Of what the vendor said of a window its last word counts.
pub(super) fn note_limit(reported: &mut Vec<BudgetLimit>, said: BudgetLimit) {
    match reported.iter_mut().find(|other| other.per_ms == said.per_ms) {
        Some(other) if other.at_ms > said.at_ms => {}
        Some(other) => *other = said,
        None => reported.push(said),
    }
}

/// When a window has room for one more, behind all turns.
fn free_at(entry: &BudgetEntry, window: Window, margin_ms: u64) -> u64 {
    let mut turns = entry.turns.iter().rev().peekable();
    let mut foreign = entry.foreign.iter().rev().peekable();
    let mut seen: u32 = 0;
    loop {
        let newest = match (turns.peek(), foreign.peek()) {
            (Some(ours), Some(theirs)) if theirs.0 > ours.0 => foreign.next(),
            (None, _) => foreign.next(),
            _ => turns.next(),
        };
        let Some((at, count)) = newest else { return 0 };
        seen = seen.saturating_add(count);
        if seen >= window.limit {
            return at + window.per_ms + margin_ms;
        }
    }
}

/// A place among those who were seen lately, and how many there are.
pub(super) fn place_among(entry: &BudgetEntry, name: &str, now_ms: u64) -> (u64, u64) {
    let lately = |seen: &u64| *seen + SEEN_MS > now_ms;
    let others: Vec<_> =
        entry.workers.iter().filter(|(other, seen)| *other != name && lately(seen)).collect();
    let before = others.iter().filter(|(other, _)| other.as_str() < name).count();
    (before as u64, others.len() as u64 + 1)
}

/// A new entry.
pub(super) fn new_entry(connector: &str, account_id: &str, class: &str, now_ms: u64) -> BudgetEntry {
    BudgetEntry {
        v: BUDGET_VERSION,
        connector_type: connector.to_owned(),
        account_id: account_id.to_owned(),
        class: class.to_owned(),
        created_ms: now_ms,
        at_ms: now_ms,
        turns: Turns::default(),
        ..BudgetEntry::default()
    }
}

#[cfg(test)]
#[path = "timetable_tests.rs"]
mod tests;
