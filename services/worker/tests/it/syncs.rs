//! What a sync brings over.

use lab::Object;
use protocol::JobStatus;

use crate::fixture::{World, small_lab};

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_sync_copies_every_record_field_by_field() {
    let mut world = World::new(small_lab()).await;
    let worker = world.worker().await;
    let job = world.post().await;
    let view = world.completed(job).await;
    world.assert_complete().await;
    let result = view.result.unwrap();
    assert_eq!(result.results.len(), 6);
    for object in &result.results {
        assert_eq!(object.listed, object.written + object.unchanged + object.captured, "{object:?}");
    }
    let listed = |names: &[&str]| {
        let named = result.results.iter().filter(|object| names.contains(&object.object.as_str()));
        named.map(|object| object.listed).sum::<u64>()
    };
    assert_eq!(listed(&["contacts", "companies", "deals"]), 1_750);
    assert_eq!((view.attempts, view.takeovers), (1, 0));
    // Associations are no records.
    let records = 1_750 + listed(&["owners", "stages"]);
    assert_eq!((view.progress.current, view.progress.total), (records, records));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_transformed_is_captured_and_the_rest_goes_on() {
    let mut world = World::new(small_lab()).await;
    let worker = world.worker().await;
    let job = world.post().await;
    let errors = world.completed(job).await.result.unwrap().errors;
    let expected: usize = [Object::Contacts, Object::Companies, Object::Deals]
        .into_iter()
        .map(|object| world.lab.expect(object).untransformable_ids.len())
        .sum();
    assert!(expected >= 3, "the lab has bad records of every object");
    assert_eq!(errors.len(), expected, "{errors:?}");
    assert!(errors.iter().all(|error| !error.reason.is_empty() && !error.external_id.is_empty()));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sync_of_an_unchanged_source_writes_nothing() {
    let mut world = World::new(small_lab()).await;
    let worker = world.worker().await;
    let first = world.post().await;
    world.completed(first).await;
    let before = world.store.rows(&world.workspace, protocol::Table::Contacts).await.unwrap();
    let second = world.accept(3).await;
    // The subject may still be occupied for a moment; the relay would try again, so does the test.
    while world.publish(second, 1).await != bus::Published::Stored {
        tokio::task::yield_now().await;
    }
    let view = world.completed(second).await;
    for object in view.result.unwrap().results {
        assert_eq!(object.written, 0, "{object:?}");
    }
    assert_eq!(world.store.rows(&world.workspace, protocol::Table::Contacts).await.unwrap(), before);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_live_and_never_goes_backwards() {
    let mut world = World::new(lab::LabConfig { latency_ms: 20, ..small_lab() }).await;
    let worker = world.worker().await;
    let job = world.post().await;
    let (mut revision, mut current, mut views) = (0, 0, 0);
    loop {
        let view = world.seen(job, |_| true).await;
        assert!(view.revision >= revision && view.progress.current >= current, "{view:?}");
        (revision, current) = (view.revision, view.progress.current);
        views += 1;
        if view.status.is_over() {
            assert_eq!(view.status, JobStatus::Completed);
            break;
        }
    }
    assert!(views >= 4, "only {views} views of a sync of 18 pages");
    worker.stop().await;
}
