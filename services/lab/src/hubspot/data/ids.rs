//! Record ids: ascending, of mixed length, with gaps, and invertible, so that a page starts at an id and not at an offset.

use super::Object;
use super::row::mix;

/// A stretch of records that were made in the same era of the portal. Old records have short ids, as at the vendor.
struct Era {
    first_index: u64,
    first_id: u64,
    /// Each record has this many ids to choose one from.
    stride: u64,
}

const fn era(first_index: u64, first_id: u64, stride: u64) -> Era {
    Era { first_index, first_id, stride }
}

const CONTACTS: [Era; 3] = [era(0, 1, 50), era(200, 9_100_000, 137), era(5_000, 20_458_000_000, 977)];
const COMPANIES: [Era; 3] = [era(0, 501, 90), era(100, 61_000_000, 211), era(3_000, 5_204_000_000, 1_409)];
const DEALS: [Era; 3] = [era(0, 71, 31), era(30, 9_100_100, 401), era(400, 17_600_000_000, 3_001)];

fn eras(object: Object) -> &'static [Era; 3] {
    match object {
        Object::Contacts => &CONTACTS,
        Object::Companies => &COMPANIES,
        Object::Deals => &DEALS,
    }
}

pub(super) fn id_of(seed: u64, object: Object, index: u64) -> u64 {
    let eras = eras(object);
    let era = eras.iter().rev().find(|era| era.first_index <= index).unwrap_or(&eras[0]);
    let jitter = mix(seed ^ mix(index ^ ((object as u64) << 56) ^ 0x1d5)) % era.stride;
    era.first_id + (index - era.first_index) * era.stride + jitter
}

/// The first index whose id is `id` or greater. It may be past the last record.
pub(super) fn first_index_from(seed: u64, object: Object, id: u64) -> u64 {
    // Nobody has as many records, and ids near the end of the numbers would overflow.
    let id = id.min(u64::MAX / 2);
    let eras = eras(object);
    let Some(at) = eras.iter().rposition(|era| era.first_id <= id) else { return 0 };
    let guess = eras[at].first_index + (id - eras[at].first_id) / eras[at].stride;
    let next_era = eras.get(at + 1).map_or(u64::MAX, |era| era.first_index);
    if guess >= next_era {
        return next_era;
    }
    if id_of(seed, object, guess) >= id { guess } else { guess + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_ascend_and_are_found_again() {
        for object in Object::ALL {
            let mut last = 0;
            for index in 0..6_000 {
                let id = id_of(7, object, index);
                assert!(id > last, "{object:?} {index}");
                assert_eq!(first_index_from(7, object, id), index);
                assert_eq!(first_index_from(7, object, id + 1), index + 1);
                assert_eq!(first_index_from(7, object, last + 1), index);
                last = id;
            }
            assert!(first_index_from(7, object, u64::MAX) > 6_000);
        }
    }
}
