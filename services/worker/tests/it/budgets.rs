//! The budget of one account, used by several processes: a registry each, and its own connection to NATS.

use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, BusOptions};
use connectors::{
    Connection, ConnectorsConfig, Credentials, ErrorClass, Host, HttpConfig, Known, Registry, Session,
    SourceError,
};
use devstack::NatsUser;
use devstack::proxy::TcpProxy;
use devstack::testing::TestEnv;
use lab::{FaultKind, FaultRule, LabConfig, RunningLab};
use protocol::{BudgetEntry, ObjectName};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use worker::share_budgets;

use crate::fixture::{World, connect, small_lab, until};
use crate::processes::Process;

const PORTAL: u64 = 4_711;
const KEY: &str = "hubspot.4711.objects";

struct Vendor {
    env: TestEnv,
    lab: RunningLab,
}

/// Asks for what it is told and keeps nothing.
struct Nobody;

#[async_trait::async_trait]
impl Host for Nobody {
    async fn save_credentials(&self, _: &Credentials) -> Result<(), SourceError> {
        Ok(())
    }

    async fn known(&self, _: &ObjectName) -> Result<Known, SourceError> {
        Ok(Known { records: 0, had_before: false, lately_deleted: 0 })
    }

    async fn known_bounds(&self, _: &ObjectName, _: u64) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }

    async fn known_between(
        &self,
        _: &ObjectName,
        _: &str,
        _: Option<&str>,
        _: u64,
    ) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }

    async fn known_after(&self, _: &ObjectName, _: Option<&str>, _: u64) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }
}

impl Vendor {
    async fn new() -> Self {
        let env = TestEnv::new().await;
        connect(env.nats_url(NatsUser::Provision)).await.provision(1).await.unwrap();
        let lab =
            LabConfig { contacts: 2_000, companies: 10, deals: 10, latency_ms: 10, ..LabConfig::default() };
        Self { env, lab: RunningLab::start(lab).await.unwrap() }
    }

    /// What a process has, which uses that share.
    fn registry(&self, bus: &Bus, name: &str, quota_share: f64, budgets: &Value) -> Arc<Registry> {
        let hubspot = json!({"base_url": self.lab.url, "slow_ms": 3_600_000, "quota_share": quota_share,
            "budgets": budgets});
        let config: ConnectorsConfig =
            serde_json::from_value(json!({"connectors": {"hubspot": hubspot}})).unwrap();
        let http = HttpConfig { retry_base_ms: 5, request_timeout_ms: 5_000, ..HttpConfig::default() };
        Arc::new(Registry::sharing(&config, http, share_budgets(bus, name)).unwrap())
    }

    /// One that uses all that the lab allows.
    async fn process(&self, name: &str) -> Arc<Registry> {
        let bus = connect(self.env.nats_url(NatsUser::Worker)).await;
        let allowed = json!({"objects": {"windows": [{"limit": 90, "per_ms": 10_000}]}});
        self.registry(&bus, name, 1.0, &allowed)
    }

    async fn entry(&self, key: &str) -> BudgetEntry {
        let status = connect(self.env.nats_url(NatsUser::Status)).await;
        serde_json::from_slice(&status.budget(key).await.unwrap().value.unwrap()).unwrap()
    }
}

async fn open(registry: &Registry) -> Box<dyn Session> {
    open_for(registry, "acme", None).await
}

/// As a workspace that allows a share of its account, which is everybody's.
async fn open_for(registry: &Registry, workspace: &str, quota_share: Option<f64>) -> Box<dyn Session> {
    let connection = Connection {
        workspace_id: workspace.parse().unwrap(),
        account_id: Some(PORTAL.to_string()),
        utc_offset_ms: None,
        credentials: Credentials::new(json!({"accessToken": RunningLab::token(PORTAL)})),
        quota_share,
    };
    let connector = Arc::clone(registry.get(&"hubspot".parse().unwrap()).unwrap());
    connector.open(connection, Arc::new(Nobody)).await.unwrap()
}

fn contacts() -> ObjectName {
    "contacts".parse().unwrap()
}

/// Callers that are never idle, each with a session of its own.
async fn keep_busy(registry: &Registry, callers: usize) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let session = open(registry).await;
        tasks.spawn(async move {
            loop {
                session.page(&contacts(), None).await.unwrap();
            }
        });
    }
    tasks
}

/// As [`keep_busy`], with searches.
async fn keep_searching(registry: &Registry, callers: usize) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let session = open(registry).await;
        tasks.spawn(async move {
            loop {
                session.estimate(&contacts()).await.unwrap();
            }
        });
    }
    tasks
}

/// Takes more than ten seconds, because a rolling window of ten seconds has to be seen to roll.
#[tokio::test(flavor = "multi_thread")]
async fn processes_use_the_whole_limit_of_an_account_together_though_one_of_them_dies_with_its_turns() {
    let vendor = Vendor::new().await;
    let mut processes = Vec::new();
    for name in ["a", "b", "c"] {
        let registry = vendor.process(name).await;
        let callers = keep_busy(&registry, 3).await;
        processes.push((registry, callers));
    }
    vendor.lab.wait_until(|stats| stats.requests > 60).await;
    // Its turns are never used, and nothing of it is ever heard again.
    processes.pop();
    vendor.lab.wait_until(|stats| stats.requests > 200).await;
    drop(processes);
    let stats = vendor.lab.stats().await;
    let portal = &stats.by_portal[&PORTAL.to_string()];
    assert_eq!((stats.answers429, portal.max_in_window), (0, 90), "{portal:?}");
    assert!(portal.utilisation.unwrap() >= 0.97, "{portal:?}");
    let entry = vendor.entry(KEY).await;
    let names: Vec<_> = entry.workers.keys().collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!((entry.windows[0].limit, entry.foreign.is_empty()), (90, true), "{entry:?}");
}

#[tokio::test]
async fn what_one_process_was_told_to_wait_another_waits_unasked() {
    let vendor = Vendor::new().await;
    let (told, other) = (vendor.process("told").await, vendor.process("other").await);
    let session = open(&told).await;
    let sibling = open(&other).await;
    let storm = FaultRule { count: Some(1), ..FaultRule::new(FaultKind::RateLimitStorm) };
    vendor.lab.set_faults(vec![storm]).unwrap();
    let error = session.page(&contacts(), None).await.unwrap_err();
    assert!(matches!(error.class, ErrorClass::Quota { .. }), "{error:?}");
    while vendor.entry(KEY).await.held_until_ms.is_none() {
        tokio::task::yield_now().await;
    }
    let error = sibling.page(&contacts(), None).await.unwrap_err();
    let ErrorClass::Quota { retry_after } = error.class else { panic!("{error:?}") };
    assert!(
        retry_after > Duration::from_secs(5) && retry_after <= Duration::from_secs(11),
        "{retry_after:?}"
    );
    assert_eq!(vendor.lab.stats().await.requests, 1, "the other was not even sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_as_it_is_configured_shares_what_is_limited_and_nothing_else() {
    let mut world = World::new(small_lab()).await;
    let process = Process::start(&world);
    let job = world.post().await;
    world.completed(job).await;
    // Its objects are configured without a limit, and to asking for tokens HubSpot has none.
    assert_eq!(world.bus.budget_keys("hubspot.").await.unwrap(), ["hubspot.1.search"]);
    let value = world.bus.budget("hubspot.1.search").await.unwrap().value.unwrap();
    let entry: BudgetEntry = serde_json::from_slice(&value).unwrap();
    assert_eq!((entry.windows[0].limit, entry.workers.len()), (3, 1), "{entry:?}");
    drop(process);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_account_the_share_is_used_that_its_connection_allows() {
    let mut world = World::new(small_lab()).await;
    let hubspot = "hubspot".parse().unwrap();
    let credentials = json!({"accessToken": RunningLab::token(1)});
    let put = world.store.put_connection(&world.workspace, &hubspot, &credentials, Some(0.5));
    assert_eq!(put.await.unwrap().0.quota_share, Some(0.5));
    let process = Process::start(&world);
    let job = world.post().await;
    world.completed(job).await;
    let value = world.bus.budget("hubspot.1.search").await.unwrap().value.unwrap();
    let entry: BudgetEntry = serde_json::from_slice(&value).unwrap();
    let shares: Vec<_> = entry.shares_ppm.into_values().collect();
    assert_eq!((entry.windows[0].limit, shares), (2, vec![500_000]), "half of four");
    drop(process);
}

#[tokio::test]
async fn of_two_workspaces_with_one_account_the_smaller_share_is_used_whoever_syncs_them() {
    let vendor = Vendor::new().await;
    let (whole, modest) = (vendor.process("whole").await, vendor.process("modest").await);
    let acme = open(&whole).await;
    acme.page(&contacts(), None).await.unwrap();
    assert_eq!(vendor.entry(KEY).await.windows[0].limit, 90);
    let globex = open_for(&modest, "globex", Some(0.5)).await;
    globex.page(&contacts(), None).await.unwrap();
    acme.page(&contacts(), None).await.unwrap();
    let entry = vendor.entry(KEY).await;
    let shares: Vec<_> = entry.shares_ppm.values().collect();
    assert_eq!((entry.windows[0].limit, shares), (45, vec![&500_000, &1_000_000]));
}

/// With searches, whose window of a second is sooner over.
#[tokio::test(flavor = "multi_thread")]
async fn while_nats_is_cut_off_each_process_uses_its_part_and_later_they_share_again() {
    let vendor = Vendor::new().await;
    let url = vendor.env.nats_url(NatsUser::Worker);
    let proxy = TcpProxy::in_front_of(&url).await.unwrap();
    let budgets = json!({"search": {"windows": [{"limit": 5, "per_ms": 1_000}], "spacing_ms": 0}});
    let mut processes = Vec::new();
    let mut buses = Vec::new();
    for name in ["a", "b"] {
        let options = BusOptions {
            url: proxy.url(&url),
            name: name.to_owned(),
            request_timeout: Duration::from_millis(500),
        };
        let bus = Bus::connect(&options).await.unwrap();
        until(|| bus.is_connected()).await;
        let registry = vendor.registry(&bus, name, 0.9, &budgets);
        processes.push((keep_searching(&registry, 3).await, registry));
        buses.push(bus);
    }
    let searches = async |n: u64| {
        let before = vendor.lab.stats().await.requests;
        vendor.lab.wait_until(|stats| stats.requests >= before + n).await;
    };
    searches(15).await;
    proxy.cut().await;
    until(|| buses.iter().all(|bus| !bus.is_connected())).await;
    let revision = async || {
        connect(vendor.env.nats_url(NatsUser::Status))
            .await
            .budget("hubspot.4711.search")
            .await
            .unwrap()
            .revision
    };
    // What is left of their turns, a quiet window, and then on their own.
    searches(20).await;
    let before = revision().await;
    proxy.restore().await.unwrap();
    let shared_again = async {
        while revision().await < before + 10 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), shared_again).await.unwrap();
    searches(15).await;
    drop(processes);
    let stats = vendor.lab.stats().await;
    assert_eq!(stats.answers429, 0, "{stats:?}");
    assert!(stats.max_search_in_second <= 5);
    assert_eq!(vendor.entry("hubspot.4711.search").await.workers.len(), 2);
}
