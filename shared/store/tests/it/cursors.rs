use protocol::SyncMode;
use serde_json::json;
use store::{Claimed, CursorState, PageBatch};

use crate::fixture::{World, deal, deals, progress, rejected};

async fn commit(world: &World, claimed: &Claimed, batches: &[PageBatch]) {
    world.store.commit_pages(&claimed.lease, batches, &progress(1)).await.unwrap();
}

/// What the next worker of the job would see.
async fn taken_over(world: &World, claimed: &Claimed) -> Vec<CursorState> {
    world.expire_lease(claimed.job.id).await;
    let mut cursors = world.claimed(claimed.job.id).await.cursors;
    cursors.sort_by(|a, b| a.object.cmp(&b.object));
    cursors
}

fn start(object: &str) -> CursorState {
    CursorState {
        object: object.parse().unwrap(),
        mode: None,
        checkpoint: None,
        position: None,
        done: false,
        listed: 0,
        written: 0,
        unchanged: 0,
        captured: 0,
        pages: 0,
        deleted: 0,
        compared: false,
        needs_review: 0,
    }
}

fn begun(object: &str) -> CursorState {
    CursorState { mode: Some(SyncMode::Full), ..start(object) }
}

#[tokio::test]
async fn cursors_add_up_within_a_job_and_come_back_with_the_next_claim() {
    let world = World::new().await;
    let claimed = world.running().await;
    let mut first = deals(vec![deal("1", "10"), deal("2", "20")]);
    first.rejected = vec![rejected("3", "bad")];
    first.listed = 3;
    commit(&world, &claimed, &[first]).await;
    let second =
        PageBatch { pages: 2, position: Some(json!({"after": [7]})), ..deals(vec![deal("1", "10")]) };
    let contacts = PageBatch {
        object: "contacts".parse().unwrap(),
        table: protocol::Table::Contacts,
        position: None,
        done: true,
        ..deals(vec![])
    };
    commit(&world, &claimed, &[second, contacts]).await;
    let expected = [
        CursorState { done: true, pages: 1, ..begun("contacts") },
        CursorState {
            position: Some(json!({"after": [7]})),
            listed: 4,
            written: 2,
            unchanged: 1,
            captured: 1,
            pages: 3,
            ..begun("deals")
        },
    ];
    assert_eq!(taken_over(&world, &claimed).await, expected);
}

#[tokio::test]
async fn two_batches_of_one_object_in_a_commit_add_up_too() {
    let world = World::new().await;
    let claimed = world.running().await;
    let last = PageBatch { position: None, done: true, ..deals(vec![deal("2", "2"), deal("1", "1")]) };
    commit(&world, &claimed, &[deals(vec![deal("1", "1")]), last]).await;
    let expected =
        CursorState { done: true, listed: 3, written: 2, unchanged: 1, pages: 2, ..begun("deals") };
    assert_eq!(taken_over(&world, &claimed).await, [expected]);
}

#[tokio::test]
async fn another_job_starts_anew() {
    let world = World::new().await;
    let first = world.running().await;
    let page = deals(vec![deal("1", "10"), deal("2", "20")]);
    commit(&world, &first, &[PageBatch { done: true, ..page.clone() }]).await;
    world.set(first.job.id, "status = 'completed', lease_token = NULL").await;

    let second = world.running().await;
    assert_eq!(second.cursors, [start("deals")]);
    commit(&world, &second, &[page]).await;
    let expected = CursorState {
        position: Some(json!({"after": "100"})),
        listed: 2,
        unchanged: 2,
        pages: 1,
        ..begun("deals")
    };
    assert_eq!(taken_over(&world, &second).await, [expected]);
}

#[tokio::test]
async fn a_checkpoint_is_set_by_the_last_page_and_handed_to_later_jobs() {
    let world = World::new().await;
    let checkpoint = |n: u64| Some(json!({"since": n}));
    let page = |n: u64, done: bool| PageBatch { checkpoint: checkpoint(n), done, ..deals(vec![]) };
    let first = world.running().await;
    commit(&world, &first, &[page(1, false)]).await;
    assert_eq!(taken_over(&world, &first).await[0].checkpoint, None, "not before the last page");
    let first = world.claim_again(&first).await;
    commit(&world, &first, &[page(2, true)]).await;
    world.set(first.job.id, "status = 'completed', lease_token = NULL").await;

    let second = world.running().await;
    assert_eq!(second.cursors, [CursorState { checkpoint: checkpoint(2), ..start("deals") }]);
    commit(&world, &second, &[page(3, false)]).await;
    world.set(second.job.id, "status = 'failed', lease_token = NULL").await;

    let third = world.running().await;
    assert_eq!(third.cursors[0].checkpoint, checkpoint(2), "a job that did not get to the end moves nothing");
    commit(&world, &third, &[PageBatch { done: true, ..deals(vec![]) }]).await;
    assert_eq!(taken_over(&world, &third).await[0].checkpoint, None, "the next sync is a full one");
}
