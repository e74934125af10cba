//! NATS or Postgres away in mid-run.

use devstack::NatsUser;
use devstack::proxy::TcpProxy;
use lab::LabConfig;

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
    assert_eq!((row.status, row.attempts, row.takeovers), (protocol::JobStatus::Completed, 1, 0));
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
