//! Several processes, a board and a vendor, in virtual time.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use protocol::BudgetEntry;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::board::{BoardAway, BudgetBoard, Posted, Sharing, Written};
use super::budget::{Budget, BudgetKey};
use super::quota_share::QuotaShare;
use super::rules::{ClassRules, WindowRule};
use super::state::Reported;

const PER: Duration = Duration::from_secs(10);
pub(super) const LIMIT: u32 = 90;
const CLASS: &str = "objects";

/// What all processes see.
pub(super) struct Board {
    begun: Instant,
    pub(super) values: Mutex<HashMap<String, (Vec<u8>, u64)>>,
    revision: AtomicU64,
    stored_at: AtomicU64,
    pub(super) asked: AtomicU64,
}

/// A process's way to the board.
struct Link {
    board: Arc<Board>,
    cut: Arc<AtomicBool>,
}

impl Link {
    async fn there(&self) -> Result<(), BoardAway> {
        sleep(Duration::from_millis(1)).await;
        self.board.asked.fetch_add(1, Ordering::Relaxed);
        if self.cut.load(Ordering::Relaxed) { Err(BoardAway("cut".to_owned())) } else { Ok(()) }
    }
}

impl Board {
    fn now_ms(&self) -> u64 {
        1_000_000_000 + u64::try_from(self.begun.elapsed().as_millis()).unwrap()
    }
}

#[async_trait]
impl BudgetBoard for Link {
    async fn read(&self, key: &str) -> Result<Posted, BoardAway> {
        self.there().await?;
        let found = self.board.values.lock().unwrap().get(key).cloned();
        let stored_at_ms = self.board.stored_at.load(Ordering::Relaxed);
        Ok(match found {
            Some((value, revision)) => Posted { value: Some(value), revision, stored_at_ms },
            None => Posted { value: None, revision: 0, stored_at_ms: 0 },
        })
    }

    async fn write(&self, key: &str, value: Vec<u8>, revision: u64) -> Result<Written, BoardAway> {
        self.there().await?;
        let mut values = self.board.values.lock().unwrap();
        if values.get(key).map_or(0, |(_, revision)| *revision) != revision {
            return Ok(Written::Conflict);
        }
        let revision = self.board.revision.fetch_add(1, Ordering::Relaxed) + 1;
        self.board.stored_at.store(self.board.now_ms(), Ordering::Relaxed);
        values.insert(key.to_owned(), (value, revision));
        Ok(Written::Stored(revision))
    }
}

/// Counts on arrival, as vendors do.
#[derive(Default)]
pub(super) struct Vendor {
    /// Says nothing of what it counts.
    silent: AtomicBool,
    /// Allows so many fewer than [`LIMIT`].
    pub(super) fewer: AtomicU32,
    arrived: Mutex<VecDeque<Instant>>,
    accepted: AtomicU64,
    refused: AtomicU64,
}

impl Vendor {
    pub(super) fn arrive(&self) -> Option<Reported> {
        let now = Instant::now();
        let mut arrived = self.arrived.lock().unwrap();
        while arrived.front().is_some_and(|at| *at + PER <= now) {
            arrived.pop_front();
        }
        let limit = LIMIT - self.fewer.load(Ordering::Relaxed);
        if arrived.len() >= limit as usize {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        arrived.push_back(now);
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let remaining = limit - u32::try_from(arrived.len()).unwrap();
        Some(Reported { per: PER, limit, remaining })
    }

    pub(super) fn in_window(&self) -> usize {
        let since = Instant::now() - PER;
        self.arrived.lock().unwrap().iter().filter(|at| **at > since).count()
    }

    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }
}

pub(super) struct World {
    pub(super) board: Arc<Board>,
    pub(super) vendor: Arc<Vendor>,
    /// Of the processes that are made from now on.
    pub(super) cut: Arc<AtomicBool>,
}

/// A process with so many callers that are never idle. Dies when dropped.
pub(super) struct Process {
    _budget: Arc<Budget>,
    _callers: JoinSet<()>,
}

impl World {
    pub(super) fn new() -> Self {
        let board = Board {
            begun: Instant::now(),
            values: Mutex::default(),
            revision: AtomicU64::new(0),
            stored_at: AtomicU64::new(0),
            asked: AtomicU64::new(0),
        };
        Self { board: Arc::new(board), vendor: Arc::default(), cut: Arc::default() }
    }

    /// The vendor does not say what it counts, so that nobody is warned by it.
    pub(super) fn silent() -> Self {
        let world = Self::new();
        world.vendor.silent.store(true, Ordering::Relaxed);
        world
    }

    /// What is on the board.
    pub(super) fn entry(&self) -> BudgetEntry {
        let values = self.board.values.lock().unwrap();
        let (value, _) = values.values().next().unwrap();
        serde_json::from_slice(value).unwrap()
    }

    /// By the board's clock.
    pub(super) fn now_ms(&self) -> u64 {
        self.board.now_ms()
    }

    /// Turns that the timetable has of the last window.
    pub(super) fn turns_in_window(&self) -> usize {
        let now_ms = self.now_ms();
        self.entry().turns.between(now_ms - 10_000, now_ms) as usize
    }

    pub(super) fn budget(&self, name: &str) -> Arc<Budget> {
        self.budget_of(name, QuotaShare::ALL)
    }

    /// Of which only a share is used.
    pub(super) fn budget_of(&self, name: &str, share: QuotaShare) -> Arc<Budget> {
        let rules = ClassRules {
            class: CLASS,
            windows: vec![WindowRule { limit: LIMIT, per: PER }],
            spacing: Duration::ZERO,
            burst: None,
            is_quota: true,
            share,
        };
        let key = BudgetKey { connector: "hubspot", account_id: "1".into(), class: CLASS };
        Arc::new(Budget::new(key, &rules, Some(&self.sharing(name))))
    }

    /// What a process shares its budgets with.
    pub(super) fn sharing(&self, name: &str) -> Sharing {
        let link = Link { board: Arc::clone(&self.board), cut: Arc::clone(&self.cut) };
        Sharing { board: Arc::new(link), name: name.to_owned() }
    }

    pub(super) fn process(&self, name: &str, callers: u64, latency: std::ops::Range<u64>) -> Process {
        self.process_with(self.budget(name), name, callers, latency)
    }

    pub(super) fn process_with(
        &self,
        budget: Arc<Budget>,
        name: &str,
        callers: u64,
        latency: std::ops::Range<u64>,
    ) -> Process {
        let mut tasks = JoinSet::new();
        for caller in 0..callers {
            let (budget, vendor, latency) = (Arc::clone(&budget), Arc::clone(&self.vendor), latency.clone());
            let mut random = caller + name.bytes().map(u64::from).sum::<u64>();
            tasks.spawn(async move {
                loop {
                    let Ok(permit) = budget.acquire(Duration::ZERO).await else {
                        sleep(Duration::from_secs(1)).await;
                        continue;
                    };
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let each_way = latency.start + (random >> 33) % (latency.end - latency.start);
                    sleep(Duration::from_millis(each_way)).await;
                    let reported = vendor.arrive();
                    sleep(Duration::from_millis(each_way)).await;
                    if reported.is_none() {
                        budget.hold(Duration::from_secs(10));
                    }
                    permit.answered(reported.filter(|_| !vendor.silent.load(Ordering::Relaxed)));
                }
            });
        }
        Process { _budget: budget, _callers: tasks }
    }

    /// The share of the limit that is used from now on for so many seconds.
    pub(super) async fn used_in(&self, seconds: u32) -> f64 {
        let before = self.vendor.accepted();
        sleep(Duration::from_secs(seconds.into())).await;
        (self.vendor.accepted() - before) as f64 / f64::from(LIMIT * seconds / 10)
    }

    pub(super) fn refused(&self) -> u64 {
        self.vendor.refused.load(Ordering::Relaxed)
    }
}
