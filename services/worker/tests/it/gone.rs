//! What is gone at the vendor: marked if it is little, left alone until somebody approves if it is suspiciously much.

use std::collections::BTreeMap;
use std::time::Duration;

use lab::{Change, FaultRule, LabConfig, Object, RunningLab};
use protocol::{JobStatus, JobView, ObjectStatus, SyncMode, SyncOptions, SyncOutcome, Table};

use crate::fixture::{World, http, settings, small_lab};
use crate::processes::Process;
use crate::source::{
    Ids, OBJECTS, TABLES, assert_same_as_source, begin, is_live, links, live, registry, result, rows, sync,
    touched, untransformable, versions,
};

fn lab_of_hundreds() -> LabConfig {
    LabConfig { contacts: 400, companies: 200, deals: 60, ..small_lab() }
}

/// A world after its first sync, without a worker.
async fn synced() -> World {
    let mut world = World::new(lab_of_hundreds()).await;
    let worker = world.worker().await;
    sync(&mut world, SyncOptions::default()).await;
    worker.stop().await;
    world
}

fn vanish(world: &World, object: Object, n: u64, seed: u64) -> Ids {
    let changed = world.lab.change(Change { hard_delete: n, seed, ..Change::of(object) });
    changed.hard_deleted.iter().map(u64::to_string).collect()
}

fn approved(object: &str, n: u64) -> SyncOptions {
    let object: protocol::ObjectName = object.parse().unwrap();
    SyncOptions {
        objects: vec![object.clone()],
        approved: BTreeMap::from([(object, n)]),
        ..SyncOptions::default()
    }
}

async fn marked(world: &World, table: Table) -> Ids {
    rows(world, table).await.into_iter().filter(|(_, row)| !is_live(row)).map(|(id, _)| id).collect()
}

fn assert_balanced(view: &JobView) {
    for object in &view.result.as_ref().unwrap().results {
        assert_eq!(object.listed, object.written + object.unchanged + object.captured, "{object:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn few_records_that_vanished_are_marked_and_their_associations_end() {
    let mut world = synced().await;
    let worker = world.worker().await;
    let before = links(&world);
    let mut gone = Vec::new();
    for (object, table) in OBJECTS {
        let bad = untransformable(&world, object);
        let mut ids = vanish(&world, object, 7, 3);
        ids.retain(|id| !bad.contains(id));
        gone.push((object, table, ids));
    }
    let view = sync(&mut world, SyncOptions::default()).await;
    for (object, table, ids) in &gone {
        assert_eq!(&marked(&world, *table).await, ids, "{object:?}");
        let result = result(&view, object.name());
        assert_eq!((result.deleted, result.needs_review), (ids.len() as u64, 0), "{result:?}");
    }
    assert!(!view.result.as_ref().unwrap().needs_review);
    let over: Ids = before.difference(&links(&world)).cloned().collect();
    assert!(over.len() >= 7, "{} associations of 21 records", over.len());
    assert_eq!(marked(&world, Table::Associations).await, over);
    assert_eq!(result(&view, "associations").deleted, over.len() as u64);
    assert_balanced(&view);
    assert_same_as_source(&world, "after the records vanished").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspiciously_many_are_left_alone_until_somebody_approves_that_many() {
    let mut world = synced().await;
    let worker = world.worker().await;
    let all = live(&world, Table::Contacts).await;
    let gone = vanish(&world, Object::Contacts, 150, 3);
    for _ in 0..2 {
        let view = sync(&mut world, SyncOptions::default()).await;
        let contacts = result(&view, "contacts");
        assert_eq!((contacts.needs_review, contacts.deleted), (150, 0), "{contacts:?}");
        assert_eq!(contacts.status, ObjectStatus::Completed);
        assert!(view.result.unwrap().needs_review);
        assert_eq!(live(&world, Table::Contacts).await, all, "not a row is marked");
    }
    let view = sync(&mut world, approved("contacts", 150)).await;
    let contacts = result(&view, "contacts");
    let captured: Ids = gone.difference(&all).cloned().collect();
    assert_eq!((contacts.needs_review, contacts.deleted), (0, 150 - captured.len() as u64), "{contacts:?}");
    assert!(!view.result.as_ref().unwrap().needs_review);
    assert_eq!(marked(&world, Table::Contacts).await, &gone & &all);
    sync(&mut world, SyncOptions::default()).await;
    assert_same_as_source(&world, "after the approval").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_of_fewer_than_are_gone_by_then_marks_none() {
    let mut world = synced().await;
    let worker = world.worker().await;
    vanish(&world, Object::Contacts, 150, 3);
    sync(&mut world, SyncOptions::default()).await;
    vanish(&world, Object::Contacts, 1, 4);
    let view = sync(&mut world, approved("contacts", 150)).await;
    let contacts = result(&view, "contacts");
    assert_eq!((contacts.needs_review, contacts.deleted), (151, 0), "{contacts:?}");
    assert_eq!(marked(&world, Table::Contacts).await, Ids::new());
    // An approval is of one object, and of no other.
    let view = sync(&mut world, SyncOptions { objects: Vec::new(), ..approved("deals", 1_000) }).await;
    assert_eq!(result(&view, "contacts").needs_review, 151);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_finds_nothing_any_more_empties_no_table() {
    let mut world = synced().await;
    let before = versions(&world).await;
    // There is something to compare.
    for (object, _) in OBJECTS {
        vanish(&world, object, 3, 3);
    }
    for path in [None, Some("/search"), Some("/batch/read"), Some("/crm/v3/owners"), Some("/pipelines/")] {
        let not_found = FaultRule { path: path.map(str::to_owned), count: None, ..FaultRule::status(404, 1) };
        world.lab.set_faults(vec![not_found]).unwrap();
        let worker = world.worker().await;
        let job = begin(&world, SyncOptions::default()).await;
        let view = world.ended(job).await;
        assert_eq!(view.status, JobStatus::Failed, "{path:?} {view:?}");
        worker.stop().await;
        let after = versions(&world).await;
        for table in TABLES {
            assert_eq!(touched(&before, &after, table), Ids::new(), "{path:?} {table:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_index_that_is_behind_is_no_reason_for_a_review() {
    let mut world = World::new(lab_of_hundreds()).await;
    // By the list alone: what the index does not show is missing at the other end until the next increment.
    let worker = world.worker_with(settings(), registry(&world, http(), Some(100), u64::MAX)).await;
    world.lab.change(Change { archive: 150, ..Change::of(Object::Contacts) });
    sync(&mut world, SyncOptions::default()).await;
    // Lists show them again, the index does not yet: it counts 150 fewer than are there.
    world.lab.advance(Duration::from_secs(600));
    world.lab.set_search_lag(Duration::from_secs(300));
    world.lab.change(Change { restore: 150, ..Change::of(Object::Contacts) });
    let full = SyncOptions { mode: Some(SyncMode::Full), ..SyncOptions::default() };
    let view = sync(&mut world, full).await;
    let contacts = result(&view, "contacts");
    assert_eq!((contacts.needs_review, contacts.deleted), (0, 0), "{contacts:?}");
    assert_balanced(&view);
    assert_same_as_source(&world, "with an index that is behind").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_is_removed_and_an_owner_who_is_archived_are_deleted_until_they_are_back() {
    let mut world = synced().await;
    let worker = world.worker().await;
    let (stages, owners) = (live(&world, Table::Stages).await, live(&world, Table::Owners).await);
    let owner = owners.first().unwrap().clone();
    let number: u64 = owner.parse().unwrap();
    assert!(world.lab.remove_stage("default", "contractsent"));
    assert!(world.lab.set_owner_archived(number, true));
    let view = sync(&mut world, SyncOptions::default()).await;
    assert_eq!(&stages - &live(&world, Table::Stages).await, Ids::from(["contractsent".to_owned()]));
    assert_eq!(&owners - &live(&world, Table::Owners).await, Ids::from([owner]));
    assert_balanced(&view);
    let before = versions(&world).await;
    sync(&mut world, SyncOptions::default()).await;
    let after = versions(&world).await;
    for table in [Table::Stages, Table::Owners] {
        assert_eq!(touched(&before, &after, table), Ids::new(), "it was marked already");
    }
    assert!(world.lab.put_stage("default", "contractsent", "Contract Sent", "0.9"));
    assert!(world.lab.set_owner_archived(number, false));
    sync(&mut world, SyncOptions::default()).await;
    assert_eq!((live(&world, Table::Stages).await, live(&world, Table::Owners).await), (stages, owners));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_cannot_be_transformed_is_not_taken_for_gone() {
    let mut world = synced().await;
    let worker = world.worker().await;
    let stages = rows(&world, Table::Stages).await;
    assert!(world.lab.put_stage("default", "contractsent", "Contract Sent", "likely"));
    let view = sync(&mut world, SyncOptions::default()).await;
    let result = result(&view, "stages");
    assert_eq!((result.captured, result.written, result.deleted), (1, 0, 0), "{result:?}");
    assert_eq!(rows(&world, Table::Stages).await, stages);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_that_may_not_be_read_leave_the_rest_complete() {
    let mut world = synced().await;
    let worker = world.worker().await;
    let owners = rows(&world, Table::Owners).await;
    for (object, _) in OBJECTS {
        vanish(&world, object, 3, 3);
    }
    let path = Some("/crm/v3/owners".to_owned());
    let forbidden =
        FaultRule { path, count: None, category: Some("MISSING_SCOPES".into()), ..FaultRule::status(403, 1) };
    world.lab.set_faults(vec![forbidden]).unwrap();
    let view = sync(&mut world, SyncOptions::default()).await;
    assert_eq!(view.result.as_ref().unwrap().outcome, SyncOutcome::Partial);
    for object in &view.result.as_ref().unwrap().results {
        let failed = object.object.as_str() == "owners";
        assert_eq!(object.status == ObjectStatus::Failed, failed, "{object:?}");
        assert_eq!(object.error.is_some(), failed, "{object:?}");
    }
    assert_eq!(rows(&world, Table::Owners).await, owners);
    assert_same_as_source(&world, "without the owners").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_between_the_comparison_and_the_end_repeats_nothing() {
    let mut world = synced().await;
    let mut gone = Vec::new();
    for (object, table) in OBJECTS {
        let bad = untransformable(&world, object);
        world.lab.change(Change { edit: 20, archive: 5, ..Change::of(object) });
        let mut ids = vanish(&world, object, 6, 3);
        ids.retain(|id| !bad.contains(id));
        gone.push((object, table, ids));
    }
    let hang = FaultRule { path: Some("/crm/v4/".into()), ..FaultRule::new(lab::FaultKind::Hang) };
    world.lab.set_faults(vec![hang]).unwrap();
    let mut first = Process::start(&world);
    let job = begin(&world, SyncOptions::default()).await;
    RunningLab::wait_for_hanging(&world.lab, 1).await;
    first.kill();
    for (object, table, ids) in &gone {
        assert!(marked(&world, *table).await.is_superset(ids), "{object:?} is compared by now");
    }
    let before = versions(&world).await;
    world.lab.set_faults(Vec::new()).unwrap();
    let asked = world.lab.stats().await.requests;
    let second = Process::start(&world);
    let view = world.completed(job).await;
    assert_eq!(view.takeovers, 1);
    // One for each pair of objects, and another one for the contacts beyond the first 200.
    assert_eq!(world.lab.stats().await.requests - asked, 4, "only the associations were left");
    for (object, _, ids) in &gone {
        let result = result(&view, object.name());
        assert_eq!((result.deleted, result.needs_review), (ids.len() as u64, 0), "{result:?}");
    }
    let after = versions(&world).await;
    for (_, table) in OBJECTS {
        assert_eq!(touched(&before, &after, table), Ids::new(), "{table:?}");
    }
    assert_balanced(&view);
    assert_same_as_source(&world, "after the takeover").await;
    drop(second);
}
