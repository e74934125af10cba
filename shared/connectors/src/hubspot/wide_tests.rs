use protocol::{ContactFields, Fields, Record};

use super::super::position::Millis;
use super::*;

fn records(ids: &[u64]) -> Records {
    let record = |id: &u64| Record {
        external_id: id.to_string(),
        fields: Fields::Contact(ContactFields::default()),
        properties: "{}".into(),
        source_created_at: None,
        source_updated_at: None,
        deleted_at: None,
        merged_ids: vec![],
    };
    Records { records: ids.iter().map(record).collect(), rejected: vec![] }
}

fn listed(ids: &[u64], after: Option<&str>) -> Listed {
    Listed {
        records: records(ids),
        ids: vec![],
        after: after.map(str::to_owned),
        first_id: ids.iter().min().copied(),
        last_id: ids.iter().max().copied(),
    }
}

fn place(last_id: Option<u64>, below: Option<u64>) -> ListPlace {
    ListPlace { started: Millis(1), after: None, last_id, below }
}

fn joined(place: ListPlace, bottom: Listed, top: Option<&[u64]>) -> (Vec<u64>, Option<ListPlace>) {
    let top = top.map(|ids| Top { below: *ids.iter().min().unwrap(), records: records(ids) });
    let (records, next) = join(place, bottom, top);
    let mut ids: Vec<u64> = records.records.iter().map(|r| r.external_id.parse().unwrap()).collect();
    ids.sort_unstable();
    let next = match next {
        Place::List(place) => Some(place),
        _ => None,
    };
    (ids, next)
}

#[test]
fn both_ends_get_nearer_until_they_meet_and_no_record_is_read_twice() {
    let (ids, next) = joined(place(None, None), listed(&[1, 2], Some("3")), Some(&[9, 8]));
    assert_eq!(ids, [1, 2, 8, 9]);
    let next = next.unwrap();
    assert_eq!((next.last_id, next.below), (Some(2), Some(8)));
    let (ids, next) = joined(next, listed(&[3, 4, 5], Some("6")), Some(&[7, 6, 5]));
    assert_eq!(ids, [3, 4, 5, 6, 7]);
    assert_eq!(next, None, "they have met");
}

#[test]
fn a_page_of_the_list_that_reaches_into_the_other_end_is_the_last() {
    let (ids, next) = joined(place(Some(2), Some(5)), listed(&[3, 4, 5, 6], Some("7")), None);
    assert_eq!((ids.as_slice(), next), ([3, 4].as_slice(), None));
}

#[test]
fn the_end_of_the_list_is_the_end_whatever_the_other_end_did() {
    let (ids, next) = joined(place(Some(2), Some(90)), listed(&[3, 4], None), None);
    assert_eq!((ids.as_slice(), next), ([3, 4].as_slice(), None));
    assert_eq!(joined(place(None, None), listed(&[], None), None), (vec![], None));
}

#[test]
fn a_list_in_another_order_is_read_to_its_end() {
    let (ids, next) = joined(place(Some(50), Some(60)), listed(&[3, 70], Some("x")), None);
    assert_eq!(ids, [3, 70]);
    assert_eq!(next.unwrap().below, None);
    let (_, next) = joined(place(Some(70), None), listed(&[80], Some("y")), None);
    assert_eq!(next.unwrap().last_id, Some(80));
}

#[test]
fn without_another_end_a_list_is_read_page_by_page() {
    let (ids, next) = joined(place(Some(2), None), listed(&[3, 4], Some("5")), None);
    assert_eq!(ids, [3, 4]);
    assert_eq!(next.unwrap(), ListPlace { after: Some("5".into()), ..place(Some(4), None) });
}
