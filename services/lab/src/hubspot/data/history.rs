//! What became of a record since the lab started, and what it was before: the search index lags behind.

use std::sync::Arc;

use super::Row;

/// Earlier versions that a record keeps. Whoever looks further back sees the oldest of them.
const PAST_MAX: usize = 8;

/// As of when records are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AsOf {
    Now,
    UnixMs(i64),
}

/// Where a record stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    #[default]
    Live,
    Archived {
        at_ms: i64,
    },
    /// Its id still answers, with the record of this index.
    MergedInto {
        index: u64,
    },
    /// Without a trace.
    Purged,
}

impl Standing {
    /// Whether lists show it, on the side of the archived or of the live records.
    pub(crate) fn is_listed(self, archived: bool) -> bool {
        match self {
            Self::Live => !archived,
            Self::Archived { .. } => archived,
            Self::MergedInto { .. } | Self::Purged => false,
        }
    }
}

/// What differs from the record as it was made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Version {
    since_ms: i64,
    pub(crate) modified_ms: Option<i64>,
    pub(crate) standing: Standing,
    /// Counts edits, so that each gives the record new content and not only a new date.
    pub(crate) revision: u32,
    /// Counts changes of its associations, which move no date.
    pub(crate) relinked: u32,
    /// The ids of the records that were merged into it.
    pub(crate) merged_ids: Option<Arc<[u64]>>,
}

impl Version {
    pub(super) fn apply(&self, row: &mut Row) {
        // Archiving leaves the modified date alone, as at the vendor: deletions are invisible to a cursor.
        row.standing = self.standing;
        row.revision = self.revision;
        row.relinked = self.relinked;
        row.merged_ids.clone_from(&self.merged_ids);
        if let Some(modified_ms) = self.modified_ms {
            row.modified_ms = modified_ms;
        }
    }
}

/// All versions of a record but the one that it was made with.
#[derive(Debug)]
pub(super) struct History {
    now: Version,
    /// Oldest first.
    past: Vec<Version>,
}

impl History {
    pub(super) fn begin(now_ms: i64, change: impl FnOnce(&mut Version)) -> Self {
        let mut now = Version { since_ms: now_ms, ..Version::default() };
        change(&mut now);
        Self { now, past: Vec::new() }
    }

    pub(super) fn change(&mut self, now_ms: i64, change: impl FnOnce(&mut Version)) {
        if self.now.since_ms != now_ms {
            // Exactly one more, because a bulk edit does this for tens of thousands of records.
            self.past.reserve_exact(1);
            self.past.push(self.now.clone());
            if self.past.len() > PAST_MAX {
                self.past.remove(0);
                self.past[0].since_ms = i64::MIN;
            }
            self.now.since_ms = now_ms;
        }
        change(&mut self.now);
    }

    /// `None` for a record that was still as it was made.
    pub(super) fn seen(&self, as_of: AsOf) -> Option<&Version> {
        match as_of {
            AsOf::UnixMs(ms) if self.now.since_ms > ms => {
                self.past.iter().rev().find(|version| version.since_ms <= ms)
            }
            _ => Some(&self.now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_has_the_version_of_its_time() {
        let mut history = History::begin(100, |version| version.revision = 1);
        for (at, revision) in [(200, 2), (200, 3), (300, 4)] {
            history.change(at, |version| version.revision = revision);
        }
        let seen = |ms| history.seen(AsOf::UnixMs(ms)).map(|version| version.revision);
        assert_eq!(
            [99, 100, 199, 200, 299, 300].map(seen),
            [None, Some(1), Some(1), Some(3), Some(3), Some(4)]
        );
        assert_eq!(history.seen(AsOf::Now).map(|version| version.revision), Some(4));
    }

    #[test]
    fn the_oldest_kept_version_stands_for_all_before() {
        let mut history = History::begin(0, |version| version.revision = 0);
        for at in 1..=20 {
            history.change(at, |version| version.revision = u32::try_from(at).unwrap());
        }
        let seen = |ms| history.seen(AsOf::UnixMs(ms)).map(|version| version.revision);
        assert_eq!([3, 12, 13, 20].map(seen), [Some(12), Some(12), Some(13), Some(20)]);
        assert_eq!(history.past.len(), PAST_MAX);
    }
}
