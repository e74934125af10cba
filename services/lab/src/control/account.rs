//! What can be done to tokens, time zones, owners and pipelines.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Problem, parse, problem};
use crate::hubspot::Zone;
use crate::state::LabState;
use crate::tokens::{CLIENT_ID, CLIENT_SECRET};

pub(super) fn router() -> Router<Arc<LabState>> {
    Router::new()
        .route("/tokens/expire", post(expire_tokens))
        .route("/accounts/{portal}", post(account))
        .route("/accounts/{portal}/credentials", post(credentials))
        .route("/owners/{id}", post(owner))
        .route("/pipelines/{pipeline}/stages/{stage}", post(put_stage).delete(remove_stage))
}

async fn expire_tokens(State(lab): State<Arc<LabState>>) -> StatusCode {
    lab.expire_tokens();
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Account {
    time_zone: String,
    utc_offset_minutes: i32,
}

async fn account(
    State(lab): State<Arc<LabState>>,
    Path(portal): Path<u64>,
    body: Bytes,
) -> Result<Response, Problem> {
    let Account { time_zone, utc_offset_minutes } = parse(&body)?;
    lab.set_zone(portal, Zone { name: time_zone, utc_offset_min: utc_offset_minutes });
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What somebody gets who connects this account now.
async fn credentials(State(lab): State<Arc<LabState>>, Path(portal): Path<u64>) -> Json<Value> {
    let now_ms = lab.now_ms();
    let granted = lab.tokens().issue(portal, now_ms);
    Json(json!({
        "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET, "refreshToken": granted.refresh_token,
        "accessToken": granted.access_token,
    }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Owner {
    archived: bool,
}

async fn owner(
    State(lab): State<Arc<LabState>>,
    Path(id): Path<u64>,
    body: Bytes,
) -> Result<Response, Problem> {
    let Owner { archived } = parse(&body)?;
    let now_ms = lab.now_ms();
    done(lab.directory_mut().set_owner_archived(id, archived, now_ms), "no such owner")
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stage {
    label: String,
    /// As the vendor has it: text, `1.0` and `0.0` are closed.
    probability: String,
}

async fn put_stage(
    State(lab): State<Arc<LabState>>,
    Path((pipeline, id)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let Stage { label, probability } = parse(&body)?;
    done(lab.directory_mut().put_stage(&pipeline, &id, &label, &probability), "no such pipeline")
}

async fn remove_stage(
    State(lab): State<Arc<LabState>>,
    Path((pipeline, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    done(lab.directory_mut().remove_stage(&pipeline, &id), "no such stage")
}

fn done(there: bool, missing: &str) -> Result<Response, Problem> {
    if there {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(problem(StatusCode::NOT_FOUND, missing))
    }
}
