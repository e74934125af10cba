use std::time::Duration;

use protocol::{Priority, WaitingReason};
use store::Resting;

use crate::fixture::{World, changed, deal, deals, progress};
use crate::relay::{each_goes_to_one_of_two, many};

#[tokio::test]
async fn a_running_row_whose_lease_is_over_gets_a_ticket() {
    let world = World::new().await;
    let claimed = world.running().await;
    world.set(claimed.job.id, "ticketed_at = now() - interval '1 minute'").await;
    assert_eq!(world.store.take_expired(10).await.unwrap(), [], "its lease lives");

    world.expire_lease(claimed.job.id).await;
    let before = world.row(claimed.job.id).await;
    let tickets = world.store.take_expired(10).await.unwrap();
    assert_eq!((tickets.len(), tickets[0].job_id, tickets[0].ticket_no), (1, claimed.job.id, 2));
    assert_eq!(tickets[0].subject().to_string(), "sync.jobs.normal.acme.sync.hubspot");
    assert_eq!(changed(&before, &world.row(claimed.job.id).await), ["ticket_no", "ticketed_at"]);
}

#[tokio::test]
async fn a_ticket_has_two_seconds_before_the_row_is_rescued_again() {
    let world = World::new().await;
    let claimed = world.running().await;
    world.set(claimed.job.id, "lease_expires_at = now(), ticketed_at = NULL").await;
    assert_eq!(world.store.take_expired(10).await.unwrap().len(), 1);
    world.set(claimed.job.id, "ticketed_at = now() - interval '1 s'").await;
    assert_eq!(world.store.take_expired(10).await.unwrap(), []);
    world.set(claimed.job.id, "ticketed_at = now() - interval '2 s'").await;
    assert_eq!(world.store.take_expired(10).await.unwrap()[0].ticket_no, 3);
}

#[tokio::test]
async fn a_row_that_somebody_took_over_or_that_is_over_is_left_alone() {
    let world = World::new().await;
    let jobs = many(&world, 3).await;
    for job in &jobs {
        world.claimed(*job).await;
        world.set(*job, "lease_expires_at = now(), ticketed_at = NULL").await;
    }
    world.claimed(jobs[0]).await;
    world.set(jobs[1], "status = 'failed', lease_token = NULL").await;
    world.set(jobs[2], "status = 'pending', lease_token = NULL").await;
    assert_eq!(world.store.take_expired(10).await.unwrap(), []);
}

#[tokio::test]
async fn of_many_schedulers_each_expired_row_goes_to_one() {
    let world = World::new().await;
    let jobs = many(&world, 300).await;
    world
        .run("UPDATE jobs SET status = 'running', lease_token = gen_random_uuid(), lease_expires_at = now(), ticketed_at = NULL")
        .await;
    each_goes_to_one_of_two(&world, &jobs, 17, |store| async move { store.take_expired(17).await.unwrap() })
        .await;
}

#[tokio::test]
async fn workers_see_the_running_jobs_whose_lease_is_over_and_no_others() {
    let world = World::new().await;
    let jobs = many(&world, 4).await;
    for job in &jobs[..3] {
        world.claimed(*job).await;
    }
    world.expire_lease(jobs[0]).await;
    world.expire_lease(jobs[1]).await;
    world.set(jobs[1], "priority = 'low'").await;
    let mut seen = world.store.expired(10).await.unwrap();
    seen.sort_by_key(|(job, _)| *job != jobs[0]);
    assert_eq!(seen, [(jobs[0], Priority::Normal), (jobs[1], Priority::Low)]);
    world.expire_lease(jobs[2]).await;
    let mut lanes: Vec<_> =
        world.store.expired(1).await.unwrap().iter().map(|(_, priority)| *priority).collect();
    lanes.sort_by_key(|priority| *priority == Priority::Low);
    assert_eq!(lanes, [Priority::Normal, Priority::Low], "one of each");
}

#[tokio::test]
async fn only_takeovers_with_nothing_committed_between_them_are_counted_against_a_job() {
    let world = World::new().await;
    let mut claimed = world.running().await;
    for taken_over in 1..=3 {
        claimed = world.claim_again(&claimed).await;
        assert_eq!((claimed.job.takeovers, claimed.takeovers_in_vain), (taken_over, taken_over));
    }
    world.store.commit_pages(&claimed.lease, &[deals(vec![deal("1", "2")])], &progress(1)).await.unwrap();
    claimed = world.claim_again(&claimed).await;
    assert_eq!((claimed.job.takeovers, claimed.takeovers_in_vain), (4, 1));
    world.set(claimed.job.id, "status = 'pending', waiting_reason = 'interrupted', lease_token = NULL").await;
    claimed = world.claimed(claimed.job.id).await;
    assert_eq!(
        (claimed.job.takeovers, claimed.takeovers_in_vain),
        (4, 1),
        "it was put back, and committed nothing"
    );
    world
        .set(claimed.job.id, "status = 'pending', waiting_reason = 'retry_backoff', lease_token = NULL")
        .await;
    claimed = world.claimed(claimed.job.id).await;
    assert_eq!((claimed.job.takeovers, claimed.takeovers_in_vain), (4, 0), "an attempt came to its end");
}

#[tokio::test]
async fn a_run_that_could_not_be_written_for_counts_like_a_death_and_a_page_makes_up_for_it() {
    let world = World::new().await;
    let claimed = world.running().await;
    let put_back = |in_vain| Resting {
        reason: WaitingReason::Interrupted,
        delay: Duration::ZERO,
        error: None,
        uncount: true,
        keeps_ticket: true,
        in_vain,
    };
    world.store.rest_job(&claimed.lease, &put_back(true)).await.unwrap();
    let claimed = world.claimed(claimed.job.id).await;
    let counts =
        |claimed: &store::Claimed| (claimed.job.attempts, claimed.job.takeovers, claimed.takeovers_in_vain);
    assert_eq!(counts(&claimed), (1, 0, 1));
    world.store.commit_pages(&claimed.lease, &[deals(vec![deal("1", "2")])], &progress(1)).await.unwrap();
    world.store.rest_job(&claimed.lease, &put_back(false)).await.unwrap();
    assert_eq!(counts(&world.claimed(claimed.job.id).await), (1, 0, 0));
}
