use protocol::{JobId, JobStatus, SyncMode, SyncOptions};
use serde_json::json;
use store::{Claim, NewJob, NotClaimable};
use time::OffsetDateTime;
use tokio::task::JoinSet;

use crate::fixture::{LEASE, World, changed, new_job, workspace};

#[tokio::test]
async fn a_claim_starts_the_attempt_and_hands_out_the_lease() {
    let world = World::new().await;
    let job = world.accepted().await;
    let before = world.row(job.id).await;
    let claimed = world.claimed(job.id).await;
    let after = world.row(job.id).await;
    assert_eq!(
        changed(&before, &after),
        ["attempts", "lease_expires_at", "lease_holder", "lease_token", "revision", "started_at", "status"]
    );
    assert_eq!(after["lease_token"], claimed.lease.token.to_string());
    assert_eq!(after["lease_holder"], "worker-1");
    let lease = "SELECT lease_expires_at - started_at = interval '300 s' FROM jobs";
    assert!(world.one::<bool>(lease).await);
    assert_eq!((claimed.job.status, claimed.job.attempts), (JobStatus::Running, 1));
    assert_eq!(claimed.job.revision, job.revision + 1);
    assert_eq!(claimed.credentials.unwrap(), Some(json!({"token": "acme-hubspot"})));
    assert_eq!((claimed.account_id, claimed.cursors), (None, vec![]));
    assert_eq!(claimed.lease.connector.as_str(), "hubspot");
    assert_eq!(world.store.job(&workspace("acme"), job.id).await.unwrap(), Some(claimed.job));
}

#[tokio::test]
async fn a_job_is_claimed_when_it_is_due_and_not_before() {
    let world = World::new().await;
    let job = world.accepted().await;
    world.set(job.id, "run_at = now() + interval '1 hour', waiting_reason = 'retry_backoff'").await;
    let before = world.row(job.id).await;
    match world.refused(job.id).await {
        NotClaimable::NotFor(wait) => assert!((3_500..=3_600).contains(&wait.as_secs()), "{wait:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.row(job.id).await, before, "a refused claim changes nothing");

    world.set(job.id, "run_at = now()").await;
    let claimed = world.claimed(job.id).await;
    assert_eq!(claimed.job.waiting_reason, None);
}

#[tokio::test]
async fn a_job_that_is_over_or_unknown_cannot_be_claimed() {
    let world = World::new().await;
    for status in ["completed", "failed", "cancelled"] {
        let job = world.accepted().await;
        world.set(job.id, &format!("status = '{status}'")).await;
        assert_eq!(world.refused(job.id).await, NotClaimable::Over, "{status}");
    }
    assert_eq!(world.refused(JobId::new()).await, NotClaimable::Over);
}

#[tokio::test]
async fn a_second_attempt_counts_and_keeps_the_first_start() {
    let world = World::new().await;
    let first = world.running().await;
    world
        .set(first.job.id, "status = 'pending', lease_token = NULL, started_at = now() - interval '1 minute'")
        .await;
    let started: OffsetDateTime = world.one("SELECT started_at FROM jobs").await;
    let second = world.claimed(first.job.id).await;
    assert_eq!((second.job.attempts, second.job.takeovers), (2, 0));
    assert_eq!(second.job.started_at, Some(started));
    assert_ne!(second.lease.token, first.lease.token);
}

#[tokio::test]
async fn a_takeover_waits_for_the_end_of_the_lease_and_is_no_attempt() {
    let world = World::new().await;
    let first = world.running().await;
    match world.refused(first.job.id).await {
        NotClaimable::LeasedFor(left) => assert!(left <= LEASE && left > LEASE / 2, "{left:?}"),
        other => panic!("{other:?}"),
    }

    world.expire_lease(first.job.id).await;
    let second = world.claimed(first.job.id).await;
    assert_eq!((second.job.attempts, second.job.takeovers), (1, 1));
    assert_ne!(second.lease.token, first.lease.token);
    assert!(second.job.revision > first.job.revision);
    assert!(matches!(world.refused(first.job.id).await, NotClaimable::LeasedFor(_)));
}

/// Claims a job 40 times at once: one gets it.
async fn exactly_one_of_many(world: &World, id: JobId) {
    let mut workers = JoinSet::new();
    for worker in 0..40 {
        let store = world.store.clone();
        workers.spawn(async move { store.claim(id, &format!("worker-{worker}"), LEASE).await.unwrap() });
    }
    let claims = workers.join_all().await;
    let (won, lost): (Vec<Claim>, Vec<Claim>) =
        claims.into_iter().partition(|claim| matches!(claim, Claim::Claimed(_)));
    assert_eq!((won.len(), lost.len()), (1, 39));
    for claim in lost {
        assert!(matches!(claim, Claim::Refused(NotClaimable::LeasedFor(_))), "{claim:?}");
    }
}

#[tokio::test]
async fn of_concurrent_claims_exactly_one_wins() {
    let world = World::new().await;
    let job = world.accepted().await;
    exactly_one_of_many(&world, job.id).await;
    assert_eq!(world.row(job.id).await["attempts"], 1);
}

#[tokio::test]
async fn of_concurrent_takeovers_exactly_one_wins() {
    let world = World::new().await;
    let job = world.running().await.job;
    world.expire_lease(job.id).await;
    exactly_one_of_many(&world, job.id).await;
    assert_eq!(world.row(job.id).await["takeovers"], 1);
}

#[tokio::test]
async fn a_renewed_lease_ends_later_and_changes_nothing_that_clients_see() {
    let world = World::new().await;
    let claimed = world.running().await;
    world.set(claimed.job.id, "lease_expires_at = now() + interval '1 s'").await;
    let before = world.row(claimed.job.id).await;
    world.store.renew_lease(&claimed.lease).await.unwrap();
    let after = world.row(claimed.job.id).await;
    assert_eq!(changed(&before, &after), ["lease_expires_at"]);
    assert!(world.one::<bool>("SELECT lease_expires_at > now() + interval '290 s' FROM jobs").await);
}

#[tokio::test]
async fn a_claim_brings_what_was_asked_for() {
    let world = World::new().await;
    let options = SyncOptions {
        mode: Some(SyncMode::Incremental),
        objects: vec!["deals".parse().unwrap()],
        approved: [("deals".parse().unwrap(), 300)].into(),
        timeout_seconds: Some(60),
    };
    let jobs = [NewJob { options: options.clone(), ..new_job("acme", "hubspot") }, new_job("acme", "monday")];
    world.store.accept(&jobs).await.unwrap();
    assert_eq!(world.claimed(jobs[0].id).await.job.options, options);
    assert_eq!(world.claimed(jobs[1].id).await.job.options, SyncOptions::default());
}

#[tokio::test]
async fn a_job_whose_connection_is_gone_is_claimed_without_credentials() {
    let world = World::new().await;
    let job = world.accepted().await;
    world.run("DELETE FROM connections").await;
    assert_eq!(world.claimed(job.id).await.credentials.unwrap(), None);
}

#[tokio::test]
async fn a_job_that_this_version_cannot_read_is_left_to_others_and_not_held() {
    let world = World::new().await;
    let job = world.accepted().await;
    world.set(job.id, r#"attempt_errors = '[{"class": "of a newer version"}]'"#).await;
    let claim = world.store.claim(job.id, "worker-1", LEASE).await;
    assert!(matches!(claim, Err(store::StoreError::Corrupt(_))), "{claim:?}");
    let row = world.row(job.id).await;
    assert_eq!((row["status"].as_str(), row["attempts"].as_i64()), (Some("pending"), Some(0)), "{row:?}");
    assert!(matches!(world.refused(job.id).await, NotClaimable::NotFor(_)), "and not asked for at once");
}
