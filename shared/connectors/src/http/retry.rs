//! Sending again. The only module that uses `backoff`: it is unmaintained (RUSTSEC-2025-0012) and easily replaced here.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

use crate::{ErrorClass, HttpConfig, SourceError};

/// No wait of the policy is longer.
const INTERVAL_MAX: Duration = Duration::from_secs(60);

/// Why a request failed, and whether sending it again can help.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: SourceError,
    pub(crate) wait: Wait,
}

/// What has to happen before the request is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// It is not sent again.
    Never,
    /// The next, twice as long, wait of the retry policy, but not less than this.
    Backoff {
        /// Zero if the policy is good enough.
        at_least: Duration,
    },
    /// Only this request has to wait: the vendor said for how long.
    Asked(Duration),
    /// Everything of this budget has to wait. The budget sees to it; nothing is slept here.
    Held(Duration),
}

/// When requests are sent again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    pub(super) retries: u32,
    pub(super) base: Duration,
    /// A wait that the vendor asks for and that is longer than this becomes [`ErrorClass::Quota`].
    pub(super) asked_max: Duration,
}

impl Policy {
    pub(super) fn new(config: &HttpConfig) -> Self {
        Self { retries: config.retries, base: config.retry_base(), asked_max: config.quota_wait_max() }
    }
}

/// The retries of one request.
pub(super) struct Retries {
    policy: Policy,
    left: u32,
    waits: ExponentialBackoff,
}

impl Retries {
    pub(super) fn new(policy: Policy) -> Self {
        let waits = ExponentialBackoff {
            initial_interval: policy.base,
            current_interval: policy.base,
            multiplier: 2.0,
            // The budget spreads requests already, so there is no herd to scatter, and 2 s is 2 s.
            randomization_factor: 0.0,
            max_interval: INTERVAL_MAX,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Self { policy, left: policy.retries, waits }
    }

    /// Waits until the request should be sent again.
    ///
    /// # Errors
    /// The failure's error if it should not; [`ErrorClass::Quota`] if the vendor wants too long a wait.
    pub(super) async fn wait_after(&mut self, failure: Failure) -> Result<(), SourceError> {
        let sleep = match failure.wait {
            Wait::Never => return Err(failure.error),
            Wait::Asked(wait) | Wait::Held(wait) if wait > self.policy.asked_max => {
                return Err(SourceError { class: ErrorClass::Quota { retry_after: wait }, ..failure.error });
            }
            Wait::Held(_) => Duration::ZERO,
            Wait::Asked(wait) => wait,
            Wait::Backoff { at_least } => self.waits.next_backoff().unwrap_or(INTERVAL_MAX).max(at_least),
        };
        if self.left == 0 {
            return Err(failure.error);
        }
        self.left -= 1;
        tracing::debug!(error = %failure.error, wait = ?failure.wait, left = self.left, "sending again");
        tokio::time::sleep(sleep).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const POLICY: Policy =
        Policy { retries: 3, base: Duration::from_secs(2), asked_max: Duration::from_secs(5) };

    fn failure(wait: Wait) -> Failure {
        Failure { error: SourceError::new(ErrorClass::Transient, "no"), wait }
    }

    async fn run(wait: Wait) -> (u32, Duration, SourceError) {
        run_by(POLICY, wait).await
    }

    async fn run_by(policy: Policy, wait: Wait) -> (u32, Duration, SourceError) {
        let (mut sent, started) = (1, Instant::now());
        let mut retries = Retries::new(policy);
        loop {
            match retries.wait_after(failure(wait)).await {
                Ok(()) => sent += 1,
                Err(error) => return (sent, started.elapsed(), error),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_sent_again_after_2_4_and_8_seconds_and_then_given_up() {
        let (sent, took, error) = run(Wait::Backoff { at_least: Duration::ZERO }).await;
        assert_eq!(sent, 4);
        assert_eq!(took.as_secs(), 14);
        assert_eq!(error.class, ErrorClass::Transient);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_pause_a_request_is_sent_again_at_once_and_no_more_often() {
        let http = HttpConfig { retry_base_ms: 0, ..HttpConfig::default() };
        assert_eq!(http.problems(), [""; 0]);
        let (sent, took, _) = run_by(Policy::new(&http), Wait::Backoff { at_least: Duration::ZERO }).await;
        assert_eq!((sent, took), (4, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_get_better_is_sent_once() {
        let (sent, took, _) = run(Wait::Never).await;
        assert_eq!((sent, took), (1, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn the_vendors_word_replaces_the_policys_wait() {
        let (sent, took, _) = run(Wait::Asked(Duration::from_secs(1))).await;
        assert_eq!((sent, took.as_secs()), (4, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_wait_is_not_slept_but_returned_as_quota() {
        for wait in [Wait::Asked(Duration::from_secs(6)), Wait::Held(Duration::from_secs(6))] {
            let (sent, took, error) = run(wait).await;
            assert_eq!((sent, took), (1, Duration::ZERO));
            let quota = ErrorClass::Quota { retry_after: Duration::from_secs(6) };
            assert_eq!(error.class, quota);
        }
    }
}
