//! A migrated database with a workspace that has connections, and the short ways to what tests need.

use std::time::{Duration, Instant};

use devstack::testing::TestEnv;
use protocol::{
    DealFields, Fields, JobId, JobView, Priority, Progress, Record, Rejected, SyncMode, SyncOptions, Table,
    WorkspaceId,
};
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use store::{Accepted, Claim, Claimed, NewJob, NotClaimable, PageBatch, PoolOptions, SecretKey, Store};

/// Longer than any test runs.
pub(crate) const LEASE: Duration = Duration::from_secs(300);
pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
pub(crate) const CONNECTORS: [&str; 3] = ["hubspot", "monday", "salesforce"];

pub(crate) struct World {
    pub env: TestEnv,
    pub store: Store,
    /// For looking at what the store wrote.
    pub pg: PgPool,
}

pub(crate) fn store_at(url: &str, key: &str) -> Store {
    let options = PoolOptions {
        url: url.to_owned(),
        connections_max: 8,
        acquire_timeout: Duration::from_secs(10),
        application_name: "store-test".to_owned(),
    };
    Store::new(&options, SecretKey::from_hex(key).unwrap()).unwrap()
}

impl World {
    /// The workspaces `acme` and `globex`, each connected to [`CONNECTORS`].
    pub async fn new() -> Self {
        let env = TestEnv::with_schema().await;
        let store = store_at(&env.database_url, KEY);
        for workspace in ["acme", "globex"] {
            let workspace = workspace.parse().unwrap();
            store.put_workspace(&workspace, "A workspace").await.unwrap();
            for connector in CONNECTORS {
                let credentials = json!({"token": format!("{workspace}-{connector}")});
                store
                    .put_connection(&workspace, &connector.parse().unwrap(), &credentials, None)
                    .await
                    .unwrap();
            }
        }
        let pg = sqlx::postgres::PgPoolOptions::new().max_connections(3);
        let pg = pg.connect_lazy(&env.database_url).unwrap();
        Self { env, store, pg }
    }

    /// Accepts a job for `acme` and `hubspot`, which must be free.
    pub async fn accepted(&self) -> JobView {
        created(&self.store.accept(&[new_job("acme", "hubspot")]).await.unwrap()[0])
    }

    /// Accepts a job and claims it.
    pub async fn running(&self) -> Claimed {
        let job = self.accepted().await;
        self.claimed(job.id).await
    }

    pub async fn claimed(&self, id: JobId) -> Claimed {
        match self.store.claim(id, "worker-1", LEASE).await.unwrap() {
            Claim::Claimed(claimed) => *claimed,
            Claim::Refused(why) => panic!("not claimed: {why:?}"),
        }
    }

    /// Takes the job over from whoever has it.
    pub async fn claim_again(&self, claimed: &Claimed) -> Claimed {
        self.expire_lease(claimed.job.id).await;
        self.claimed(claimed.job.id).await
    }

    pub async fn refused(&self, id: JobId) -> NotClaimable {
        match self.store.claim(id, "worker-2", LEASE).await.unwrap() {
            Claim::Claimed(claimed) => panic!("claimed: {claimed:?}"),
            Claim::Refused(why) => why,
        }
    }

    /// Lets the job's lease end now.
    pub async fn expire_lease(&self, id: JobId) {
        self.set(id, "lease_expires_at = now()").await;
    }

    /// Changes columns of a job behind the store's back.
    pub async fn set(&self, id: JobId, assignments: &str) {
        let done = self.run(&format!("UPDATE jobs SET {assignments} WHERE id = '{id}'")).await;
        assert_eq!(done, 1);
    }

    /// Runs any statement; answers how many rows it changed.
    pub async fn run(&self, sql: &str) -> u64 {
        sqlx::query(AssertSqlSafe(sql)).execute(&self.pg).await.unwrap().rows_affected()
    }

    /// The first column of the only row.
    pub async fn one<T>(&self, sql: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pg).await.unwrap()
    }

    /// A job's row, column by column.
    pub async fn row(&self, id: JobId) -> Map<String, Value> {
        let row: Value = self.one(&format!("SELECT to_jsonb(jobs) FROM jobs WHERE id = '{id}'")).await;
        row.as_object().unwrap().clone()
    }

    /// Asks again until the answer is yes; for what Postgres does behind a commit.
    pub async fn until(&self, question: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.one::<bool>(question).await {
            assert!(Instant::now() < deadline, "still not so: {question}");
        }
    }
}

/// The names of the columns that differ, sorted.
pub(crate) fn changed(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<String> {
    before.keys().filter(|key| before[*key] != after[*key]).cloned().collect()
}

pub(crate) fn workspace(name: &str) -> WorkspaceId {
    name.parse().unwrap()
}

pub(crate) fn new_job(workspace: &str, connector: &str) -> NewJob {
    let id = JobId::new();
    NewJob {
        id,
        sync_id: id,
        workspace_id: workspace.parse().unwrap(),
        job_type: "sync".parse().unwrap(),
        scope: connector.parse().unwrap(),
        priority: Priority::Normal,
        max_attempts: 3,
        options: SyncOptions::default(),
        retry_of: None,
    }
}

pub(crate) fn created(answer: &Accepted) -> JobView {
    match answer {
        Accepted::Created(job) => (**job).clone(),
        other => panic!("not created: {other:?}"),
    }
}

pub(crate) fn deal(id: &str, amount: &str) -> Record {
    let fields = DealFields { amount: Some(amount.to_owned()), ..DealFields::default() };
    Record {
        external_id: id.to_owned(),
        fields: Fields::Deal(fields),
        properties: json!({ "amount": amount }).to_string(),
        source_created_at: None,
        source_updated_at: None,
        deleted_at: None,
        merged_ids: Vec::new(),
    }
}

pub(crate) fn rejected(id: &str, reason: &str) -> Rejected {
    Rejected {
        external_id: id.to_owned(),
        reason: reason.to_owned(),
        payload: format!("{{\"id\": \"{id}\"}}"),
        is_live: true,
    }
}

/// One page of deals, not the last one.
pub(crate) fn deals(records: Vec<Record>) -> PageBatch {
    PageBatch {
        object: "deals".parse().unwrap(),
        table: Table::Deals,
        listed: records.len() as u64,
        records,
        rejected: Vec::new(),
        sweeps: Vec::new(),
        whole: false,
        pages: 1,
        position: Some(json!({"after": "100"})),
        done: false,
        checkpoint: None,
        mode: SyncMode::Full,
    }
}

pub(crate) fn progress(current: u64) -> Progress {
    Progress { current, total: 1000, message: format!("{current} so far") }
}

/// How many rows each batch wrote.
pub(crate) fn written(committed: &store::PagesCommitted) -> Vec<u64> {
    committed.batches.iter().map(|batch| batch.written).collect()
}
