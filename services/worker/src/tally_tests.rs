use super::*;

fn batch(object: &str, listed: u64, pages: u64) -> PageBatch {
    PageBatch {
        object: object.parse().unwrap(),
        table: Table::Contacts,
        records: vec![],
        rejected: vec![],
        sweeps: vec![],
        whole: false,
        listed,
        pages,
        position: None,
        done: false,
        checkpoint: None,
        mode: SyncMode::Full,
    }
}

fn tally(objects: &[&str]) -> Tally {
    let planned = |object: &&str| Planned {
        object: object.parse().unwrap(),
        table: if *object == "associations" { Table::Associations } else { Table::Contacts },
        mode: SyncMode::Full,
        position: None,
        done: false,
        compared: false,
    };
    Tally::new(&objects.iter().map(planned).collect::<Vec<_>>(), &[])
}

#[test]
fn a_record_that_is_neither_written_nor_unchanged_nor_captured_is_noticed() {
    let mut tally = tally(&["contacts"]);
    tally.add_listed(&[batch("contacts", 10, 1)]);
    let done = BatchCommitted { written: 4, unchanged: 5, deleted: 7 };
    tally.add_committed(&[batch("contacts", 10, 1)], &[done]);
    assert!(tally.imbalance().unwrap().starts_with("contacts: of 10 listed records 4 were written"));
    tally.add_committed(
        &[batch("contacts", 0, 0)],
        &[BatchCommitted { unchanged: 1, ..BatchCommitted::default() }],
    );
    assert_eq!(tally.imbalance(), None);
}

#[test]
fn associations_are_no_records() {
    let mut tally = tally(&["contacts", "associations"]);
    let contacts: ObjectName = "contacts".parse().unwrap();
    tally.set_estimate(&contacts, Some(10));
    let batches = [batch("contacts", 10, 1), batch("associations", 30, 1)];
    tally.add_listed(&batches);
    let done = |written| BatchCommitted { written, ..BatchCommitted::default() };
    tally.add_committed(&batches, &[done(10), done(30)]);
    let progress = tally.progress(&contacts);
    assert_eq!((progress.current, progress.total, tally.records()), (10, 10, 10));
}

#[test]
fn progress_reads_like_the_documented_example() {
    let contacts: ObjectName = "contacts".parse().unwrap();
    let mut tally = tally(&["contacts"]);
    tally.set_estimate(&contacts, Some(100));
    tally.add_listed(&[batch("contacts", 50, 5)]);
    assert_eq!(
        tally.progress(&contacts),
        Progress { current: 50, total: 100, message: "Processing contacts (page 5 of 10)...".into() }
    );
}

#[test]
fn a_sync_of_which_no_object_could_be_read_has_failed() {
    let (contacts, deals): (ObjectName, ObjectName) = ("contacts".parse().unwrap(), "deals".parse().unwrap());
    let mut tally = tally(&["contacts", "deals"]);
    assert_eq!(tally.all_failed(), None);
    tally.set_failed(&contacts, "no scope".into());
    assert_eq!(tally.all_failed(), None);
    tally.set_failed(&deals, "no scope either".into());
    assert_eq!(tally.all_failed(), Some("no scope"));
}

#[test]
fn without_an_estimate_for_every_object_there_is_no_total() {
    let objects: Vec<ObjectName> = vec!["contacts".parse().unwrap(), "deals".parse().unwrap()];
    let mut tally = tally(&["contacts", "deals"]);
    tally.set_estimate(&objects[0], Some(100));
    tally.add_listed(&[batch("deals", 10, 1)]);
    assert_eq!(
        tally.progress(&objects[1]),
        Progress { current: 10, total: 0, message: "Processing deals (page 1)...".into() }
    );
}
