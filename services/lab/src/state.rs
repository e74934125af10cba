use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::LabConfig;
use crate::clock::Clock;
use crate::faults::{FaultPlan, FaultRule};
use crate::hubspot::{Dataset, Edit, Object, mix};
use crate::ledger::Ledger;

/// Whether a 429 says when to come back. The vendor does so only sometimes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum RetryAfter {
    Never,
    /// Every second one.
    #[default]
    Alternate,
    Always,
}

/// What one lab shares between its requests.
#[derive(Debug)]
pub(crate) struct LabState {
    pub(crate) config: LabConfig,
    pub(crate) clock: Clock,
    /// Ends requests that hang when the lab stops.
    pub(crate) closing: CancellationToken,
    dataset: RwLock<Dataset>,
    ledger: Mutex<Ledger>,
    faults: Mutex<FaultPlan>,
    faults_replaced: watch::Sender<u64>,
    /// Requests received since the lab started. A reset does not touch it, so that waiting for it cannot hang.
    received: watch::Sender<u64>,
    answered: watch::Sender<u64>,
    /// Requests that were made to hang since the lab started.
    hung: watch::Sender<u64>,
    retry_after: Mutex<RetryAfter>,
    refusals: AtomicU64,
    correlation: AtomicU64,
}

impl LabState {
    pub(crate) fn new(config: LabConfig, closing: CancellationToken) -> Self {
        let clock = Clock::start();
        Self {
            dataset: RwLock::new(Dataset::new(&config)),
            ledger: Mutex::new(Ledger::new(config.limits)),
            faults: Mutex::default(),
            faults_replaced: watch::Sender::default(),
            received: watch::Sender::default(),
            answered: watch::Sender::default(),
            hung: watch::Sender::default(),
            retry_after: Mutex::default(),
            refusals: AtomicU64::new(0),
            correlation: AtomicU64::new(clock.now_us()),
            clock,
            closing,
            config,
        }
    }

    // A panic in one request must not silence the lab, so poisoned locks are taken over.

    pub(crate) fn dataset(&self) -> RwLockReadGuard<'_, Dataset> {
        self.dataset.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn dataset_mut(&self) -> RwLockWriteGuard<'_, Dataset> {
        self.dataset.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, FaultPlan> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces all fault rules and lets go of requests that hang.
    pub(crate) fn set_faults(&self, rules: Vec<FaultRule>) -> Result<(), String> {
        self.faults().set(rules)?;
        self.faults_replaced.send_modify(|times| *times += 1);
        Ok(())
    }

    pub(crate) fn faults_replaced(&self) -> watch::Receiver<u64> {
        self.faults_replaced.subscribe()
    }

    pub(crate) fn count_received(&self) {
        self.received.send_modify(|count| *count += 1);
    }

    pub(crate) fn count_answered(&self) {
        self.answered.send_modify(|count| *count += 1);
    }

    pub(crate) fn count_hung(&self) {
        self.hung.send_modify(|count| *count += 1);
    }

    pub(crate) fn hung(&self) -> watch::Receiver<u64> {
        self.hung.subscribe()
    }

    pub(crate) fn received(&self) -> watch::Receiver<u64> {
        self.received.subscribe()
    }

    pub(crate) fn answered(&self) -> watch::Receiver<u64> {
        self.answered.subscribe()
    }

    pub(crate) fn set_retry_after(&self, how: RetryAfter) {
        *self.retry_after.lock().unwrap_or_else(PoisonError::into_inner) = how;
    }

    /// Whether this refusal carries a `Retry-After`.
    pub(crate) fn tells_retry_after(&self) -> bool {
        match *self.retry_after.lock().unwrap_or_else(PoisonError::into_inner) {
            RetryAfter::Never => false,
            RetryAfter::Alternate => self.refusals.fetch_add(1, Ordering::Relaxed) % 2 == 1,
            RetryAfter::Always => true,
        }
    }

    /// Looks like a UUID and is unique within the lab.
    pub(crate) fn correlation_id(&self) -> String {
        let number = self.correlation.fetch_add(1, Ordering::Relaxed);
        let (high, low) = (mix(number), mix(!number));
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }
}

impl LabState {
    /// Archives or restores a record, or gives it new content; says whether there is such a record.
    pub(crate) fn edit(&self, object: Object, id: u64, archived: Option<bool>, touch: bool) -> bool {
        let now_ms = i64::try_from(self.clock.now_us() / 1_000).unwrap_or(i64::MAX);
        let change = |edit: &mut Edit| {
            if let Some(archived) = archived {
                edit.archived_ms = archived.then_some(now_ms);
            }
            if touch {
                edit.modified_ms = Some(now_ms);
                edit.revision += 1;
            }
        };
        self.dataset_mut().edit(object, id, change).is_some()
    }
}
