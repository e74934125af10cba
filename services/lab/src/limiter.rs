//! Exact rolling windows. Pure: time comes in as a number, so that tests need no waiting.

use std::collections::VecDeque;

use crate::Limits;

const SECOND_US: u64 = 1_000_000;
const DAY_US: i64 = 86_400 * 1_000_000;

/// The span of the limit on everything but search.
pub(crate) const OBJECTS_SPAN_US: u64 = 10 * SECOND_US;

/// Which limit a request counts against, besides the daily one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Lists and everything else that is not a search.
    Objects,
    /// `POST …/search`.
    Search,
}

/// What is left after an accepted request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Requests left in the window of this class; `None` if that class is unlimited.
    pub window_remaining: Option<u32>,
    /// Requests left today; `None` if unlimited.
    pub daily_remaining: Option<u32>,
}

/// Why a request was refused, and how long until the same request would pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// One too many in ten seconds.
    TenSecondly {
        /// Microseconds until a place is free.
        wait_us: u64,
    },
    /// One search too many in a second.
    Secondly {
        /// Microseconds until a place is free.
        wait_us: u64,
    },
    /// One too many today.
    Daily {
        /// Microseconds until the midnight of the account.
        wait_us: u64,
    },
}

/// A log of the accepted requests of the last `span`; no window of that length ever holds more than `limit`.
#[derive(Debug)]
pub struct RollingWindow {
    limit: u32,
    span_us: u64,
    accepted: VecDeque<u64>,
    most: usize,
}

impl RollingWindow {
    /// A window that lets `limit` requests through in any `span_us`; a limit of zero only counts.
    #[must_use]
    pub fn new(limit: u32, span_us: u64) -> Self {
        Self { limit, span_us, accepted: VecDeque::new(), most: 0 }
    }

    /// Accepts a request at `now_us`, or says how long until it would be accepted. A refused one takes no place.
    ///
    /// # Errors
    /// The microseconds until a place is free.
    pub fn admit(&mut self, now_us: u64) -> Result<Option<u32>, u64> {
        while self.accepted.front().is_some_and(|&at| at.saturating_add(self.span_us) <= now_us) {
            self.accepted.pop_front();
        }
        let limit = self.limit as usize;
        if limit > 0 && self.accepted.len() >= limit {
            let oldest = self.accepted.front().copied().unwrap_or(now_us);
            return Err(oldest.saturating_add(self.span_us).saturating_sub(now_us));
        }
        self.accepted.push_back(now_us);
        // The fullest window of all ends at some accepted request, so looking at each of them is enough.
        self.most = self.most.max(self.accepted.len());
        let left = limit.saturating_sub(self.accepted.len());
        Ok((limit > 0).then(|| u32::try_from(left).unwrap_or(u32::MAX)))
    }

    /// The most requests that any window of this length has held.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    fn forget_most(&mut self) {
        self.most = 0;
    }
}

/// All limits of one portal.
#[derive(Debug)]
pub struct PortalLimiter {
    objects: RollingWindow,
    search: RollingWindow,
    daily_limit: u32,
    utc_offset_us: i64,
    day: i64,
    today: u32,
}

impl PortalLimiter {
    /// A portal that has made no request yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            objects: RollingWindow::new(limits.objects_per_10s, OBJECTS_SPAN_US),
            search: RollingWindow::new(limits.search_per_s, SECOND_US),
            daily_limit: limits.daily,
            utc_offset_us: 0,
            day: 0,
            today: 0,
        }
    }

    /// Days begin at midnight of this offset from UTC; of UTC itself unless set.
    pub fn set_utc_offset_us(&mut self, utc_offset_us: i64) {
        self.utc_offset_us = utc_offset_us;
    }

    /// Accepts or refuses a request that arrives at `now_us`. Calls must come in order of time.
    ///
    /// # Errors
    /// The limit that was hit.
    pub fn admit(&mut self, class: Class, now_us: u64) -> Result<Budget, Refusal> {
        let local_us = i64::try_from(now_us).unwrap_or(i64::MAX).saturating_add(self.utc_offset_us);
        let day = local_us.div_euclid(DAY_US);
        if day != self.day {
            self.day = day;
            self.today = 0;
        }
        if self.daily_limit > 0 && self.today >= self.daily_limit {
            let wait_us = u64::try_from(DAY_US - local_us.rem_euclid(DAY_US)).unwrap_or(0);
            return Err(Refusal::Daily { wait_us });
        }
        let window_remaining = match class {
            Class::Objects => {
                self.objects.admit(now_us).map_err(|wait_us| Refusal::TenSecondly { wait_us })?
            }
            Class::Search => self.search.admit(now_us).map_err(|wait_us| Refusal::Secondly { wait_us })?,
        };
        self.today = self.today.saturating_add(1);
        let daily_remaining = (self.daily_limit > 0).then(|| self.daily_limit - self.today);
        Ok(Budget { window_remaining, daily_remaining })
    }

    /// The most requests accepted in any rolling ten seconds.
    #[must_use]
    pub fn most_objects(&self) -> usize {
        self.objects.most()
    }

    /// The most searches accepted in any rolling second.
    #[must_use]
    pub fn most_searches(&self) -> usize {
        self.search.most()
    }

    pub(crate) fn forget_most(&mut self) {
        self.objects.forget_most();
        self.search.forget_most();
    }
}
