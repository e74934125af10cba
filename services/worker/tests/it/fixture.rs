//! What every test starts with: stores of its own, a lab, a workspace, and workers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bus::{BoardChange, BoardWatch, Bus, BusOptions, Published};
use connectors::{BudgetConfig, ConnectorConfig, ConnectorsConfig, HttpConfig, Registry, WindowConfig};
use devstack::NatsUser;
use devstack::testing::TestEnv;
use lab::{LabConfig, Limits, Object, RunningLab};
use protocol::{
    JobId, JobStatus, JobView, Priority, SyncOptions, TICKET_VERSION, Table, Ticket, WorkspaceId,
};
use serde_json::{Value, json};
use store::{NewJob, PoolOptions, SecretKey, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use worker::{Settings, Slots, Worker};

pub const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

pub struct World {
    pub env: TestEnv,
    pub store: Store,
    pub bus: Bus,
    pub lab: RunningLab,
    pub workspace: WorkspaceId,
    watch: BoardWatch,
}

/// A worker in this process.
pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Stops it in order and waits.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

pub fn small_lab() -> LabConfig {
    LabConfig {
        contacts: 1_000,
        companies: 600,
        deals: 150,
        limits: Limits::unlimited(),
        ..LabConfig::default()
    }
}

/// Fast where the defaults are patient.
pub fn settings() -> Settings {
    Settings {
        slots: Slots { high: 1, normal: 2, low: 1, reserve: 0 },
        reserve_turn: Duration::from_secs(60),
        lease: Duration::from_millis(1_500),
        heartbeat: Duration::from_millis(300),
        attempt_timeout: Duration::from_secs(60),
        takeovers_max: 10,
        retry_base: Duration::from_millis(100),
        pages_ahead_max: 1,
        commit_pages_max: 4,
        delete_rows_max: 100,
        delete_percent_max: 20,
        progress_interval: Duration::from_millis(20),
    }
}

pub fn http() -> HttpConfig {
    HttpConfig { retries: 0, retry_base_ms: 10, request_timeout_ms: 5_000, ..HttpConfig::default() }
}

pub async fn connect(url: String) -> Bus {
    let options = BusOptions { url, name: "test".into(), request_timeout: Duration::from_secs(2) };
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
    tokio::time::timeout(Duration::from_secs(30), look).await.expect("it did not happen in 30 s");
}

pub fn open_store(url: &str) -> Store {
    let options = PoolOptions {
        url: url.to_owned(),
        connections_max: 8,
        acquire_timeout: Duration::from_secs(2),
        application_name: "test".into(),
    };
    Store::new(&options, SecretKey::from_hex(KEY).unwrap()).unwrap()
}

impl World {
    pub async fn new(lab: LabConfig) -> Self {
        let env = TestEnv::with_schema().await;
        let store = open_store(&env.database_url);
        let bus = connect(env.nats_url(NatsUser::Admin)).await;
        bus.provision(1).await.unwrap();
        let lab = RunningLab::start(lab).await.unwrap();
        let workspace: WorkspaceId = "acme".parse().unwrap();
        let watch = bus.watch_board().await.unwrap();
        let world = Self { env, store, bus, lab, workspace, watch };
        world.connect_workspace(&RunningLab::token(1)).await;
        world
    }

    pub async fn connect_workspace(&self, token: &str) {
        self.store.put_workspace(&self.workspace, "Acme").await.unwrap();
        let credentials = json!({"accessToken": token});
        self.store
            .put_connection(&self.workspace, &"hubspot".parse().unwrap(), &credentials, None)
            .await
            .unwrap();
    }

    pub fn registry(&self, http: HttpConfig) -> Arc<Registry> {
        let none = BudgetConfig {
            windows: Some(vec![WindowConfig { limit: 1_000_000, per_ms: 1_000 }]),
            spacing_ms: Some(0),
            burst: Some(1_000_000),
        };
        let hubspot = ConnectorConfig {
            base_url: Some(self.lab.url.clone()),
            budgets: BTreeMap::from([("objects".to_owned(), none.clone()), ("search".to_owned(), none)]),
            quota_share: None,
            page_size: Some(100),
            slow_ms: None,
        };
        let config = ConnectorsConfig { connectors: BTreeMap::from([("hubspot".parse().unwrap(), hubspot)]) };
        Arc::new(Registry::new(&config, http).unwrap())
    }

    /// A worker in this process, connected as the worker's own NATS user.
    pub async fn worker(&self) -> Running {
        self.worker_with(settings(), self.registry(http())).await
    }

    pub async fn worker_with(&self, settings: Settings, registry: Arc<Registry>) -> Running {
        let bus = connect(self.env.nats_url(NatsUser::Worker)).await;
        start(self.store.clone(), bus, registry, settings)
    }

    /// Accepts a sync and publishes its ticket, as the ingress does.
    pub async fn post(&self) -> JobId {
        let job = self.accept(3).await;
        self.bus.hint(&self.ticket(job, 1)).await;
        assert_eq!(self.publish(job, 1).await, Published::Stored);
        job
    }

    pub async fn accept(&self, max_attempts: u32) -> JobId {
        self.accept_job(max_attempts, SyncOptions::default()).await
    }

    pub async fn accept_with(&self, options: SyncOptions) -> JobId {
        self.accept_job(3, options).await
    }

    async fn accept_job(&self, max_attempts: u32, options: SyncOptions) -> JobId {
        let job = NewJob { max_attempts, ..self.new_job(options) };
        self.store.accept(std::slice::from_ref(&job)).await.unwrap();
        job.id
    }

    pub fn new_job(&self, options: SyncOptions) -> NewJob {
        let id = JobId::new();
        NewJob {
            id,
            sync_id: id,
            workspace_id: self.workspace.clone(),
            job_type: "sync".parse().unwrap(),
            scope: "hubspot".parse().unwrap(),
            priority: Priority::Normal,
            max_attempts: 3,
            options,
            retry_of: None,
        }
    }

    pub async fn publish(&self, job_id: JobId, ticket_no: i32) -> Published {
        self.bus.publish_tickets(&[self.ticket(job_id, ticket_no)]).await[0]
    }

    pub fn ticket(&self, job_id: JobId, ticket_no: i32) -> Ticket {
        Ticket {
            v: TICKET_VERSION,
            job_id,
            ticket_no,
            workspace_id: self.workspace.clone(),
            job_type: "sync".parse().unwrap(),
            scope: "hubspot".parse().unwrap(),
            priority: Priority::Normal,
        }
    }

    /// The first view on the board that fits.
    pub async fn seen(&mut self, job: JobId, fits: impl Fn(&JobView) -> bool) -> JobView {
        self.seen_any(|view| view.id == job && fits(view)).await
    }

    /// The first view on the board that fits, of any job.
    pub async fn seen_any(&mut self, fits: impl Fn(&JobView) -> bool) -> JobView {
        let look = async {
            loop {
                match self.watch.next().await.unwrap().unwrap() {
                    BoardChange::Posted(view) if fits(&view) => return *view,
                    _ => {}
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(90), look).await.expect("no such view in 90 s")
    }

    pub async fn ended(&mut self, job: JobId) -> JobView {
        self.seen(job, |view| view.status.is_over()).await
    }

    pub async fn completed(&mut self, job: JobId) -> JobView {
        let view = self.ended(job).await;
        assert_eq!(view.status, JobStatus::Completed, "{view:?}");
        view
    }

    pub async fn row(&self, job: JobId) -> JobView {
        self.store.job(&self.workspace, job).await.unwrap().unwrap()
    }

    /// Source set = destination set, field by field, but for the records that were captured.
    pub async fn assert_complete(&self) {
        for (object, table) in [
            (Object::Contacts, Table::Contacts),
            (Object::Companies, Table::Accounts),
            (Object::Deals, Table::Deals),
        ] {
            let captured = self.lab.expect(object).untransformable_ids;
            let mut rows = self.store.rows(&self.workspace, table).await.unwrap();
            for source in self.lab.records(object).unwrap() {
                let id = source["id"].as_str().unwrap();
                if captured.iter().any(|captured| captured == id) {
                    assert!(!rows.contains_key(id), "{object:?} {id} cannot be transformed and is a row");
                    continue;
                }
                let row = rows.remove(id).unwrap_or_else(|| panic!("{object:?} {id} is missing"));
                assert_same(&source, &row);
            }
            assert!(rows.is_empty(), "rows without a source: {:?}", rows.keys());
        }
    }
}

pub fn start(store: Store, bus: Bus, registry: Arc<Registry>, settings: Settings) -> Running {
    let worker = Worker::new(store, bus, registry, settings, "test-worker".into());
    let stop = CancellationToken::new();
    let task = tokio::spawn(worker.run_until(stop.clone()));
    Running { stop, task }
}

fn assert_same(source: &Value, row: &Value) {
    let properties = row["properties"].as_object().unwrap();
    assert!(properties.len() > 10, "{row}");
    for (name, value) in properties {
        let expected = match &source["properties"][name] {
            Value::String(text) => Value::String(text.replace('\0', "")),
            other => other.clone(),
        };
        assert_eq!(&expected, value, "{name} of {}", source["id"]);
    }
    for (column, property) in
        [("email", "email"), ("first_name", "firstname"), ("stage", "dealstage"), ("domain", "domain")]
    {
        if let (Some(column), Some(property)) = (row.get(column), properties.get(property)) {
            assert_eq!(column.as_str().unwrap_or(""), property.as_str().unwrap_or(""), "{}", source["id"]);
        }
    }
    if let (Some(amount), Some(Value::String(property))) = (row.get("amount"), properties.get("amount")) {
        let exact: Option<rust_decimal::Decimal> = property.parse().ok();
        let stored: Option<rust_decimal::Decimal> =
            amount.as_number().and_then(|n| n.to_string().parse().ok());
        assert_eq!(exact, stored, "amount of {}", source["id"]);
    }
}
