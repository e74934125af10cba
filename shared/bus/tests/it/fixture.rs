//! An account with everything provisioned, a bus for each user, and the short ways to what tests need.

use std::time::{Duration, Instant};

use async_nats::jetstream::{self, consumer};
use bus::{Bus, BusOptions, Delivery, Lane, Published};
use devstack::NatsUser;
use devstack::testing::TestEnv;
use protocol::{JobId, JobStatus, JobView, Priority, Progress, TICKET_VERSION, Ticket};
use time::OffsetDateTime;

pub(crate) const STREAM: &str = "SYNC_JOBS";
pub(crate) const BUCKET: &str = "sync_progress";
/// What must happen soon has happened after so long, on a busy machine too.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A bus of a user, connected.
pub(crate) async fn connected(url: &str) -> Bus {
    let bus = unconnected(url, Duration::from_secs(5)).await;
    soon(bus.connected()).await;
    bus
}

pub(crate) async fn unconnected(url: &str, request_timeout: Duration) -> Bus {
    let options = BusOptions { url: url.to_owned(), name: "bus-test".to_owned(), request_timeout };
    Bus::connect(&options).await.unwrap()
}

/// For the few states that no event tells of: asks again, as often as the runtime allows.
pub(crate) async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < deadline, "still not so: {what}");
        tokio::task::yield_now().await;
    }
}

/// Fails loudly when it takes too long.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.expect("it takes too long")
}

/// An account with stream, consumers and bucket.
pub(crate) async fn provisioned() -> TestEnv {
    let env = TestEnv::new().await;
    as_user(&env, NatsUser::Provision).await.provision(1).await.unwrap();
    env
}

pub(crate) async fn as_user(env: &TestEnv, user: NatsUser) -> Bus {
    connected(&env.nats_url(user)).await
}

/// The client library itself, as any tool would use it.
pub(crate) async fn client(url: &str, user: NatsUser) -> async_nats::Client {
    let server: async_nats::ServerAddr = url.parse().unwrap();
    async_nats::ConnectOptions::new()
        .custom_inbox_prefix(user.inbox_prefix())
        .user_and_password(server.username().unwrap().to_owned(), server.password().unwrap().to_owned())
        .connect(server)
        .await
        .unwrap()
}

/// Allowed everything: for looking at what the bus wrote.
pub(crate) async fn admin(env: &TestEnv) -> jetstream::Context {
    jetstream::new(client(&env.nats_url(NatsUser::Admin), NatsUser::Admin).await)
}

/// An account, its ingress and its worker.
pub(crate) struct World {
    pub env: TestEnv,
    pub ingress: Bus,
    pub worker: Bus,
    pub admin: jetstream::Context,
}

impl World {
    pub async fn new() -> Self {
        let env = provisioned().await;
        Self {
            ingress: as_user(&env, NatsUser::Ingress).await,
            worker: as_user(&env, NatsUser::Worker).await,
            admin: admin(&env).await,
            env,
        }
    }

    pub async fn publish(&self, ticket: &Ticket) -> Published {
        self.ingress.publish_tickets(std::slice::from_ref(ticket)).await[0]
    }

    pub async fn info(&self, priority: Priority) -> consumer::Info {
        let stream = self.admin.get_stream(STREAM).await.unwrap();
        stream.consumer_info(format!("sync-worker-{priority}")).await.unwrap()
    }

    /// Makes the redelivery of a lane fast enough for a test.
    pub async fn set_ack_wait(&self, priority: Priority, ack_wait: Duration) {
        let config = self.info(priority).await.config;
        let config = consumer::pull::Config {
            durable_name: config.durable_name,
            name: config.name,
            description: config.description,
            ack_policy: config.ack_policy,
            ack_wait,
            max_deliver: config.max_deliver,
            filter_subject: config.filter_subject,
            max_ack_pending: config.max_ack_pending,
            max_waiting: config.max_waiting,
            ..Default::default()
        };
        self.admin.update_consumer_on_stream(config, STREAM).await.unwrap();
    }

    pub async fn queued(&self) -> u64 {
        self.admin.get_stream(STREAM).await.unwrap().cached_info().state.messages
    }

    /// The headers of the message that holds a job's view.
    pub async fn entry_headers(&self, view: &JobView) -> async_nats::HeaderMap {
        let bucket = self.admin.get_stream(format!("KV_{BUCKET}")).await.unwrap();
        let subject = format!("$KV.{BUCKET}.{}", protocol::progress_key(&view.workspace_id, view.id));
        bucket.get_last_raw_message_by_subject(&subject).await.unwrap().headers
    }
}

pub(crate) fn ticket(workspace: &str, priority: Priority) -> Ticket {
    Ticket {
        v: TICKET_VERSION,
        job_id: JobId::new(),
        ticket_no: 1,
        workspace_id: workspace.parse().unwrap(),
        job_type: "sync".parse().unwrap(),
        scope: "hubspot".parse().unwrap(),
        priority,
    }
}

/// The next ticket of the same job.
pub(crate) fn next_ticket(ticket: &Ticket) -> Ticket {
    Ticket { ticket_no: ticket.ticket_no + 1, ..ticket.clone() }
}

pub(crate) async fn delivered(lane: &mut Lane) -> Delivery {
    soon(lane.next()).await.unwrap()
}

/// Nothing is delivered while `during` runs.
pub(crate) async fn nothing_delivered(lane: &mut Lane, during: Duration) {
    if let Ok(delivery) = tokio::time::timeout(during, lane.next()).await {
        panic!("delivered: {delivery:?}");
    }
}

pub(crate) fn view(status: JobStatus, revision: u64) -> JobView {
    let id = JobId::new();
    JobView {
        id,
        sync_id: id,
        workspace_id: "acme".parse().unwrap(),
        job_type: "sync".parse().unwrap(),
        connector_type: Some("hubspot".parse().unwrap()),
        status,
        priority: Priority::Normal,
        options: protocol::SyncOptions::default(),
        cancel_requested: false,
        retry_of: None,
        attempt_errors: Vec::new(),
        progress: Progress { current: revision, total: 100, message: "On its way".to_owned() },
        attempts: 1,
        max_attempts: 3,
        takeovers: 0,
        waiting_reason: None,
        next_attempt_at: None,
        created_at: OffsetDateTime::UNIX_EPOCH,
        started_at: None,
        completed_at: None,
        error: None,
        result: None,
        jobs: Vec::new(),
        revision,
    }
}

pub(crate) fn later(view: &JobView, revision: u64) -> JobView {
    JobView { revision, ..view.clone() }
}
