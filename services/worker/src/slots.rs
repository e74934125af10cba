//! Slots: how many jobs of each priority run at once. First a free slot, then a job.
//!
//! Besides its slots a lane has a small reserve. It is used when all slots are taken, and only for jobs that must not wait
//! behind a backlog: such as were accepted just now, and such as lost their worker. Each has it for a turn; who is not
//! done by then is put back at its last page, and waits for a slot like all others. So 10,000 jobs in the queue do not
//! delay the next one, short jobs do not wait for long ones, and the slots themselves serve first who came first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::Priority;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

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
    /// The free slot that waits for a ticket.
    offered: Arc<Mutex<Option<Slot>>>,
    accepted: Arc<Notify>,
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
            offered: Arc::default(),
            accepted: Arc::default(),
            sizes: (ordinary, reserve),
        }
    }

    /// A slot, if one is free.
    pub(crate) fn take(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.ordinary).try_acquire_owned().ok()?;
        Some(Slot { permit, is_reserve: false })
    }

    /// Waits with a slot for a ticket. Until [`LaneSlots::take_back`] a job may move into it from the reserve.
    pub(crate) fn offer(&self, slot: Slot) {
        *self.offered() = Some(slot);
    }

    /// The slot that was offered, unless a job moved into it.
    pub(crate) fn take_back(&self) -> Option<Slot> {
        self.offered().take()
    }

    /// Resolves when a job moved into the slot that was offered. Cancel-safe.
    pub(crate) async fn moved_into(&self) {
        self.accepted.notified().await;
    }

    /// Does the work in its slot. From the reserve it moves to a free slot when its turn is over; if there is none, it is
    /// told to stop.
    pub(crate) async fn run_in(
        &self,
        mut slot: Slot,
        turn: Duration,
        stop: &CancellationToken,
        work: impl Future<Output = ()>,
    ) {
        tokio::pin!(work);
        if slot.is_reserve {
            if timeout(turn, &mut work).await.is_ok() {
                return;
            }
            match self.take().or_else(|| self.take_back().inspect(|_| self.accepted.notify_one())) {
                Some(free) => slot = free,
                None => stop.cancel(),
            }
        }
        work.await;
        drop(slot);
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

    /// Whether all slots are taken. One that waits for a ticket is not.
    pub(crate) fn is_full(&self) -> bool {
        self.ordinary.available_permits() == 0 && self.offered().is_none()
    }

    fn offered(&self) -> MutexGuard<'_, Option<Slot>> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: Duration = Duration::from_secs(10);

    fn lane(normal: usize) -> LaneSlots {
        LaneSlots::new(Slots { high: 0, normal, low: 0, reserve: 1 }, Priority::Normal)
    }

    /// Runs for three turns in the reserve. Answers whether it was told to stop, and whether there was room in the reserve
    /// for another one meanwhile.
    async fn long_job(slots: &LaneSlots) -> (bool, bool) {
        let stop = CancellationToken::new();
        let reserve = slots.take_reserve().unwrap();
        let work = async {
            tokio::time::sleep(3 * TURN).await;
            slots.take_reserve().is_some()
        };
        let (mut room, told) = (false, stop.clone());
        slots.run_in(reserve, TURN, &stop, async { room = work.await }).await;
        (told.is_cancelled(), room)
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_moves_from_the_reserve_to_a_slot_that_became_free() {
        let slots = lane(1);
        assert_eq!(long_job(&slots).await, (false, true));
        assert!(slots.take().is_some(), "and leaves it free");
    }

    #[tokio::test(start_paused = true)]
    async fn it_moves_to_the_last_slot_also_while_that_waits_for_a_ticket() {
        let slots = lane(1);
        slots.offer(slots.take().unwrap());
        assert!(slots.take().is_none() && !slots.is_full());
        assert_eq!(long_job(&slots).await, (false, true));
        slots.moved_into().await;
        assert!(slots.take_back().is_none(), "whoever waited with it is told, and has it no more");
        assert!(slots.take().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_free_slot_it_is_told_to_stop_when_its_turn_is_over() {
        let slots = lane(1);
        let _taken = slots.take().unwrap();
        assert_eq!(long_job(&slots).await, (true, false));
        assert!(slots.take_reserve().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_in_a_slot_of_its_own_has_no_turn() {
        let slots = lane(1);
        let stop = CancellationToken::new();
        slots.run_in(slots.take().unwrap(), TURN, &stop, tokio::time::sleep(3 * TURN)).await;
        assert!(!stop.is_cancelled());
    }

    #[test]
    fn a_lane_without_slots_has_no_reserve_either() {
        assert!(!lane(0).is_served() && !lane(0).has_reserve());
        assert!(lane(1).is_served() && lane(1).has_reserve());
    }
}
