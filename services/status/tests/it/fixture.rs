//! What every test starts with: stores of its own, jobs in every state, and a status service on a port of its own.

use std::sync::Once;
use std::time::Duration;

use bus::{BoardCell, Bus, BusOptions, Posted};
use devstack::NatsUser;
use devstack::testing::TestEnv;
use protocol::{JobId, JobStatus, JobView, Priority, Progress, SyncResult, WorkspaceId};
use reqwest::Method;
use runtime::http::{ShellConfig, serve, shell};
use serde_json::{Value, json};
use status::{Board, Status};
use store::{Accepted, Claim, Ending, Lease, NewJob, PoolOptions, SecretKey, Store};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::answer::Answer;

pub const PATIENCE: Duration = Duration::from_secs(20);
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Where a status service finds its stores.
#[derive(Clone)]
pub struct Wiring {
    pub database_url: String,
    pub nats_url: String,
    /// Whether the board is watched. If not, every first poll of a job finds nothing in memory.
    pub watched: bool,
    /// How long one waits for Postgres, and for an answer of NATS.
    pub patience: Duration,
    /// How long an ordinary request may take.
    pub request_timeout: Duration,
    /// How many may wait for a job.
    pub followers_max: usize,
}

/// Stores of the test's own, with the workspace `acme` and its connections.
pub struct Stores {
    pub env: TestEnv,
    pub store: Store,
    /// As a worker, who writes the board.
    pub worker: Bus,
}

pub struct World {
    pub stores: Stores,
    pub status: Status,
    pub stop: CancellationToken,
    client: reqwest::Client,
    url: String,
    _stop: DropGuard,
}

impl Stores {
    pub async fn new() -> Self {
        let env = TestEnv::with_schema().await;
        let store = open_store(&env.database_url, PATIENCE);
        connected(env.nats_url(NatsUser::Provision)).await.provision(1).await.unwrap();
        let worker = connected(env.nats_url(NatsUser::Worker)).await;
        let stores = Self { env, store, worker };
        stores.store.put_workspace(&workspace(), "Acme").await.unwrap();
        for connector in ["hubspot", "salesforce"] {
            let credentials = json!({"accessToken": "x"});
            let connector = connector.parse().unwrap();
            stores.store.put_connection(&workspace(), &connector, &credentials, None).await.unwrap();
        }
        stores
    }

    pub fn wiring(&self) -> Wiring {
        Wiring {
            database_url: self.env.database_url.clone(),
            nats_url: self.env.nats_url(NatsUser::Status),
            watched: true,
            patience: PATIENCE,
            request_timeout: PATIENCE,
            followers_max: 100,
        }
    }

    /// A job that waits for a worker. On no board.
    pub async fn queued(&self) -> JobView {
        let id = JobId::new();
        let accepted = self.store.accept(&[new_job(id, id, "hubspot")]).await.unwrap();
        let [Accepted::Created(job)] = accepted.as_slice() else { panic!("{accepted:?}") };
        (**job).clone()
    }

    /// A job that runs. On no board.
    pub async fn running(&self) -> (JobView, Lease) {
        let job = self.queued().await;
        self.claim(job.id).await
    }

    pub async fn claim(&self, id: JobId) -> (JobView, Lease) {
        let Claim::Claimed(claimed) = self.store.claim(id, "test", PATIENCE).await.unwrap() else {
            panic!("not claimed")
        };
        (claimed.job, claimed.lease)
    }

    /// Commits progress; the view after it.
    pub async fn advance(&self, lease: &Lease, current: u64) -> JobView {
        let message = format!("Processing contacts ({current})...");
        let progress = Progress { current, total: 100, message };
        self.store.commit_pages(lease, &[], &progress).await.unwrap();
        self.row(lease.job_id).await
    }

    pub async fn end(&self, lease: &Lease, status: JobStatus) -> JobView {
        let error = (status == JobStatus::Failed)
            .then(|| store::Failure::new(protocol::AttemptErrorClass::Permanent, "it broke"));
        let result = (status == JobStatus::Completed)
            .then(|| SyncResult { total_records: 47_691, ..SyncResult::default() });
        let ending = Ending { status, error, result, message: "Over".to_owned() };
        self.store.end_job(lease, &ending).await.unwrap()
    }

    pub async fn completed(&self) -> JobView {
        let (_, lease) = self.running().await;
        self.end(&lease, JobStatus::Completed).await
    }

    pub async fn row(&self, id: JobId) -> JobView {
        self.store.job(&workspace(), id).await.unwrap().unwrap()
    }

    /// Puts a view on the board as it is, whatever is there: as a worker would that knows no better.
    pub async fn post(&self, view: &JobView) {
        let posted = self.worker.post(&mut BoardCell::default(), view).await.unwrap();
        assert_eq!(posted, Posted::Posted, "{view:?}");
    }

    /// A status service whose connections may not be up, now or ever.
    pub async fn status(self, wiring: Wiring) -> World {
        static TLS: Once = Once::new();
        TLS.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
        let stop = CancellationToken::new();
        let tracker = TaskTracker::new();
        let options =
            BusOptions { url: wiring.nats_url, name: "test".into(), request_timeout: wiring.patience };
        let status = Status {
            store: open_store(&wiring.database_url, wiring.patience),
            bus: Bus::connect(&options).await.unwrap(),
            board: Board::new(Duration::from_secs(600)).with_followers_max(wiring.followers_max),
        };
        if wiring.watched {
            tracker.spawn(status.board.clone().watch_until(status.bus.clone(), stop.clone()));
        }
        let router = shell(status::router(status.clone()), ShellConfig::new(1_024, wiring.request_timeout));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tracker.spawn(serve(listener, router, stop.clone(), Duration::from_secs(1)));
        let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        World { stores: self, status, client, url, stop: stop.clone(), _stop: stop.drop_guard() }
    }
}

impl World {
    pub async fn new() -> Self {
        let stores = Stores::new().await;
        let wiring = stores.wiring();
        let world = stores.status(wiring).await;
        world.connected().await;
        world
    }

    pub async fn connected(&self) {
        until(|| self.status.bus.is_connected()).await;
    }

    /// Waits until so many requests and streams wait for a job.
    pub async fn followed_by(&self, followers: usize) {
        until(|| self.status.board.followers_now() == followers).await;
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}/api/workspaces/{path}", self.url))
    }

    /// `GET` below `/api/workspaces/`.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    /// Polls a job of the workspace `acme`.
    pub async fn poll(&self, id: JobId) -> Answer {
        self.get(&format!("acme/sync/jobs/{id}")).await
    }

    /// Polls until the answer has this revision. None of the polls may go backwards.
    pub async fn polled(&self, id: JobId, revision: u64) -> Value {
        let poll = async {
            let mut before = 0;
            loop {
                let answer = self.poll(id).await;
                let body = answer.ok(200);
                let now = body["revision"].as_u64().unwrap();
                assert!(now >= before, "a poll went from {before} back to {now}");
                if now == revision {
                    return body;
                }
                before = now;
            }
        };
        tokio::time::timeout(PATIENCE, poll).await.expect("the revision never came")
    }
}

pub fn workspace() -> WorkspaceId {
    "acme".parse().unwrap()
}

pub fn new_job(id: JobId, sync_id: JobId, connector: &str) -> NewJob {
    NewJob {
        id,
        sync_id,
        workspace_id: workspace(),
        job_type: "sync".parse().unwrap(),
        scope: connector.parse().unwrap(),
        priority: Priority::Normal,
        max_attempts: 3,
        options: protocol::SyncOptions::default(),
        retry_of: None,
    }
}

pub async fn connected(url: String) -> Bus {
    let options = BusOptions { url, name: "test".into(), request_timeout: PATIENCE };
    let bus = Bus::connect(&options).await.unwrap();
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
