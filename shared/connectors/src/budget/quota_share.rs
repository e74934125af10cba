//! How much of a quota is used.

/// A part of what the vendor allows an account, above 0 to 1; the rest is left to other tools of the customer. In
/// millionths, so that processes that compare theirs agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QuotaShare(u32);

const MILLION: u32 = 1_000_000;

impl QuotaShare {
    /// What is used if nobody says anything else.
    pub(crate) const DEFAULT: Self = Self(900_000);
    /// Everything.
    #[cfg(test)]
    pub(crate) const ALL: Self = Self(MILLION);

    /// `None` if it is not above 0 and at most 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a million")]
    pub(crate) fn new(share: f64) -> Option<Self> {
        let is_share = share > 0.0 && share <= 1.0;
        is_share.then(|| Self::from_millionths((share * f64::from(MILLION)).round() as u32))
    }

    /// What another process says, brought within the limits.
    pub(super) fn from_millionths(millionths: u32) -> Self {
        Self(millionths.clamp(1, MILLION))
    }

    /// For other processes.
    pub(super) fn millionths(self) -> u32 {
        self.0
    }

    /// The share of a limit. Rounded down, and at least one: an account that may not be asked at all could not be synced.
    pub(super) fn of(self, limit: u32) -> u32 {
        let share = u64::from(limit) * u64::from(self.0) / u64::from(MILLION);
        u32::try_from(share).unwrap_or(limit).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_share_is_refused_and_the_smallest_one_still_lets_a_request_pass() {
        for wrong in [0.0, -0.1, 1.000_001, f64::NAN, f64::INFINITY] {
            assert_eq!(QuotaShare::new(wrong), None, "{wrong}");
        }
        assert_eq!(QuotaShare::new(f64::MIN_POSITIVE).unwrap().of(100), 1);
        assert_eq!(QuotaShare::new(1.0), Some(QuotaShare::ALL));
        assert_eq!(QuotaShare::ALL.of(u32::MAX), u32::MAX);
        assert!(QuotaShare::new(0.5) < QuotaShare::new(0.500_001));
    }
}
