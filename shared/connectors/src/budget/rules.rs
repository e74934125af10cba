//! What an account allows for one class of endpoints: a connector's defaults, and the operator's changes to them.

use std::time::Duration;

use super::quota_share::QuotaShare;
use crate::{BudgetConfig, WindowConfig};

/// Windows longer than this (a daily limit) are not paced: nobody wants a sync spread evenly over a day.
const PACED_PER_MAX: Duration = Duration::from_secs(60);
/// Pacing is this much faster than the even rate, so that it never costs throughput; the log is the hard limit.
const PACE_PERCENT: u32 = 102;
/// Each request in a window takes 16 bytes here.
const LIMIT_MAX: u32 = 5_000_000;
/// 31 days.
const PER_MS_MAX: u64 = 31 * 24 * 60 * 60 * 1_000;
/// A minute; whoever needs more wants a schedule.
const SPACING_MS_MAX: u64 = 60_000;

/// At most `limit` requests in any `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WindowRule {
    pub(crate) limit: u32,
    pub(crate) per: Duration,
}

/// A connector's defaults for a class. `windows` is not empty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClassDefaults {
    pub(crate) class: &'static str,
    pub(crate) windows: &'static [WindowRule],
    pub(crate) spacing: Duration,
    /// Whether the windows are what the vendor allows an account, of which a share is used, by all processes together;
    /// otherwise they are a caution of ours, for each process.
    pub(crate) is_quota: bool,
}

/// What holds for a class. `windows` is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClassRules {
    pub(crate) class: &'static str,
    /// Of a quota all that is allowed, of which a share is used: see [`ClassRules::in_force`].
    pub(crate) windows: Vec<WindowRule>,
    /// Between two requests, always.
    pub(crate) spacing: Duration,
    /// While fewer than this many slots of the paced window are occupied, requests are not paced.
    pub(crate) burst: Option<u32>,
    /// As in [`ClassDefaults`].
    pub(crate) is_quota: bool,
    /// How much of a quota is used, if the connection does not say.
    pub(crate) share: QuotaShare,
}

impl ClassRules {
    /// The defaults with the operator's changes.
    ///
    /// # Errors
    /// What is wrong with the changes.
    pub(crate) fn new(
        defaults: &ClassDefaults,
        config: Option<&BudgetConfig>,
        share: QuotaShare,
    ) -> Result<Self, String> {
        let mut rules = Self {
            class: defaults.class,
            windows: defaults.windows.to_vec(),
            spacing: defaults.spacing,
            burst: None,
            is_quota: defaults.is_quota,
            share,
        };
        let Some(config) = config else { return Ok(rules) };
        let wrong = |what: String| Err(format!("budget `{}`: {what}", defaults.class));
        if let Some(windows) = &config.windows {
            let fits =
                |w: &WindowConfig| (1..=LIMIT_MAX).contains(&w.limit) && (1..=PER_MS_MAX).contains(&w.per_ms);
            if windows.is_empty() || !windows.iter().all(fits) {
                return wrong(format!(
                    "needs windows with limit 1 to {LIMIT_MAX} and per_ms 1 to {PER_MS_MAX}"
                ));
            }
            let rule = |w: &WindowConfig| WindowRule { limit: w.limit, per: Duration::from_millis(w.per_ms) };
            rules.windows = windows.iter().map(rule).collect();
        }
        if let Some(spacing_ms) = config.spacing_ms {
            if spacing_ms > SPACING_MS_MAX {
                return wrong(format!("spacing_ms must be at most {SPACING_MS_MAX}"));
            }
            rules.spacing = Duration::from_millis(spacing_ms);
        }
        rules.burst = config.burst;
        Ok(rules)
    }

    /// The same with so much in its windows as is used: the share of what is allowed, which is the smaller one of what is
    /// configured and what the vendor reports. A higher report is not believed: the operator may know better.
    pub(super) fn in_force(&self, share: QuotaShare, reported: impl Fn(Duration) -> Option<u32>) -> Self {
        let mut rules = self.clone();
        for window in rules.windows.iter_mut() {
            let allowed = reported(window.per).map_or(window.limit, |limit| limit.min(window.limit));
            window.limit = if self.is_quota { share.of(allowed) } else { allowed.max(1) };
        }
        rules
    }

    /// Which window is paced: the longest that is not too long. `None` if all are too long.
    pub(super) fn paced_window(&self) -> Option<usize> {
        let candidates = self.windows.iter().enumerate().filter(|(_, rule)| rule.per <= PACED_PER_MAX);
        candidates.max_by_key(|(_, rule)| rule.per).map(|(index, _)| index)
    }
}

impl WindowRule {
    /// The time between two requests at the window's even rate, and a hair less.
    pub(super) fn pace(self) -> Duration {
        self.per * 100 / (self.limit.max(1).saturating_mul(PACE_PERCENT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static TEN_SECONDS: [WindowRule; 1] = [WindowRule { limit: 100, per: Duration::from_secs(10) }];

    fn limit_of(is_quota: bool, limit: u32, share: f64, reported: Option<u32>) -> u32 {
        let defaults =
            ClassDefaults { class: "objects", windows: &TEN_SECONDS, spacing: Duration::ZERO, is_quota };
        let windows = Some(vec![WindowConfig { limit, per_ms: 10_000 }]);
        let config = BudgetConfig { windows, ..BudgetConfig::default() };
        let rules = ClassRules::new(&defaults, Some(&config), QuotaShare::new(share).unwrap()).unwrap();
        rules.in_force(rules.share, |_| reported).windows[0].limit
    }

    #[test]
    fn of_a_quota_the_configured_share_is_used_and_of_a_caution_all() {
        for (limit, share, used) in
            [(100, 0.9, 90), (4, 0.9, 3), (100, 1.0, 100), (100, 0.29, 29), (1, 0.1, 1)]
        {
            assert_eq!(limit_of(true, limit, share, None), used, "{limit} {share}");
            assert_eq!(limit_of(false, limit, share, None), limit);
        }
    }

    #[test]
    fn of_a_lower_limit_that_the_vendor_reports_only_the_share_is_used_too() {
        for (reported, used) in [(50, 45), (99, 89), (100, 90), (190, 90), (0, 1)] {
            assert_eq!(limit_of(true, 100, 0.9, Some(reported)), used, "{reported}");
        }
        assert_eq!(limit_of(false, 100, 0.9, Some(50)), 50);
    }
}
