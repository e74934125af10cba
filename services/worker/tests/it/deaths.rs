//! Workers that die, hang, or come back.

use bus::Published;
use devstack::proxy::TcpProxy;
use lab::{FaultKind, FaultRule, LabConfig};
use protocol::JobStatus;

use crate::fixture::{World, small_lab};
use crate::processes::Process;

fn slow_lab() -> LabConfig {
    LabConfig { latency_ms: 100, ..small_lab() }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_another_worker_goes_on_from_the_last_committed_page() {
    let mut world = World::new(slow_lab()).await;
    let mut first = Process::start(&world);
    let job = world.post().await;
    world.seen(job, |view| view.progress.current >= 500).await;
    first.kill();
    let second = Process::start(&world);
    let view = world.completed(job).await;
    assert_eq!((view.attempts, view.takeovers), (1, 1), "a death is no attempt");
    world.assert_complete().await;
    // What was in flight at the kill: a page of each of the three objects, fetched or being fetched, and one
    // that waited for its commit.
    let twice = world.lab.stats().await.pages_fetched_twice;
    assert!(twice.count <= 4, "{twice:?}");
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_hung_and_came_back_cannot_write_or_settle() {
    let mut world = World::new(slow_lab()).await;
    let zombie = Process::start(&world);
    let job = world.post().await;
    world.seen(job, |view| view.progress.current >= 300).await;
    zombie.signal("STOP");
    let second = Process::start(&world);
    world.seen(job, |view| view.takeovers == 1).await;
    zombie.signal("CONT");
    let view = world.completed(job).await;
    assert_eq!((view.attempts, view.takeovers), (1, 1));
    world.assert_complete().await;
    let result = view.result.unwrap();
    let records =
        result.results.iter().filter(|o| ["contacts", "companies", "deals"].contains(&o.object.as_str()));
    assert_eq!(records.map(|object| object.listed).sum::<u64>(), 1_750, "no page was counted twice");
    drop((zombie, second));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_comes_back_while_another_one_runs_its_job_does_not_settle_the_ticket() {
    let mut world = World::new(slow_lab()).await;
    let zombie = Process::start(&world);
    let job = world.post().await;
    world.seen(job, |view| view.progress.current >= 300).await;
    zombie.signal("STOP");
    // Whoever takes it over is in the middle of it for as long as this test likes.
    world.lab.set_faults(vec![FaultRule::new(FaultKind::Hang)]).unwrap();
    let mut second = Process::start(&world);
    world.seen(job, |view| view.takeovers == 1).await;
    world.lab.wait_for_hanging(2).await;
    crate::source::tickets(&world, 1).await;
    zombie.signal("CONT");
    zombie.signal("TERM");
    assert_eq!(zombie.exit_code(), Some(0), "it had all the time to do harm");
    assert_eq!(world.bus.tickets_queued().await.unwrap(), 1, "the ticket is not its to settle");
    assert_eq!(world.row(job).await.status, JobStatus::Running);
    world.lab.set_faults(Vec::new()).unwrap();
    second.kill();
    let third = Process::start(&world);
    let view = world.completed(job).await;
    assert_eq!((view.attempts, view.takeovers), (1, 2));
    world.assert_complete().await;
    drop(third);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_comes_back_when_its_job_is_over_changes_nothing() {
    let mut world = World::new(slow_lab()).await;
    let zombie = Process::start(&world);
    let job = world.post().await;
    world.seen(job, |view| view.progress.current >= 300).await;
    zombie.signal("STOP");
    let second = Process::start(&world);
    world.completed(job).await;
    // And the next job of the scope, so that there is something to be harmed.
    let next = crate::source::begin(&world, protocol::SyncOptions::default()).await;
    world.completed(next).await;
    crate::source::tickets(&world, 0).await;
    let before = (crate::source::versions(&world).await, world.row(job).await, world.row(next).await);
    let shown = world.bus.board_entry(&world.workspace, job).await.unwrap();
    zombie.signal("CONT");
    zombie.signal("TERM");
    assert_eq!(zombie.exit_code(), Some(0), "it had all the time to do harm");
    let after = (crate::source::versions(&world).await, world.row(job).await, world.row(next).await);
    assert_eq!(before, after);
    assert_eq!(world.bus.board_entry(&world.workspace, job).await.unwrap(), shown);
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_between_the_commit_and_the_ack_leaves_a_ticket_that_is_discarded() {
    let mut world = World::new(small_lab()).await;
    let worker = world.worker().await;
    let job = world.post().await;
    world.completed(job).await;
    let requests = world.lab.stats().await.requests;
    // The ticket that a dead worker did not settle: the job is over, and its ticket comes.
    while world.publish(job, 2).await != Published::Stored {
        tokio::task::yield_now().await;
    }
    // It is gone when the next one is accepted.
    while world.publish(job, 3).await != Published::Stored {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.row(job).await.attempts, 1);
    assert_eq!(world.lab.stats().await.requests, requests, "nothing ran twice");
    worker.stop().await;
}

/// So many workers claim the job and die at once.
async fn die(world: &World, job: protocol::JobId, workers: u32) {
    for _ in 0..workers {
        let short = std::time::Duration::from_millis(1);
        while !matches!(world.store.claim(job, "dead", short).await.unwrap(), store::Claim::Claimed(_)) {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_taken_over_as_often_as_is_allowed_still_runs() {
    let mut world = World::new(small_lab()).await;
    let job = world.accept(3).await;
    die(&world, job, 10).await;
    let worker = world.worker().await;
    world.publish(job, 1).await;
    let view = world.completed(job).await;
    assert_eq!((view.attempts, view.takeovers), (1, 10));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_kills_its_workers_is_given_up() {
    let mut world = World::new(slow_lab()).await;
    let job = world.accept(3).await;
    // Eleven workers claimed it and died at once: whoever comes next is one takeover more than the ten that are allowed.
    die(&world, job, 11).await;
    let worker = world.worker().await;
    world.publish(job, 1).await;
    let view = world.ended(job).await;
    assert_eq!(view.status, JobStatus::Failed, "{view:?}");
    assert!(view.error.unwrap().contains("workers died"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_cannot_end_in_order_is_gone_at_its_deadline() {
    let mut world = World::new(slow_lab()).await;
    let proxy = TcpProxy::in_front_of(&world.env.database_url).await.unwrap();
    // Without a deadline it would wait for its Postgres for ten minutes.
    let process = Process::start_with(
        &world,
        &[
            ("SYNCLINE_DATABASE_URL", &proxy.url(&world.env.database_url)),
            ("SYNCLINE_WORKER_LEASE_MS", "600000"),
            ("SYNCLINE_WORKER_HEARTBEAT_MS", "100000"),
            ("SYNCLINE_HTTP_REQUEST_TIMEOUT_MS", "900"),
            ("SYNCLINE_SHUTDOWN_DEADLINE_MS", "1000"),
        ],
    );
    let job = world.post().await;
    world.seen(job, |view| view.progress.current >= 300).await;
    proxy.half_open().await.unwrap();
    process.signal("TERM");
    assert_eq!(process.exit_code(), Some(0));
    let row = world.row(job).await;
    assert_eq!(row.status, JobStatus::Running, "whoever sees the end of its lease goes on: {row:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_a_worker_process_in_order() {
    let mut world = World::new(slow_lab()).await;
    let process = Process::start(&world);
    let job = world.post().await;
    world.seen(job, |view| view.progress.current >= 300).await;
    process.signal("TERM");
    assert_eq!(process.exit_code(), Some(0));
    let row = world.row(job).await;
    assert_eq!((row.status, row.attempts), (JobStatus::Queued, 0), "{row:?}");
}
