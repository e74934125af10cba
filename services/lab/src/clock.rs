use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Unix time in microseconds that never runs backwards, because a rolling window over a clock that is set back is wrong.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    unix_us_at_start: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            started: Instant::now(),
            unix_us_at_start: u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX),
        }
    }

    pub(crate) fn now_us(&self) -> u64 {
        let elapsed = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.unix_us_at_start.saturating_add(elapsed)
    }
}
