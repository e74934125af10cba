//! Changes on demand, to records that the lab chooses by a seed.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::{AsOf, Dataset, Object, Standing, Version, mix, parse_ms};

/// How many records shall change and how. No record gets two changes of one call, and each kind takes fewer than asked
/// for when there are not that many.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Change {
    /// Of what.
    #[serde(deserialize_with = "object")]
    pub object: Object,
    /// Live records that get new values and a new modified date.
    #[serde(default)]
    pub edit: u64,
    /// Live records that are archived; their modified date stays.
    #[serde(default)]
    pub archive: u64,
    /// Records archived earlier that live again, with a new modified date.
    #[serde(default)]
    pub restore: u64,
    /// Pairs of live records of which one is merged into the other, which gets a new modified date.
    #[serde(default)]
    pub merge: u64,
    /// Live records that disappear without a trace.
    #[serde(default)]
    pub hard_delete: u64,
    /// Live records that get other associations; no date moves. Companies have none of their own: they change with
    /// their deals and contacts.
    #[serde(default)]
    pub reassociate: u64,
    /// Equal seeds choose equal records, as long as equal records are there to choose from.
    #[serde(default)]
    pub seed: u64,
    /// The modified date of the edited records, in Unix milliseconds; now if there is none.
    #[serde(default, rename = "timestamp", deserialize_with = "timestamp")]
    pub timestamp_ms: Option<i64>,
}

impl Change {
    /// No change yet; say how many with the other fields.
    #[must_use]
    pub fn of(object: Object) -> Self {
        Self {
            object,
            edit: 0,
            archive: 0,
            restore: 0,
            merge: 0,
            hard_delete: 0,
            reassociate: 0,
            seed: 0,
            timestamp_ms: None,
        }
    }
}

/// The ids of the records that a [`Change`] was done to, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// They have new values.
    pub edited: Vec<u64>,
    /// They are archived now.
    pub archived: Vec<u64>,
    /// They live again.
    pub restored: Vec<u64>,
    /// In order of the survivor.
    pub merged: Vec<Merge>,
    /// They are gone.
    pub hard_deleted: Vec<u64>,
    /// They have other associations.
    pub reassociated: Vec<u64>,
}

/// Two records that became one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Merge {
    /// Stays, under its id.
    pub survivor: u64,
    /// Is listed and found no more; its id answers with the survivor.
    pub loser: u64,
}

impl Dataset {
    /// Chooses records and changes them.
    pub(crate) fn apply(&mut self, change: &Change, now_ms: i64) -> Changed {
        let object = change.object;
        let mut archived = Draw::new(self, object, true, change.seed);
        let mut live = Draw::new(self, object, false, change.seed);
        let links = if object == Object::Companies { 0 } else { change.reassociate };
        let edited_ms = change.timestamp_ms.unwrap_or(now_ms);
        Changed {
            edited: self.change_each(object, live.take(change.edit), now_ms, |version| {
                version.modified_ms = Some(edited_ms);
                version.revision += 1;
            }),
            archived: self.change_each(object, live.take(change.archive), now_ms, |version| {
                version.standing = Standing::Archived { at_ms: now_ms };
            }),
            restored: self.change_each(object, archived.take(change.restore), now_ms, |version| {
                version.standing = Standing::Live;
                version.modified_ms = Some(now_ms);
            }),
            merged: self.merge_each(object, live.take_pairs(change.merge), now_ms),
            hard_deleted: self.change_each(object, live.take(change.hard_delete), now_ms, |version| {
                version.standing = Standing::Purged;
            }),
            reassociated: self.change_each(object, live.take(links), now_ms, |version| version.relinked += 1),
        }
    }

    fn change_each(
        &mut self,
        object: Object,
        indices: Vec<u64>,
        now_ms: i64,
        how: impl Fn(&mut Version),
    ) -> Vec<u64> {
        for &index in &indices {
            self.change(object, index, now_ms, &how);
        }
        let mut ids: Vec<u64> = indices.iter().map(|index| self.id_of(object, *index)).collect();
        ids.sort_unstable();
        ids
    }

    fn merge_each(&mut self, object: Object, pairs: Vec<(u64, u64)>, now_ms: i64) -> Vec<Merge> {
        let mut merged: Vec<Merge> =
            pairs.into_iter().map(|(survivor, loser)| self.merge(object, survivor, loser, now_ms)).collect();
        merged.sort_unstable();
        merged
    }

    fn merge(&mut self, object: Object, survivor: u64, loser: u64, now_ms: i64) -> Merge {
        let lost = self.row(object, loser, AsOf::Now);
        self.change(object, loser, now_ms, |version| {
            version.standing = Standing::MergedInto { index: survivor };
        });
        self.change(object, survivor, now_ms, |version| {
            let mut ids = version.merged_ids.as_deref().unwrap_or_default().to_vec();
            // What was merged into the loser has now been merged into the survivor.
            ids.extend(lost.merged_ids.as_deref().unwrap_or_default());
            ids.push(lost.id);
            version.merged_ids = Some(Arc::from(ids));
            version.modified_ms = Some(now_ms);
        });
        Merge { survivor: self.id_of(object, survivor), loser: lost.id }
    }
}

/// Records in pseudo-random order, each once.
struct Draw {
    left: Vec<u64>,
    state: u64,
}

impl Draw {
    fn new(dataset: &Dataset, object: Object, archived: bool, seed: u64) -> Self {
        Self { left: dataset.indices(object, archived).collect(), state: mix(seed ^ 0x6c61_6221) }
    }

    fn take(&mut self, count: u64) -> Vec<u64> {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.left.len());
        (0..count).map(|_| self.one()).collect()
    }

    fn take_pairs(&mut self, count: u64) -> Vec<(u64, u64)> {
        let count = count.min(self.left.len() as u64 / 2);
        (0..count).map(|_| (self.one(), self.one())).collect()
    }

    /// There is at least one left.
    fn one(&mut self) -> u64 {
        self.state = mix(self.state);
        let at = self.state % self.left.len().max(1) as u64;
        self.left.swap_remove(usize::try_from(at).unwrap_or(0))
    }
}

fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Object, D::Error> {
    let name = String::deserialize(deserializer)?;
    Object::parse(&name).ok_or_else(|| de::Error::custom(format!("no such object: {name}")))
}

fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    parse_ms(&text).map(Some).ok_or_else(|| de::Error::custom(format!("not a timestamp: {text}")))
}
