//! Even spacing of requests. `governor`'s GCRA with a small burst, on a clock that shows the time it is handed.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// Lets one request pass in every interval; turns that were not taken are kept for a few that come together.
#[derive(Debug)]
pub(super) struct Pacer {
    limiter: RateLimiter<NotKeyed, InMemoryState, HandedClock, NoOpMiddleware<Duration>>,
    clock: HandedClock,
    origin: Instant,
}

impl Pacer {
    /// `None` for an interval of zero, which needs no pacer. With a burst of one nothing is kept.
    pub(super) fn new(interval: Duration, burst: NonZeroU32, now: Instant) -> Option<Self> {
        let quota = Quota::with_period(interval)?.allow_burst(burst);
        let clock = HandedClock::default();
        Some(Self { limiter: RateLimiter::direct_with_clock(quota, clock.clone()), clock, origin: now })
    }

    /// Takes the turn of this interval.
    ///
    /// # Errors
    /// When the next turn is, if this one is taken.
    pub(super) fn take(&self, now: Instant) -> Result<(), Instant> {
        self.clock.show(now.saturating_duration_since(self.origin));
        self.limiter.check().map_err(|not_until| self.origin + not_until.earliest_possible())
    }
}

/// Shows the time since `Pacer::origin` that it was handed last, so that a budget has one clock only.
#[derive(Debug, Clone, Default)]
struct HandedClock(Arc<AtomicU64>);

impl HandedClock {
    fn show(&self, since_origin: Duration) {
        let nanos = u64::try_from(since_origin.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_max(nanos, Ordering::Relaxed);
    }
}

impl Clock for HandedClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_passes_in_each_interval_and_idleness_saves_nothing_up() {
        let start = Instant::now();
        let interval = Duration::from_millis(300);
        let pacer = Pacer::new(interval, NonZeroU32::MIN, start).unwrap();
        assert_eq!(pacer.take(start), Ok(()));
        assert_eq!(pacer.take(start), Err(start + interval));
        let later = start + 100 * interval;
        assert_eq!(pacer.take(later), Ok(()));
        assert_eq!(pacer.take(later), Err(later + interval));
    }
}
