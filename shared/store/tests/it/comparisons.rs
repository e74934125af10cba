//! What is known of an object, and what a comparison with the vendor makes of it.

use protocol::{ObjectName, Record, Rejected, Table};
use serde_json::json;
use store::{BatchCommitted, Claimed, Compared, Known, PageBatch, StoreError};

use crate::fixture::{World, deal, deals, progress, rejected};

fn object() -> ObjectName {
    "deals".parse().unwrap()
}

fn compared() -> Compared {
    Compared {
        object: object(),
        table: Table::Deals,
        records: Vec::new(),
        rejected: Vec::new(),
        gone: Vec::new(),
        needs_review: 0,
        next: None,
    }
}

fn gone(ids: &[&str]) -> Compared {
    Compared { gone: ids.iter().map(|id| (*id).to_owned()).collect(), ..compared() }
}

async fn compare(world: &World, claimed: &Claimed, compared: &Compared) -> BatchCommitted {
    world.store.commit_comparison(&claimed.lease, compared, &progress(0)).await.unwrap().1
}

async fn commit(
    world: &World,
    claimed: &Claimed,
    records: Vec<Record>,
    rejected: Vec<Rejected>,
) -> BatchCommitted {
    let listed = (records.len() + rejected.len()) as u64;
    let page = PageBatch { rejected, listed, ..deals(records) };
    world.store.commit_pages(&claimed.lease, &[page], &progress(0)).await.unwrap().batches[0]
}

/// A world with these deals, and a second job that did not write them.
async fn with_deals(ids: &[&str]) -> (World, Claimed) {
    let world = World::new().await;
    let first = world.running().await;
    commit(&world, &first, ids.iter().map(|id| deal(id, "1")).collect(), vec![]).await;
    let claimed = next_job(&world, &first).await;
    (world, claimed)
}

async fn next_job(world: &World, first: &Claimed) -> Claimed {
    world
        .set(
            first.job.id,
            "status = 'completed', completed_at = now(), lease_token = NULL, lease_expires_at = NULL",
        )
        .await;
    world.running().await
}

fn merged(id: &str, losers: &[&str]) -> Record {
    Record { merged_ids: losers.iter().map(|id| (*id).to_owned()).collect(), ..deal(id, "1") }
}

/// `id`, with a `!` if deleted, and `>survivor` if merged.
async fn rows(world: &World) -> Vec<String> {
    let all = "SELECT array_agg(external_id || CASE WHEN deleted_at IS NULL THEN '' ELSE '!' END || coalesce('>' || merged_into, '')
                   ORDER BY length(external_id), external_id) FROM deals WHERE workspace_id = 'acme' AND connector = 'hubspot'";
    world.one(all).await
}

async fn captured(world: &World) -> Vec<String> {
    world.one("SELECT coalesce(array_agg(external_id ORDER BY external_id), '{}') FROM record_errors").await
}

#[tokio::test]
async fn what_is_gone_is_marked_once_and_its_captured_error_forgotten() {
    let (world, claimed) = with_deals(&["1", "2", "3"]).await;
    commit(&world, &claimed, vec![], vec![rejected("3", "odd"), rejected("4", "odd"), rejected("5", "odd")])
        .await;
    let done = compare(&world, &claimed, &gone(&["2", "3", "4", "99"])).await;
    assert_eq!(done, BatchCommitted { written: 0, unchanged: 0, deleted: 2 });
    assert_eq!(rows(&world).await, ["1", "2!", "3!"]);
    assert_eq!(captured(&world).await, ["5"]);
    let before = world.store.row_versions(&"acme".parse().unwrap(), Table::Deals).await.unwrap();
    assert_eq!(compare(&world, &claimed, &gone(&["2", "3"])).await.deleted, 0);
    assert_eq!(world.store.row_versions(&"acme".parse().unwrap(), Table::Deals).await.unwrap(), before);
}

#[tokio::test]
async fn a_record_that_was_gone_and_is_listed_again_with_the_same_content_is_alive() {
    let (world, claimed) = with_deals(&["1", "2"]).await;
    compare(&world, &claimed, &gone(&["1"])).await;
    assert_eq!(rows(&world).await, ["1!", "2"]);
    let done = commit(&world, &claimed, vec![deal("1", "1"), deal("2", "1")], vec![]).await;
    assert_eq!((done.written, done.unchanged), (1, 1));
    assert_eq!(rows(&world).await, ["1", "2"]);
}

#[tokio::test]
async fn merged_records_point_to_their_survivor_and_are_deleted() {
    let (world, claimed) = with_deals(&["1", "2", "3", "4"]).await;
    // Itself is no loser, and one that was never here is none either.
    let done = commit(&world, &claimed, vec![merged("2", &["1", "2", "77"])], vec![]).await;
    assert_eq!((done.written, done.unchanged, done.deleted), (0, 1, 1));
    assert_eq!(rows(&world).await, ["1!>2", "2", "3", "4"]);
    let before = world.store.row_versions(&"acme".parse().unwrap(), Table::Deals).await.unwrap();
    assert_eq!(commit(&world, &claimed, vec![merged("2", &["1"])], vec![]).await.deleted, 0);
    assert_eq!(world.store.row_versions(&"acme".parse().unwrap(), Table::Deals).await.unwrap(), before);
    // The survivor is merged into another one: both point there, and one of them was live.
    let done = commit(&world, &claimed, vec![merged("3", &["1", "2"])], vec![]).await;
    assert_eq!(done.deleted, 1);
    assert_eq!(rows(&world).await, ["1!>3", "2!>3", "3", "4"]);
    // A comparison tells of survivors, too; and whoever is listed is alive and points nowhere.
    let told = Compared { records: vec![merged("3", &["4"])], ..compared() };
    assert_eq!(compare(&world, &claimed, &told).await.deleted, 1);
    commit(&world, &claimed, vec![deal("1", "1")], vec![]).await;
    assert_eq!(rows(&world).await, ["1", "2!>3", "3", "4!>3"]);
}

#[tokio::test]
async fn the_merged_are_marked_with_those_that_were_deleted_before() {
    let (world, claimed) = with_deals(&["1", "2"]).await;
    compare(&world, &claimed, &gone(&["1"])).await;
    let since: String = world.one("SELECT deleted_at::text FROM deals WHERE external_id = '1'").await;
    assert_eq!(
        commit(&world, &claimed, vec![merged("2", &["1"])], vec![]).await.deleted,
        0,
        "it was not live"
    );
    assert_eq!(rows(&world).await, ["1!>2", "2"]);
    assert_eq!(
        world.one::<String>("SELECT deleted_at::text FROM deals WHERE external_id = '1'").await,
        since
    );
}

#[tokio::test]
async fn known_ids_are_in_order_of_number() {
    let (world, claimed) = with_deals(&["10", "9", "100", "2", "11", "90000000001", "8"]).await;
    compare(&world, &claimed, &gone(&["11"])).await;
    let between = |from: &'static str, to: Option<&'static str>, max| {
        world.store.known_between(&claimed.lease, &OBJECT, Table::Deals, (from, to), max)
    };
    assert_eq!(between("0", None, 100).await.unwrap(), ["2", "8", "9", "10", "100", "90000000001"]);
    assert_eq!(between("9", Some("100"), 100).await.unwrap(), ["9", "10"], "from is in it, to is not");
    assert_eq!(between("3", Some("90000000001"), 2).await.unwrap(), ["8", "9"], "at most so many");
    let bounds = world.store.known_bounds(&claimed.lease, &OBJECT, Table::Deals, 2).await.unwrap();
    assert_eq!(bounds, ["2", "9", "100"]);
    // Whoever asks for each of them takes the order of the primary key.
    let mut all = Vec::new();
    while let Ok(next) =
        world.store.known_after(&claimed.lease, Table::Deals, all.last().map(String::as_str), 2).await
        && !next.is_empty()
    {
        all.extend(next);
    }
    all.sort_by_key(|id: &String| id.parse::<u64>().unwrap());
    assert_eq!(all, ["2", "8", "9", "10", "100", "90000000001"]);
}

static OBJECT: std::sync::LazyLock<ObjectName> = std::sync::LazyLock::new(object);

async fn known(world: &World, claimed: &Claimed) -> Known {
    world.store.known(&claimed.lease, &OBJECT, Table::Deals).await.unwrap()
}

#[tokio::test]
async fn a_record_that_is_live_at_the_vendor_counts_once_captured_or_not() {
    let (world, claimed) = with_deals(&["1", "2", "3"]).await;
    assert_eq!(known(&world, &claimed).await, Known { records: 3, had_before: true, lately_deleted: 0 });
    compare(&world, &claimed, &gone(&["3"])).await;
    assert_eq!(known(&world, &claimed).await.lately_deleted, 1);
    let archived = Rejected { is_live: false, ..rejected("6", "odd") };
    // 2 is a live row and captured, 3 a deleted one that lives again, 5 never was a row, 6 is archived.
    let bad = vec![rejected("2", "odd"), rejected("3", "odd"), rejected("5", "odd"), archived];
    commit(&world, &claimed, vec![], bad).await;
    assert_eq!(known(&world, &claimed).await.records, 4);
    let ids =
        world.store.known_between(&claimed.lease, &OBJECT, Table::Deals, ("0", None), 100).await.unwrap();
    assert_eq!(ids, ["1", "2", "3", "5"]);
    let bounds = world.store.known_bounds(&claimed.lease, &OBJECT, Table::Deals, 1).await.unwrap();
    assert_eq!(bounds, ["1", "2", "3", "5"]);
    // Only rows can be asked for one by one.
    let rows = world.store.known_after(&claimed.lease, Table::Deals, None, 100).await.unwrap();
    assert_eq!(rows, ["1", "2"]);
}

#[tokio::test]
async fn what_a_job_brought_itself_is_not_from_before() {
    let world = World::new().await;
    let first = world.running().await;
    commit(&world, &first, vec![deal("1", "1")], vec![]).await;
    assert_eq!(known(&world, &first).await, Known { records: 1, had_before: false, lately_deleted: 0 });
    let second = next_job(&world, &first).await;
    assert!(known(&world, &second).await.had_before);
}

#[tokio::test]
async fn a_zombie_worker_cannot_commit_a_comparison() {
    let (world, zombie) = with_deals(&["1", "2"]).await;
    commit(&world, &zombie, vec![], vec![rejected("7", "odd")]).await;
    let owner = world.claim_again(&zombie).await;
    let told =
        Compared { records: vec![deal("3", "1")], rejected: vec![rejected("4", "odd")], ..gone(&["1", "7"]) };
    let error = world.store.commit_comparison(&zombie.lease, &told, &progress(0)).await.unwrap_err();
    assert!(matches!(error, StoreError::LeaseLost), "{error:?}");
    assert_eq!(
        (rows(&world).await, captured(&world).await),
        (vec!["1".into(), "2".into()], vec!["7".to_owned()])
    );
    assert!(world.one::<bool>("SELECT NOT compared AND deleted = 0 FROM cursors").await);
    compare(&world, &owner, &told).await;
    assert_eq!(
        (rows(&world).await, captured(&world).await),
        (vec!["1!".into(), "2".into(), "3".into()], vec!["4".to_owned()])
    );
}

#[tokio::test]
async fn the_next_attempt_goes_on_with_the_comparison_and_its_counts() {
    let (world, first) = with_deals(&["1", "2", "3"]).await;
    let last = PageBatch { done: true, listed: 1, ..deals(vec![deal("1", "1")]) };
    world.store.commit_pages(&first.lease, &[last], &progress(1)).await.unwrap();
    let part = Compared { records: vec![deal("4", "1")], next: Some(json!({"from": 3})), ..gone(&["2"]) };
    compare(&world, &first, &part).await;
    let again = world.claim_again(&first).await;
    let cursor = again.cursors[0].clone();
    assert_eq!((cursor.done, cursor.compared, cursor.position), (true, false, Some(json!({"from": 3}))));
    assert_eq!((cursor.listed, cursor.written, cursor.unchanged, cursor.deleted), (2, 1, 1, 1));
    compare(&world, &again, &Compared { needs_review: 150, ..compared() }).await;
    let third = world.claim_again(&again).await;
    let cursor = third.cursors[0].clone();
    assert_eq!((cursor.compared, cursor.needs_review, cursor.deleted), (true, 150, 1));
    // Another job begins its counts anew, and compares anew.
    let other = next_job(&world, &third).await;
    commit(&world, &other, vec![], vec![]).await;
    let other = world.claim_again(&other).await;
    assert_eq!(
        (other.cursors[0].compared, other.cursors[0].needs_review, other.cursors[0].deleted),
        (false, 0, 0)
    );
}
