//! Syncs after the first one: what changed, what was asked for, what is not allowed.

use lab::{FaultRule, Object};
use protocol::{JobView, ObjectResult, ObjectStatus, SyncMode, SyncOptions, SyncOutcome, Table};

use crate::fixture::{World, small_lab};

async fn sync(world: &mut World, options: SyncOptions) -> JobView {
    let job = world.accept_with(options).await;
    // The subject may still be occupied for a moment; the relay would try again, so does the test.
    while world.publish(job, 1).await != bus::Published::Stored {
        tokio::task::yield_now().await;
    }
    world.completed(job).await
}

fn object<'a>(view: &'a JobView, name: &str) -> &'a ObjectResult {
    let results = &view.result.as_ref().unwrap().results;
    results
        .iter()
        .find(|result| result.object.as_str() == name)
        .unwrap_or_else(|| panic!("no {name} in {results:?}"))
}

fn ids(world: &World, object: Object, n: usize) -> Vec<String> {
    let bad = world.lab.expect(object).untransformable_ids;
    let ids = world
        .lab
        .records(object)
        .unwrap()
        .into_iter()
        .map(|record| record["id"].as_str().unwrap().to_owned());
    ids.filter(|id| !bad.contains(id)).take(n).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_increment_brings_what_changed_and_takes_few_requests() {
    let mut world = World::new(small_lab()).await;
    let worker = world.worker().await;
    let first = sync(&mut world, SyncOptions::default()).await;
    assert_eq!(object(&first, "contacts").mode, SyncMode::Full);
    let edited = ids(&world, Object::Contacts, 7);
    for id in &edited {
        assert!(world.lab.touch(Object::Contacts, id.parse().unwrap()));
    }
    let archived = ids(&world, Object::Deals, 3);
    for id in &archived {
        assert!(world.lab.set_archived(Object::Deals, id.parse().unwrap(), true));
    }
    let before = world.lab.stats().await.requests;
    let second = sync(&mut world, SyncOptions::default()).await;
    let requests = world.lab.stats().await.requests - before;
    let contacts = object(&second, "contacts");
    assert_eq!((contacts.mode, contacts.written), (SyncMode::Incremental, 7), "{contacts:?}");
    assert_eq!(object(&second, "companies").written, 0);
    assert_eq!(object(&second, "deals").written, 3);
    assert!(requests <= 24, "{requests} requests for ten changes");
    let deals = world.store.rows(&world.workspace, Table::Deals).await.unwrap();
    assert!(archived.iter().all(|id| !deals[id]["deleted_at"].is_null()));
    assert_eq!(deals.values().filter(|row| !row["deleted_at"].is_null()).count(), 3);
    // Restored: alive again.
    assert!(world.lab.set_archived(Object::Deals, archived[0].parse().unwrap(), false));
    assert!(world.lab.touch(Object::Deals, archived[0].parse().unwrap()));
    sync(&mut world, SyncOptions::default()).await;
    let deals = world.store.rows(&world.workspace, Table::Deals).await.unwrap();
    assert!(deals[&archived[0]]["deleted_at"].is_null());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_sync_can_be_asked_for_and_only_some_objects() {
    let mut world = World::new(small_lab()).await;
    let worker = world.worker().await;
    let only_deals = SyncOptions { objects: vec!["deals".parse().unwrap()], ..SyncOptions::default() };
    let deals = sync(&mut world, only_deals).await;
    assert_eq!(deals.result.as_ref().unwrap().results.len(), 1);
    assert!(world.store.rows(&world.workspace, Table::Contacts).await.unwrap().is_empty());
    let all = sync(&mut world, SyncOptions::default()).await;
    assert_eq!(
        (object(&all, "deals").mode, object(&all, "contacts").mode),
        (SyncMode::Incremental, SyncMode::Full)
    );
    let full = sync(&mut world, SyncOptions { mode: Some(SyncMode::Full), ..SyncOptions::default() }).await;
    assert_eq!((object(&full, "deals").listed, object(&full, "deals").written), (150, 0));
    world.assert_complete().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_not_allowed_fails_alone() {
    let mut world = World::new(small_lab()).await;
    let forbidden = FaultRule { path: Some("objects/companies".into()), ..FaultRule::status(403, 1_000) };
    world.lab.set_faults(vec![forbidden]).unwrap();
    let worker = world.worker().await;
    let view = sync(&mut world, SyncOptions::default()).await;
    assert_eq!(view.result.as_ref().unwrap().outcome, SyncOutcome::Partial);
    let companies = object(&view, "companies");
    assert_eq!((companies.status, companies.listed), (ObjectStatus::Failed, 0));
    assert!(companies.error.is_some());
    assert_eq!(
        (object(&view, "contacts").status, object(&view, "contacts").listed),
        (ObjectStatus::Completed, 1_000)
    );
    // Allowed again, it is read as a whole: it never had a checkpoint.
    world.lab.set_faults(vec![]).unwrap();
    let view = sync(&mut world, SyncOptions::default()).await;
    assert_eq!((object(&view, "companies").mode, object(&view, "companies").listed), (SyncMode::Full, 600));
    world.assert_complete().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_credentials_make_the_next_sync_a_full_one() {
    let mut world = World::new(small_lab()).await;
    let worker = world.worker().await;
    sync(&mut world, SyncOptions::default()).await;
    world.connect_workspace(&lab::RunningLab::token(2)).await;
    let view = sync(&mut world, SyncOptions::default()).await;
    assert_eq!(object(&view, "contacts").mode, SyncMode::Full, "they may be another account's");
    worker.stop().await;
}
