//! A budget that callers wait for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::rules::ClassRules;
use super::state::{Reported, Sent, State, Turn};

/// A request that was given up (a timeout, a cancelled job) may still be on its way to the vendor for that long.
const STRAY_MAX: Duration = Duration::from_secs(1);
/// A free slot further away than this is the job's to wait for, not the worker's. More than any window
/// of seconds needs, less than a daily one.
const SLOT_WAIT_MAX: Duration = Duration::from_secs(60);

/// The requests that an account allows for a class of endpoints. Shared by everything that sends such requests.
pub(crate) struct Budget {
    key: BudgetKey,
    state: Mutex<State>,
    /// Held by who is next in line; the others queue up behind it in the order in which they came.
    line: tokio::sync::Mutex<()>,
    /// An answer or a correction came in, so who is next in line should look again.
    changed: Notify,
    /// When somebody last had to wait for a slot.
    waited: Mutex<Option<Instant>>,
}

/// What a budget is counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct BudgetKey {
    pub(super) connector: &'static str,
    pub(super) account_id: String,
    pub(super) class: &'static str,
}

/// No request may be sent for longer than the caller wants to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    /// For how long.
    pub(crate) wait: Duration,
}

impl Budget {
    pub(super) fn new(key: BudgetKey, rules: &ClassRules) -> Self {
        let state = State::new(rules, Instant::now().into_std());
        Self {
            key,
            state: Mutex::new(state),
            line: tokio::sync::Mutex::new(()),
            changed: Notify::new(),
            waited: Mutex::default(),
        }
    }

    /// Waits until a request may be sent. First come, first served. Dropping the future gives the place up and
    /// takes nothing.
    ///
    /// # Errors
    /// If the vendor asked to be left alone for longer than `hold_wait_max`, or the next slot is more than
    /// [`SLOT_WAIT_MAX`] away (a daily window is used up).
    pub(crate) async fn acquire(self: &Arc<Self>, hold_wait_max: Duration) -> Result<Permit, Held> {
        let _next_in_line = self.line.lock().await;
        loop {
            let now = Instant::now();
            let turn = self.state().take(now.into_std());
            if !matches!(turn, Turn::Taken(_)) {
                *self.waited.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
            }
            let (until, wait_max) = match turn {
                Turn::Taken(sent) => return Ok(Permit { budget: Arc::clone(self), sent, answered: false }),
                Turn::WhenAnswered => {
                    self.changed.notified().await;
                    continue;
                }
                Turn::Held(until) => (Instant::from_std(until), hold_wait_max),
                Turn::Later(until) => (Instant::from_std(until), SLOT_WAIT_MAX),
            };
            let wait = until.saturating_duration_since(now);
            if wait > wait_max {
                return Err(Held { wait });
            }
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Sends nothing for so long, because the vendor said so. At most a day.
    pub(crate) fn hold(&self, wait: Duration) {
        self.state().hold(wait, Instant::now().into_std());
        self.changed.notify_one();
    }

    /// Accounts for requests that were made before the account was known.
    pub(crate) fn add_foreign(&self, count: u32) {
        self.state().add_foreign(count, Instant::now().into_std());
    }

    /// Slots occupied now, in the fullest window.
    pub(crate) fn used(&self) -> u32 {
        let now = Instant::now().into_std();
        self.state().windows_mut().iter_mut().map(|window| window.used(now)).max().unwrap_or(0)
    }

    /// Whether nobody had to wait for a slot for so long: requests are left unused.
    pub(crate) fn is_unhurried(&self, quiet: Duration) -> bool {
        let waited = *self.waited.lock().unwrap_or_else(PoisonError::into_inner);
        waited.is_none_or(|at| at.elapsed() >= quiet)
    }

    /// What is left of it.
    pub(super) fn view(&self) -> BudgetView {
        let now = Instant::now().into_std();
        let mut state = self.state();
        let held_for = state.held_for(now);
        let windows = state.windows_mut();
        BudgetView {
            connector: self.key.connector,
            account_id: self.key.account_id.clone(),
            class: self.key.class,
            in_flight: windows.first().map_or(0, |window| window.in_flight()),
            held_for,
            windows: windows
                .iter_mut()
                .map(|w| WindowView { limit: w.limit(), per: w.per(), remaining: w.free(now) })
                .collect(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.state().is_idle(Instant::now().into_std())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to send one request, and the slot it occupies. Dropping it without [`Permit::answered`] counts the
/// request as given up.
pub(crate) struct Permit {
    budget: Arc<Budget>,
    sent: Sent,
    answered: bool,
}

impl Permit {
    /// The answer has come in: the vendor has certainly counted the request.
    pub(crate) fn answered(mut self, reported: Option<Reported>) {
        self.answered = true;
        if let Some(reported) = reported {
            self.budget.state().observe(&self.sent, reported, Instant::now().into_std());
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let now = Instant::now();
        let gone = if self.answered { now } else { now + STRAY_MAX };
        self.budget.state().finish(gone.into_std());
        self.budget.changed.notify_one();
    }
}

/// What is left of a budget, for people and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetView {
    /// The connector's name.
    pub connector: &'static str,
    /// The account's id at the vendor.
    pub account_id: String,
    /// The endpoint class.
    pub class: &'static str,
    /// Requests that are sent and not yet answered.
    pub in_flight: u32,
    /// How long the vendor wants to be left alone; zero if it does not.
    pub held_for: Duration,
    /// Every window that holds.
    pub windows: Vec<WindowView>,
}

/// A window of a [`BudgetView`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowView {
    /// Requests that may be sent in `per`.
    pub limit: u32,
    /// The window's length.
    pub per: Duration,
    /// Requests that may be sent now, apart from pacing.
    pub remaining: u32,
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
