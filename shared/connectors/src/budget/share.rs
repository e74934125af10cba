//! A budget's connection with the board: a task that takes turns ahead of those who wait, so that the way there and back
//! costs nobody anything.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::BudgetEntry;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::board::{BoardAway, BudgetBoard, Posted, Sharing, Written};
use super::desk::{Desk, Known, Look, Right};
use super::quota_share::QuotaShare;
use super::shared_rules::SharedRules;
use super::state::Reported;
use super::timetable::{Ask, Report, Taken};

/// Whoever loses so many races in a row lets the others go first for a moment.
const RACES_MAX: u32 = 16;
const AFTER_RACES: Duration = Duration::from_millis(20);
/// So often the clocks are compared anew when somebody wrote between writing and reading.
const COMPARISONS_MAX: u32 = 5;

/// The process's part of a shared budget.
pub(super) struct Share {
    inner: Arc<Inner>,
    driver: JoinHandle<()>,
}

struct Inner {
    key: String,
    board: Arc<dyn BudgetBoard>,
    desk: Mutex<Desk>,
    /// There is something to ask or to say.
    wanted: Notify,
    /// The board has answered, or does not.
    changed: Arc<Notify>,
}

impl Share {
    /// Shares the budget of `[connector, account, class]`; `changed` is told whenever a caller should look again.
    pub(super) fn new(sharing: &Sharing, id: [String; 3], rules: SharedRules, changed: Arc<Notify>) -> Self {
        let key = protocol::budget_key(&id[0], &id[1], &id[2]);
        let desk = Mutex::new(Desk::new(sharing.name.clone(), id, rules, Instant::now()));
        let board = Arc::clone(&sharing.board);
        let inner = Arc::new(Inner { key, board, desk, wanted: Notify::new(), changed });
        #[expect(clippy::disallowed_methods, reason = "aborted when the budget is dropped")]
        let driver = tokio::spawn(drive(Arc::clone(&inner)));
        Self { inner, driver }
    }

    /// What the first of so many callers finds.
    pub(super) fn look(&self, now: Instant, waiting: usize) -> Look {
        self.tell(now, |desk| desk.look(now, waiting))
    }

    /// The request is about to be sent.
    pub(super) fn take(&self, right: Right) {
        self.inner.desk().take(right);
    }

    /// The request arrived at `gone` at the latest.
    pub(super) fn finish(&self, right: Right, gone: Instant) {
        let now = Instant::now();
        self.tell(now, |desk| desk.finish(right, gone, now));
    }

    /// What the vendor said in an answer to what was sent then.
    pub(super) fn observe(&self, reported: Reported, sent: Instant) {
        self.inner.desk().observe(reported, sent, Instant::now());
    }

    /// From now on this process is to use that share of the quota. The others learn it with the next turns.
    pub(super) fn set_share(&self, share: QuotaShare) {
        self.inner.desk().set_share(share);
    }

    /// Everybody has to leave the vendor alone.
    pub(super) fn hold(&self, wait: Duration) {
        let now = Instant::now();
        self.tell(now, |desk| desk.hold(wait, now));
    }

    /// How long somebody else was told to leave the vendor alone.
    pub(super) fn held_for(&self, now: Instant) -> Duration {
        self.inner.desk().held_for(now)
    }

    /// Accounts for requests that had no turn.
    pub(super) fn add(&self, count: u32) {
        let now = Instant::now();
        self.tell(now, |desk| {
            let at = desk.clock.ms(now);
            desk.report(Report::Added { at, count }, now);
        });
    }

    /// Whether forgetting it would change nothing.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.tell(now, |desk| desk.is_idle(now))
    }

    /// Changes something, and wakes the driver if it has to talk to the board earlier now.
    fn tell<T>(&self, now: Instant, change: impl FnOnce(&mut Desk) -> T) -> T {
        let mut desk = self.inner.desk();
        let before = desk.due(now);
        let result = change(&mut desk);
        let after = desk.due(now);
        drop(desk);
        if after.is_some_and(|after| before.is_none_or(|before| after < before)) {
            self.inner.wanted.notify_one();
        }
        result
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Talks to the board whenever there is a reason to.
async fn drive(inner: Arc<Inner>) {
    loop {
        let due = inner.desk().due(Instant::now());
        match due {
            Some(at) if at <= Instant::now() => inner.talk().await,
            Some(at) => tokio::select! {
                () = tokio::time::sleep_until(at) => {}
                () = inner.wanted.notified() => {}
            },
            None => inner.wanted.notified().await,
        }
    }
}

impl Inner {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn talk(&self) {
        let was_away = self.desk().is_away();
        match self.round().await {
            Ok(()) if was_away => tracing::info!(budget = %self.key, "the budget is shared again"),
            Ok(()) => {}
            Err(away) => {
                if !was_away {
                    tracing::warn!(budget = %self.key, error = %away, "the budget is not shared for now: a part of it is used");
                }
                self.desk().went_away(Instant::now());
            }
        }
        self.changed.notify_one();
    }

    /// Says and takes what there is to say and to take, until nobody else was faster.
    async fn round(&self) -> Result<(), BoardAway> {
        if self.desk().clock.is_due(Instant::now()) {
            self.compare_clocks().await?;
        }
        for race in 0..RACES_MAX {
            let likely = if race == 0 { self.desk().likely() } else { None };
            let (known, changed) = match likely {
                Some(known) => (known, false),
                None => self.read().await?,
            };
            if self.write(known, changed).await? {
                return Ok(());
            }
        }
        self.desk().try_again(AFTER_RACES, Instant::now());
        Ok(())
    }

    /// Writes what is there already, and reads when the board stored it.
    async fn compare_clocks(&self) -> Result<(), BoardAway> {
        for _ in 0..COMPARISONS_MAX {
            let posted = self.board.read(&self.key).await?;
            let value = match posted.value {
                Some(value) => value,
                None => to_json(&self.desk().adopt(&posted, Instant::now()).0.entry)?,
            };
            let sent = Instant::now();
            let Written::Stored(ours) = self.board.write(&self.key, value, posted.revision).await? else {
                continue;
            };
            let acknowledged = Instant::now();
            let Posted { revision, stored_at_ms, .. } = self.board.read(&self.key).await?;
            if revision == ours {
                self.desk().compare_clocks(sent, acknowledged, stored_at_ms);
                return Ok(());
            }
        }
        Err(BoardAway("its clock could not be read".to_owned()))
    }

    async fn read(&self) -> Result<(Known, bool), BoardAway> {
        let posted = self.board.read(&self.key).await?;
        let (mut desk, now) = (self.desk(), Instant::now());
        desk.clock.not_before(now, posted.stored_at_ms);
        Ok(desk.adopt(&posted, now))
    }

    /// Answers whether it is written, or there was nothing to write: not if somebody else was faster.
    async fn write(&self, known: Known, changed: bool) -> Result<bool, BoardAway> {
        let Known { mut entry, revision } = known;
        let (ask, taken) = {
            let desk = self.desk();
            let ask = desk.ask(Instant::now());
            let taken = desk.rules.apply(&mut entry, &ask);
            (ask, taken)
        };
        let written = if changed || says_something(&ask, &taken) {
            self.board.write(&self.key, to_json(&entry)?, revision).await?
        } else {
            Written::Stored(revision)
        };
        let Written::Stored(revision) = written else { return Ok(false) };
        self.desk().commit(&ask, taken, Known { entry, revision }, Instant::now());
        Ok(true)
    }
}

/// Whether it is worth a write.
fn says_something(ask: &Ask, taken: &Taken) -> bool {
    !taken.turns.is_empty()
        || !ask.reports.is_empty()
        || ask.observed.is_some()
        || ask.held_until_ms.is_some()
}

fn to_json(entry: &BudgetEntry) -> Result<Vec<u8>, BoardAway> {
    serde_json::to_vec(entry).map_err(|error| BoardAway(error.to_string()))
}
