use protocol::{JobStatus, Record, Rejected, SyncMode};
use store::{Claimed, Ending, PageBatch};

use crate::fixture::{World, deal, deals, new_job, progress, rejected, workspace};

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

async fn commit_last(world: &World, claimed: &Claimed, rejected: Vec<Rejected>) {
    let last = PageBatch { done: true, ..page(rejected) };
    world.store.commit_pages(&claimed.lease, &[last], &progress(1)).await.unwrap();
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
async fn the_last_page_of_a_full_sync_clears_what_it_did_not_see_again() {
    let world = World::new().await;
    let first = world.running().await;
    commit(&world, &first, vec![rejected("1", "bad"), rejected("2", "bad")]).await;
    commit_last(&world, &first, vec![rejected("3", "bad")]).await;
    assert_eq!(captured(&world).await, ["1: bad", "2: bad", "3: bad"], "its own stay");
    end(&world, &first, JobStatus::Completed).await;

    let second = world.running().await;
    commit(&world, &second, vec![rejected("2", "still bad")]).await;
    assert_eq!(captured(&world).await, ["1: bad", "2: still bad", "3: bad"], "nothing before the last page");
    let companies = PageBatch { object: "companies".parse().unwrap(), done: true, ..page(vec![]) };
    world.store.commit_pages(&second.lease, &[companies], &progress(1)).await.unwrap();
    assert_eq!(captured(&world).await.len(), 3, "another object's last page is not ours");
    commit_last(&world, &second, vec![]).await;
    assert_eq!(captured(&world).await, ["2: still bad"]);
}

#[tokio::test]
async fn an_increment_clears_only_the_records_that_went_in() {
    let world = World::new().await;
    let first = world.running().await;
    commit_last(&world, &first, ["1", "2", "3"].map(|id| rejected(id, "bad")).to_vec()).await;
    end(&world, &first, JobStatus::Completed).await;

    let second = world.running().await;
    let mut increment = deals(vec![deal("1", "10"), deal("2", "20"), deal("9", "90")]);
    increment.rejected = vec![rejected("2", "bad again")];
    let increment = PageBatch { mode: SyncMode::Incremental, done: true, ..increment };
    world.store.commit_pages(&second.lease, &[increment], &progress(1)).await.unwrap();
    end(&world, &second, JobStatus::Completed).await;
    assert_eq!(captured(&world).await, ["2: bad again", "3: bad"]);
}

#[tokio::test]
async fn a_job_that_did_not_get_to_the_last_page_clears_nothing() {
    let world = World::new().await;
    let first = world.running().await;
    commit_last(&world, &first, vec![rejected("1", "bad")]).await;
    end(&world, &first, JobStatus::Completed).await;
    for status in [JobStatus::Failed, JobStatus::Cancelled, JobStatus::Completed] {
        let job = world.running().await;
        commit(&world, &job, vec![]).await;
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
    commit_last(&world, &job, vec![]).await;
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

/// A deal that can be transformed, and that Postgres refuses.
fn refused_deal(id: &str, properties: String) -> Record {
    Record { properties, ..deal(id, "1") }
}

#[tokio::test]
async fn records_that_postgres_refuses_are_set_aside_and_the_others_go_in() {
    let world = World::new().await;
    let claimed = world.running().await;
    let mut batch = deals((0..50).map(|n| deal(&format!("{n:02}"), "1")).collect());
    let nested = format!("{{\"deep\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    batch.records[7] = refused_deal("07", r#"{"n": 1e400000}"#.to_owned());
    batch.records[8] = refused_deal("08", nested);
    batch.records[49] = deal("49", "many");
    let error = world.store.commit_pages(&claimed.lease, &[batch.clone()], &progress(1)).await.unwrap_err();
    assert!(error.is_about_data() && !error.is_transient(), "{error:?}");
    let (store, lease) = (&world.store, &claimed.lease);
    let aside = store.set_aside(lease, batch.table, &mut batch.records, &mut batch.rejected).await.unwrap();
    assert_eq!(aside, 3);
    assert_eq!(world.one::<i64>("SELECT count(*) FROM deals").await, 0, "nothing is written by asking");
    store.commit_pages(lease, &[batch], &progress(1)).await.unwrap();
    assert_eq!(world.one::<i64>("SELECT count(*) FROM deals").await, 47);
    let reasons = captured(&world).await;
    let expected = [
        "07: Postgres refuses it: value overflows numeric format",
        "08: Postgres refuses it: stack depth limit exceeded",
        "49: Postgres refuses it: invalid input syntax for type numeric: \"many\"",
    ];
    assert_eq!(reasons, expected);
    assert!(world.one::<bool>("SELECT (listed, written, captured) = (50, 47, 3) FROM cursors").await);
}

#[tokio::test]
async fn a_hundred_refused_records_are_set_aside_and_of_more_none() {
    let world = World::new().await;
    let claimed = world.running().await;
    let (store, lease) = (&world.store, &claimed.lease);
    let refused = |count: usize| deals((0..count).map(|n| deal(&n.to_string(), "many")).collect());
    let mut batch = refused(100);
    let aside = store.set_aside(lease, batch.table, &mut batch.records, &mut batch.rejected).await.unwrap();
    assert_eq!((aside, batch.records.len()), (100, 0));
    let mut batch = refused(101);
    let error =
        store.set_aside(lease, batch.table, &mut batch.records, &mut batch.rejected).await.unwrap_err();
    assert!(error.is_about_data(), "{error:?}");
}

#[tokio::test]
async fn nothing_is_set_aside_while_postgres_refuses_nothing() {
    let world = World::new().await;
    let claimed = world.running().await;
    let mut batch = deals(vec![deal("1", "1"), deal("2", "2")]);
    let before = batch.clone();
    let (store, lease) = (&world.store, &claimed.lease);
    let aside = store.set_aside(lease, batch.table, &mut batch.records, &mut batch.rejected).await.unwrap();
    assert_eq!((aside, batch.records), (0, before.records), "and their order is as it was");
}
