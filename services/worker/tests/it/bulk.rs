//! Very many changes at once: more of the same moment than a search ever shows, and more than the index shows yet.

use std::time::Duration;

use lab::{Change, LabConfig, Object, RunningLab};
use protocol::{SyncMode, SyncOptions, Table};

use crate::fixture::{Running, World, http, settings, small_lab};
use crate::source::{Ids, Versions, registry, result, sync, touched, versions};

/// A bulk edit; a search shows 10,000 at most.
const SAME_MOMENT: u64 = 50_000;
const SEARCH_PAGE: u64 = 200;
const LATE: u64 = 25_000;
const LAG: Duration = Duration::from_secs(60);

/// Labs of one seed begin with the same records.
fn lab_of(contacts: u64) -> LabConfig {
    LabConfig { contacts, companies: 1_000, deals: 5, ..small_lab() }
}

/// A world after its first sync of so many contacts.
async fn synced(contacts: u64) -> (World, Running) {
    let mut world = World::new(lab_of(contacts)).await;
    let worker = world.worker_with(settings(), registry(&world, http(), None, u64::MAX)).await;
    sync(&mut world, SyncOptions::default()).await;
    (world, worker)
}

/// The same of few contacts; the lab has so many since.
async fn grown_to(contacts: u64) -> (World, Running) {
    let (mut world, worker) = synced(50).await;
    worker.stop().await;
    world.lab = RunningLab::start(lab_of(contacts)).await.unwrap();
    let worker = world.worker_with(settings(), registry(&world, http(), None, u64::MAX)).await;
    (world, worker)
}

/// Every contact of the source has its row, and every row was written since.
fn assert_brought(world: &World, edited: &[u64], before: &Versions, after: &Versions) {
    let expected = world.lab.expect(Object::Contacts);
    assert_eq!(expected.records, edited.len() as u64, "all contacts were edited");
    let mut source: Ids = edited.iter().map(u64::to_string).collect();
    for captured in &expected.untransformable_ids {
        assert!(source.remove(captured));
    }
    let destination: Ids = after[&Table::Contacts].keys().cloned().collect();
    assert!(source == destination, "{} of {} are there", destination.len(), source.len());
    assert_eq!(touched(before, after, Table::Contacts).len(), source.len());
}

async fn assert_all_live(world: &World) {
    let counts = world.store.record_counts(&world.workspace).await.unwrap();
    let captured = world.lab.expect(Object::Contacts).untransformable;
    assert_eq!(counts.captured(&"contacts".parse().unwrap()), captured);
    assert_eq!(counts.rows(Table::Contacts), world.lab.expect(Object::Contacts).records - captured);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_changes_of_one_moment_are_brought_by_one_increment() {
    let (mut world, worker) = grown_to(SAME_MOMENT).await;
    let before = versions(&world).await;
    let now = world.lab.now_ms();
    let changed = world.lab.change(Change {
        edit: SAME_MOMENT,
        timestamp_ms: Some(now),
        ..Change::of(Object::Contacts)
    });
    let view = sync(&mut world, SyncOptions::default()).await;
    let contacts = result(&view, "contacts");
    assert_eq!((contacts.mode, contacts.listed), (SyncMode::Incremental, SAME_MOMENT), "{contacts:?}");
    assert_eq!(
        contacts.pages,
        SAME_MOMENT / SEARCH_PAGE + 1,
        "all by searching, and a page of archived ones"
    );
    assert_brought(&world, &changed.edited, &before, &versions(&world).await);
    assert_all_live(&world).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_the_index_does_not_show_yet_are_brought_by_the_next_increment() {
    let (mut world, worker) = synced(LATE).await;
    world.lab.set_search_lag(LAG);
    let before = versions(&world).await;
    let changed = world.lab.change(Change { edit: LATE, ..Change::of(Object::Contacts) });
    let view = sync(&mut world, SyncOptions::default()).await;
    assert_eq!(result(&view, "contacts").listed, 0, "the index shows none of them");
    world.lab.advance(LAG);
    let view = sync(&mut world, SyncOptions::default()).await;
    assert_eq!(result(&view, "contacts").listed, LATE);
    assert_brought(&world, &changed.edited, &before, &versions(&world).await);
    assert_all_live(&world).await;
    worker.stop().await;
}
