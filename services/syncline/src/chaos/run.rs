//! One run: traffic and faults, the end of both, and the check.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use lab::Object;
use store::{JobFacts, Store};
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ChaosArgs;
use super::book::Book;
use super::check::Check;
use super::checker::{Facts, Finding, findings};
use super::faults::{Breaker, Incident, Journal};
use super::memory::{Memory, leaked};
use super::report::Report;
use super::schedule::{Fault, Link, Target, plan};
use super::source::Source;
use super::takeovers::{takeovers, wipes};
use super::traffic::{Client, change_source};
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
struct Run<'a> {
    world: &'a World,
    args: &'a ChaosArgs,
    seed: u64,
    book: Arc<Book>,
    journal: Arc<Journal>,
    memory: Memory,
    client: Client,
    /// Processes that ended by themselves.
    ended: std::sync::Mutex<Vec<String>>,
}

/// Runs, checks, and says what came of it.
pub(super) async fn run(world: &World, args: &ChaosArgs, seed: u32) -> anyhow::Result<Report> {
    let begun = Instant::now();
    let (book, journal) = (Arc::new(Book::default()), Arc::new(Journal::default()));
    let client = Client::new(Arc::clone(&world.fleet), Arc::clone(&book), CancellationToken::new())?;
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
            lease_ms: u64::try_from(self.world.config.worker.lease.as_millis()).unwrap_or(8_000),
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
                drop(self.client.poll(slot, &url, &accepted.workspace, job).await);
            }
        }
    }

    async fn check(
        &self,
        store: &Store,
        frozen_at: OffsetDateTime,
        closing: usize,
        begun: Instant,
    ) -> anyhow::Result<Report> {
        let mut processes = self.journal.failures();
        processes.extend(self.world.fleet.stop().await?);
        processes.extend(leaked(&self.world.fleet.lives()));
        processes.append(&mut self.ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        let incidents = self.journal.incidents();
        self.world.note(&incidents.iter().map(|incident| format!("{incident:?}\n")).collect::<String>())?;
        let notes = self.book.open().clone();
        let facts = Facts {
            notes,
            jobs: store.all_jobs().await?,
            job_changes: store.audited_jobs().await?,
            cursor_changes: store.audited_cursors().await?,
            row_writes: store.audited_rows().await?,
            records: self.records(),
            vendor_failed: incidents.iter().filter_map(vendor_failed).collect(),
        };
        let mut found = findings(&facts);
        let say = |check| move |what| Finding { check, what };
        found.extend(processes.into_iter().map(say(Check::Processes)));
        let memory = self.memory.report();
        found.extend(memory.grown().into_iter().map(say(Check::Memory)));
        let source = Source::of(&self.world.lab)?;
        let compared = telling(&facts.jobs, frozen_at);
        for workspace in &self.world.workspaces {
            if !compared.contains(workspace) {
                found.push(say(Check::Source)(format!("{workspace} has no completed sync to compare")));
                continue;
            }
            let differences = source.differences(store, workspace).await?;
            found.extend(differences.into_iter().map(say(Check::Source)));
        }
        let report = Report {
            seed: self.seed,
            duration: self.args.duration(),
            took: begun.elapsed(),
            takeovers: takeovers(&incidents, &facts.job_changes, self.world.config.worker.lease),
            wipes: wipes(&incidents, &facts.job_changes),
            incidents,
            vendor: self.world.lab.stats().await,
            memory,
            closing,
            compared: compared.len(),
            records_each: source.len(),
            facts,
            findings: found,
        };
        Ok(report.judged())
    }

    /// How many records there are at most, by object.
    fn records(&self) -> BTreeMap<String, u64> {
        let lab = &self.world.lab;
        let records = |object| lab.expect(object).records + lab.expect_archived(object).records;
        [Object::Contacts, Object::Companies, Object::Deals]
            .map(|object| (object.name().to_owned(), records(object)))
            .into()
    }
}

/// When the vendor failed on purpose: requests of then may have failed until this much later, with all their retries.
fn vendor_failed(incident: &Incident) -> Option<(OffsetDateTime, OffsetDateTime)> {
    const FAILS_WITHIN: Duration = Duration::from_secs(60);
    let is_vendors = matches!(incident.fault, Fault::Vendor { .. } | Fault::Link { link: Link::Vendor, .. });
    is_vendors.then(|| (incident.begun, incident.ended + FAILS_WITHIN))
}

/// Returns also when not everything ends: then the checker says what.
async fn drain(store: &Store) -> anyhow::Result<()> {
    let deadline = Instant::now() + DRAIN_MAX;
    while store.active_job_count().await? > 0 && Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Workspaces whose last sync completed, and began when the source changed no more: what they have must be what the
/// source has, and nothing but that sync made it so.
fn telling(jobs: &[JobFacts], frozen_at: OffsetDateTime) -> BTreeSet<String> {
    let last: BTreeMap<&str, &JobFacts> = jobs.iter().map(|job| (job.workspace_id.as_str(), job)).collect();
    let tells = |job: &&&JobFacts| job.status == "completed" && begun_at(job, jobs) > frozen_at;
    last.values().filter(tells).map(|job| job.workspace_id.clone()).collect()
}

/// When somebody first asked for what a job did: a retry goes on with what the job before it had read.
fn begun_at(job: &JobFacts, jobs: &[JobFacts]) -> OffsetDateTime {
    let before = |job: &&JobFacts| job.retry_of.and_then(|old| jobs.iter().find(|other| other.id == old));
    std::iter::successors(Some(job), before).last().unwrap_or(job).created_at
}
