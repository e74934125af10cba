use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Unix time in microseconds that never runs backwards, because a rolling window over a clock that is set back is wrong.
/// It can be put forward, so that tests need no waiting.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    unix_us_at_start: u64,
    ahead_us: AtomicU64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            started: Instant::now(),
            unix_us_at_start: u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX),
            ahead_us: AtomicU64::new(0),
        }
    }

    pub(crate) fn now_us(&self) -> u64 {
        let elapsed = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.unix_us_at_start.saturating_add(elapsed).saturating_add(self.ahead_us.load(Ordering::Relaxed))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.ahead_us.fetch_add(u64::try_from(by.as_micros()).unwrap_or(0), Ordering::Relaxed);
    }
}
