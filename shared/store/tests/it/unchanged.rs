//! Rows that are equal already cost nothing: no new version, no lock.

use std::collections::BTreeMap;

use protocol::Record;
use sqlx::Row;
use store::{Claimed, StoreError};
use time::macros::datetime;

use crate::fixture::{KEY, World, deal, deals, progress, store_at, written};

fn hundred() -> Vec<Record> {
    (0..100).map(|n| deal(&format!("{n:03}"), &n.to_string())).collect()
}

async fn with_a_hundred_deals() -> (World, Claimed) {
    let world = World::new().await;
    let claimed = world.running().await;
    let page = deals(hundred());
    let committed = world.store.commit_pages(&claimed.lease, &[page], &progress(100)).await.unwrap();
    assert_eq!(written(&committed), [100]);
    (world, claimed)
}

/// Which transaction wrote each row.
async fn versions(world: &World) -> BTreeMap<String, String> {
    let rows = sqlx::query("SELECT external_id, xmin::text FROM deals").fetch_all(&world.pg).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn an_unchanged_row_is_not_rewritten_and_a_changed_one_is() {
    let (world, claimed) = with_a_hundred_deals().await;
    let before = versions(&world).await;
    let committed =
        world.store.commit_pages(&claimed.lease, &[deals(hundred())], &progress(200)).await.unwrap();
    assert_eq!(written(&committed), [0]);
    assert_eq!(versions(&world).await, before);

    let mut page = hundred();
    page[7] = deal("007", "7.5");
    page[8].source_updated_at = Some(datetime!(2026-01-01 00:00:00 UTC));
    page[9].deleted_at = Some(datetime!(2026-01-01 00:00:00 UTC));
    let committed = world.store.commit_pages(&claimed.lease, &[deals(page)], &progress(300)).await.unwrap();
    assert_eq!(written(&committed), [3]);
    let after = versions(&world).await;
    let rewritten: Vec<&String> = before.keys().filter(|id| before[*id] != after[*id]).collect();
    assert_eq!(rewritten, ["007", "008", "009"]);
    assert!(world.one::<bool>("SELECT amount = 7.5 FROM deals WHERE external_id = '007'").await);
    let counts = "SELECT (listed, written, unchanged, pages) = (300, 103, 197, 3) FROM cursors";
    assert!(world.one::<bool>(counts).await);
}

#[tokio::test]
async fn a_row_says_which_job_last_wrote_it() {
    let (world, first) = with_a_hundred_deals().await;
    world.set(first.job.id, "status = 'failed', lease_token = NULL").await;
    let second = world.running().await;
    let page = deals(vec![deal("001", "1"), deal("002", "2.5")]);
    world.store.commit_pages(&second.lease, &[page], &progress(2)).await.unwrap();
    let by = |id: &str| format!("SELECT count(*) FROM deals WHERE job_id = '{id}'");
    assert_eq!(world.one::<i64>(&by(&first.job.id.to_string())).await, 99);
    assert_eq!(world.one::<i64>(&by(&second.job.id.to_string())).await, 1);
}

#[tokio::test]
async fn an_unchanged_row_is_not_locked() {
    let (world, claimed) = with_a_hundred_deals().await;
    // Whoever would have to wait for a lock fails instead.
    world.run("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET lock_timeout = ''300ms''', current_database()); END $$").await;
    let store = store_at(&world.env.database_url, KEY);

    let mut reader = world.pg.begin().await.unwrap();
    sqlx::query("SELECT FROM deals ORDER BY external_id FOR UPDATE").execute(&mut *reader).await.unwrap();
    let page = deals(hundred());
    let committed = store.commit_pages(&claimed.lease, &[page], &progress(200)).await.unwrap();
    assert_eq!(written(&committed), [0]);

    // The locks are real: a changed row does wait.
    let page = deals(vec![deal("001", "1.5")]);
    let error =
        store.commit_pages(&claimed.lease, std::slice::from_ref(&page), &progress(201)).await.unwrap_err();
    let StoreError::Unavailable(error) = error else { panic!("{error:?}") };
    assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("55P03"), "lock timeout");
    reader.rollback().await.unwrap();
    store.commit_pages(&claimed.lease, &[page], &progress(201)).await.unwrap();
}

#[tokio::test]
async fn the_rows_that_a_page_commit_updates_stay_where_their_indexes_point() {
    let (world, claimed) = with_a_hundred_deals().await;
    let finished = "INSERT INTO jobs (id, sync_id, job_type, workspace_id, scope, status)
        SELECT gen_random_uuid(), gen_random_uuid(), 'sync', 'acme', 'hubspot', 'completed' FROM generate_series(1, 200)";
    world.run(finished).await;
    for page in 0..100 {
        world.store.commit_pages(&claimed.lease, &[deals(vec![])], &progress(page)).await.unwrap();
    }
    // A backend reports what it did at the latest when it ends.
    world.store.close().await;
    for (table, updates) in [("jobs", 101), ("cursors", 100)] {
        let seen =
            format!("SELECT n_tup_upd >= {updates} FROM pg_stat_user_tables WHERE relname = '{table}'");
        world.until(&seen).await;
    }
    // Leaving a full page is fine now and then; a new index entry with every commit is not.
    let cold =
        "SELECT max(n_tup_upd - n_tup_hot_upd) FROM pg_stat_user_tables WHERE relname IN ('jobs', 'cursors')";
    let cold: i64 = world.one(cold).await;
    assert!(cold <= 25, "{cold} of 100 updates were not heap-only");
}
