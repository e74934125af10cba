use std::time::Duration;

use protocol::{JobStatus, WaitingReason};
use store::{Claimed, Ending, Lease, Resting, StoreError};

use crate::fixture::{World, deal, deals, progress, rejected, workspace};

fn ending() -> Ending {
    Ending { status: JobStatus::Completed, error: None, result: None, message: "Done".to_owned() }
}

fn resting() -> Resting {
    Resting {
        reason: WaitingReason::Interrupted,
        delay: Duration::ZERO,
        error: None,
        uncount: true,
        keeps_ticket: true,
        in_vain: false,
    }
}

/// A worker that lost its job to another one while it was asleep.
async fn zombie(world: &World) -> (Lease, Claimed) {
    let zombie = world.running().await;
    world.expire_lease(zombie.job.id).await;
    (zombie.lease, world.claimed(zombie.job.id).await)
}

/// Everything that a job may write.
async fn footprint(world: &World) -> (i64, i64, i64, String) {
    (
        world.one("SELECT count(*) FROM deals").await,
        world.one("SELECT count(*) FROM cursors").await,
        world.one("SELECT count(*) FROM record_errors").await,
        world.one("SELECT jsonb_agg(jobs)::text FROM jobs").await,
    )
}

#[tokio::test]
async fn a_zombie_worker_cannot_commit_a_page() {
    let world = World::new().await;
    let (zombie, owner) = zombie(&world).await;
    let before = footprint(&world).await;
    let mut page = deals(vec![deal("1", "10")]);
    page.rejected = vec![rejected("2", "bad")];
    let error = world.store.commit_pages(&zombie, &[page.clone()], &progress(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::LeaseLost), "{error:?}");
    assert_eq!(footprint(&world).await, before);
    world.store.commit_pages(&owner.lease, &[page], &progress(1)).await.unwrap();
}

#[tokio::test]
async fn a_zombie_worker_cannot_renew_rest_or_end() {
    let world = World::new().await;
    let (zombie, owner) = zombie(&world).await;
    let before = footprint(&world).await;
    let errors = [
        world.store.renew_lease(&zombie).await.unwrap_err(),
        world.store.rest_job(&zombie, &resting()).await.unwrap_err(),
        world.store.end_job(&zombie, &ending()).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, StoreError::LeaseLost), "{error:?}");
        assert!(!error.is_transient());
    }
    assert_eq!(footprint(&world).await, before);
    world.store.renew_lease(&owner.lease).await.unwrap();
    world.store.end_job(&owner.lease, &ending()).await.unwrap();
}

#[tokio::test]
async fn the_last_page_of_a_zombie_clears_no_captured_records() {
    let world = World::new().await;
    world.run("INSERT INTO record_errors VALUES ('acme', 'hubspot', 'deals', '1', gen_random_uuid(), 'bad', '')").await;
    let (zombie, _owner) = zombie(&world).await;
    let last = store::PageBatch { done: true, ..deals(vec![]) };
    world.store.commit_pages(&zombie, &[last], &progress(1)).await.unwrap_err();
    assert_eq!(world.one::<i64>("SELECT count(*) FROM record_errors").await, 1);
}

#[tokio::test]
async fn a_lease_dies_with_the_attempt_it_was_for() {
    let world = World::new().await;
    let rested = world.running().await;
    world.store.rest_job(&rested.lease, &resting()).await.unwrap();
    let again = world.claimed(rested.job.id).await;
    world.store.end_job(&again.lease, &ending()).await.unwrap();
    let before = footprint(&world).await;
    for lease in [&rested.lease, &again.lease] {
        let commit = world.store.commit_pages(lease, &[deals(vec![])], &progress(1)).await;
        assert!(matches!(commit, Err(StoreError::LeaseLost)), "{commit:?}");
        assert!(matches!(world.store.renew_lease(lease).await, Err(StoreError::LeaseLost)));
        assert!(matches!(world.store.end_job(lease, &ending()).await, Err(StoreError::LeaseLost)));
        assert!(matches!(world.store.rest_job(lease, &resting()).await, Err(StoreError::LeaseLost)));
    }
    assert_eq!(footprint(&world).await, before);
}

#[tokio::test]
async fn a_late_worker_that_nobody_replaced_goes_on() {
    let world = World::new().await;
    let late = world.running().await;
    world.expire_lease(late.job.id).await;
    world.store.commit_pages(&late.lease, &[deals(vec![deal("1", "10")])], &progress(1)).await.unwrap();
    assert!(world.one::<bool>("SELECT lease_expires_at > now() + interval '290 s' FROM jobs").await);
}

#[tokio::test]
async fn a_takeover_waits_for_a_page_that_is_being_committed() {
    let world = World::new().await;
    let owner = world.running().await;
    let mut page = world.pg.begin().await.unwrap();
    // What the fence of a commit does, and then the transaction is held open.
    let renewed = "UPDATE jobs SET lease_expires_at = now() + interval '5 min'";
    sqlx::query("UPDATE jobs SET lease_expires_at = now()").execute(&world.pg).await.unwrap();
    sqlx::query(renewed).execute(&mut *page).await.unwrap();
    let (store, id) = (world.store.clone(), owner.job.id);
    let mut takeover = tokio::task::JoinSet::new();
    takeover.spawn(async move { store.claim(id, "worker-2", crate::fixture::LEASE).await.unwrap() });
    world.until("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')").await;
    page.commit().await.unwrap();
    let claim = takeover.join_next().await.unwrap().unwrap();
    assert!(matches!(claim, store::Claim::Refused(store::NotClaimable::LeasedFor(_))), "{claim:?}");
}

#[tokio::test]
async fn a_run_with_replaced_credentials_cannot_renew_or_fail_the_job_and_its_successor_can() {
    let world = World::new().await;
    let old = world.running().await;
    let hubspot = "hubspot".parse().unwrap();
    let given = serde_json::json!({"token": "a new one"});
    world.store.put_connection(&workspace("acme"), &hubspot, &given, None).await.unwrap();
    let before = footprint(&world).await;
    let failed = Ending { status: JobStatus::Failed, ..ending() };
    for error in [
        world.store.renew_lease(&old.lease).await.unwrap_err(),
        world.store.end_job(&old.lease, &failed).await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::LeaseLost), "{error:?}");
    }
    assert_eq!(footprint(&world).await, before);
    let new = world.claim_again(&old).await;
    assert_eq!(new.credentials.unwrap(), Some(given));
    world.store.renew_lease(&new.lease).await.unwrap();
    world.store.end_job(&new.lease, &ending()).await.unwrap();
}

#[tokio::test]
async fn a_run_with_replaced_credentials_still_ends_a_job_that_was_cancelled() {
    let world = World::new().await;
    let old = world.running().await;
    let acme = workspace("acme");
    world.store.cancel(&acme, old.job.id).await.unwrap();
    world
        .store
        .put_connection(&acme, &"hubspot".parse().unwrap(), &serde_json::json!({}), None)
        .await
        .unwrap();
    let view = world.store.end_job(&old.lease, &ending()).await.unwrap();
    assert_eq!(view.status, JobStatus::Cancelled);
}

#[tokio::test]
async fn a_worker_that_was_held_up_in_a_transaction_is_told_to_try_again() {
    let world = World::new().await;
    world.run("CREATE FUNCTION held_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'held up' USING ERRCODE = '25P03'; END $$").await;
    world.run("CREATE TRIGGER held_up BEFORE INSERT ON deals EXECUTE FUNCTION held_up()").await;
    let owner = world.running().await;
    let page = deals(vec![deal("1", "10")]);
    let error = world.store.commit_pages(&owner.lease, &[page], &progress(1)).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}
