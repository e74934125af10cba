use std::time::{Duration, Instant};

use devstack::proxy::TcpProxy;
use store::{Accepted, Lease, PoolOptions, SecretKey, Store, StoreError};

use crate::fixture::{KEY, LEASE, World, deal, deals, new_job, progress, workspace};

const CONNECTIONS: u32 = 3;

fn through(proxy: &TcpProxy, world: &World, acquire_timeout: Duration) -> Store {
    with(CONNECTIONS, proxy, world, acquire_timeout)
}

fn with(connections_max: u32, proxy: &TcpProxy, world: &World, acquire_timeout: Duration) -> Store {
    let options = PoolOptions {
        url: proxy.url(&world.env.database_url),
        connections_max,
        acquire_timeout,
        application_name: "store-test".to_owned(),
    };
    Store::new(&options, SecretKey::from_hex(KEY).unwrap()).unwrap()
}

/// Uses every connection of the pool at once, so that all are open.
async fn fill(store: &Store) {
    let mut pings = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let store = store.clone();
        pings.spawn(async move { store.ping().await });
    }
    for ping in pings.join_all().await {
        ping.unwrap();
    }
}

fn unavailable<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    let error = answer.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn while_postgres_is_cut_off_everything_is_unavailable_and_soon_told() {
    let world = World::new().await;
    let claimed = world.running().await;
    let proxy = TcpProxy::in_front_of(&world.env.database_url).await.unwrap();
    let store = through(&proxy, &world, Duration::from_secs(2));
    fill(&store).await;
    proxy.cut().await;

    let asked = Instant::now();
    let page = deals(vec![deal("1", "10")]);
    // A page waits for a connection for as long as its lease lasts, and no longer.
    let lease = Lease { duration: Duration::from_millis(100), ..claimed.lease.clone() };
    unavailable(store.commit_pages(&lease, std::slice::from_ref(&page), &progress(1)).await);
    let (acme, job) = (workspace("acme"), [new_job("acme", "monday")]);
    let (accept, claim, read, migrate, ping) = tokio::join!(
        store.accept(&job),
        store.claim(claimed.job.id, "worker-1", LEASE),
        store.job(&acme, claimed.job.id),
        Box::pin(store.migrate()),
        store.ping(),
    );
    unavailable(accept);
    unavailable(claim);
    unavailable(read);
    unavailable(migrate);
    unavailable(ping);
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    assert_eq!(world.one::<i64>("SELECT count(*) FROM deals").await, 0);
}

#[tokio::test]
async fn after_an_outage_the_same_store_works_again() {
    let world = World::new().await;
    let claimed = world.running().await;
    let proxy = TcpProxy::in_front_of(&world.env.database_url).await.unwrap();
    let store = through(&proxy, &world, Duration::from_secs(10));
    fill(&store).await;
    proxy.cut().await;
    proxy.restore().await.unwrap();

    // Each connection of before is found dead once, at most.
    let mut failures = 0;
    let page = deals(vec![deal("1", "10")]);
    while let Err(error) = store.commit_pages(&claimed.lease, std::slice::from_ref(&page), &progress(1)).await
    {
        assert!(error.is_transient(), "{error:?}");
        failures += 1;
        assert!(failures <= CONNECTIONS, "{error:?}");
    }
    assert_eq!(world.one::<i64>("SELECT count(*) FROM deals").await, 1);
}

#[tokio::test]
async fn a_store_can_be_made_before_postgres_is_there() {
    let world = World::new().await;
    let proxy = TcpProxy::in_front_of(&world.env.database_url).await.unwrap();
    proxy.cut().await;
    let store = through(&proxy, &world, Duration::from_secs(2));
    unavailable(store.ping().await);
    proxy.restore().await.unwrap();
    store.ping().await.unwrap();
}

#[tokio::test]
async fn connections_that_died_while_they_rested_fail_no_statement() {
    let world = World::new().await;
    let proxy = TcpProxy::in_front_of(&world.env.database_url).await.unwrap();
    let store = through(&proxy, &world, Duration::from_secs(10));
    fill(&store).await;
    proxy.cut().await;
    proxy.restore().await.unwrap();
    // Nothing to wait for: that nobody uses them for a while is what it is about.
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..CONNECTIONS {
        store.ping().await.unwrap();
    }
}

#[tokio::test]
async fn a_request_given_up_while_its_transaction_begins_takes_nothing_of_others_with_it() {
    let world = World::new().await;
    let proxy = TcpProxy::in_front_of(&world.env.database_url).await.unwrap();
    let store = with(1, &proxy, &world, Duration::from_secs(10));
    store.ping().await.unwrap();
    let given_up = new_job("acme", "hubspot");
    let kept = [new_job("acme", "monday"), new_job("acme", "salesforce"), new_job("globex", "hubspot")];
    // A round trip takes 400 ms now. Somewhere on the way: while it waits for the connection, begins, or inserts.
    for (kept, patience_ms) in kept.iter().zip([100, 300, 500]) {
        proxy.set_delay(Duration::from_millis(200));
        let request = store.accept_sync(given_up.id, std::slice::from_ref(&given_up));
        let patience = Duration::from_millis(patience_ms);
        tokio::time::timeout(patience, request).await.expect_err("it is on its way");
        proxy.set_delay(Duration::ZERO);
        store.accept(std::slice::from_ref(kept)).await.unwrap();
        let is_there = format!("SELECT EXISTS (SELECT FROM jobs WHERE id = '{}')", kept.id);
        assert!(world.one::<bool>(&is_there).await, "what was accepted is committed: {patience_ms} ms");
    }
}

#[tokio::test]
async fn a_statement_given_up_on_a_connection_that_went_silent_does_not_keep_its_place() {
    let world = World::new().await;
    let proxy = TcpProxy::in_front_of(&world.env.database_url).await.unwrap();
    let store = with(1, &proxy, &world, Duration::from_secs(10));
    let (acme, job) = (workspace("acme"), world.accepted().await);
    for _ in 0..2 {
        store.job(&acme, job.id).await.unwrap();
        proxy.strand();
        let asked = tokio::time::timeout(Duration::from_millis(100), store.job(&acme, job.id)).await;
        assert!(asked.is_err(), "nobody answers any more");
        assert!(store.job(&acme, job.id).await.unwrap().is_some(), "whoever has the address now does");
    }
}

#[tokio::test]
async fn batches_share_a_connection_until_one_is_given_up_or_none_follows() {
    let world = World::new().await;
    let proxy = TcpProxy::in_front_of(&world.env.database_url).await.unwrap();
    let store = with(1, &proxy, &world, Duration::from_secs(2));
    let mut accepting = store.accepting();
    let [first, given_up, next] = ["hubspot", "monday", "salesforce"].map(|scope| [new_job("acme", scope)]);
    accepting.accept(&first).await.unwrap();
    unavailable(store.ping().await);
    proxy.strand();
    let asked = tokio::time::timeout(Duration::from_millis(100), accepting.accept(&given_up)).await;
    assert!(asked.is_err(), "nobody answers any more");
    assert!(matches!(accepting.accept(&next).await.unwrap()[..], [Accepted::Created(_)]));
    accepting.rest();
    store.ping().await.unwrap();
}
