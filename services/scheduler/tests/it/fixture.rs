//! What every test starts with: stores of its own, workspaces, jobs, and schedulers.

use std::ops::Range;
use std::time::Duration;

use bus::{Bus, BusOptions, Delivery, Fresh, Lane, Published, Settlement};
use devstack::testing::TestEnv;
use devstack::{NatsUser, Stack};
use futures_util::FutureExt;
use protocol::{JobId, Priority, TICKET_VERSION, Ticket, WorkspaceId};
use scheduler::{Scheduler, Settings};
use serde_json::json;
use store::{Accepted, Claim, Lease, NewJob, PoolOptions, SecretKey, Store, seeded_workspace};

pub const PATIENCE: Duration = Duration::from_secs(20);
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Where the stores are, for each user.
pub struct Urls {
    pub database: String,
    pub scheduler: String,
    pub ingress: String,
    provision: String,
    worker: String,
    admin: String,
}

impl Urls {
    fn new(database: &str, nats: impl Fn(NatsUser) -> String) -> Self {
        Self {
            database: database.to_owned(),
            scheduler: nats(NatsUser::Scheduler),
            ingress: nats(NatsUser::Ingress),
            provision: nats(NatsUser::Provision),
            worker: nats(NatsUser::Worker),
            admin: nats(NatsUser::Admin),
        }
    }
}

pub struct World {
    pub urls: Urls,
    pub store: Store,
    pub queue: Queue,
    workspaces: usize,
}

/// Nothing is relayed by its age, and nothing deleted.
pub fn settings() -> Settings {
    Settings {
        interval: Duration::from_millis(50),
        relay_after: Duration::from_secs(3_600),
        batch_max: 100,
        replicas: 1,
        retention: None,
    }
}

/// Everything is relayed, whatever its age.
pub fn impatient() -> Settings {
    Settings { relay_after: Duration::ZERO, ..settings() }
}

impl World {
    /// With so many workspaces, each connected to HubSpot.
    pub async fn new(workspaces: usize) -> Self {
        let env = TestEnv::with_schema().await;
        Self::at(Urls::new(&env.database_url, |user| env.nats_url(user)), workspaces).await
    }

    pub async fn on(stack: &Stack, workspaces: usize) -> Self {
        let urls = Urls::new(stack.database_url(), |user| stack.nats_url(user));
        open_store(&urls.database, PATIENCE).migrate().await.unwrap();
        Self::at(urls, workspaces).await
    }

    async fn at(urls: Urls, workspaces: usize) -> Self {
        let store = open_store(&urls.database, PATIENCE);
        connected(&urls.provision).await.provision(1).await.unwrap();
        let hubspot = "hubspot".parse().unwrap();
        store.seed_workspaces("w", workspaces, &hubspot, |_| json!({"accessToken": "x"})).await.unwrap();
        let queue = Queue::new(&urls).await;
        Self { urls, store, queue, workspaces }
    }

    pub async fn scheduler(&self, settings: Settings) -> Scheduler {
        Scheduler::new(self.store.clone(), connected(&self.urls.scheduler).await, settings)
    }

    /// Accepts a job of each of the first workspaces, as the ingress does before it publishes their tickets.
    pub async fn accept(&self, count: usize) -> Vec<JobId> {
        self.accept_of(0..count).await
    }

    /// The same, of these workspaces.
    pub async fn accept_of(&self, workspaces: Range<usize>) -> Vec<JobId> {
        let jobs: Vec<_> = workspaces.map(new_job).collect();
        let accepted = self.store.accept(&jobs).await.unwrap();
        let created = |accepted: &Accepted| match accepted {
            Accepted::Created(job) => job.id,
            other => panic!("{other:?}"),
        };
        accepted.iter().map(created).collect()
    }

    /// Accepts jobs whose tickets the ingress could not publish.
    pub async fn accept_unticketed(&self, count: usize) -> Vec<JobId> {
        let jobs = self.accept(count).await;
        self.store.mark_unticketed(&jobs).await.unwrap();
        jobs
    }

    /// Accepts jobs and publishes their tickets.
    pub async fn post(&self, count: usize) -> Vec<JobId> {
        let jobs = self.accept(count).await;
        for (n, job) in jobs.iter().enumerate() {
            assert_eq!(self.queue.publish(ticket(n, *job, 1)).await, Published::Stored);
        }
        jobs
    }

    /// Every job of the workspaces that is there, by workspace.
    pub async fn jobs(&self) -> Vec<JobId> {
        let mut jobs = Vec::new();
        for n in 0..self.workspaces {
            let page = self.store.jobs(&workspace(n), None, None, 10).await.unwrap();
            jobs.extend(page.jobs.iter().map(|job| job.id));
        }
        jobs
    }

    pub async fn claim(&self, job: JobId, lease: Duration) -> Lease {
        match self.store.claim(job, "test", lease).await.unwrap() {
            Claim::Claimed(claimed) => claimed.lease,
            refused => panic!("{refused:?}"),
        }
    }
}

fn workspace(n: usize) -> WorkspaceId {
    seeded_workspace("w", n).parse().unwrap()
}

fn new_job(n: usize) -> NewJob {
    let id = JobId::new();
    NewJob {
        id,
        sync_id: id,
        workspace_id: workspace(n),
        job_type: "sync".parse().unwrap(),
        scope: "hubspot".parse().unwrap(),
        priority: Priority::Normal,
        max_attempts: 3,
        options: protocol::SyncOptions::default(),
        retry_of: None,
    }
}

pub fn ticket(n: usize, job_id: JobId, ticket_no: i32) -> Ticket {
    Ticket {
        v: TICKET_VERSION,
        job_id,
        ticket_no,
        workspace_id: workspace(n),
        job_type: "sync".parse().unwrap(),
        scope: "hubspot".parse().unwrap(),
        priority: Priority::Normal,
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
    async fn new(urls: &Urls) -> Self {
        let bus = connected(&urls.worker).await;
        Self { admin: connected(&urls.admin).await, lane: bus.lane(Priority::Normal), bus, drained: 0 }
    }

    pub async fn publish(&self, ticket: Ticket) -> Published {
        self.admin.publish_tickets(&[ticket]).await[0]
    }

    /// Hears of tickets that are published from now on.
    pub async fn listening(&self) -> Fresh {
        let mut fresh = self.bus.fresh(Priority::Normal);
        assert!(fresh.next().now_or_never().is_none());
        // Requests and subscriptions go over one connection, in order.
        self.bus.ping().await.unwrap();
        fresh
    }

    /// After the server was away.
    pub async fn reconnected(&self) {
        self.admin.connected().await;
        self.bus.connected().await;
    }

    /// Takes the next ticket in hand.
    pub async fn take(&mut self) -> Delivery {
        let next = tokio::time::timeout(PATIENCE, self.lane.next()).await;
        next.expect("the queue does not deliver").unwrap()
    }

    pub async fn settle(&self, delivery: &Delivery) {
        self.bus.settle(delivery, Settlement::Ack).await.unwrap();
    }

    /// Takes every ticket out of the queue, which is every one in front of one that is published now. Answers
    /// their jobs and numbers.
    pub async fn drain(&mut self) -> Vec<(JobId, i32)> {
        self.drained += 1;
        let last =
            Ticket { workspace_id: "the-last-one".parse().unwrap(), ..ticket(0, JobId::new(), self.drained) };
        assert_eq!(self.publish(last.clone()).await, Published::Stored);
        let mut tickets = Vec::new();
        loop {
            let delivery = self.take().await;
            self.settle(&delivery).await;
            if delivery.ticket == last {
                return tickets;
            }
            tickets.push((delivery.ticket.job_id, delivery.ticket.ticket_no));
        }
    }
}

/// The same number for each of these jobs, in the order of their ids.
pub fn all(jobs: &[JobId], ticket_no: i32) -> Vec<(JobId, i32)> {
    sorted(jobs.iter().map(|job| (*job, ticket_no)).collect())
}

pub fn sorted(mut tickets: Vec<(JobId, i32)>) -> Vec<(JobId, i32)> {
    tickets.sort_unstable();
    tickets
}

pub async fn bus(url: &str, request_timeout: Duration) -> Bus {
    let options = BusOptions { url: url.to_owned(), name: "test".into(), request_timeout };
    Bus::connect(&options).await.unwrap()
}

pub async fn connected(url: &str) -> Bus {
    let bus = bus(url, PATIENCE).await;
    tokio::time::timeout(PATIENCE, bus.connected()).await.expect("NATS does not answer");
    bus
}

pub fn open_store(url: &str, acquire_timeout: Duration) -> Store {
    let options = PoolOptions {
        url: url.to_owned(),
        connections_max: 4,
        acquire_timeout,
        application_name: "test".into(),
    };
    Store::new(&options, SecretKey::from_hex(KEY).unwrap()).unwrap()
}
