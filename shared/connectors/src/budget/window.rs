//! One window of a limit, as an exact log. Pure: the time is handed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Added to every slot's time, because vendors count in whole milliseconds and may count both ends of a window.
const EDGE: Duration = Duration::from_millis(2);

/// "At most `limit` requests in any `per`", kept so that the vendor can never see more.
///
/// A slot is occupied from sending until the answer plus `per`. The vendor counts a request when it arrives, which
/// is somewhere between sending and the answer. So whoever gets the freed slot arrives at least `per` after the one who
/// had it, whatever the network does to either; any rolling window of arrivals holds at most `limit`.
/// The price is one latency a window. A token bucket of burst `b` and rate `r` would let `b + r * per` through.
#[derive(Debug)]
pub(super) struct WindowLog {
    limit: u32,
    per: Duration,
    in_flight: u32,
    /// When the slots of answered requests become free, in order.
    releases: VecDeque<Instant>,
}

impl WindowLog {
    pub(super) fn new(limit: u32, per: Duration) -> Self {
        Self { limit: limit.max(1), per, in_flight: 0, releases: VecDeque::new() }
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    pub(super) fn per(&self) -> Duration {
        self.per
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Slots occupied at `now`.
    pub(super) fn used(&mut self, now: Instant) -> u32 {
        while self.releases.front().is_some_and(|release| *release <= now) {
            self.releases.pop_front();
        }
        self.in_flight.saturating_add(u32::try_from(self.releases.len()).unwrap_or(u32::MAX))
    }

    /// Slots free at `now`.
    pub(super) fn free(&mut self, now: Instant) -> u32 {
        let used = self.used(now);
        self.limit.saturating_sub(used)
    }

    /// When the next slot is free, if none is now: `None` means that only an answer can tell.
    pub(super) fn next_free(&mut self, now: Instant) -> Option<Instant> {
        // Usually the first release; a later one after the limit was lowered.
        let releases_needed = self.used(now).saturating_sub(self.limit).saturating_add(1);
        self.releases.get(releases_needed.saturating_sub(1) as usize).copied()
    }

    /// A request is about to be sent.
    pub(super) fn start(&mut self) {
        self.in_flight = self.in_flight.saturating_add(1);
    }

    /// A request will not arrive at the vendor any more after `now`.
    pub(super) fn finish(&mut self, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.occupy(now);
    }

    /// Accounts for requests of somebody else that the vendor has counted until `now`.
    pub(super) fn add_foreign(&mut self, count: u32, now: Instant) {
        for _ in 0..count.min(self.limit) {
            self.occupy(now);
        }
    }

    /// From now on another limit holds; whether it is another.
    pub(super) fn set_limit(&mut self, limit: u32) -> bool {
        std::mem::replace(&mut self.limit, limit.max(1)) != self.limit
    }

    fn occupy(&mut self, counted_until: Instant) {
        let release = counted_until + self.per + EDGE;
        let place = self.releases.partition_point(|other| *other <= release);
        self.releases.insert(place, release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_slot_is_free_again_one_window_after_the_answer_and_not_after_sending() {
        let start = Instant::now();
        let mut window = WindowLog::new(1, 10 * SECOND);
        window.start();
        assert_eq!(window.free(start), 0);
        assert_eq!(window.next_free(start), None, "only the answer can tell");
        window.finish(start + 3 * SECOND);
        assert_eq!(window.free(start + 12 * SECOND), 0);
        assert_eq!(window.next_free(start + 12 * SECOND), Some(start + 13 * SECOND + EDGE));
        assert_eq!(window.free(start + 14 * SECOND), 1);
    }

    #[test]
    fn a_request_that_was_given_up_later_than_another_was_answered_keeps_its_slot_longer() {
        let start = Instant::now();
        let mut window = WindowLog::new(2, SECOND);
        window.start();
        window.start();
        window.finish(start + 2 * SECOND);
        window.finish(start);
        assert_eq!(window.next_free(start), Some(start + SECOND + EDGE));
        assert_eq!(window.free(start + 2 * SECOND), 1);
    }

    #[test]
    fn after_the_limit_was_lowered_enough_slots_must_become_free_first() {
        let start = Instant::now();
        let mut window = WindowLog::new(3, 10 * SECOND);
        for second in 0..3 {
            window.start();
            window.finish(start + second * SECOND);
        }
        assert!(window.set_limit(1) && !window.set_limit(0));
        assert_eq!(window.free(start + 3 * SECOND), 0);
        assert_eq!(window.next_free(start + 3 * SECOND), Some(start + 12 * SECOND + EDGE));
    }
}
