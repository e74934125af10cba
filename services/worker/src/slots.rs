//! Slots: how many jobs of each priority run at once. First a free slot, then a ticket.

use std::sync::Arc;
use std::time::Duration;

use bus::Bus;
use protocol::Priority;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::Worker;

/// How many jobs of each priority this worker runs at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// For `high`.
    pub high: usize,
    /// For `normal`.
    pub normal: usize,
    /// For `low`.
    pub low: usize,
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

/// The pause after NATS did not give what was asked for.
const REATTACH_WAIT: Duration = Duration::from_millis(250);

impl Worker {
    /// Pulls and runs jobs until `stop` is cancelled, then puts the running ones back and waits for them.
    pub async fn run_until(self: Arc<Self>, stop: CancellationToken) {
        for priority in Priority::ALL {
            let lane = Arc::clone(&self).serve(*priority, stop.clone());
            self.tracker.spawn(lane);
        }
        let bus = self.bus.clone();
        self.tracker.spawn(bus.answer_as("worker", "Runs jobs", stop.clone()));
        self.tracker.spawn(verify(self.bus.clone(), stop.clone()));
        self.tracker.close();
        self.tracker.wait().await;
    }

    async fn serve(self: Arc<Self>, priority: Priority, stop: CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.settings.slots.of(priority)));
        let mut lane = self.bus.lane(priority);
        // Quiet until it was attached once: a start before NATS is up is no news.
        let mut attached = false;
        loop {
            if slots.available_permits() == 0 {
                lane.pause();
            }
            let slot = tokio::select! {
                () = stop.cancelled() => return,
                Ok(slot) = Arc::clone(&slots).acquire_owned() => slot,
            };
            let delivery = tokio::select! {
                () = stop.cancelled() => return,
                delivery = lane.next() => delivery,
            };
            match delivery {
                Ok(delivery) => {
                    attached = true;
                    let handled = Arc::clone(&self).handle(delivery, lane.ack_wait(), stop.clone());
                    self.tracker.spawn(async move {
                        handled.await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    if attached {
                        tracing::warn!(lane = %priority, error = %error, "no tickets for now; attaching again");
                    }
                    attached = false;
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(REATTACH_WAIT) => {}
                    }
                }
            }
        }
    }
}

/// Says once if NATS does not have what the files say. The worker runs all the same: the scheduler repairs
/// what is missing, and what differs is somebody's decision.
async fn verify(bus: Bus, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => return,
        () = bus.connected() => {}
    }
    if let Err(error) = bus.verify().await {
        tracing::warn!(error = %error, "NATS is not as it should be");
    }
}
