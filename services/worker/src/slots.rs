//! Slots: how many jobs of each priority run at once. First a free slot, then a job.
//!
//! Besides its slots a lane has a small reserve. It is used when all slots are taken, and only for jobs that must not wait
//! behind a backlog: such as were accepted just now, and such as lost their worker. Each has it for a turn; who is not
//! done by then is put back at its last page, and waits for a slot like all others. So 10,000 jobs in the queue do not
//! delay the next one, short jobs do not wait for long ones, and the slots themselves serve first who came first.

use std::sync::Arc;

use protocol::Priority;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many jobs of each priority this worker runs at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// For `high`.
    pub high: usize,
    /// For `normal`.
    pub normal: usize,
    /// For `low`.
    pub low: usize,
    /// Besides, for each of them that has any.
    pub reserve: usize,
}

impl Slots {
    fn of(self, priority: Priority) -> usize {
        match priority {
            Priority::High => self.high,
            Priority::Normal => self.normal,
            Priority::Low => self.low,
        }
    }
}

/// The slots of one lane. Cheap to clone; never closed.
#[derive(Debug, Clone)]
pub(crate) struct LaneSlots {
    ordinary: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    /// How many of both there are.
    sizes: (usize, usize),
}

/// A place for a job; free again when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    #[expect(dead_code, reason = "free again on drop")]
    permit: OwnedSemaphorePermit,
    /// Whether it is one for a turn only.
    pub is_reserve: bool,
}

impl LaneSlots {
    pub(crate) fn new(slots: Slots, priority: Priority) -> Self {
        let ordinary = slots.of(priority);
        let reserve = if ordinary == 0 { 0 } else { slots.reserve };
        Self {
            ordinary: Arc::new(Semaphore::new(ordinary)),
            reserve: Arc::new(Semaphore::new(reserve)),
            sizes: (ordinary, reserve),
        }
    }

    /// A slot, if one is free.
    pub(crate) fn take(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.ordinary).try_acquire_owned().ok()?;
        Some(Slot { permit, is_reserve: false })
    }

    /// Resolves when [`LaneSlots::take`] is worth a try. Cancel-safe.
    pub(crate) async fn freed(&self) {
        drop(self.ordinary.acquire().await);
    }

    /// Whether this worker takes jobs of the lane at all.
    pub(crate) fn is_served(&self) -> bool {
        self.sizes.0 > 0
    }

    /// Whether there is a reserve, free or taken.
    pub(crate) fn has_reserve(&self) -> bool {
        self.sizes.1 > 0
    }

    /// Whether all slots are taken, or the last one is waiting for a ticket.
    pub(crate) fn is_full(&self) -> bool {
        self.ordinary.available_permits() == 0
    }

    /// A place in the reserve, if one is free.
    pub(crate) fn take_reserve(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.reserve).try_acquire_owned().ok()?;
        Some(Slot { permit, is_reserve: true })
    }

    /// Resolves when [`LaneSlots::take_reserve`] is worth a try: never, if there is no reserve. Cancel-safe.
    pub(crate) async fn reserve_freed(&self) {
        drop(self.reserve.acquire().await);
    }
}
