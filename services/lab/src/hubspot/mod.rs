//! A fake HubSpot.

mod account;
mod associations;
mod batch;
mod data;
mod directory;
mod filter;
mod gate;
mod list;
mod oauth;
mod problem;
mod query;
mod search;

pub(crate) use account::{shown_owners, shown_pipelines};
pub(crate) use associations::shown_types;
pub(crate) use data::{AsOf, Dataset, Standing, Version, mix, push_record};
pub use data::{Change, Changed, Expectation, Merge, Object};
pub(crate) use directory::{Directory, Zone};

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::state::LabState;

/// The vendor's side, behind the gate that knows tokens, limits and faults.
pub(crate) fn router(lab: Arc<LabState>) -> Router {
    Router::new()
        .route("/crm/v3/objects/{object}", get(list::list))
        .route("/crm/v3/objects/{object}/{id}", get(batch::one))
        .route("/crm/v3/objects/{object}/batch/read", post(batch::read))
        .route("/crm/v3/objects/{object}/search", post(search::search))
        .route("/crm/v4/associations/{from}/{to}/batch/read", post(associations::read))
        .route("/crm/v3/owners", get(account::owners))
        .route("/crm/v3/pipelines/{object}", get(account::pipelines))
        .route("/crm/v3/properties/{object}", get(account::properties))
        .route("/account-info/v3/details", get(account::details))
        .fallback(problem::not_found)
        .layer(from_fn_with_state(Arc::clone(&lab), gate::gate))
        .merge(token_router(&lab))
        .with_state(lab)
}

/// Where tokens come from, which needs no token and counts against no limit.
fn token_router(lab: &Arc<LabState>) -> Router<Arc<LabState>> {
    Router::new()
        .route("/oauth/{version}/token", post(oauth::token))
        .layer(from_fn_with_state(Arc::clone(lab), gate::token_gate))
}
