//! A workspace whose HubSpot is the lab.

use lab::{LabConfig, Limits};
use protocol::WorkspaceId;
use runtime::Config;
use serde_json::json;
use store::Store;

use crate::cli::LabArgs;

/// Its id.
pub(crate) const WORKSPACE: &str = "demo";
/// A token of the lab's account 1.
pub(crate) const TOKEN: &str = "pat-lab-1";

/// Nobody else uses it.
pub(crate) const SHARE: Option<f64> = Some(1.0);

/// What the lab is to serve.
pub(crate) fn lab_config(args: &LabArgs) -> LabConfig {
    let limits = if args.lab_unlimited { Limits::unlimited() } else { Limits::strict() };
    LabConfig {
        contacts: args.lab_contacts,
        companies: args.lab_companies,
        deals: args.lab_deals,
        latency_ms: args.lab_latency_ms,
        seed: args.lab_seed,
        limits,
        ..LabConfig::default()
    }
}

/// Points the connector to the lab.
pub(crate) fn use_lab(config: &mut Config, url: &str, lab: &LabConfig) {
    if let Some(hubspot) = config.connectors.get_mut("hubspot") {
        url.clone_into(&mut hubspot.base_url);
        if lab.limits.objects_per_10s == 0 {
            // More than a machine can send: a budget without a limit.
            hubspot.objects_limit = 1_000_000;
            hubspot.search_limit = 1_000_000;
            hubspot.search_spacing = std::time::Duration::ZERO;
        }
    }
}

/// Makes the workspace and its connection.
pub(crate) async fn create(store: &Store) -> anyhow::Result<WorkspaceId> {
    let workspace: WorkspaceId = WORKSPACE.parse()?;
    store.put_workspace(&workspace, "Demo").await?;
    let credentials = json!({"accessToken": TOKEN});
    store.put_connection(&workspace, &"hubspot".parse()?, &credentials, SHARE).await?;
    Ok(workspace)
}
