//! The bodies of requests and answers. Their shapes are fixed: clients use them.

use protocol::{ConnectorName, JobId, JobStatus, JobView, Priority, SyncMode, WorkspaceId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// `POST …/sync`
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct SyncRequest {
    /// Which connector; all the workspace's connectors if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector_type: Option<String>,
    /// What is read: `full`, or `incremental`, what changed since the last sync. If absent: incremental for each
    /// object that was synced before, full for the others. A full sync never empties a table in between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<SyncMode>,
    /// Only these objects; all of the connector's if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<Vec<String>>,
    /// Which lane the jobs wait in; `normal` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// How long an attempt may take, in seconds: 1 to 86400. Then it counts as failed, and the next one goes on from
    /// the last page. 600 if absent, unless the workers are configured otherwise.
    #[schema(minimum = 1, maximum = 86400)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
}

/// The body of a request that takes none: `{}`, or nothing.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoOptions {}

/// A job that a request got: a new one, or the one that was active already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AcceptedJob<'a> {
    pub job: &'a JobView,
    /// It was active already.
    pub deduplicated: bool,
    /// It was, and was asked for with other options.
    pub options_differ: bool,
}

/// The answer to `POST …/sync`: accepted.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SyncAccepted {
    /// The accepted request. Taken wherever a job id is.
    pub sync_id: JobId,
    /// The job to watch; for several connectors, the `syncId`.
    pub job_id: JobId,
    /// `queued`, or what the active job is when there was one.
    pub status: JobStatus,
    /// For people.
    pub message: String,
    /// Where to poll.
    pub status_url: String,
    /// Present and true if a job for the scope was active already: then `jobId` is that job's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deduplicated: bool,
    /// Present and true if that active job has other options or another priority than this request asks for: it goes
    /// on as it is. Ask again when it is over.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub options_differ: bool,
    /// One entry a connector, if all of them were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<ConnectorJob>,
}

/// One connector's job of a sync.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConnectorJob {
    /// The connector.
    pub connector_type: ConnectorName,
    /// Its job.
    pub job_id: JobId,
    /// Where to poll.
    pub status_url: String,
    /// Present and true if the job was active already.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deduplicated: bool,
    /// Present and true if it was, with other options than were asked for now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub options_differ: bool,
}

/// Where a job is polled.
pub(crate) fn status_url(workspace_id: &WorkspaceId, id: JobId) -> String {
    format!("/api/workspaces/{workspace_id}/sync/jobs/{id}")
}

impl SyncAccepted {
    /// For one connector.
    pub(crate) fn one(accepted: &AcceptedJob<'_>) -> Self {
        let AcceptedJob { job, deduplicated, options_differ } = accepted;
        let message = match (deduplicated, options_differ) {
            (false, _) => "Sync queued for 1 connector(s)".to_owned(),
            (true, false) => format!("A sync for this connector is {} already", job.status),
            (true, true) => format!(
                "A sync for this connector is {} already, with other options; it goes on as it is. Ask again when it is over, with a new Idempotency-Key if you send one",
                job.status
            ),
        };
        Self {
            sync_id: job.sync_id,
            job_id: job.id,
            status: job.status,
            message,
            status_url: status_url(&job.workspace_id, job.id),
            deduplicated: *deduplicated,
            options_differ: *options_differ,
            jobs: Vec::new(),
        }
    }

    /// The same, for one that was asked for as all there are.
    pub(crate) fn listed(self, accepted: &AcceptedJob<'_>) -> Self {
        Self { jobs: entry(accepted).into_iter().collect(), ..self }
    }

    /// For several connectors.
    pub(crate) fn several(workspace_id: &WorkspaceId, sync_id: JobId, jobs: &[AcceptedJob<'_>]) -> Self {
        let deduplicated = jobs.iter().all(|accepted| accepted.deduplicated);
        // All of one sync, and nothing is new: it is that sync that was asked for again.
        let first = jobs.first().map_or(sync_id, |accepted| accepted.job.sync_id);
        let again = deduplicated && jobs.iter().all(|accepted| accepted.job.sync_id == first);
        let sync_id = if again { first } else { sync_id };
        let any = |status| jobs.iter().any(|accepted| accepted.job.status == status);
        Self {
            sync_id,
            job_id: sync_id,
            status: if any(JobStatus::Running) { JobStatus::Running } else { JobStatus::Queued },
            message: if deduplicated {
                "A sync for each connector is active already".to_owned()
            } else {
                format!("Sync queued for {} connector(s)", jobs.len())
            },
            status_url: status_url(workspace_id, sync_id),
            deduplicated,
            options_differ: jobs.iter().any(|accepted| accepted.options_differ),
            jobs: jobs.iter().filter_map(entry).collect(),
        }
    }
}

fn entry(accepted: &AcceptedJob<'_>) -> Option<ConnectorJob> {
    let AcceptedJob { job, deduplicated, options_differ } = accepted;
    Some(ConnectorJob {
        connector_type: job.connector_type.clone()?,
        job_id: job.id,
        status_url: status_url(&job.workspace_id, job.id),
        deduplicated: *deduplicated,
        options_differ: *options_differ,
    })
}

/// `POST …/sync/jobs/retry`
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RetryRequest {
    /// Only this connector; all the workspace's connectors if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector_type: Option<String>,
    /// Which last jobs are tried again: `failed` or `cancelled`; `failed` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<JobStatus>,
    /// Only jobs that ended at this time or later.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub since: Option<OffsetDateTime>,
}

/// The answer to `DELETE …/sync/jobs/{jobId}`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CancelAnswer {
    /// The job, or the sync.
    pub job_id: JobId,
    /// `cancelled`: it is over. `running`: it ends within a page, or two seconds. Asked once more of a sync of which a
    /// job had failed: what the sync is, `failed`.
    pub status: JobStatus,
    /// For people.
    pub message: String,
    /// Where to poll.
    pub status_url: String,
}

/// `PUT /api/workspaces/{id}`
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct WorkspaceRequest {
    /// For people; the id if absent. At most 200 characters.
    pub name: Option<String>,
}

/// A workspace.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkspaceAnswer {
    /// Its id.
    pub id: WorkspaceId,
    /// Its name.
    pub name: String,
}

/// `PUT …/connections/{connectorType}`
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ConnectionRequest {
    /// What the connector needs, by field. Stored encrypted, never shown again. May be absent if there is a `quotaShare`,
    /// and the workspace is connected: then only that changes.
    // Any value: serde's own refusal of what is no object would repeat it, and it is a secret.
    #[schema(value_type = Option<Object>, example = json!({"accessToken": "pat-eu1-…"}))]
    #[serde(default)]
    pub credentials: Option<serde_json::Value>,
    /// How much of what the vendor allows the account Syncline may use, above 0 to 1; the rest is left to your other
    /// tools. If absent: what the operator has configured, 0.9 unless changed. Of several connections with the same
    /// account the smallest counts while they are synced.
    // Any value, as above: it may be a secret in the wrong field.
    #[schema(value_type = Option<f64>, exclusive_minimum = 0, maximum = 1, example = 0.5)]
    #[serde(default)]
    pub quota_share: Option<serde_json::Value>,
}

/// A connection, without its credentials.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConnectionAnswer {
    /// The connector.
    pub connector_type: ConnectorName,
    /// The vendor's id of the account, once known.
    pub account_id: Option<String>,
    /// How much of what the vendor allows the account is used, above 0 to 1; `null`: what the operator has configured.
    pub quota_share: Option<f64>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When its credentials were last written.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// A workspace's connections.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ConnectionsAnswer {
    /// By name of the connector.
    pub connections: Vec<ConnectionAnswer>,
}
