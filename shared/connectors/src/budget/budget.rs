//! A budget that callers wait for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::board::Sharing;
use super::desk::{Look, Right};
use super::quota_share::QuotaShare;
use super::rules::ClassRules;
use super::share::Share;
use super::shared_rules::SharedRules;
use super::state::{HOLD_MAX, Reported, Sent, State, Turn};
use super::view::{BudgetView, WindowView};

/// A request that was given up (a timeout, a cancelled job) may still be on its way to the vendor for that long.
const STRAY_MAX: Duration = Duration::from_secs(1);
/// A free slot further away than this is the job's to wait for, not the worker's. More than any window
/// of seconds needs, less than a daily one.
const SLOT_WAIT_MAX: Duration = Duration::from_secs(60);
/// A shorter wait for a turn is the timer's and the network's: it does not say that the budget is used up.
const WAIT_NOTED: Duration = Duration::from_millis(10);

/// The requests that an account allows for a class of endpoints. Shared by everything that sends such requests.
pub(crate) struct Budget {
    key: BudgetKey,
    state: Mutex<State>,
    /// Held by who is next in line; the others queue up behind it in the order in which they came.
    line: tokio::sync::Mutex<()>,
    /// An answer or a correction came in, so who is next in line should look again.
    changed: Arc<Notify>,
    /// How many are in line.
    waiting: AtomicUsize,
    /// With other processes, if it is.
    share: Option<Share>,
    /// How much of the quota those who use it were told to use.
    shares: Mutex<Vec<QuotaShare>>,
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

/// What who is next in line can do.
enum Next {
    /// Send.
    Go(Sent, Option<Right>),
    /// Wait until then; give up if that is longer from now.
    Wait { until: Instant, max: Duration },
    /// Wait for an answer, of the vendor or of the board.
    WhenChanged,
}

impl Budget {
    pub(super) fn new(key: BudgetKey, rules: &ClassRules, sharing: Option<&Sharing>) -> Self {
        let state = State::new(rules, Instant::now().into_std());
        let changed = Arc::new(Notify::new());
        let share = sharing.zip(SharedRules::new(rules)).map(|(sharing, rules)| {
            let id = [key.connector.to_owned(), key.account_id.clone(), key.class.to_owned()];
            Share::new(sharing, id, rules, Arc::clone(&changed))
        });
        Self {
            key,
            state: Mutex::new(state),
            line: tokio::sync::Mutex::new(()),
            changed,
            waiting: AtomicUsize::new(0),
            share,
            shares: Mutex::default(),
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
        let _in_line = InLine::behind(&self.waiting);
        let _next_in_line = self.line.lock().await;
        loop {
            let now = Instant::now();
            let (until, max) = match self.next(now, hold_wait_max) {
                Next::Go(sent, right) => {
                    let budget = Arc::clone(self);
                    return Ok(Permit { budget, sent, right, at: now, answered: false });
                }
                Next::WhenChanged => {
                    self.changed.notified().await;
                    continue;
                }
                Next::Wait { until, max } => (until, max),
            };
            let wait = until.saturating_duration_since(now);
            if wait > max {
                return Err(Held { wait });
            }
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    fn next(&self, now: Instant, hold_wait_max: Duration) -> Next {
        let mut right = None;
        if let Some(share) = &self.share {
            let mut state = self.state();
            let held_for = share.held_for(now);
            if !held_for.is_zero() {
                state.hold(held_for, now.into_std());
            }
            let held_for = state.held_for(now.into_std());
            drop(state);
            if !held_for.is_zero() {
                self.note_wait(now);
                return Next::Wait { until: now + held_for, max: hold_wait_max };
            }
            match share.look(now, self.waiting.load(Ordering::Relaxed)) {
                Look::Now(found) => right = Some(found),
                Look::Unknown => return Next::WhenChanged,
                Look::At(until) => {
                    if until > now + WAIT_NOTED {
                        self.note_wait(now);
                    }
                    return Next::Wait { until, max: SLOT_WAIT_MAX };
                }
            }
        }
        let turn = self.state().take(now.into_std());
        if !matches!(turn, Turn::Taken(_)) {
            self.note_wait(now);
        }
        match turn {
            Turn::Taken(sent) => {
                if let Some((share, right)) = self.share.as_ref().zip(right) {
                    share.take(right);
                }
                Next::Go(sent, right)
            }
            Turn::WhenAnswered => Next::WhenChanged,
            Turn::Held(until) => Next::Wait { until: Instant::from_std(until), max: hold_wait_max },
            Turn::Later(until) => Next::Wait { until: Instant::from_std(until), max: SLOT_WAIT_MAX },
        }
    }

    fn note_wait(&self, now: Instant) {
        *self.waited.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// Sends nothing for so long, because the vendor said so. At most [`HOLD_MAX`], here and wherever it is told.
    pub(crate) fn hold(&self, wait: Duration) {
        let wait = wait.min(HOLD_MAX);
        self.state().hold(wait, Instant::now().into_std());
        if let Some(share) = &self.share {
            share.hold(wait);
        }
        self.changed.notify_one();
    }

    /// Accounts for requests that were made before the account was known.
    pub(crate) fn add_foreign(&self, count: u32) {
        self.state().add_foreign(count, Instant::now().into_std());
        if let Some(share) = self.share.as_ref().filter(|_| count > 0) {
            share.add(count);
        }
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

    /// Somebody comes or goes who was told to use a share of the quota: the smallest counts.
    pub(super) fn change_shares(&self, change: impl FnOnce(&mut Vec<QuotaShare>)) {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut shares);
        // If nobody is left, whoever comes next says.
        let Some(smallest) = shares.iter().min() else { return };
        self.state().set_share(*smallest, Instant::now().into_std());
        if let Some(share) = &self.share {
            share.set_share(*smallest);
        }
        self.changed.notify_one();
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
        let now = Instant::now();
        self.state().is_idle(now.into_std()) && self.share.as_ref().is_none_or(|share| share.is_idle(now))
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
    /// From the timetable, if there is one.
    right: Option<Right>,
    at: Instant,
    answered: bool,
}

impl Permit {
    /// The answer has come in: the vendor has certainly counted the request.
    pub(crate) fn answered(mut self, reported: Option<Reported>) {
        self.answered = true;
        let Some(reported) = reported else { return };
        let now = Instant::now().into_std();
        match &self.budget.share {
            None => self.budget.state().observe(&self.sent, reported, now),
            // Only the timetable tells other processes of ours from foreign ones.
            Some(share) => {
                self.budget.state().believe(reported, now);
                share.observe(reported, self.at);
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let now = Instant::now();
        let gone = if self.answered { now } else { now + STRAY_MAX };
        self.budget.state().finish(gone.into_std());
        if let Some((share, right)) = self.budget.share.as_ref().zip(self.right) {
            share.finish(right, gone);
        }
        self.budget.changed.notify_one();
    }
}

/// One in line, for as long as it lives.
struct InLine<'a>(&'a AtomicUsize);

impl<'a> InLine<'a> {
    fn behind(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
