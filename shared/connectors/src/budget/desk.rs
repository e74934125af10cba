//! What a process knows of a budget that it shares: the turns it has, what it has to report, and whether the board can
//! be reached. Decides what a caller waits for, and in `exchange.rs` what is said to the board; talks to nobody.

mod exchange;

use std::collections::VecDeque;
use std::time::Duration;

use protocol::BudgetEntry;
use tokio::time::Instant;

use super::clock::BoardClock;
use super::quota_share::QuotaShare;
use super::shared_rules::SharedRules;
use super::state::Reported;
use super::timetable::{HORIZON_MS, LATE_MS, MARGIN_MS, Observed, Report, note_limit, place_among};

/// Further turns are taken when the last one is that near.
const LEAD_MS: u64 = 250;
/// Of how many processes one believes to be, if it never saw the timetable.
const UNKNOWN_PROCESSES: u64 = 8;
/// Reports beyond this, of a long outage, are of turns that are over.
const REPORTS_MAX: usize = 10_000;

/// The right to send one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    /// A turn of the timetable.
    Turn(u64),
    /// One of the grid, while the board cannot be reached.
    Grid(u64),
}

/// What a caller finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// A request may be sent. Nothing is taken yet: see [`Desk::take`].
    Now(Right),
    /// Not before then, as it seems.
    At(Instant),
    /// The board's answer will tell.
    Unknown,
}

/// The last known timetable.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) entry: BudgetEntry,
    pub(super) revision: u64,
}

/// What this process knows.
#[derive(Debug)]
pub(super) struct Desk {
    name: String,
    id: [String; 3],
    /// As far as it is known which are in force.
    pub(super) rules: SharedRules,
    pub(super) clock: BoardClock,
    turns: VecDeque<u64>,
    want: u32,
    again_ms: Option<u64>,
    reports: Vec<Report>,
    reports_since: Option<Instant>,
    observed: Option<Observed>,
    /// To be told.
    held_until_ms: Option<u64>,
    known: Option<Known>,
    away: Option<Away>,
    /// Back from an outage, and still on the grid.
    grid_until_ms: u64,
    last_grid_ms: u64,
    /// Requests of the last window that were sent off the grid.
    off_grid: VecDeque<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Away {
    since: Instant,
    retry_at: Instant,
}

impl Desk {
    pub(super) fn new(name: String, id: [String; 3], rules: SharedRules, now: Instant) -> Self {
        Self {
            name,
            id,
            rules,
            clock: BoardClock::new(now),
            turns: VecDeque::new(),
            want: 0,
            again_ms: None,
            reports: Vec::new(),
            reports_since: None,
            observed: None,
            held_until_ms: None,
            known: None,
            away: None,
            grid_until_ms: 0,
            last_grid_ms: 0,
            off_grid: VecDeque::new(),
        }
    }

    /// What the first of so many callers finds. Further turns are asked for if there are too few.
    pub(super) fn look(&mut self, now: Instant, waiting: usize) -> Look {
        let now_ms = self.clock.ms(now);
        self.drop_old(now, now_ms);
        self.want_more(now_ms, waiting);
        let turn = self.turns.front().map(|at| (*at, Right::Turn(*at)));
        let grid = self.grid_turn(now, now_ms).map(|at| (at, Right::Grid(at)));
        match turn.into_iter().chain(grid).min_by_key(|(at, _)| *at) {
            Some((at, right)) if at <= now_ms => Look::Now(right),
            Some((at, _)) => Look::At(self.clock.instant(at)),
            None => match (self.away, self.again_ms) {
                (Some(away), _) => Look::At(away.since + self.quiet()),
                (None, Some(again_ms)) if again_ms + HORIZON_MS > now_ms => {
                    Look::At(self.clock.instant(again_ms + HORIZON_MS))
                }
                (None, _) => Look::Unknown,
            },
        }
    }

    /// The request is about to be sent.
    pub(super) fn take(&mut self, right: Right) {
        match right {
            Right::Turn(at) => {
                if let Some(place) = self.turns.iter().position(|turn| *turn == at) {
                    self.turns.remove(place);
                }
            }
            Right::Grid(at) => {
                self.last_grid_ms = self.last_grid_ms.max(at);
                self.off_grid.push_back(at);
                let since = at.saturating_sub(self.rules.longest_ms() + MARGIN_MS);
                while self.off_grid.front().is_some_and(|sent| *sent < since) {
                    self.off_grid.pop_front();
                }
            }
        }
    }

    /// The request arrived at `gone` at the latest.
    pub(super) fn finish(&mut self, right: Right, gone: Instant, now: Instant) {
        let gone_ms = self.clock.ms(gone);
        if let Right::Turn(at) = right
            && gone_ms > at + LATE_MS
        {
            self.report(Report::Moved { from: at, to: gone_ms }, now);
        }
    }

    /// What the vendor said in an answer.
    pub(super) fn observe(&mut self, reported: Reported, sent: Instant, now: Instant) {
        let per_ms = u64::try_from(reported.per.as_millis()).unwrap_or(u64::MAX);
        let Reported { limit, remaining, .. } = reported;
        let (sent_ms, answered_ms) = (self.clock.ms(sent), self.clock.ms(now));
        self.observed = Some(Observed { per_ms, limit, remaining, sent_ms, answered_ms });
        self.set_rules();
    }

    /// From now on this process is to use that share.
    pub(super) fn set_share(&mut self, share: QuotaShare) {
        self.rules.set_share(share);
        self.set_rules();
    }

    /// By all that is known.
    fn set_rules(&mut self) {
        let entry = self.known.as_ref().map(|known| &known.entry);
        let others = entry.into_iter().flat_map(|entry| &entry.shares_ppm);
        let others = others.filter(|(name, _)| **name != self.name).map(|(_, share)| share);
        let mut reported = entry.map(|entry| entry.reported.clone()).unwrap_or_default();
        if let Some(observed) = self.observed {
            note_limit(&mut reported, observed.into());
        }
        self.rules = self.rules.in_force(others, &reported);
    }

    /// Everybody has to leave the vendor alone.
    pub(super) fn hold(&mut self, wait: Duration, now: Instant) {
        let until = self.clock.ms(now + wait);
        self.held_until_ms = Some(self.held_until_ms.map_or(until, |held| held.max(until)));
    }

    /// How long the vendor wants to be left alone, as somebody else was told.
    pub(super) fn held_for(&self, now: Instant) -> Duration {
        let until = self.known.as_ref().and_then(|known| known.entry.held_until_ms);
        Duration::from_millis(until.unwrap_or(0).saturating_sub(self.clock.ms(now)))
    }

    pub(super) fn report(&mut self, report: Report, now: Instant) {
        if self.reports.len() < REPORTS_MAX {
            self.reports.push(report);
            self.reports_since.get_or_insert(now);
        }
    }

    /// Whether forgetting it would change nothing.
    pub(super) fn is_idle(&mut self, now: Instant) -> bool {
        self.drop_old(now, self.clock.ms(now));
        // What is known of the others is what it needs while the board is away.
        let is_quiet = self.turns.is_empty() && self.reports.is_empty() && self.away.is_none();
        is_quiet && self.held_until_ms.is_none()
    }

    pub(super) fn is_away(&self) -> bool {
        self.away.is_some()
    }

    /// Turns that nobody took in time are given back, unless they are out of every window anyway.
    fn drop_old(&mut self, now: Instant, now_ms: u64) {
        let late_max = (self.rules.shortest_ms() / 10).clamp(100, 1_000);
        while let Some(at) = self.turns.front().copied().filter(|at| at + late_max < now_ms) {
            self.turns.pop_front();
            if at + self.rules.longest_ms() + MARGIN_MS > now_ms {
                self.report(Report::Unused(at), now);
            }
        }
    }

    fn want_more(&mut self, now_ms: u64, waiting: usize) {
        let missing = waiting.saturating_sub(self.turns.len());
        let near = self.turns.back().is_none_or(|at| *at < now_ms + LEAD_MS);
        if missing > 0 && near {
            // One more, so that whoever comes next finds it here.
            let wanted = u32::try_from(missing).unwrap_or(u32::MAX).saturating_add(1);
            self.want = wanted.min(self.rules.at_a_time());
        }
    }

    /// After so long without the board nobody has a turn left, and all that were used are out of every window. Who is
    /// alone knows that without waiting.
    fn quiet(&self) -> Duration {
        let is_alone = self.place().1 == 1;
        Duration::from_millis(if is_alone { 0 } else { self.quiet_ms() })
    }

    fn quiet_ms(&self) -> u64 {
        self.rules.longest_ms() + HORIZON_MS + 1_000 + MARGIN_MS
    }

    fn is_on_grid(&self, now: Instant) -> bool {
        match self.away {
            Some(away) => now >= away.since + self.quiet() || self.clock.ms(now) < self.grid_until_ms,
            None => self.clock.ms(now) < self.grid_until_ms,
        }
    }

    fn grid_turn(&self, now: Instant, now_ms: u64) -> Option<u64> {
        if !self.is_on_grid(now) {
            return None;
        }
        let after = self.last_grid_ms.max(now_ms.saturating_sub(LATE_MS));
        let next = self.rules.grid_turn(after, self.place());
        let until = if self.away.is_some() { u64::MAX } else { self.grid_until_ms };
        Some(next).filter(|at| *at <= until)
    }

    /// Its place on the grid, and among how many.
    fn place(&self) -> (u64, u64) {
        match &self.known {
            // As it was at the last contact: all who are cut off must agree.
            Some(known) => place_among(&known.entry, &self.name, known.entry.at_ms),
            None => {
                let sum = self.name.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
                (sum % UNKNOWN_PROCESSES, UNKNOWN_PROCESSES)
            }
        }
    }
}
