use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::LabConfig;
use crate::clock::Clock;
use crate::faults::{FaultPlan, FaultRule};
use crate::hubspot::{AsOf, Change, Changed, Dataset, Directory, Object, Standing, Version, Zone, mix};
use crate::ledger::Ledger;
use crate::tokens::{Bearer, Granted, Tokens};

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
    directory: RwLock<Directory>,
    tokens: Mutex<Tokens>,
    ledger: Mutex<Ledger>,
    faults: Mutex<FaultPlan>,
    faults_replaced: watch::Sender<u64>,
    /// Requests received since the lab started. A reset does not touch it, so that waiting for it cannot hang.
    received: watch::Sender<u64>,
    answered: watch::Sender<u64>,
    /// Requests that were made to hang since the lab started.
    hung: watch::Sender<u64>,
    retry_after: Mutex<RetryAfter>,
    search_lag_ms: AtomicU64,
    association_page_size: AtomicUsize,
    refusals: AtomicU64,
    correlation: AtomicU64,
}

impl LabState {
    pub(crate) fn new(config: LabConfig, closing: CancellationToken) -> Self {
        let clock = Clock::start();
        Self {
            dataset: RwLock::new(Dataset::new(&config)),
            directory: RwLock::default(),
            tokens: Mutex::default(),
            ledger: Mutex::new(Ledger::new(config.limits)),
            faults: Mutex::default(),
            faults_replaced: watch::Sender::default(),
            received: watch::Sender::default(),
            answered: watch::Sender::default(),
            hung: watch::Sender::default(),
            retry_after: Mutex::default(),
            search_lag_ms: AtomicU64::new(0),
            association_page_size: AtomicUsize::new(500),
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

    pub(crate) fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn directory_mut(&self) -> RwLockWriteGuard<'_, Directory> {
        self.directory.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
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
    pub(crate) fn now_ms(&self) -> i64 {
        i64::try_from(self.clock.now_us() / 1_000).unwrap_or(i64::MAX)
    }

    /// Whose an access token is, as of now.
    pub(crate) fn bearer(&self, token: &str) -> Bearer {
        self.tokens().bearer(token, self.now_ms())
    }

    /// A new access token for a refresh token, if it is a good one.
    pub(crate) fn refresh(&self, refresh_token: &str) -> Option<Granted> {
        let granted = self.tokens().refresh(refresh_token, self.now_ms())?;
        self.ledger().refreshed();
        Some(granted)
    }

    /// All access tokens that were issued so far expire.
    pub(crate) fn expire_tokens(&self) {
        self.tokens().expire(self.now_ms());
    }

    /// Moves an account, and with it its midnight.
    pub(crate) fn set_zone(&self, portal: u64, zone: Zone) {
        let offset_us = i64::from(zone.utc_offset_min) * 60_000_000;
        self.directory_mut().set_zone(portal, zone);
        self.ledger().set_utc_offset_us(portal, offset_us);
    }

    /// Archives or restores a record, or gives it new content; says whether there is such a record.
    pub(crate) fn edit(&self, object: Object, id: u64, archived: Option<bool>, touch: bool) -> bool {
        let mut dataset = self.dataset_mut();
        let now_ms = self.now_ms();
        let change = |version: &mut Version| {
            match archived {
                Some(true) => version.standing = Standing::Archived { at_ms: now_ms },
                Some(false) => {
                    version.standing = Standing::Live;
                    version.modified_ms = Some(now_ms);
                }
                None => {}
            }
            if touch {
                version.modified_ms = Some(now_ms);
                version.revision += 1;
            }
        };
        dataset.edit(object, id, now_ms, change)
    }

    /// Changes many records at once, so that no request sees half of it.
    pub(crate) fn change(&self, change: &Change) -> Changed {
        let mut dataset = self.dataset_mut();
        // Read the clock under the lock: versions have to be in order.
        let now_ms = self.now_ms();
        dataset.apply(change, now_ms)
    }

    /// The moment that the search index shows.
    pub(crate) fn search_sees(&self) -> AsOf {
        match i64::try_from(self.search_lag_ms.load(Ordering::Relaxed)).unwrap_or(i64::MAX) {
            0 => AsOf::Now,
            lag_ms => AsOf::UnixMs(self.now_ms().saturating_sub(lag_ms)),
        }
    }

    /// How far the search index lags behind.
    pub(crate) fn set_search_lag_ms(&self, lag_ms: u64) {
        self.search_lag_ms.store(lag_ms, Ordering::Relaxed);
    }

    pub(crate) fn association_page_size(&self) -> usize {
        self.association_page_size.load(Ordering::Relaxed)
    }

    /// How many associations of one record a page holds, at least one.
    pub(crate) fn set_association_page_size(&self, size: usize) {
        self.association_page_size.store(size.max(1), Ordering::Relaxed);
    }
}
