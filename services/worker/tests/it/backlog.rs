//! Jobs that come without a ticket: those that lost their worker, and those that were accepted while a backlog waits.

use std::time::Duration;

use bus::Published;
use devstack::NatsUser;
use devstack::proxy::TcpProxy;
use lab::{FaultKind, FaultRule, LabConfig};
use protocol::{JobId, JobStatus, Priority, WaitingReason};
use store::{Claim, Lease, NewJob};
use worker::{Settings, Slots};

use crate::fixture::{Running, World, connect, http, settings, small_lab, start};
use crate::rolling::{accept_many, publish};

/// A turn in the reserve that nobody uses up.
const LONG: Duration = Duration::from_secs(60);
/// How many jobs of others wait.
const BACKLOG: usize = 2_000;

fn tiny_lab() -> LabConfig {
    LabConfig { contacts: 100, companies: 1, deals: 1, ..small_lab() }
}

/// A claim of a worker that died at once.
async fn dies(world: &World, job: JobId) -> Lease {
    match world.store.claim(job, "dead", Duration::ZERO).await.unwrap() {
        Claim::Claimed(claimed) => claimed.lease,
        Claim::Refused(why) => panic!("{why:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_lost_its_worker_is_taken_over_without_a_ticket() {
    let mut world = World::new(small_lab()).await;
    let job = world.accept(3).await;
    dies(&world, job).await;
    let worker = world.worker().await;
    let view = world.completed(job).await;
    assert_eq!((view.attempts, view.takeovers), (1, 1), "{view:?}");
    world.assert_complete().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_lost_its_worker_is_taken_over_while_nats_is_away() {
    let mut world = World::new(small_lab()).await;
    let url = world.env.nats_url(NatsUser::Worker);
    let proxy = TcpProxy::in_front_of(&url).await.unwrap();
    let worker =
        start(world.store.clone(), connect(proxy.url(&url)).await, world.registry(http()), settings());
    proxy.cut().await;
    let job = world.accept(3).await;
    dies(&world, job).await;
    let row = loop {
        let row = world.row(job).await;
        if row.status.is_over() {
            break row;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((row.status, row.attempts, row.takeovers), (JobStatus::Completed, 1, 1), "{row:?}");
    world.assert_complete().await;
    proxy.restore().await.unwrap();
    assert_eq!(world.completed(job).await.takeovers, 1, "subscribers hear of it afterwards");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_ticket_never_comes_is_not_left_waiting_while_slots_are_free() {
    let mut world = World::new(small_lab()).await;
    let job = world.accept(3).await;
    world.store.seed_waited(&[job], Duration::from_secs(20)).await.unwrap();
    let worker = world.worker().await;
    assert_eq!(world.completed(job).await.attempts, 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ran_without_a_ticket_and_rests_gets_one_from_the_relay() {
    let mut world = World::new(small_lab()).await;
    let fails = FaultRule { status: Some(500), count: Some(1), ..FaultRule::new(FaultKind::Status) };
    world.lab.set_faults(vec![fails]).unwrap();
    let job = world.accept(3).await;
    dies(&world, job).await;
    let worker = world.worker().await;
    world.seen(job, |view| view.waiting_reason.is_some()).await;
    let taken = loop {
        // However old the ticket would have to be: there is none.
        let taken = world.store.take_unticketed(Duration::from_secs(3_600), 10).await.unwrap();
        if !taken.is_empty() {
            break taken;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(taken[0].job_id, job);
    assert_eq!(world.bus.publish_tickets(&taken).await, [Published::Stored]);
    assert_eq!(world.completed(job).await.attempts, 2);
    worker.stop().await;
}

/// A worker whose only slot is taken for good, and what waits for it: all but the first of so many jobs of others.
async fn busy(world: &World, backlog: usize, reserve_turn: Duration) -> (Running, Vec<NewJob>) {
    let hang = FaultRule { portal: Some(2), ..FaultRule::new(FaultKind::Hang) };
    world.lab.set_faults(vec![hang]).unwrap();
    let backlog = accept_many(world, "backlog", backlog, |_| 2, Priority::Normal).await;
    let ids: Vec<JobId> = backlog.iter().map(|job| job.id).collect();
    world.store.seed_waited(&ids, Duration::from_secs(300)).await.unwrap();
    publish(world, &backlog).await;
    let patient = connectors::HttpConfig { request_timeout_ms: 600_000, ..http() };
    let slots = Slots { high: 0, normal: 1, low: 0, reserve: 1 };
    let settings = Settings { slots, reserve_turn, ..settings() };
    let worker = world.worker_with(settings, world.registry(patient)).await;
    world.lab.wait_for_hanging(1).await;
    (worker, backlog)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_accepted_now_does_not_wait_behind_thousands_of_its_neighbours() {
    let mut world = World::new(tiny_lab()).await;
    let (worker, backlog) = busy(&world, BACKLOG, LONG).await;
    let job = world.post().await;
    world.completed(job).await;
    // Its own ticket waits, as do those of all the others: and its next job does not.
    let again = world.accept(3).await;
    assert_eq!(world.publish(again, 1).await, Published::Occupied);
    world.completed(again).await;
    let mut waiting = 0;
    for job in &backlog {
        let row = world.store.job(&job.workspace_id, job.id).await.unwrap().unwrap();
        waiting += usize::from(row.status == JobStatus::Queued);
    }
    assert_eq!(waiting, BACKLOG - 1, "the reserve is not for them");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_free_slot_takes_a_job_that_it_is_told_of() {
    let mut world = World::new(tiny_lab()).await;
    let (worker, _backlog) = busy(&world, 1, LONG).await;
    let job = world.accept(3).await;
    // Too old for the look into Postgres: nothing else brings it here.
    world.store.seed_waited(&[job], Duration::from_secs(300)).await.unwrap();
    while world.row(job).await.status == JobStatus::Queued {
        world.bus.hint(&world.ticket(job, 1)).await;
    }
    world.completed(job).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_workers_job_does_not_wait_behind_a_backlog_either() {
    let mut world = World::new(tiny_lab()).await;
    let (worker, _backlog) = busy(&world, BACKLOG, LONG).await;
    let job = world.accept(3).await;
    dies(&world, job).await;
    assert_eq!(world.completed(job).await.takeovers, 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_needs_longer_than_its_turn_in_the_reserve_makes_room_and_loses_nothing() {
    let mut world = World::new(LabConfig { contacts: 2_000, latency_ms: 50, ..small_lab() }).await;
    let (busy, _backlog) = busy(&world, 1, Duration::from_millis(600)).await;
    let long = world.post().await;
    let put_back = world.seen(long, |view| view.waiting_reason.is_some()).await;
    assert_eq!(put_back.waiting_reason, Some(WaitingReason::Interrupted), "{put_back:?}");
    let next = accept_many(&world, "next", 1, |_| 3, Priority::Normal).await.remove(0);
    world.seen(next.id, |view| view.status == JobStatus::Running).await;
    // Its ticket is where it was: whoever has a slot goes on.
    let worker = world.worker().await;
    let view = world.completed(long).await;
    assert_eq!((view.attempts, view.takeovers), (1, 0), "{view:?}");
    assert_eq!(world.lab.stats().await.pages_fetched_twice.count, 0, "what was read was committed");
    world.assert_complete().await;
    worker.stop().await;
    busy.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stops_does_not_wait_for_a_vendor_that_never_answered() {
    let world = World::new(tiny_lab()).await;
    let (worker, jobs) = busy(&world, 1, LONG).await;
    worker.stop().await;
    let row = world.store.job(&jobs[0].workspace_id, jobs[0].id).await.unwrap().unwrap();
    assert_eq!((row.status, row.attempts), (JobStatus::Queued, 0), "{row:?}");
    assert_eq!(row.waiting_reason, Some(WaitingReason::Interrupted));
}
