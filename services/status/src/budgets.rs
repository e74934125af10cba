//! What the vendor accounts of a workspace still allow: from the bucket in which the workers share it.

use axum::extract::State;
use bus::BusError;
use protocol::{BudgetEntry, ConnectorName, Problem, WorkspaceId, budget_prefix};
use runtime::{ApiError, Json, PathParams};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::routes::{Shared, Status, unavailable, unknown_workspace};

/// The budgets of a workspace.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BudgetList {
    /// By connector, account and class.
    budgets: Vec<BudgetAnswer>,
}

/// What an account still allows for one class of endpoints.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BudgetAnswer {
    /// The connector.
    connector_type: ConnectorName,
    /// The account's id at the vendor.
    account_id: String,
    /// Which endpoints: `objects`, `search`.
    class: String,
    /// All of them hold at once.
    windows: Vec<WindowAnswer>,
    /// The vendor wants to be left alone until then.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    held_until: Option<OffsetDateTime>,
}

/// At most `limit` requests in any `perMs` milliseconds.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WindowAnswer {
    /// Requests that all workers together send: the vendor's limit without the share left to other tools.
    limit: u32,
    /// The window's length in milliseconds.
    per_ms: u64,
    /// Requests that are left now.
    remaining: u32,
}

/// Budgets
///
/// What the accounts of the workspace's connections still allow, as all workers together use them. Other workspaces
/// with the same account use the same budget. An account that was not used for a day has no entry.
#[utoipa::path(get, path = "/api/workspaces/{workspace_id}/budgets", tag = "sync",
    params(("workspace_id" = String, Path, description = "The workspace")),
    responses((status = 200, description = "The budgets", body = BudgetList),
              (status = 404, description = "No such workspace", body = Problem, content_type = "application/problem+json"),
              (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_budgets(
    State(status): Shared,
    PathParams(workspace_id): PathParams<WorkspaceId>,
) -> Result<Json<BudgetList>, ApiError> {
    let connections = status.store.connections(&workspace_id).await.map_err(unavailable)?;
    if connections.is_empty() && !status.store.workspace_exists(&workspace_id).await.map_err(unavailable)? {
        return Err(unknown_workspace(&workspace_id));
    }
    let mut budgets = Vec::new();
    for connection in connections {
        let Some(account_id) = connection.account_id else { continue };
        budgets.extend(status.budgets(&connection.connector, &account_id).await.map_err(away)?);
    }
    Ok(Json(BudgetList { budgets }))
}

impl Status {
    async fn budgets(
        &self,
        connector: &ConnectorName,
        account_id: &str,
    ) -> Result<Vec<BudgetAnswer>, BusError> {
        let keys = self.bus.budget_keys(&budget_prefix(connector.as_str(), account_id)).await?;
        let mut budgets = Vec::new();
        for key in keys {
            let value = self.bus.budget(&key).await?.value.unwrap_or_default();
            let Ok(entry) = serde_json::from_slice::<BudgetEntry>(&value) else {
                // Expired meanwhile, or written by hand; the next worker that needs it writes it anew.
                tracing::debug!(budget = %key, "a budget was left out");
                continue;
            };
            budgets.push(answer(connector.clone(), account_id, entry));
        }
        Ok(budgets)
    }
}

fn answer(connector_type: ConnectorName, account_id: &str, entry: BudgetEntry) -> BudgetAnswer {
    let now = OffsetDateTime::now_utc();
    let now_ms = u64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    let windows = entry.windows_at(now_ms).into_iter();
    let held_until = entry.held_until_ms.filter(|until| *until > now_ms);
    let at = |ms: u64| OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok();
    BudgetAnswer {
        connector_type,
        account_id: account_id.to_owned(),
        class: entry.class,
        windows: windows
            .map(|w| WindowAnswer { limit: w.limit, per_ms: w.per_ms, remaining: w.remaining })
            .collect(),
        held_until: held_until.and_then(at),
    }
}

fn away(error: BusError) -> ApiError {
    ApiError::unavailable("The budgets are not available. Try again.", error)
}
