//! The records: a pure function of (seed, object, index), plus what was done to some of them since.

mod change;
mod companies;
mod contacts;
mod dates;
mod deals;
mod history;
mod ids;
mod links;
mod object;
mod property;
mod render;
mod row;
mod words;

pub use change::{Change, Changed, Merge};
pub(crate) use dates::{parse_ms, push_datetime};
pub(crate) use deals::PIPELINES;
pub(crate) use history::{AsOf, Standing, Version};
pub(crate) use links::{Link, LinkKind};
pub use object::{Expectation, Object};
pub(crate) use property::{Kind, Property};
pub(crate) use render::push_record;
pub(crate) use row::{Row, mix};
pub(crate) use words::OWNERS;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;

use crate::LabConfig;
use history::History;

/// All records of the lab.
#[derive(Debug)]
pub(crate) struct Dataset {
    seed: u64,
    counts: [u64; 3],
    /// By index, only of the records that something was done to.
    histories: [BTreeMap<u64, History>; 3],
}

impl Dataset {
    pub(crate) fn new(config: &LabConfig) -> Self {
        let counts = [config.contacts, config.companies, config.deals];
        Self {
            seed: config.seed,
            counts: counts.map(|count| count.saturating_mul(config.scale)),
            histories: Default::default(),
        }
    }

    pub(crate) fn row(&self, object: Object, index: u64, as_of: AsOf) -> Row {
        let mut row = Row::new(self.seed, object, index);
        if let Some(version) = self.version(object, index, as_of) {
            version.apply(&mut row);
        }
        row
    }

    /// The records with ids from `id` upwards, in order of id.
    pub(crate) fn rows_from(
        &self,
        object: Object,
        id: u64,
        archived: bool,
        as_of: AsOf,
    ) -> impl Iterator<Item = Row> {
        self.rows_at(object, self.indices_of(object, id..u64::MAX), archived, as_of)
    }

    /// The live records with these ids, in order of id and from either end.
    pub(crate) fn rows_within(
        &self,
        object: Object,
        ids: Range<u64>,
        as_of: AsOf,
    ) -> impl DoubleEndedIterator<Item = Row> {
        self.rows_at(object, self.indices_of(object, ids), false, as_of)
    }

    /// How many records [`Dataset::rows_within`] gives, without making them.
    pub(crate) fn count_within(&self, object: Object, ids: Range<u64>, as_of: AsOf) -> u64 {
        let indices = self.indices_of(object, ids);
        let changed = self.histories[object as usize].range(indices.clone());
        let is_hidden =
            |history: &History| history.seen(as_of).is_some_and(|seen| !seen.standing.is_listed(false));
        let hidden = changed.filter(|(_, history)| is_hidden(history)).count();
        (indices.end - indices.start).saturating_sub(hidden as u64)
    }

    fn rows_at(
        &self,
        object: Object,
        indices: Range<u64>,
        archived: bool,
        as_of: AsOf,
    ) -> impl DoubleEndedIterator<Item = Row> {
        indices
            .map(move |index| self.row(object, index, as_of))
            .filter(move |row| row.standing.is_listed(archived))
    }

    /// The indices of the records with these ids, whatever became of them.
    fn indices_of(&self, object: Object, ids: Range<u64>) -> Range<u64> {
        let count = self.counts[object as usize];
        let index_from = |id| ids::first_index_from(self.seed, object, id).min(count);
        let (first, end) = (index_from(ids.start), index_from(ids.end));
        first..end.max(first)
    }

    /// The record that a request for this id gets: after a merge another one.
    pub(crate) fn resolve(&self, object: Object, id: u64, archived: bool) -> Option<Row> {
        let mut row = self.row(object, self.index_of(object, id)?, AsOf::Now);
        // Whatever is merged into something is merged into a record that was live then, so this ends.
        while let Standing::MergedInto { index } = row.standing {
            row = self.row(object, index, AsOf::Now);
        }
        row.standing.is_listed(archived).then_some(row)
    }

    /// Changes a live or archived record; says whether there is one with this id.
    pub(crate) fn edit(
        &mut self,
        object: Object,
        id: u64,
        now_ms: i64,
        how: impl FnOnce(&mut Version),
    ) -> bool {
        let Some(index) = self.index_of(object, id) else { return false };
        let standing = self.row(object, index, AsOf::Now).standing;
        let there = standing.is_listed(false) || standing.is_listed(true);
        if there {
            self.change(object, index, now_ms, how);
        }
        there
    }

    /// How many records there are, and which of them no client can transform.
    pub(crate) fn expectation(&self, object: Object, archived: bool) -> Expectation {
        let mut expected = Expectation::default();
        for row in self.rows_from(object, 0, archived, AsOf::Now) {
            expected.records += 1;
            if row.untransformable() {
                expected.untransformable += 1;
                expected.untransformable_ids.push(row.id.to_string());
            }
        }
        expected
    }

    fn version(&self, object: Object, index: u64, as_of: AsOf) -> Option<&Version> {
        self.histories[object as usize].get(&index)?.seen(as_of)
    }

    fn change(&mut self, object: Object, index: u64, now_ms: i64, how: impl FnOnce(&mut Version)) {
        match self.histories[object as usize].entry(index) {
            Entry::Vacant(entry) => {
                entry.insert(History::begin(now_ms, how));
            }
            Entry::Occupied(mut entry) => entry.get_mut().change(now_ms, how),
        }
    }

    /// Of the records listed now.
    fn indices(&self, object: Object, archived: bool) -> impl Iterator<Item = u64> {
        (0..self.counts[object as usize]).filter(move |index| {
            let version = self.version(object, *index, AsOf::Now);
            version.map_or(Standing::Live, |version| version.standing).is_listed(archived)
        })
    }

    fn index_of(&self, object: Object, id: u64) -> Option<u64> {
        let index = ids::first_index_from(self.seed, object, id);
        (index < self.counts[object as usize] && self.id_of(object, index) == id).then_some(index)
    }

    fn id_of(&self, object: Object, index: u64) -> u64 {
        ids::id_of(self.seed, object, index)
    }
}
