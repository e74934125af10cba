//! The time by the board's clock, so that processes whose clocks differ agree on what a turn is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// How long a comparison with the board's clock holds: clocks drift by a few milliseconds in it.
const HOLDS: Duration = Duration::from_secs(60);

/// The board's time, as it was at one moment of this process.
#[derive(Debug, Clone, Copy)]
pub(super) struct BoardClock {
    at: Instant,
    ms: u64,
    compared: bool,
}

impl BoardClock {
    /// This machine's time, until it was compared with the board's.
    pub(super) fn new(now: Instant) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { at: now, ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX), compared: false }
    }

    /// Whether it has to be compared, for the first time or again.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        !self.compared || now.saturating_duration_since(self.at) >= HOLDS
    }

    /// The board's clock showed `ms` when it stored what was sent and acknowledged at these moments. Off by half of
    /// what lies between them at most.
    pub(super) fn compare(&mut self, sent: Instant, acknowledged: Instant, ms: u64) {
        let middle = sent + acknowledged.saturating_duration_since(sent) / 2;
        *self = Self { at: middle, ms, compared: true };
    }

    /// The board stored something at `ms`, so it is no earlier now: this machine may have slept.
    pub(super) fn not_before(&mut self, now: Instant, ms: u64) {
        if self.compared && self.ms(now) < ms {
            *self = Self { at: now, ms, compared: false };
        }
    }

    /// The board's time at a moment.
    pub(super) fn ms(&self, at: Instant) -> u64 {
        let later = at.saturating_duration_since(self.at).as_millis();
        let earlier = self.at.saturating_duration_since(at).as_millis();
        let diff = |millis| u64::try_from(millis).unwrap_or(u64::MAX);
        self.ms.saturating_add(diff(later)).saturating_sub(diff(earlier))
    }

    /// When the board's clock shows that; never before it does.
    pub(super) fn instant(&self, ms: u64) -> Instant {
        if ms >= self.ms {
            return self.at + Duration::from_millis(ms - self.ms);
        }
        self.at.checked_sub(Duration::from_millis(self.ms - ms)).unwrap_or(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_shows_the_boards_time_whatever_this_machine_believes() {
        let sent = Instant::now();
        let mut clock = BoardClock::new(sent);
        assert!(clock.is_due(sent));
        clock.compare(sent, sent + Duration::from_millis(4), 5_000);
        assert_eq!(clock.ms(sent + Duration::from_millis(1_002)), 6_000);
        assert_eq!(clock.instant(6_000), sent + Duration::from_millis(1_002));
        assert_eq!(clock.instant(4_999), sent + Duration::from_millis(1));
        assert!(!clock.is_due(sent + HOLDS) && clock.is_due(sent + 2 * HOLDS));
    }
}
