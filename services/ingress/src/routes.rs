//! The routes: what is checked, and which status says what.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use protocol::{ConnectorName, JobView, Priority, Problem, ProblemKind, SyncOptions, WorkspaceId};
use runtime::{ApiError, Json, PathParams};
use serde_json::Value;
use store::{Store, StoreError, StoredConnection};
use utoipa::OpenApi;

use crate::acceptor::Acceptor;
use crate::answers::{
    ConnectionAnswer, ConnectionRequest, ConnectionsAnswer, ConnectorJob, SyncAccepted, SyncRequest,
    WorkspaceAnswer, WorkspaceRequest,
};
use crate::checks::{check_credentials, known_connector, known_objects, known_timeout, spec};
use crate::once::Once;
use crate::request::{Request, Wanted};
use crate::{approve, cancel, retry};

/// The longest name of a workspace, in characters.
const WORKSPACE_NAME_MAX: usize = 200;
/// What the routes need.
#[derive(Debug, Clone)]
pub struct Ingress {
    /// Postgres.
    pub store: Store,
    /// Accepts jobs.
    pub acceptor: Acceptor,
    /// A job fails for good after so many attempts.
    pub max_attempts: u32,
}

#[derive(OpenApi)]
#[openapi(
    paths(
        post_sync,
        cancel::cancel,
        retry::retry,
        retry::retry_last,
        approve::approve,
        put_workspace,
        put_connection,
        get_connections
    ),
    components(schemas(Problem, ConnectorJob, JobView, Priority))
)]
struct Api;

/// This service's part of the OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// The routes, without the shell around them.
pub fn router(ingress: Ingress) -> Router {
    Router::new()
        .route("/api/workspaces/{workspace_id}", put(put_workspace))
        .route("/api/workspaces/{workspace_id}/connections", get(get_connections))
        .route("/api/workspaces/{workspace_id}/connections/{connector_type}", put(put_connection))
        .route("/api/workspaces/{workspace_id}/sync", post(post_sync))
        .route("/api/workspaces/{workspace_id}/sync/jobs/retry", post(retry::retry_last))
        .route("/api/workspaces/{workspace_id}/sync/jobs/{job_id}", delete(cancel::cancel))
        .route("/api/workspaces/{workspace_id}/sync/jobs/{job_id}/approve", post(approve::approve))
        .route("/api/workspaces/{workspace_id}/sync/jobs/{job_id}/retry", post(retry::retry))
        .with_state(Arc::new(ingress))
}

pub(crate) type Shared = State<Arc<Ingress>>;

/// Ask for a sync
///
/// Answers as soon as the job is stored; it never talks to a vendor. While a job for the scope is active the
/// answer names that job and says `deduplicated`.
#[utoipa::path(post, path = "/api/workspaces/{workspace_id}/sync", tag = "sync", request_body = SyncRequest,
    params(("workspace_id" = String, Path, description = "The workspace"),
           ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters; the same key gets the same answer for 24 hours, also after the job ended")),
    responses((status = 202, description = "Accepted", body = SyncAccepted,
               headers(("Location" = String, description = "Where to poll"), ("Retry-After" = String, description = "When, in seconds"), ("Idempotent-Replayed" = Option<String>, description = "`true` if this is the answer stored for the Idempotency-Key"))),
              (status = 400, description = "The body is no JSON, or not a key", body = Problem, content_type = "application/problem+json"),
              (status = 404, description = "No such workspace", body = Problem, content_type = "application/problem+json"),
              (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
              (status = 415, description = "The body is not declared as JSON", body = Problem, content_type = "application/problem+json"),
              (status = 422, description = "Unknown field or connector, or not connected, or the key was used for another request", body = Problem, content_type = "application/problem+json"),
              (status = 503, description = "Try again, after as many seconds as `Retry-After` says. Also while the active job is being cancelled", body = Problem, content_type = "application/problem+json")))]
async fn post_sync(
    State(ingress): Shared,
    PathParams(workspace_id): PathParams<WorkspaceId>,
    headers: HeaderMap,
    Json(asked): Json<SyncRequest>,
) -> Result<Response, ApiError> {
    let once = Once::from(&headers, serde_json::to_value(&asked).map_err(ApiError::internal)?)?;
    let request = Request { ingress: &ingress, workspace_id: &workspace_id, once };
    if let Some(answer) = request.replay().await? {
        return Ok(answer);
    }
    let connectors = match &asked.connector_type {
        Some(name) => vec![known_connector(name)?],
        None => Box::pin(connected(&ingress, &workspace_id)).await?,
    };
    let options = SyncOptions {
        mode: asked.mode,
        objects: known_objects(asked.objects, &connectors)?,
        timeout_seconds: known_timeout(asked.timeout_seconds)?,
        ..SyncOptions::default()
    };
    let priority = asked.priority.unwrap_or(Priority::Normal);
    let wanted = |connector| Wanted { connector, options: options.clone(), priority, retry_of: None };
    request.answer(connectors.into_iter().map(wanted).collect(), asked.connector_type.is_none()).await
}

/// Set a workspace up
///
/// Makes it or renames it.
#[utoipa::path(put, path = "/api/workspaces/{workspace_id}", tag = "setup", request_body = WorkspaceRequest,
    params(("workspace_id" = String, Path, description = "1 to 64 characters out of A-Z, a-z, 0-9, `_` and `-`; a UUID fits")),
    responses((status = 200, description = "It was there", body = WorkspaceAnswer),
              (status = 201, description = "It is new", body = WorkspaceAnswer),
              (status = 400, description = "Not an id, or the body is no JSON", body = Problem, content_type = "application/problem+json"),
              (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
              (status = 415, description = "The body is not declared as JSON", body = Problem, content_type = "application/problem+json"),
              (status = 422, description = "Not a name", body = Problem, content_type = "application/problem+json"),
              (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json")))]
async fn put_workspace(
    State(ingress): Shared,
    PathParams(id): PathParams<WorkspaceId>,
    Json(request): Json<WorkspaceRequest>,
) -> Result<Response, ApiError> {
    let name = request.name.unwrap_or_else(|| id.to_string());
    if name.is_empty() || name.chars().count() > WORKSPACE_NAME_MAX || name.contains('\0') {
        let detail = format!("`name` must have 1 to {WORKSPACE_NAME_MAX} characters and no NUL.");
        return Err(ApiError::new(ProblemKind::InvalidField, detail));
    }
    let created = ingress.store.put_workspace(&id, &name).await.map_err(store_error)?;
    Ok((created_or_ok(created), Json(WorkspaceAnswer { id, name })).into_response())
}

/// Connect a workspace's account
///
/// Makes the connection or replaces it. Its credentials are stored encrypted and never shown again; other ones than
/// before make the next sync a full one. Without `credentials`, or with the same ones, only `quotaShare` changes, from the
/// next sync on; with credentials and without it the operator's setting counts.
#[utoipa::path(put, path = "/api/workspaces/{workspace_id}/connections/{connector_type}", tag = "setup", request_body = ConnectionRequest,
    params(("workspace_id" = String, Path, description = "The workspace"), ("connector_type" = String, Path, description = "`hubspot`")),
    responses((status = 200, description = "Replaced", body = ConnectionAnswer),
              (status = 201, description = "It is new", body = ConnectionAnswer),
              (status = 400, description = "Not an id, or the body is no JSON", body = Problem, content_type = "application/problem+json"),
              (status = 404, description = "No such workspace", body = Problem, content_type = "application/problem+json"),
              (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
              (status = 415, description = "The body is not declared as JSON", body = Problem, content_type = "application/problem+json"),
              (status = 422, description = "Unknown connector, credentials it cannot use, or a `quotaShare` that is none", body = Problem, content_type = "application/problem+json"),
              (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json")))]
async fn put_connection(
    State(ingress): Shared,
    PathParams((workspace_id, connector_type)): PathParams<(WorkspaceId, String)>,
    Json(request): Json<ConnectionRequest>,
) -> Result<Response, ApiError> {
    let connector = known_connector(&connector_type)?;
    let quota_share = request.quota_share.map(known_share).transpose()?;
    let Some(credentials) = request.credentials else {
        return put_share(&ingress, &workspace_id, &connector, quota_share).await;
    };
    check_credentials(spec(&connector)?, &credentials)?;
    let put = ingress.store.put_connection(&workspace_id, &connector, &credentials, quota_share);
    let (stored, created) = put.await.map_err(|e| match e {
        StoreError::UnknownWorkspace => unknown_workspace(&workspace_id),
        other => store_error(other),
    })?;
    Ok((created_or_ok(created), Json(ConnectionAnswer::from(stored))).into_response())
}

/// Changes the share alone: of a connection whose credentials the vendor rotates nobody can send the present ones.
async fn put_share(
    ingress: &Ingress,
    workspace_id: &WorkspaceId,
    connector: &ConnectorName,
    quota_share: Option<f64>,
) -> Result<Response, ApiError> {
    let Some(share) = quota_share else {
        return Err(ApiError::new(ProblemKind::InvalidField, "`credentials` is missing."));
    };
    let stored = ingress.store.set_quota_share(workspace_id, connector, share).await.map_err(store_error)?;
    let Some(stored) = stored else {
        require_workspace(ingress, workspace_id).await?;
        let detail =
            format!("The workspace has no connection for `{connector}`; send its `credentials`, too.");
        return Err(ApiError::new(ProblemKind::NotConnected, detail));
    };
    Ok((StatusCode::OK, Json(ConnectionAnswer::from(stored))).into_response())
}

/// A share of the vendor's quota, if it is one. What else it may be is not repeated.
fn known_share(share: Value) -> Result<f64, ApiError> {
    let share = share.as_f64().filter(|share| *share > 0.0 && *share <= 1.0);
    let detail = "`quotaShare` must be a number above 0 and at most 1.";
    share.ok_or_else(|| ApiError::new(ProblemKind::InvalidField, detail))
}

/// List a workspace's connections
#[utoipa::path(get, path = "/api/workspaces/{workspace_id}/connections", tag = "setup",
    params(("workspace_id" = String, Path, description = "The workspace")),
    responses((status = 200, description = "Without credentials", body = ConnectionsAnswer),
              (status = 404, description = "No such workspace", body = Problem, content_type = "application/problem+json"),
              (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json")))]
async fn get_connections(
    State(ingress): Shared,
    PathParams(workspace_id): PathParams<WorkspaceId>,
) -> Result<Json<ConnectionsAnswer>, ApiError> {
    let stored = ingress.store.connections(&workspace_id).await.map_err(store_error)?;
    if stored.is_empty() {
        require_workspace(&ingress, &workspace_id).await?;
    }
    Ok(Json(ConnectionsAnswer { connections: stored.into_iter().map(ConnectionAnswer::from).collect() }))
}

impl From<StoredConnection> for ConnectionAnswer {
    fn from(stored: StoredConnection) -> Self {
        let StoredConnection { connector, account_id, quota_share, created_at, updated_at } = stored;
        Self { connector_type: connector, account_id, quota_share, created_at, updated_at }
    }
}

/// The connectors of a workspace, for a request that names none.
async fn connected(ingress: &Ingress, workspace_id: &WorkspaceId) -> Result<Vec<ConnectorName>, ApiError> {
    let stored = ingress.store.connections(workspace_id).await.map_err(store_error)?;
    if !stored.is_empty() {
        return Ok(stored.into_iter().map(|connection| connection.connector).collect());
    }
    require_workspace(ingress, workspace_id).await?;
    Err(ApiError::new(ProblemKind::NotConnected, "The workspace has no connection yet; PUT one first."))
}

pub(crate) async fn require_workspace(ingress: &Ingress, id: &WorkspaceId) -> Result<(), ApiError> {
    if ingress.store.workspace_exists(id).await.map_err(store_error)? {
        Ok(())
    } else {
        Err(unknown_workspace(id))
    }
}

pub(crate) fn unknown_workspace(id: &WorkspaceId) -> ApiError {
    let detail = format!("There is no workspace `{id}`; PUT /api/workspaces/{id} makes it.");
    ApiError::new(ProblemKind::UnknownWorkspace, detail)
}

pub(crate) fn store_error(error: StoreError) -> ApiError {
    if error.is_transient() {
        ApiError::unavailable("The database is not available. Try again.", error)
    } else {
        ApiError::internal(error)
    }
}

fn created_or_ok(created: bool) -> StatusCode {
    if created { StatusCode::CREATED } else { StatusCode::OK }
}
