//! NATS or Postgres away in mid-run.

use devstack::NatsUser;
use devstack::proxy::TcpProxy;
use lab::LabConfig;
use protocol::{JobStatus, WaitingReason};

use crate::fixture::{World, connect, http, open_store, settings, small_lab, start};

fn slow_lab() -> LabConfig {
    LabConfig { latency_ms: 60, ..small_lab() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_goes_on_while_nats_is_away() {
    let mut world = World::new(slow_lab()).await;
    let url = world.env.nats_url(NatsUser::Worker);
    let proxy = TcpProxy::in_front_of(&url).await.unwrap();
    let worker =
        start(world.store.clone(), connect(proxy.url(&url)).await, world.registry(http()), settings());
    let job = world.post().await;
    world.seen(job, |view| view.progress.current >= 300).await;
    proxy.cut().await;
    // The board cannot tell while NATS is away for the worker: the row does.
    let row = loop {
        let row = world.row(job).await;
        if row.status.is_over() {
            break row;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((row.status, row.attempts, row.takeovers), (JobStatus::Completed, 1, 0));
    world.assert_complete().await;
    proxy.restore().await.unwrap();
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_loses_postgres_abandons_the_job_and_it_is_taken_over() {
    let mut world = World::new(slow_lab()).await;
    let proxy = TcpProxy::in_front_of(&world.env.database_url).await.unwrap();
    let bus = connect(world.env.nats_url(NatsUser::Worker)).await;
    let cut_off =
        start(open_store(&proxy.url(&world.env.database_url)), bus, world.registry(http()), settings());
    let job = world.post().await;
    world.seen(job, |view| view.progress.current >= 300).await;
    proxy.cut().await;
    let second = world.worker().await;
    let view = world.completed(job).await;
    assert_eq!((view.attempts, view.takeovers), (1, 1), "{view:?}");
    world.assert_complete().await;
    cut_off.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_postgres_hangs_gives_the_job_up_although_nats_is_well() {
    let mut world = World::new(slow_lab()).await;
    let proxy = TcpProxy::in_front_of(&world.env.database_url).await.unwrap();
    let bus = connect(world.env.nats_url(NatsUser::Worker)).await;
    let hung =
        start(open_store(&proxy.url(&world.env.database_url)), bus, world.registry(http()), settings());
    let job = world.post().await;
    world.seen(job, |view| view.progress.current >= 300).await;
    // Nothing is refused, nothing is answered: only a time-out tells.
    proxy.half_open().await.unwrap();
    let second = world.worker().await;
    let view = world.completed(job).await;
    assert_eq!((view.attempts, view.takeovers), (1, 1), "{view:?}");
    world.assert_complete().await;
    second.stop().await;
    drop(hung);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_has_no_room_for_pages_costs_no_attempt_and_no_takeover() {
    let mut world = World::new(small_lab()).await;
    // What a full server says, to pages only: claims and heartbeats have connections of their own.
    let full = "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'too many clients' USING ERRCODE = '53300'; END $$;
                CREATE TRIGGER no_room BEFORE INSERT ON contacts EXECUTE FUNCTION no_room()";
    world.env.sql(full).await;
    let worker = world.worker().await;
    let job = world.post().await;
    for _ in 0..2 {
        let waiting = world.seen(job, |view| view.waiting_reason.is_some()).await;
        assert_eq!(waiting.waiting_reason, Some(WaitingReason::Interrupted), "{waiting:?}");
        world.seen(job, |view| view.status == JobStatus::Running).await;
    }
    world.env.sql("DROP TRIGGER no_room ON contacts").await;
    let view = world.completed(job).await;
    assert_eq!((view.attempts, view.takeovers), (1, 0), "{view:?}");
    assert!(view.attempt_errors.is_empty(), "{view:?}");
    world.assert_complete().await;
    worker.stop().await;
}
