//! How far a run is, object by object, and how that reads to people.

use protocol::{ConnectorName, ObjectName, ObjectResult, ObjectStatus, Progress, SyncMode, Table};
use store::{BatchCommitted, Compared, CursorState, PageBatch};

use crate::plan::Planned;

/// One object's counts.
#[derive(Debug, Clone)]
struct Count {
    object: ObjectName,
    table: Table,
    mode: SyncMode,
    error: Option<String>,
    estimate: Option<u64>,
    listed: u64,
    written: u64,
    unchanged: u64,
    captured: u64,
    pages: u64,
    deleted: u64,
    needs_review: u64,
}

impl Count {
    fn new(planned: &Planned, cursors: &[CursorState]) -> Self {
        let before = cursors.iter().find(|cursor| cursor.object == planned.object);
        let number = |of: fn(&CursorState) -> u64| before.map_or(0, of);
        Self {
            object: planned.object.clone(),
            table: planned.table,
            mode: planned.mode,
            error: None,
            // What is done has no estimate, but its number.
            estimate: before.filter(|c| c.done).map(|c| c.listed),
            listed: number(|c| c.listed),
            written: number(|c| c.written),
            unchanged: number(|c| c.unchanged),
            captured: number(|c| c.captured),
            pages: number(|c| c.pages),
            deleted: number(|c| c.deleted),
            needs_review: number(|c| c.needs_review),
        }
    }

    /// How many there will be, if that is known.
    fn expected(&self) -> Option<u64> {
        // Of these there are few, and no vendor counts them beforehand.
        let few = matches!(self.table, Table::Owners | Table::Stages).then_some(0);
        Some(self.estimate.or(few)?.max(self.listed))
    }

    fn is_of_records(&self) -> bool {
        self.table != Table::Associations
    }
}

/// The counts of a run. Starts with what earlier runs of the same job committed.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    counts: Vec<Count>,
}

impl Tally {
    pub(crate) fn new(planned: &[Planned], cursors: &[CursorState]) -> Self {
        Self { counts: planned.iter().map(|planned| Count::new(planned, cursors)).collect() }
    }

    fn of(&mut self, object: &ObjectName) -> Option<&mut Count> {
        self.counts.iter_mut().find(|count| &count.object == object)
    }

    pub(crate) fn set_estimate(&mut self, object: &ObjectName, records: Option<u64>) {
        if let Some(count) = self.of(object) {
            count.estimate = records;
        }
    }

    /// Notes that the account does not allow to read an object.
    pub(crate) fn set_failed(&mut self, object: &ObjectName, error: String) {
        if let Some(count) = self.of(object) {
            count.error = Some(error);
        }
    }

    /// Whether no object could be read; then why.
    pub(crate) fn all_failed(&self) -> Option<&str> {
        let mut errors = self.counts.iter().map(|count| count.error.as_deref());
        let first = errors.next()??;
        errors.all(|error| error.is_some()).then_some(first)
    }

    /// Counts batches that are about to be committed: their rows are not known yet.
    pub(crate) fn add_listed(&mut self, batches: &[PageBatch]) {
        for batch in batches {
            if let Some(count) = self.of(&batch.object) {
                count.listed += batch.listed;
                count.pages += batch.pages;
            }
        }
    }

    /// Counts the rows of batches that were committed, and what was captured of them.
    pub(crate) fn add_committed(&mut self, batches: &[PageBatch], committed: &[BatchCommitted]) {
        for (batch, done) in batches.iter().zip(committed) {
            if let Some(count) = self.of(&batch.object) {
                count.captured += batch.rejected.len() as u64;
                count.add(*done);
            }
        }
    }

    /// Counts what a comparison brought.
    pub(crate) fn add_compared(&mut self, compared: &Compared, done: BatchCommitted) {
        if let Some(count) = self.of(&compared.object) {
            count.listed += (compared.records.len() + compared.rejected.len()) as u64;
            count.captured += compared.rejected.len() as u64;
            count.needs_review = compared.needs_review;
            count.add(done);
        }
    }

    /// How many rows were marked as deleted so far.
    pub(crate) fn deleted(&self, object: &ObjectName) -> u64 {
        self.counts.iter().find(|count| &count.object == object).map_or(0, |count| count.deleted)
    }

    /// How many rows are gone and were left alone so far.
    pub(crate) fn needs_review(&self, object: &ObjectName) -> u64 {
        self.counts.iter().find(|count| &count.object == object).map_or(0, |count| count.needs_review)
    }

    /// Whether an object could not be read.
    pub(crate) fn has_failed(&self, object: &ObjectName) -> bool {
        self.counts.iter().any(|count| &count.object == object && count.error.is_some())
    }

    /// What is wrong with the counts, if something is: every record that was listed must have been written, found
    /// unchanged, or captured.
    pub(crate) fn imbalance(&self) -> Option<String> {
        let balances = |count: &&Count| count.listed == count.written + count.unchanged + count.captured;
        let Count { object, listed, written, unchanged, captured, .. } =
            self.counts.iter().find(|count| !balances(count))?;
        Some(format!(
            "{object}: of {listed} listed records {written} were written, {unchanged} unchanged and {captured} captured, \
             which is not all of them; sync in full to be sure"
        ))
    }

    /// The progress after the last page of `object`.
    pub(crate) fn progress(&self, object: &ObjectName) -> Progress {
        let records = || self.counts.iter().filter(|count| count.is_of_records());
        let current = records().map(|count| count.listed).sum();
        let total: Option<u64> = records().map(Count::expected).sum();
        let message =
            self.counts.iter().find(|count| &count.object == object).map(message).unwrap_or_default();
        Progress { current, total: total.unwrap_or(0), message }
    }

    pub(crate) fn results(&self, connector: &ConnectorName) -> Vec<ObjectResult> {
        self.counts
            .iter()
            .map(|count| ObjectResult {
                connector_type: connector.clone(),
                object: count.object.clone(),
                mode: count.mode,
                status: if count.error.is_some() { ObjectStatus::Failed } else { ObjectStatus::Completed },
                error: count.error.clone(),
                listed: count.listed,
                written: count.written,
                unchanged: count.unchanged,
                captured: count.captured,
                pages: count.pages,
                deleted: count.deleted,
                needs_review: count.needs_review,
            })
            .collect()
    }

    /// Records that are there now because of this sync.
    pub(crate) fn records(&self) -> u64 {
        let records = self.counts.iter().filter(|count| count.is_of_records());
        records.map(|count| count.written + count.unchanged).sum()
    }
}

impl Count {
    fn add(&mut self, done: BatchCommitted) {
        self.written += done.written;
        self.unchanged += done.unchanged;
        self.deleted += done.deleted;
    }
}

fn message(count: &Count) -> String {
    let Count { object, pages, listed, estimate, .. } = count;
    match (estimate, listed / (*pages).max(1)) {
        (Some(estimate), page_size) if page_size > 0 => {
            format!("Processing {object} (page {pages} of {})...", estimate.div_ceil(page_size).max(*pages))
        }
        _ => format!("Processing {object} (page {pages})..."),
    }
}

#[cfg(test)]
#[path = "tally_tests.rs"]
mod tests;
