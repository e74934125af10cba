use std::sync::Arc;

use super::{Object, Standing, companies, contacts, dates, deals, ids};

/// One record before rendering: what its properties are computed from.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) object: Object,
    pub(crate) index: u64,
    pub(crate) id: u64,
    pub(crate) created_ms: i64,
    pub(crate) modified_ms: i64,
    pub(crate) standing: Standing,
    pub(crate) revision: u32,
    pub(crate) relinked: u32,
    pub(crate) merged_ids: Option<Arc<[u64]>>,
    hash: u64,
}

/// 2019-01-01 and 2026-11-01: fixed, because records must not depend on when the lab runs.
const OLDEST_MS: i64 = 1_546_300_800_000;
const NEWEST_MS: i64 = 1_793_491_200_000;

impl Row {
    pub(super) fn new(seed: u64, object: Object, index: u64) -> Self {
        let hash = mix(seed ^ mix(index ^ ((object as u64 + 1) << 48)));
        let mut row = Self {
            object,
            index,
            id: ids::id_of(seed, object, index),
            created_ms: 0,
            modified_ms: 0,
            standing: Standing::Live,
            revision: 0,
            relinked: 0,
            merged_ids: None,
            hash,
        };
        row.created_ms = row.moment(1, OLDEST_MS, NEWEST_MS - 30 * dates::DAY_MS);
        row.modified_ms = row.moment(2, row.created_ms, NEWEST_MS);
        row
    }

    /// A number that depends on this record and `salt` alone.
    pub(super) fn draw(&self, salt: u64) -> u64 {
        mix(self.hash ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(super) fn below(&self, salt: u64, bound: u64) -> u64 {
        self.draw(salt) % bound.max(1)
    }

    pub(super) fn percent(&self, salt: u64, share: u64) -> bool {
        self.below(salt, 100) < share
    }

    pub(super) fn pick<T: Copy>(&self, salt: u64, from: &[T]) -> T {
        from[usize::try_from(self.below(salt, from.len() as u64)).unwrap_or(0)]
    }

    /// Every eighth moment falls on a whole second, which the vendor writes without milliseconds.
    pub(super) fn moment(&self, salt: u64, from_ms: i64, to_ms: i64) -> i64 {
        let span = u64::try_from(to_ms - from_ms).unwrap_or(1);
        let at = from_ms + i64::try_from(self.below(salt, span)).unwrap_or(0);
        if self.below(salt + 500, 8) == 0 && at - at % 1_000 > from_ms { at - at % 1_000 } else { at }
    }

    /// A salt that differs from edit to edit, for what an edit gives a new value.
    pub(super) fn revised(&self, salt: u64) -> u64 {
        salt + u64::from(self.revision) * 1_000
    }

    /// Whether this record breaks a rule that no client can mend: see the rule of each object.
    pub(crate) fn untransformable(&self) -> bool {
        match self.object {
            Object::Contacts => contacts::untransformable(self),
            Object::Companies => companies::untransformable(self),
            Object::Deals => deals::untransformable(self),
        }
    }
}

/// `SplitMix64`: cheap, and good enough that neighbours look unrelated.
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
