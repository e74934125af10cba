//! Comparing what the host has of an object with what HubSpot has: records that were purged leave no trace.
//!
//! Counting is cheap: a search says how many records a range of ids has. Ranges that differ are halved until they fit
//! on a page, whose ids are then compared. The index may be behind, so it only raises a suspicion: every suspect is
//! read by its id, among the archived and among the live records, before it is called gone.
//!
//! A comparison goes on range by range, like pages: each answer says where the next one begins.

use std::collections::BTreeSet;

use protocol::ObjectName;
use serde::{Deserialize, Serialize};

use super::api::{Scope, Target};
use super::objects::{BATCH_SIZE_MAX, Object};
use super::page::{Records, Wanted};
use super::position;
use super::session::HubspotSession;
use crate::{Difference, Known, Position, SourceError};

/// Ranges to begin with, at most: memory does not grow with the number of records.
const RANGES_MAX: u64 = 1_024;
/// If more than one in so many ranges can differ, comparing all ids costs less than looking for the ranges.
const LIST_FROM: u64 = 8;
/// Searches of one answer, at most: half a minute's at three a second.
const SEARCHES_MAX: usize = 96;
/// Ids of the host that are compared with one page of the vendor's, at most.
const IDS_MAX: usize = 5_000;
/// Suspects of one answer, at most.
const SUSPECTS_MAX: usize = 5_000;

/// A range of ids: from the first up to but not including the second; to the end if there is none.
pub(super) type IdRange = (u64, Option<u64>);

/// Where a comparison goes on: what is still to be compared, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    ranges: Vec<IdRange>,
    /// Records that the host had at its beginning.
    known: u64,
    /// So many fewer the index had.
    fewer: u64,
}

/// Ids that only one side has.
#[derive(Default)]
struct Suspects {
    ours: Vec<String>,
    theirs: Vec<String>,
}

impl HubspotSession {
    /// See [`crate::Session::compare`].
    pub(super) async fn difference(
        &self,
        name: &ObjectName,
        target: Target<'_>,
        place: Option<&Position>,
    ) -> Result<Difference, SourceError> {
        let mut place = match place.and_then(position::read) {
            Some(place) => place,
            None => self.begin(name, target.object).await?,
        };
        let mut suspects = Suspects::default();
        for _ in 0..SEARCHES_MAX {
            if place.ranges.is_empty() || suspects.ours.len() + suspects.theirs.len() >= SUSPECTS_MAX {
                break;
            }
            self.compare_some(name, target.object, &mut place.ranges, &mut suspects).await?;
        }
        let mut difference = Difference { known: place.known, fewer: place.fewer, ..Difference::default() };
        self.verify(target, suspects, &mut difference).await?;
        difference.next = (!place.ranges.is_empty()).then(|| position::store(place));
        Ok(difference)
    }

    /// What has to be compared at all: next to nothing if both sides have equally many.
    async fn begin(&self, name: &ObjectName, object: &Object) -> Result<Place, SourceError> {
        let known = self.host.known(name).await?;
        let nothing = Place { ranges: Vec::new(), known: known.records, fewer: 0 };
        // What this run brought itself cannot be gone already.
        if !known.had_before {
            return Ok(nothing);
        }
        let there = self.count(object, (0, None)).await?;
        let apart = there.abs_diff(known.records);
        if apart == 0 {
            return Ok(nothing);
        }
        if there > known.records && apart <= known.lately_deleted {
            tracing::info!(object = %name, known = known.records, there, "the search index shows deleted records");
            return Ok(nothing);
        }
        let ranges = self.differing(name, object, known, there).await?;
        tracing::info!(object = %name, known = known.records, there, ranges = ranges.len(), "comparing");
        Ok(Place { ranges, known: known.records, fewer: known.records.saturating_sub(there) })
    }

    /// The ranges in which both sides have differently many. Halves only what differs.
    async fn differing(
        &self,
        name: &ObjectName,
        object: &Object,
        known: Known,
        there: u64,
    ) -> Result<Vec<IdRange>, SourceError> {
        let everything = vec![(0, None)];
        let step = u64::from(self.sizes.search).max(known.records.div_ceil(RANGES_MAX));
        if there.abs_diff(known.records).saturating_mul(LIST_FROM) > known.records.div_ceil(step) {
            return Ok(everything);
        }
        let bounds = self.host.known_bounds(name, step).await?;
        let Ok(bounds) = bounds.iter().map(|id| id.parse()).collect::<Result<Vec<u64>, _>>() else {
            return Ok(everything);
        };
        let ranges = Ranges { bounds, step, known: known.records };
        let mut found = Vec::new();
        let mut open = vec![(0, ranges.bounds.len(), there)];
        while let Some((first, end, there)) = open.pop() {
            if there == ranges.known(first, end) {
                continue;
            }
            if end - first <= 1 {
                found.push(ranges.ids(first, end));
                continue;
            }
            let middle = first.midpoint(end);
            let left = self.count(object, ranges.ids(first, middle)).await?;
            open.push((middle, end, there.saturating_sub(left)));
            open.push((first, middle, left));
        }
        Ok(found)
    }

    /// Compares a page of ids from the beginning of the first range.
    async fn compare_some(
        &self,
        name: &ObjectName,
        object: &Object,
        ranges: &mut Vec<IdRange>,
        suspects: &mut Suspects,
    ) -> Result<(), SourceError> {
        let Some(&range @ (from, to)) = ranges.first() else { return Ok(()) };
        let scope = Scope::Ids { range, after_id: None };
        let found = self.api.search(&self.search, object, self.sizes.search, scope).await?;
        // The page has all ids up to here.
        let mut end = match (found.after, found.last_id) {
            (Some(_), Some(last)) => Some(last.saturating_add(1)),
            _ => to,
        };
        let text = |id: u64| id.to_string();
        let ours =
            self.host.known_between(name, &text(from), end.map(text).as_deref(), IDS_MAX as u64).await?;
        if ours.len() >= IDS_MAX {
            end = ours.last().and_then(|id| id.parse::<u64>().ok()).map(|last| last.saturating_add(1));
        }
        let is_before_end = |id: &String| end.is_none_or(|end| id.parse::<u64>().is_ok_and(|id| id < end));
        let ours: BTreeSet<String> = ours.into_iter().filter(is_before_end).collect();
        let theirs: BTreeSet<String> = found.ids.into_iter().filter(is_before_end).collect();
        suspects.ours.extend(ours.difference(&theirs).cloned());
        suspects.theirs.extend(theirs.difference(&ours).cloned());
        match (end, to) {
            (Some(end), Some(to)) if end < to => ranges[0] = (end, Some(to)),
            (Some(end), None) => ranges[0] = (end, None),
            _ => drop(ranges.remove(0)),
        }
        Ok(())
    }

    /// Reads every suspect by its id.
    async fn verify(
        &self,
        target: Target<'_>,
        suspects: Suspects,
        difference: &mut Difference,
    ) -> Result<(), SourceError> {
        let mut read = Records::default();
        for ids in suspects.theirs.chunks(BATCH_SIZE_MAX) {
            read.extend(self.api.batch(&self.objects, target, Wanted::Live, ids).await?);
        }
        for ids in suspects.ours.chunks(BATCH_SIZE_MAX) {
            // In this order: a record that is restored in between is live in the second answer.
            let archived = self.api.batch(&self.objects, target, Wanted::Archived(None), ids).await?;
            let mut absent: Vec<String> = ids.iter().filter(|id| !archived.has(id)).cloned().collect();
            read.extend(archived);
            if !absent.is_empty() {
                // What is live the host has already. A merged record answers with its survivor, under another id:
                // itself, it is absent.
                let live = self.api.batch(&self.objects, target, Wanted::Live, &absent).await?;
                absent.retain(|id| !live.has(id));
            }
            difference.gone.extend(absent);
        }
        difference.records = read.records;
        difference.rejected = read.rejected;
        Ok(())
    }

    async fn count(&self, object: &Object, range: IdRange) -> Result<u64, SourceError> {
        self.api.total(&self.search, object, range).await
    }
}

/// Ranges of about equally many known records.
struct Ranges {
    /// Where each begins.
    bounds: Vec<u64>,
    step: u64,
    known: u64,
}

impl Ranges {
    /// The ids of the ranges `first..end`.
    fn ids(&self, first: usize, end: usize) -> IdRange {
        // What is less than everything known belongs to the first.
        (
            if first == 0 { 0 } else { self.bounds.get(first).copied().unwrap_or(0) },
            self.bounds.get(end).copied(),
        )
    }

    /// How many records are known in the ranges `first..end`.
    fn known(&self, first: usize, end: usize) -> u64 {
        let before = |range: usize| (range as u64 * self.step).min(self.known);
        before(end) - before(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_all_ids_and_all_known_records_between_them() {
        let ranges = Ranges { bounds: vec![7, 300, 4_000], step: 200, known: 450 };
        let each = [ranges.ids(0, 1), ranges.ids(1, 2), ranges.ids(2, 3)];
        assert_eq!(each, [(0, Some(300)), (300, Some(4_000)), (4_000, None)]);
        assert_eq!(ranges.ids(0, 3), (0, None));
        assert_eq!([ranges.known(0, 1), ranges.known(1, 2), ranges.known(2, 3)], [200, 200, 50]);
        assert_eq!(ranges.known(0, 3), 450);
    }
}
