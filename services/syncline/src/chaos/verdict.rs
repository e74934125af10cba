//! What a run proved: everything that is known is put together and judged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::time::Duration;

use lab::Object;
use store::{JobFacts, Store};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::cancels::cancels;
use super::check::Check;
use super::checker::{Facts, Finding, findings};
use super::faults::Incident;
use super::memory::leaked;
use super::reads::reads;
use super::report::Report;
use super::run::Run;
use super::schedule::{Fault, Link, Slot};
use super::source::Source;
use super::takeovers::{takeovers, wipes};
use crate::roles::Role;

impl Run<'_> {
    /// Stops everything and judges what is known of it.
    pub(super) async fn check(
        &self,
        store: &Store,
        frozen_at: OffsetDateTime,
        closing: usize,
        begun: Instant,
    ) -> anyhow::Result<Report> {
        let mut processes = self.journal.failures();
        processes.extend(self.world.fleet.stop().await?);
        processes.extend(leaked(&self.world.fleet.lives()));
        processes.append(&mut self.ended.lock().unwrap_or_else(PoisonError::into_inner));
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
            cancels: cancels(&incidents, &facts.job_changes, &self.workers(), self.world.config.worker.lease),
            reads: reads(&facts.notes.reads, &incidents).into(),
            incidents,
            refused: self.world.lab.refused(),
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

    /// Which process was which worker.
    fn workers(&self) -> BTreeMap<u32, Slot> {
        let lives = self.world.fleet.lives().into_iter();
        lives.filter(|life| life.slot.role == Role::Worker).map(|life| (life.pid, life.slot)).collect()
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

/// Workspaces whose last sync completed, and began when the source changed no more: what they have must be what the
/// source has, and nothing but that sync made it so.
pub(super) fn telling(jobs: &[JobFacts], frozen_at: OffsetDateTime) -> BTreeSet<String> {
    let last: BTreeMap<&str, &JobFacts> = jobs.iter().map(|job| (job.workspace_id.as_str(), job)).collect();
    let tells = |job: &&&JobFacts| job.status == "completed" && begun_at(job, jobs) > frozen_at;
    last.values().filter(tells).map(|job| job.workspace_id.clone()).collect()
}

/// When somebody first asked for what a job did: a retry goes on with what the job before it had read.
fn begun_at(job: &JobFacts, jobs: &[JobFacts]) -> OffsetDateTime {
    let before = |job: &&JobFacts| job.retry_of.and_then(|old| jobs.iter().find(|other| other.id == old));
    std::iter::successors(Some(job), before).last().unwrap_or(job).created_at
}
