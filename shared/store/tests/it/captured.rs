use protocol::{JobStatus, Rejected};
use store::{Claimed, Ending, PageBatch};

use crate::fixture::{World, deals, new_job, progress, rejected, workspace};

fn page(rejected: Vec<Rejected>) -> PageBatch {
    PageBatch { listed: rejected.len() as u64, rejected, ..deals(vec![]) }
}

/// `id: reason` of all that is captured.
async fn captured(world: &World) -> Vec<String> {
    let all = "SELECT coalesce(array_agg(external_id || ': ' || reason ORDER BY external_id), '{}') FROM record_errors";
    world.one(all).await
}

async fn commit(world: &World, claimed: &Claimed, rejected: Vec<Rejected>) {
    world.store.commit_pages(&claimed.lease, &[page(rejected)], &progress(1)).await.unwrap();
}

async fn end(world: &World, claimed: &Claimed, status: JobStatus) {
    let ending = Ending { status, error: None, result: None, message: "Over".to_owned() };
    world.store.end_job(&claimed.lease, &ending).await.unwrap();
}

#[tokio::test]
async fn a_rejected_record_is_captured_once_and_the_last_reason_counts() {
    let world = World::new().await;
    let claimed = world.running().await;
    commit(&world, &claimed, vec![rejected("2", "x"), rejected("1", "no date"), rejected("1", "no date")])
        .await;
    assert_eq!(captured(&world).await, ["1: no date", "2: x"]);
    commit(&world, &claimed, vec![rejected("1", "no amount")]).await;
    assert_eq!(captured(&world).await, ["1: no amount", "2: x"]);
    assert!(world.one::<bool>("SELECT (listed, captured) = (4, 4) FROM cursors").await);
    let payload = "SELECT payload = '{\"id\": \"1\"}' FROM record_errors WHERE external_id = '1'";
    assert!(world.one::<bool>(payload).await);
}

#[tokio::test]
async fn records_without_an_id_are_told_apart_by_their_content() {
    let world = World::new().await;
    let claimed = world.running().await;
    let nameless = |payload: &str| Rejected { payload: payload.to_owned(), ..rejected("", "it has no id") };
    commit(&world, &claimed, vec![nameless("a"), rejected("1", "x"), nameless("b"), nameless("a")]).await;
    commit(&world, &claimed, vec![nameless("b")]).await;
    let ids = captured(&world).await;
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert_eq!(ids.iter().filter(|id| id.starts_with("no-id-")).count(), 2, "{ids:?}");
}

#[tokio::test]
async fn a_completed_job_clears_what_it_did_not_see_again() {
    let world = World::new().await;
    let first = world.running().await;
    commit(&world, &first, vec![rejected("1", "bad"), rejected("2", "bad")]).await;
    end(&world, &first, JobStatus::Completed).await;
    assert_eq!(captured(&world).await, ["1: bad", "2: bad"], "its own stay");

    let second = world.running().await;
    commit(&world, &second, vec![rejected("2", "still bad")]).await;
    assert_eq!(captured(&world).await, ["1: bad", "2: still bad"], "nothing is cleared before the end");
    end(&world, &second, JobStatus::Completed).await;
    assert_eq!(captured(&world).await, ["2: still bad"]);
}

#[tokio::test]
async fn a_job_that_failed_or_was_cancelled_clears_nothing() {
    let world = World::new().await;
    let first = world.running().await;
    commit(&world, &first, vec![rejected("1", "bad")]).await;
    end(&world, &first, JobStatus::Completed).await;
    for status in [JobStatus::Failed, JobStatus::Cancelled] {
        let job = world.running().await;
        end(&world, &job, status).await;
        assert_eq!(captured(&world).await, ["1: bad"], "{status}");
    }
}

#[tokio::test]
async fn other_workspaces_and_connectors_keep_what_they_captured() {
    let world = World::new().await;
    for (workspace, connector) in [("acme", "monday"), ("globex", "hubspot")] {
        let answers = world.store.accept(&[new_job(workspace, connector)]).await.unwrap();
        let claimed = world.claimed(answers[0].job().unwrap().id).await;
        commit(&world, &claimed, vec![rejected(connector, "bad")]).await;
    }
    let job = world.running().await;
    end(&world, &job, JobStatus::Completed).await;
    assert_eq!(captured(&world).await, ["hubspot: bad", "monday: bad"]);
    let counts = world.store.record_counts(&workspace("acme")).await.unwrap();
    assert_eq!(counts.captured(&"deals".parse().unwrap()), 1);
}

#[tokio::test]
async fn captured_records_are_listed_for_their_job_in_order_and_up_to_a_limit() {
    let world = World::new().await;
    let claimed = world.running().await;
    let ids = ["3", "1", "2"];
    commit(&world, &claimed, ids.iter().map(|id| rejected(id, "bad")).collect()).await;
    let companies = PageBatch { object: "companies".parse().unwrap(), ..page(vec![rejected("9", "bad")]) };
    world.store.commit_pages(&claimed.lease, &[companies], &progress(1)).await.unwrap();
    for (limit, expected) in [(0, ""), (3, "9 1 2"), (4, "9 1 2 3"), (5, "9 1 2 3")] {
        let listed = world.store.captured(&claimed.job, limit).await.unwrap();
        let listed: Vec<&str> = listed.iter().map(|error| error.external_id.as_str()).collect();
        assert_eq!(listed.join(" "), expected, "limit {limit}");
    }
    end(&world, &claimed, JobStatus::Completed).await;
    let next = world.running().await;
    assert_eq!(world.store.captured(&next.job, 100).await.unwrap(), []);
}
