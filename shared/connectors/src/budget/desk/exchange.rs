//! What a process says to the board, and what it makes of the answer.

use std::time::Duration;

use protocol::BudgetEntry;
use tokio::time::Instant;

use super::{Away, Desk, Known};
use crate::budget::board::Posted;
use crate::budget::timetable::{Ask, Report, Taken, new_entry, note_limit};

/// What has to be reported waits so long for other business.
const REPORT_MS: u64 = 500;
/// A board that could not be reached is tried again after so long.
const RETRY: Duration = Duration::from_secs(1);

impl Desk {
    /// When the board has to be talked to; `None` if there is no reason to.
    pub(in crate::budget) fn due(&self, now: Instant) -> Option<Instant> {
        let asked = (self.want > 0).then(|| self.again_ms.map_or(now, |again| self.clock.instant(again)));
        let flush = REPORT_MS.min(self.rules.shortest_ms() / 4);
        let reported = self.reports_since.map(|since| since + Duration::from_millis(flush));
        let held = self.held_until_ms.map(|_| now);
        let due = [asked, reported, held].into_iter().flatten().min()?;
        Some(self.away.map_or(due, |away| due.max(away.retry_at)))
    }

    /// What to say and to ask.
    pub(in crate::budget) fn ask(&self, now: Instant) -> Ask {
        Ask {
            name: self.name.clone(),
            now_ms: self.clock.ms(now),
            want: self.want,
            reports: self.reports.clone(),
            observed: self.observed,
            held_until_ms: self.held_until_ms,
        }
    }

    /// The last known timetable, if it is likely to be the present one: nobody else takes turns.
    pub(in crate::budget) fn likely(&self) -> Option<Known> {
        let known = self.known.as_ref().filter(|_| self.away.is_none())?;
        (known.entry.workers.len() == 1).then(|| known.clone())
    }

    /// Makes sense of what is on the board. Answers the timetable to take turns in, and whether it was changed.
    pub(in crate::budget) fn adopt(&self, posted: &Posted, now: Instant) -> (Known, bool) {
        let now_ms = self.clock.ms(now);
        let revision = posted.revision;
        let read =
            posted.value.as_deref().and_then(|value| serde_json::from_slice::<BudgetEntry>(value).ok());
        let fresh = |known: &&Known| known.entry.at_ms + self.quiet_ms() > now_ms || self.is_on_grid(now);
        let known = self.known.as_ref().filter(fresh);
        let Some(mut entry) = read else {
            // Never there, expired, wiped with the whole store, or spoilt by hand.
            let [connector, account_id, class] = &self.id;
            let mut entry = new_entry(connector, account_id, class, now_ms);
            if let Some(known) = known {
                entry = BudgetEntry { created_ms: now_ms, ..known.entry.clone() };
                self.rules.resume(&mut entry, self.is_on_grid(now), now_ms);
            }
            return (Known { entry, revision }, true);
        };
        let mut changed = false;
        if let Some(known) = known
            && known.entry.created_ms != entry.created_ms
        {
            // Somebody else made it again, who may have known less.
            entry.turns.merge(&known.entry.turns);
            entry.foreign.merge(&known.entry.foreign);
            known.entry.reported.iter().for_each(|said| note_limit(&mut entry.reported, *said));
            entry.held_until_ms = entry.held_until_ms.max(known.entry.held_until_ms);
            changed = true;
        }
        if self.away.is_some() {
            let in_use = entry.at_ms + self.rules.longest_ms() > now_ms;
            if !in_use {
                // Others were cut off, too, and may be on the grid.
                self.rules.resume(&mut entry, true, now_ms);
                changed = true;
            } else if entry.grid_until_ms.is_none_or(|until| until <= now_ms) {
                // Others went on with it meanwhile.
                self.off_grid.iter().for_each(|at| entry.turns.add(*at, 1));
                changed |= !self.off_grid.is_empty();
            }
        }
        (Known { entry, revision }, changed)
    }

    /// The board's clock showed `ms` when it stored what was sent and acknowledged at these moments. What was noted by
    /// this machine's clock before is put right.
    pub(in crate::budget) fn compare_clocks(&mut self, sent: Instant, acknowledged: Instant, ms: u64) {
        let before = self.clock.ms(acknowledged);
        self.clock.compare(sent, acknowledged, ms);
        let after = self.clock.ms(acknowledged);
        let put_right = |at: &mut u64| *at = at.saturating_add(after).saturating_sub(before);
        for report in &mut self.reports {
            match report {
                Report::Added { at, .. } | Report::Moved { to: at, .. } => put_right(at),
                Report::Unused(_) => {}
            }
        }
        self.held_until_ms.iter_mut().for_each(put_right);
        self.off_grid.iter_mut().for_each(put_right);
        put_right(&mut self.last_grid_ms);
        // `grid_until_ms` is not this machine's: it came with an entry, in the board's time.
    }

    /// What was asked is in the timetable.
    pub(in crate::budget) fn commit(&mut self, ask: &Ask, taken: Taken, known: Known, now: Instant) {
        self.reports.drain(..ask.reports.len().min(self.reports.len()));
        self.reports_since = (!self.reports.is_empty()).then_some(now);
        if self.observed == ask.observed {
            self.observed = None;
        }
        if self.held_until_ms == ask.held_until_ms {
            self.held_until_ms = None;
        }
        if self.away.is_some() && self.is_on_grid(now) {
            self.grid_until_ms = known.entry.grid_until_ms.unwrap_or(0);
        }
        self.away = None;
        self.off_grid.clear();
        self.known = Some(known);
        self.set_rules();
        self.again_ms = taken.again_ms;
        let got = u32::try_from(taken.turns.len()).unwrap_or(u32::MAX);
        self.want = self.want.saturating_sub(got);
        self.turns.extend(taken.turns);
    }

    /// Too many others were faster.
    pub(in crate::budget) fn try_again(&mut self, wait: Duration, now: Instant) {
        self.again_ms = Some(self.clock.ms(now + wait));
    }

    /// The board could not be reached.
    pub(in crate::budget) fn went_away(&mut self, now: Instant) {
        let since = self.away.map_or(now, |away| away.since);
        self.away = Some(Away { since, retry_at: now + RETRY });
    }
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
