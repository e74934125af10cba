//! Carries a schedule out, and keeps a journal of what was done when.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::Duration;

use devstack::Stack;
use lab::{FaultKind, FaultRule, RunningLab};
use time::OffsetDateTime;
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fleet::Fleet;
use super::schedule::{Fault, Link, Planned, Slot, Trouble, VendorTrouble};
use crate::roles::Role;

/// What was broken, from when to when.
#[derive(Debug, Clone)]
pub(super) struct Incident {
    pub fault: Fault,
    /// Which process, if it was one.
    pub pid: Option<u32>,
    pub begun: OffsetDateTime,
    /// When it was whole again.
    pub ended: OffsetDateTime,
}

impl Incident {
    /// Its row in the report.
    pub(super) fn kind(&self) -> &'static str {
        match self.fault {
            Fault::Kill { slot, .. } => match slot.role {
                Role::Worker => "kill -9 worker",
                Role::Ingress => "kill -9 ingress",
                Role::Status => "kill -9 status",
                Role::Scheduler => "kill -9 scheduler",
            },
            Fault::HoldUp { .. } => "SIGSTOP and SIGCONT",
            Fault::KillNats { .. } => "kill -9 nats-server",
            Fault::KillPostgres { .. } => "kill -9 Postgres",
            Fault::Wipe => "JetStream store deleted",
            Fault::Link { trouble: Trouble::Cut, .. } => "connections cut",
            Fault::Link { trouble: Trouble::Delay { .. }, .. } => "connections slow",
            Fault::Link { trouble: Trouble::HalfOpen, .. } => "connections half open",
            Fault::Vendor { trouble: VendorTrouble::Storm { .. }, .. } => "storms of 429",
            Fault::Vendor { trouble: VendorTrouble::Truncated, .. } => "vendor: answers cut off",
            Fault::Vendor { trouble: VendorTrouble::Late { .. }, .. } => "vendor: late answers",
            Fault::Vendor { .. } => "vendor: errors",
        }
    }

    /// Which process it was, for its row.
    pub(super) fn whose(&self) -> String {
        match self.fault {
            Fault::Kill { slot, .. } | Fault::HoldUp { slot, .. } => format!(" {slot}"),
            Fault::Link { link, slot, .. } => {
                let whose = slot.map_or("all".to_owned(), |slot| slot.to_string());
                format!(" {link:?} of {whose}")
            }
            _ => String::new(),
        }
    }

    /// Whether only the vendor failed.
    pub(super) fn is_vendors(&self) -> bool {
        matches!(self.fault, Fault::Vendor { .. } | Fault::Link { link: Link::Vendor, .. })
    }

    /// Whether a process was killed by it: one of ours, which was there, or a server.
    pub(super) fn is_kill(&self) -> bool {
        match self.fault {
            Fault::Kill { .. } => self.pid.is_some(),
            fault => is_of_server(fault),
        }
    }
}

fn is_of_server(fault: Fault) -> bool {
    matches!(fault, Fault::KillNats { .. } | Fault::KillPostgres { .. } | Fault::Wipe)
}

/// What was done, and what went wrong in doing it.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// Faults of servers that are under way.
    down: AtomicUsize,
    incidents: SyncMutex<Vec<Incident>>,
    failures: SyncMutex<Vec<String>>,
}

impl Journal {
    pub(super) fn incidents(&self) -> Vec<Incident> {
        self.incidents.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a server is down, or about to be.
    pub(super) fn is_server_down(&self) -> bool {
        self.down.load(Ordering::Relaxed) > 0
    }

    pub(super) fn fail(&self, what: String) {
        tracing::error!(what, "chaos itself failed");
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
}

/// What a schedule is carried out on.
#[derive(Clone)]
pub(super) struct Breaker {
    pub fleet: Arc<Fleet>,
    pub stack: Arc<Mutex<Stack>>,
    pub lab: Arc<RunningLab>,
    pub journal: Arc<Journal>,
    /// Ends every fault at once.
    pub stop: CancellationToken,
    /// Has every client post that pauses.
    pub hurry: Arc<Notify>,
}

/// How long the server is away whose store is deleted, beside the time that starting takes: time for a post.
const WIPED_MS: u64 = 700;

impl Breaker {
    /// Returns when the last fault is over. Faults overlap, as the schedule says.
    pub(super) async fn carry_out(&self, schedule: Vec<Planned>) {
        let (begun, faults) = (Instant::now(), TaskTracker::new());
        for Planned { at, fault } in schedule {
            tokio::select! {
                () = tokio::time::sleep_until(begun + at) => {}
                () = self.stop.cancelled() => break,
            }
            let this = self.clone();
            faults.spawn(async move { this.inflict(fault).await });
        }
        faults.close();
        faults.wait().await;
        self.heal().await;
    }

    async fn inflict(&self, fault: Fault) {
        let begun = OffsetDateTime::now_utc();
        let down = usize::from(is_of_server(fault));
        self.journal.down.fetch_add(down, Ordering::Relaxed);
        let done = self.break_and_mend(fault).await;
        self.journal.down.fetch_sub(down, Ordering::Relaxed);
        match done {
            Ok(pid) => {
                let incident = Incident { fault, pid, begun, ended: OffsetDateTime::now_utc() };
                tracing::info!(?incident, "over");
                self.journal.incidents.lock().unwrap_or_else(PoisonError::into_inner).push(incident);
            }
            Err(error) => self.journal.fail(format!("{fault:?}: {error:#}")),
        }
    }

    async fn break_and_mend(&self, fault: Fault) -> anyhow::Result<Option<u32>> {
        match fault {
            Fault::Kill { slot, down_ms } => {
                let pid = self.fleet.kill(slot).await?;
                self.wait(down_ms).await;
                self.fleet.start_again(slot).await?;
                return Ok(pid);
            }
            Fault::HoldUp { slot, for_ms } => {
                let pid = self.fleet.hold_up(slot).await?;
                self.wait(for_ms).await;
                self.fleet.go_on(slot).await?;
                return Ok(pid);
            }
            Fault::Link { link, slot, trouble, for_ms } => self.link(link, slot, trouble, for_ms).await?,
            Fault::KillNats { node, down_ms } => {
                let mut stack = self.stack.lock().await;
                stack.kill_nats_node(node).await?;
                self.wait(down_ms).await;
                stack.restart_nats_node(node).await?;
            }
            Fault::KillPostgres { down_ms } => {
                let mut stack = self.stack.lock().await;
                stack.kill_postgres().await?;
                self.wait(down_ms).await;
                stack.restart_postgres().await?;
            }
            Fault::Wipe => {
                let mut stack = self.stack.lock().await;
                stack.kill_nats().await?;
                // Only those who wait show what it costs.
                self.hurry.notify_waiters();
                self.wait(WIPED_MS).await;
                stack.wipe_jetstream().await?;
            }
            Fault::Vendor { trouble, portal, count } => self.vendor(trouble, portal, count)?,
        }
        Ok(None)
    }

    async fn link(
        &self,
        link: Link,
        slot: Option<Slot>,
        trouble: Trouble,
        for_ms: u64,
    ) -> anyhow::Result<()> {
        self.fleet.disturb(link, slot, trouble).await?;
        self.wait(for_ms).await;
        self.fleet.restore(link, slot).await
    }

    /// Adds a rule to those that have not hit enough requests yet.
    fn vendor(&self, trouble: VendorTrouble, portal: Option<u64>, count: u64) -> anyhow::Result<()> {
        let kind = match trouble {
            VendorTrouble::Storm { .. } => FaultKind::RateLimitStorm,
            VendorTrouble::Truncated => FaultKind::Truncate,
            VendorTrouble::Status(_) => FaultKind::Status,
            VendorTrouble::Html => FaultKind::Html,
            VendorTrouble::Late { .. } => FaultKind::Latency,
        };
        let mut rule = FaultRule { portal, count: Some(count), ..FaultRule::new(kind) };
        match trouble {
            VendorTrouble::Storm { retry_after } => rule.retry_after = retry_after,
            VendorTrouble::Status(status) => rule.status = Some(status),
            VendorTrouble::Late { ms } => rule.delay_ms = Some(ms),
            VendorTrouble::Truncated | VendorTrouble::Html => {}
        }
        let mut rules = self.lab.faults();
        rules.push(rule);
        self.lab.set_faults(rules)
    }

    async fn wait(&self, ms: u64) {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(ms)) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Whatever happened: everything runs, and nothing is disturbed.
    async fn heal(&self) {
        let heal = async {
            self.lab.set_faults(Vec::new())?;
            for link in [Link::Nats, Link::Postgres, Link::Vendor] {
                self.fleet.restore(link, None).await?;
            }
            for slot in self.fleet.slots() {
                self.fleet.go_on(slot).await?;
                self.fleet.start_again(slot).await?;
            }
            anyhow::Ok(())
        };
        if let Err(error) = heal.await {
            self.journal.fail(format!("not everything was mended: {error:#}"));
        }
    }
}
