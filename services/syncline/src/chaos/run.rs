//! One run: traffic and faults, and the end of both. What it proved is `verdict.rs`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use store::Store;
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ChaosArgs;
use super::book::Book;
use super::faults::{Breaker, Journal};
use super::memory::Memory;
use super::polling::Polled;
use super::report::Report;
use super::schedule::{Target, plan};
use super::traffic::{Client, change_source};
use super::verdict::telling;
use super::world::{World, all_slots, portals};
use crate::roles::Role;

/// How long everything that was accepted may take to end when nothing is broken any more.
const DRAIN_MAX: Duration = Duration::from_secs(240);
/// A post may find connections that died in an outage, and be refused: not for long.
const POST_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks at processes that ended by themselves, and at what drains.
const LOOK: Duration = Duration::from_millis(500);
/// Between two lines of progress.
const LINE: Duration = Duration::from_secs(30);

/// Everything of a run that is shared by its parts.
pub(super) struct Run<'a> {
    pub world: &'a World,
    pub args: &'a ChaosArgs,
    pub seed: u64,
    pub book: Arc<Book>,
    pub journal: Arc<Journal>,
    pub memory: Memory,
    client: Client,
    /// Processes that ended by themselves.
    pub ended: std::sync::Mutex<Vec<String>>,
}

/// Runs, checks, and says what came of it.
pub(super) async fn run(world: &World, args: &ChaosArgs, seed: u32) -> anyhow::Result<Report> {
    let begun = Instant::now();
    let (book, journal) = (Arc::new(Book::default()), Arc::new(Journal::default()));
    let (fleet, stop) = (Arc::clone(&world.fleet), CancellationToken::new());
    let client = Client::new(fleet, Arc::clone(&book), Arc::clone(&journal), stop)?;
    let (memory, ended) = (Memory::default(), std::sync::Mutex::default());
    let run = Run { world, args, seed: seed.into(), book, journal, memory, client, ended };
    let stop = CancellationToken::new();
    let watch = run.memory.watch(&world.fleet, &stop);
    let calm = async {
        let frozen_at = run.break_things().await;
        let calm = run.calm_down(frozen_at).await;
        stop.cancel();
        calm.map(|(store, closing)| (store, frozen_at, closing))
    };
    let (calm, (), ()) = tokio::join!(calm, watch, run.look_after(&stop));
    let (store, frozen_at, closing) = calm?;
    let report = run.check(&store, frozen_at, closing, begun).await;
    store.close().await;
    report
}

impl Run<'_> {
    /// Traffic and faults. Returns when the source was changed last.
    async fn break_things(&self) -> OffsetDateTime {
        let duration = self.args.duration();
        let target = Target {
            slots: all_slots(),
            portals: portals(self.args.workspaces.into()),
            nodes: if self.args.cluster { 3 } else { 1 },
            lease_ms: u64::try_from(self.world.config.worker.lease.as_millis()).unwrap_or(u32::MAX.into()),
        };
        let clients = TaskTracker::new();
        for (n, workspace) in (1..).zip(&self.world.workspaces) {
            let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(n);
            clients.spawn(self.client.clone().use_workspace(workspace.clone(), seed));
        }
        clients.close();
        let breaker = Breaker {
            fleet: Arc::clone(&self.world.fleet),
            stack: Arc::clone(&self.world.stack),
            lab: Arc::clone(&self.world.lab),
            journal: Arc::clone(&self.journal),
            stop: CancellationToken::new(),
            hurry: Arc::clone(&self.client.hurry),
        };
        let schedule = plan(self.seed, duration, &target);
        let changes = change_source(&self.world.lab, self.seed, duration, self.args.records);
        let time = async {
            tokio::time::sleep(duration).await;
            self.client.stop.cancel();
            clients.wait().await;
        };
        let (frozen_at, (), (), ()) =
            tokio::join!(changes, Box::pin(breaker.carry_out(schedule)), time, self.say());
        frozen_at
    }

    async fn say(&self) {
        let begun = Instant::now();
        let lines = async {
            loop {
                tokio::time::sleep(LINE).await;
                let kills = self.journal.incidents().iter().filter(|incident| incident.is_kill()).count();
                let (accepted, over) = {
                    let book = self.book.open();
                    (book.accepted.len(), book.endings.len())
                };
                let seconds = begun.elapsed().as_secs();
                if !self.args.json {
                    println!("  {seconds:>5} s   {kills} kills, {accepted} jobs accepted, {over} over");
                }
            }
        };
        self.client.stop.run_until_cancelled(lines).await;
    }

    async fn look_after(&self, stop: &CancellationToken) {
        let look = async {
            loop {
                match self.world.fleet.look_after().await {
                    Ok(ended) => self.note_ended(ended),
                    Err(error) => self.journal.fail(format!("{error:#}")),
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        stop.run_until_cancelled(look).await;
    }

    fn note_ended(&self, more: Vec<String>) {
        self.ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(more);
    }

    /// Nothing is broken any more: everything that was accepted ends. Then workspaces whose last sync says nothing
    /// about the source as it is get one more. Says how many.
    async fn calm_down(&self, frozen_at: OffsetDateTime) -> anyhow::Result<(Store, usize)> {
        let store = self.world.open_store()?;
        drain(&store).await?;
        let telling = telling(&store.all_jobs().await?, frozen_at);
        let others: Vec<_> = self.world.workspaces.iter().filter(|id| !telling.contains(*id)).collect();
        for workspace in &others {
            let posted = tokio::time::timeout(POST_WITHIN, self.client.insist(workspace)).await;
            posted.with_context(|| format!("{workspace} accepts no sync although nothing is broken"))?;
        }
        drain(&store).await?;
        self.poll_everything().await;
        Ok((store, others.len()))
    }

    /// What every status process says of the jobs now.
    async fn poll_everything(&self) {
        let accepted = self.book.open().accepted.clone();
        for (job, accepted) in accepted {
            for (slot, url) in self.world.fleet.urls(Role::Status) {
                // Without an answer it cannot be wrong.
                let polled = Polled { workspace: &accepted.workspace, job };
                self.client.poll(slot, &url, polled, false).await;
            }
        }
    }
}

/// Returns also when not everything ends: then the checker says what.
async fn drain(store: &Store) -> anyhow::Result<()> {
    let deadline = Instant::now() + DRAIN_MAX;
    while store.active_job_count().await? > 0 && Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
