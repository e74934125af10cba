//! What every test starts with: stores of its own, a connected workspace, and an ingress on a port of its own.

use std::sync::Once;
use std::time::Duration;

use bus::{Bus, BusOptions, Lane, Published, Settlement};
use devstack::NatsUser;
use devstack::testing::TestEnv;
use ingress::{Acceptor, Ingress, Limits};
use protocol::{JobView, Priority, TICKET_VERSION, Ticket, WorkspaceId};
use reqwest::Method;
use runtime::http::{ShellConfig, serve, shell};
use serde_json::{Value, json};
use store::{PoolOptions, SecretKey, Store};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::answer::Answer;

pub const PATIENCE: Duration = Duration::from_secs(20);
pub const PUBLISH_TIMEOUT: Duration = Duration::from_millis(700);
pub const BODY_MAX: usize = 65_536;
pub const WORKSPACE: &str = "acme";
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Where an ingress finds its stores, and its limits.
pub struct Wiring {
    pub database_url: String,
    pub nats_url: String,
    pub limits: Limits,
    pub acquire_timeout: Duration,
}

/// Stores of the test's own, with the workspace `acme` and its connection to HubSpot.
pub struct Stores {
    pub env: TestEnv,
    pub store: Store,
}

pub struct World {
    pub store: Store,
    pub bus: Bus,
    pub queue: Queue,
    client: reqwest::Client,
    pub url: String,
    _stop: DropGuard,
}

impl Stores {
    pub async fn new() -> Self {
        let env = TestEnv::with_schema().await;
        let store = open_store(&env.database_url, PATIENCE);
        let provision = connected(env.nats_url(NatsUser::Provision)).await;
        provision.provision(1).await.unwrap();
        let stores = Self { env, store };
        stores.store.put_workspace(&workspace(), "Acme").await.unwrap();
        stores.connect("hubspot").await;
        stores
    }

    pub async fn connect(&self, connector: &str) {
        let credentials = json!({"accessToken": "pat-na1-secret"});
        self.store
            .put_connection(&workspace(), &connector.parse().unwrap(), &credentials, None)
            .await
            .unwrap();
    }

    pub fn wiring(&self) -> Wiring {
        Wiring {
            database_url: self.env.database_url.clone(),
            nats_url: self.env.nats_url(NatsUser::Ingress),
            limits: Limits { batch_max: 256, queue_max: 4096 },
            acquire_timeout: PATIENCE,
        }
    }

    /// An ingress whose NATS connection may not be up, now or ever.
    pub async fn ingress(self, wiring: Wiring) -> World {
        static TLS: Once = Once::new();
        TLS.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
        let stop = CancellationToken::new();
        let tracker = TaskTracker::new();
        let bus = Bus::connect(&options(wiring.nats_url)).await.unwrap();
        let store = open_store(&wiring.database_url, wiring.acquire_timeout);
        let acceptor = Acceptor::start(store.clone(), bus.clone(), wiring.limits, &tracker);
        let router = ingress::router(Ingress { store, acceptor, max_attempts: 3 });
        let router = shell(router, ShellConfig::new(BODY_MAX, Duration::from_secs(10)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tracker.spawn(serve(listener, router, stop.clone(), Duration::from_secs(1)));
        let queue = Queue::new(&self.env).await;
        let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        World { store: self.store, bus, queue, client, url, _stop: stop.drop_guard() }
    }
}

impl World {
    pub async fn new() -> Self {
        let stores = Stores::new().await;
        let wiring = stores.wiring();
        let world = stores.ingress(wiring).await;
        world.connected().await;
        world
    }

    /// Waits until the ingress is connected to NATS.
    pub async fn connected(&self) {
        until(|| self.bus.is_connected()).await;
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub async fn send(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.request(method, path).header("content-type", "application/json");
        Answer::to(request.body(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, body.to_string()).await
    }

    /// `POST` a sync of the workspace `acme`.
    pub async fn post_sync(&self, body: Value) -> Answer {
        self.send(Method::POST, "/api/workspaces/acme/sync", body.to_string()).await
    }

    pub async fn post_hubspot(&self) -> Answer {
        self.post_sync(json!({"connectorType": "hubspot"})).await
    }

    /// The rows of the workspace, newest first.
    pub async fn rows(&self) -> Vec<JobView> {
        self.store.jobs(&workspace(), None, None, 1_000).await.unwrap().jobs
    }

    /// Waits until the relay would take exactly these rows because they were never ticketed: not by age.
    pub async fn unticketed(&self) -> Vec<Ticket> {
        let look = async {
            loop {
                let tickets = self.store.take_unticketed(Duration::from_secs(3_600), 10).await.unwrap();
                if !tickets.is_empty() {
                    return tickets;
                }
            }
        };
        tokio::time::timeout(PATIENCE, look).await.expect("no row is without a ticket")
    }

    pub async fn assert_nothing_written(&mut self) {
        assert_eq!(self.rows().await, []);
        assert_eq!(self.queue.drain().await, []);
    }
}

/// The queue of normal priority, as a worker sees it.
pub struct Queue {
    admin: Bus,
    bus: Bus,
    lane: Lane,
    drained: i32,
}

impl Queue {
    async fn new(env: &TestEnv) -> Self {
        let bus = connected(env.nats_url(NatsUser::Worker)).await;
        let admin = connected(env.nats_url(NatsUser::Admin)).await;
        Self { admin, lane: bus.lane(Priority::Normal), bus, drained: 0 }
    }

    /// What the board shows of a job.
    pub async fn shown(&self, job: protocol::JobId) -> JobView {
        self.admin.board_entry(&workspace(), job).await.unwrap().expect("the board does not show it")
    }

    /// Takes every ticket out of the queue: those in front of one that is published now.
    pub async fn drain(&mut self) -> Vec<Ticket> {
        self.drained += 1;
        let last = Ticket {
            v: TICKET_VERSION,
            job_id: protocol::JobId::new(),
            ticket_no: self.drained,
            workspace_id: "the-last-one".parse().unwrap(),
            job_type: "sync".parse().unwrap(),
            scope: "none".parse().unwrap(),
            priority: Priority::Normal,
        };
        assert_eq!(self.admin.publish_tickets(std::slice::from_ref(&last)).await, [Published::Stored]);
        let mut tickets = Vec::new();
        loop {
            let next = tokio::time::timeout(PATIENCE, self.lane.next()).await;
            let delivery = next.expect("the queue does not deliver").unwrap();
            self.bus.settle(&delivery, Settlement::Ack).await.unwrap();
            if delivery.ticket == last {
                return tickets;
            }
            tickets.push(delivery.ticket);
        }
    }
}

pub fn workspace() -> WorkspaceId {
    WORKSPACE.parse().unwrap()
}

fn options(url: String) -> BusOptions {
    BusOptions { url, name: "test".into(), request_timeout: PUBLISH_TIMEOUT }
}

pub async fn connected(url: String) -> Bus {
    let bus = Bus::connect(&BusOptions { request_timeout: PATIENCE, ..options(url) }).await.unwrap();
    until(|| bus.is_connected()).await;
    bus
}

/// Looks again at every turn of the scheduler: for a state that announces itself to nobody.
pub async fn until(done: impl Fn() -> bool) {
    let look = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("it did not happen");
}

fn open_store(url: &str, acquire_timeout: Duration) -> Store {
    let options = PoolOptions {
        url: url.to_owned(),
        connections_max: 4,
        acquire_timeout,
        application_name: "test".into(),
    };
    Store::new(&options, SecretKey::from_hex(KEY).unwrap()).unwrap()
}
