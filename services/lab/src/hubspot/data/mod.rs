//! The records: a pure function of (seed, object, index), plus which of them were archived or touched since.

mod companies;
mod contacts;
mod dates;
mod deals;
mod edits;
mod ids;
mod object;
mod property;
mod render;
mod row;
mod words;

pub(crate) use dates::parse_ms;
pub(crate) use deals::PIPELINES;
pub(crate) use edits::Edit;
pub use object::{Expectation, Object};
pub(crate) use property::{Kind, Property};
pub(crate) use render::push_record;
pub(crate) use row::{Row, mix};
pub(crate) use words::OWNERS;

use std::collections::BTreeMap;

use crate::LabConfig;

/// All records of the lab.
#[derive(Debug)]
pub(crate) struct Dataset {
    seed: u64,
    counts: [u64; 3],
    edits: BTreeMap<(Object, u64), Edit>,
}

impl Dataset {
    pub(crate) fn new(config: &LabConfig) -> Self {
        let counts = [config.contacts, config.companies, config.deals];
        Self {
            seed: config.seed,
            counts: counts.map(|count| count.saturating_mul(config.scale)),
            edits: BTreeMap::new(),
        }
    }

    pub(crate) fn row(&self, object: Object, index: u64) -> Row {
        let mut row = Row::new(self.seed, object, index);
        if let Some(edit) = self.edits.get(&(object, index)) {
            edit.apply(&mut row);
        }
        row
    }

    /// The records with ids from `id` upwards, in order of id.
    pub(crate) fn rows_from(&self, object: Object, id: u64, archived: bool) -> impl Iterator<Item = Row> {
        let first = ids::first_index_from(self.seed, object, id);
        (first..self.counts[object as usize])
            .map(move |index| self.row(object, index))
            .filter(move |row| row.archived_ms.is_some() == archived)
    }

    pub(crate) fn find(&self, object: Object, id: u64) -> Option<Row> {
        let index = ids::first_index_from(self.seed, object, id);
        (index < self.counts[object as usize]).then(|| self.row(object, index)).filter(|row| row.id == id)
    }

    /// Archives, restores or touches a record; `None` if there is none with this id.
    pub(crate) fn edit(&mut self, object: Object, id: u64, change: impl FnOnce(&mut Edit)) -> Option<Row> {
        let index = self.find(object, id)?.index;
        change(self.edits.entry((object, index)).or_default());
        Some(self.row(object, index))
    }

    /// How many live records there are, and which of them no client can transform.
    pub(crate) fn expectation(&self, object: Object) -> Expectation {
        let mut expected = Expectation::default();
        for row in self.rows_from(object, 0, false) {
            expected.records += 1;
            if row.untransformable() {
                expected.untransformable += 1;
                expected.untransformable_ids.push(row.id.to_string());
            }
        }
        expected
    }
}
