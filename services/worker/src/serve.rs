//! Serving the lanes: a free slot gets the next ticket, or a job that lost its worker; a place in the reserve gets such a
//! job, too, or one that was accepted just now.

use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, BusError, Delivery, Fresh, Lane};
use protocol::{JobId, Priority};
use rand::seq::IndexedRandom;
use store::{Store, StoreError};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::Worker;
use crate::slots::{LaneSlots, Slot};

/// The pause after NATS did not give what was asked for.
const REATTACH_WAIT: Duration = Duration::from_millis(250);
/// How often a worker looks into Postgres for jobs that a ticket may not bring to it: because NATS is away, because the
/// ticket is with a process that hangs, or because nobody had room when it was published.
const LOOK: Duration = Duration::from_millis(500);
/// A look that takes longer has failed. A slow Postgres must not be asked ever more.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// How many jobs of a lane are taken note of at once. What is left is seen the next time.
const FOUND_MAX: usize = 8;
/// A job that has waited for so long while a slot is free waits for a ticket that does not come.
const LONG: Duration = Duration::from_secs(15);
/// Of so many of the youngest one is taken, so that workers that look at the same time take different ones.
const YOUNGEST: u32 = 8;
/// A job that has waited for no longer than this is for the reserve, the newest first. Who waits for longer has a place
/// in the queue that is as good.
const YOUNG: Duration = Duration::from_secs(60);

/// What there is to do for a slot.
enum Work {
    Ticket(Box<Delivery>),
    /// Without a ticket in hand.
    Job(JobId),
}

/// One lane, as its worker serves it.
struct Serving {
    lane: Lane,
    fresh: Fresh,
    orphaned: mpsc::Receiver<JobId>,
    stuck: mpsc::Receiver<JobId>,
    young: mpsc::Receiver<JobId>,
    slots: LaneSlots,
}

/// A lane, as those see it who look for jobs.
struct Seeking {
    priority: Priority,
    /// Jobs that lost their worker: for a slot or the reserve.
    orphaned: mpsc::Sender<JobId>,
    /// Jobs whose ticket does not come: for a slot only.
    stuck: mpsc::Sender<JobId>,
    /// Jobs that were accepted just now: for the reserve only.
    young: mpsc::Sender<JobId>,
    slots: LaneSlots,
}

impl Serving {
    /// A job, and a slot for it. First the slot: a ticket that nobody works on is one whose clock runs.
    async fn next(&mut self) -> Result<(Work, Slot), BusError> {
        loop {
            if let Some(slot) = self.slots.take() {
                self.fresh.pause();
                self.slots.offer(slot);
                let work = tokio::select! {
                    biased;
                    Some(job) = self.orphaned.recv() => Ok(Some(Work::Job(job))),
                    Some(job) = self.stuck.recv() => Ok(Some(Work::Job(job))),
                    delivery = self.lane.next() => delivery.map(|delivery| Some(Work::Ticket(Box::new(delivery)))),
                    () = self.slots.moved_into() => Ok(None),
                };
                // Whoever moved into the slot came out of the reserve.
                let slot = self.slots.take_back().or_else(|| self.slots.take_reserve());
                match (work?, slot) {
                    (Some(work), Some(slot)) => return Ok((work, slot)),
                    // A ticket that came at that moment comes again.
                    _ => continue,
                }
            }
            self.lane.pause();
            tokio::select! {
                biased;
                () = self.slots.freed() => {}
                found = beyond(&self.slots, &mut self.fresh, &mut self.orphaned, &mut self.young) => return found,
            }
        }
    }
}

/// A job that does not wait until a slot is free. Cancel-safe: whoever heard of it and was cancelled has lost a hint.
async fn beyond(
    slots: &LaneSlots,
    fresh: &mut Fresh,
    orphaned: &mut mpsc::Receiver<JobId>,
    young: &mut mpsc::Receiver<JobId>,
) -> Result<(Work, Slot), BusError> {
    let slot = loop {
        if let Some(slot) = slots.take_reserve() {
            break slot;
        }
        // What would be heard now is for a worker that has room.
        fresh.pause();
        slots.reserve_freed().await;
    };
    tokio::select! {
        biased;
        Some(job) = orphaned.recv() => Ok((Work::Job(job), slot)),
        Some(job) = young.recv() => Ok((Work::Job(job), slot)),
        ticket = fresh.next() => Ok((Work::Job(ticket?.job_id), slot)),
    }
}

impl Worker {
    /// Pulls and runs jobs until `stop` is cancelled, then puts the running ones back and waits for them.
    pub async fn run_until(self: Arc<Self>, stop: CancellationToken) {
        let mut lanes = Vec::new();
        for priority in Priority::ALL {
            let slots = LaneSlots::new(self.settings.slots, *priority);
            if !slots.is_served() {
                continue;
            }
            let (to_orphaned, orphaned) = mpsc::channel(FOUND_MAX);
            let (to_stuck, stuck) = mpsc::channel(FOUND_MAX);
            // One young job at a time: the next look knows a newer one.
            let (to_young, young) = mpsc::channel(1);
            let (lane, fresh) = (self.bus.lane(*priority), self.bus.fresh(*priority));
            let serving = Serving { lane, fresh, orphaned, stuck, young, slots: slots.clone() };
            lanes.push(Seeking {
                priority: *priority,
                orphaned: to_orphaned,
                stuck: to_stuck,
                young: to_young,
                slots,
            });
            self.tracker.spawn(Arc::clone(&self).serve(*priority, serving, stop.clone()));
        }
        let looks = look_for_jobs(self.store.clone(), lanes);
        let stopped = stop.clone();
        self.tracker.spawn(async move { stopped.run_until_cancelled(looks).await });
        let bus = self.bus.clone();
        self.tracker.spawn(bus.answer_as("worker", "Runs jobs", stop.clone()));
        self.tracker.spawn(verify(self.bus.clone(), stop.clone()));
        self.tracker.close();
        self.tracker.wait().await;
        // The tickets that were put back: without it they would come again after the ack wait only.
        self.bus.flush().await;
    }

    async fn serve(self: Arc<Self>, priority: Priority, mut serving: Serving, stop: CancellationToken) {
        // Quiet until it was attached once: a start before NATS is up is no news.
        let mut attached = false;
        while let Some(next) = stop.run_until_cancelled(serving.next()).await {
            match next {
                Ok((work, slot)) => {
                    attached = true;
                    let (this, ack_wait, slots) =
                        (Arc::clone(&self), serving.lane.ack_wait(), serving.slots.clone());
                    // Whoever has a place in the reserve for longer than a turn is stopped, too, in the same way.
                    let stop = stop.child_token();
                    self.tracker.spawn(async move {
                        let turn = this.settings.reserve_turn;
                        let work = Box::pin(async {
                            match work {
                                Work::Ticket(delivery) => {
                                    this.handle(*delivery, ack_wait, stop.clone()).await
                                }
                                Work::Job(job_id) => this.pick_up(job_id, ack_wait, stop.clone()).await,
                            }
                        });
                        slots.run_in(slot, turn, &stop, work).await;
                    });
                }
                Err(error) => {
                    if attached {
                        tracing::warn!(lane = %priority, error = %error, "no tickets for now; attaching again");
                    }
                    attached = false;
                    if stop.run_until_cancelled(tokio::time::sleep(REATTACH_WAIT)).await.is_none() {
                        return;
                    }
                }
            }
        }
    }
}

/// Looks for jobs, for ever. Whoever is told of one claims it, or is refused because another worker was faster.
async fn look_for_jobs(store: Store, lanes: Vec<Seeking>) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let look = timeout(LOOK_TIMEOUT, look(&store, &lanes)).await;
        if let Err(error) = look.unwrap_or_else(|_| Err(StoreError::timed_out())) {
            tracing::debug!(error = %error, "nobody knows which jobs want a worker");
        }
    }
}

async fn look(store: &Store, lanes: &[Seeking]) -> Result<(), StoreError> {
    let limit = u32::try_from(FOUND_MAX).unwrap_or(u32::MAX);
    let expired = store.expired(limit).await?;
    for lane in lanes {
        for (job, _) in expired.iter().filter(|(_, priority)| *priority == lane.priority) {
            tell(&lane.orphaned, *job);
        }
        if !lane.slots.is_full() {
            for job in store.waiting_long(lane.priority, LONG, limit).await? {
                tell(&lane.stuck, job);
            }
        } else if lane.slots.has_reserve() && lane.young.capacity() > 0 {
            // If nobody took the last one, the reserve is taken, too.
            let young = store.waiting_briefly(lane.priority, YOUNG, YOUNGEST).await?;
            if let Some(job) = young.choose(&mut rand::rng()) {
                tell(&lane.young, *job);
            }
        }
    }
    Ok(())
}

fn tell(lane: &mpsc::Sender<JobId>, job: JobId) {
    if lane.try_send(job).is_err() {
        tracing::trace!(job.id = %job, "its lane is busy and has heard of enough");
    }
}

/// Says once if NATS does not have what the files say. The worker runs all the same: the scheduler repairs
/// what is missing, and what differs is somebody's decision.
async fn verify(bus: Bus, stop: CancellationToken) {
    if stop.run_until_cancelled(bus.connected()).await.is_some()
        && let Err(error) = bus.verify().await
    {
        tracing::warn!(error = %error, "NATS is not as it should be");
    }
}
