//! How far a run is, object by object, and how that reads to people.

use protocol::{ConnectorName, ObjectName, ObjectResult, ObjectStatus, Progress, SyncMode};
use store::{CursorState, PageBatch};

/// One object's counts.
#[derive(Debug, Clone)]
struct Count {
    object: ObjectName,
    mode: SyncMode,
    error: Option<String>,
    estimate: Option<u64>,
    listed: u64,
    written: u64,
    captured: u64,
    pages: u64,
}

/// The counts of a run. Starts with what earlier runs of the same job committed.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    counts: Vec<Count>,
}

impl Tally {
    pub(crate) fn new(objects: &[(ObjectName, SyncMode)], cursors: &[CursorState]) -> Self {
        let count = |(object, mode): &(ObjectName, SyncMode)| {
            let before = cursors.iter().find(|cursor| &cursor.object == object);
            Count {
                object: object.clone(),
                mode: *mode,
                error: None,
                // What is done has no estimate, but its number.
                estimate: before.filter(|c| c.done).map(|c| c.listed),
                listed: before.map_or(0, |c| c.listed),
                written: before.map_or(0, |c| c.written),
                captured: before.map_or(0, |c| c.captured),
                pages: before.map_or(0, |c| c.pages),
            }
        };
        Self { counts: objects.iter().map(count).collect() }
    }

    pub(crate) fn set_estimate(&mut self, object: &ObjectName, records: Option<u64>) {
        if let Some(count) = self.counts.iter_mut().find(|count| &count.object == object) {
            count.estimate = records;
        }
    }

    /// Notes that the account does not allow to read an object.
    pub(crate) fn set_failed(&mut self, object: &ObjectName, error: String) {
        if let Some(count) = self.counts.iter_mut().find(|count| &count.object == object) {
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
            if let Some(count) = self.counts.iter_mut().find(|count| count.object == batch.object) {
                count.listed += batch.listed;
                count.captured += batch.rejected.len() as u64;
                count.pages += batch.pages;
            }
        }
    }

    /// Counts the rows of batches that were committed.
    pub(crate) fn add_written(&mut self, batches: &[PageBatch], written: &[u64]) {
        for (batch, written) in batches.iter().zip(written) {
            if let Some(count) = self.counts.iter_mut().find(|count| count.object == batch.object) {
                count.written += written;
            }
        }
    }

    /// The progress after the last page of `object`.
    pub(crate) fn progress(&self, object: &ObjectName) -> Progress {
        let current = self.counts.iter().map(|count| count.listed).sum();
        let total: Option<u64> =
            self.counts.iter().map(|count| count.estimate.map(|e| e.max(count.listed))).sum();
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
                unchanged: count.listed.saturating_sub(count.written + count.captured),
                captured: count.captured,
                pages: count.pages,
            })
            .collect()
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
mod tests {
    use protocol::Table;

    use super::*;

    fn batch(object: &str, listed: u64, pages: u64) -> PageBatch {
        PageBatch {
            object: object.parse().unwrap(),
            table: Table::Contacts,
            records: vec![],
            rejected: vec![],
            listed,
            pages,
            position: None,
            done: false,
            checkpoint: None,
            mode: SyncMode::Full,
        }
    }

    #[test]
    fn progress_reads_like_the_documented_example() {
        let contacts: ObjectName = "contacts".parse().unwrap();
        let mut tally = Tally::new(&[(contacts.clone(), SyncMode::Full)], &[]);
        tally.set_estimate(&contacts, Some(100));
        tally.add_listed(&[batch("contacts", 50, 5)]);
        assert_eq!(
            tally.progress(&contacts),
            Progress { current: 50, total: 100, message: "Processing contacts (page 5 of 10)...".into() }
        );
    }

    #[test]
    fn a_sync_of_which_no_object_could_be_read_has_failed() {
        let (contacts, deals): (ObjectName, ObjectName) =
            ("contacts".parse().unwrap(), "deals".parse().unwrap());
        let mut tally =
            Tally::new(&[(contacts.clone(), SyncMode::Full), (deals.clone(), SyncMode::Full)], &[]);
        assert_eq!(tally.all_failed(), None);
        tally.set_failed(&contacts, "no scope".into());
        assert_eq!(tally.all_failed(), None);
        tally.set_failed(&deals, "no scope either".into());
        assert_eq!(tally.all_failed(), Some("no scope"));
    }

    #[test]
    fn without_an_estimate_for_every_object_there_is_no_total() {
        let objects: Vec<ObjectName> = vec!["contacts".parse().unwrap(), "deals".parse().unwrap()];
        let counted: Vec<_> = objects.iter().map(|object| (object.clone(), SyncMode::Full)).collect();
        let mut tally = Tally::new(&counted, &[]);
        tally.set_estimate(&objects[0], Some(100));
        tally.add_listed(&[batch("deals", 10, 1)]);
        assert_eq!(
            tally.progress(&objects[1]),
            Progress { current: 10, total: 0, message: "Processing deals (page 1)...".into() }
        );
    }
}
