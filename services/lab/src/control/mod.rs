//! The lab's own side, under `/_lab`: what was seen, what shall go wrong, and what is true.

mod account;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::faults::FaultRule;
use crate::hubspot::{AsOf, Change, Changed, Expectation, Object, push_record};
use crate::state::{LabState, RetryAfter};
use crate::stats::Stats;

/// Records rendered at a time, so that memory does not grow with their number.
const RECORDS_PER_CHUNK: usize = 500;

type Problem = (StatusCode, Json<Value>);

pub(crate) fn router(lab: Arc<LabState>) -> Router {
    Router::new()
        .route("/stats", get(stats))
        .route("/reset", post(reset))
        .route("/faults", get(faults).post(set_faults).delete(clear_faults))
        .route("/settings", post(settings))
        .route("/clock", post(clock))
        .route("/changes", post(change))
        .route("/expect", get(expect))
        .route("/records/{object}", get(records))
        .route("/records/{object}/{id}", post(edit))
        .merge(account::router())
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "no such control endpoint") })
        .with_state(lab)
}

async fn stats(State(lab): State<Arc<LabState>>) -> Json<Stats> {
    Json(lab.ledger().stats())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Reset {
    windows: bool,
}

async fn reset(State(lab): State<Arc<LabState>>, body: Bytes) -> Result<Response, Problem> {
    let Reset { windows } = if body.is_empty() { Reset::default() } else { parse(&body)? };
    lab.ledger().reset(windows);
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn faults(State(lab): State<Arc<LabState>>) -> Json<Value> {
    Json(json!(lab.faults().rules()))
}

async fn set_faults(State(lab): State<Arc<LabState>>, body: Bytes) -> Result<Response, Problem> {
    let rules: Vec<FaultRule> = parse(&body)?;
    lab.set_faults(rules).map_err(|message| problem(StatusCode::BAD_REQUEST, &message))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn clear_faults(State(lab): State<Arc<LabState>>) -> Result<Response, Problem> {
    lab.set_faults(Vec::new()).map_err(|message| problem(StatusCode::BAD_REQUEST, &message))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What is not given stays.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    retry_after: Option<RetryAfter>,
    search_lag_ms: Option<u64>,
    association_page_size: Option<usize>,
    token_lifetime_ms: Option<u64>,
    rotate_refresh_tokens: Option<bool>,
}

async fn settings(State(lab): State<Arc<LabState>>, body: Bytes) -> Result<Response, Problem> {
    let settings: Settings = parse(&body)?;
    if let Some(how) = settings.retry_after {
        lab.set_retry_after(how);
    }
    if let Some(lag_ms) = settings.search_lag_ms {
        lab.set_search_lag_ms(lag_ms);
    }
    if let Some(size) = settings.association_page_size {
        lab.set_association_page_size(size);
    }
    if let Some(lifetime_ms) = settings.token_lifetime_ms {
        lab.tokens().set_lifetime_ms(lifetime_ms);
    }
    if let Some(rotates) = settings.rotate_refresh_tokens {
        lab.tokens().set_rotates(rotates);
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Clock {
    advance_ms: u64,
}

async fn clock(State(lab): State<Arc<LabState>>, body: Bytes) -> Result<Response, Problem> {
    let Clock { advance_ms } = parse(&body)?;
    lab.clock.advance(Duration::from_millis(advance_ms));
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn change(State(lab): State<Arc<LabState>>, body: Bytes) -> Result<Json<Changed>, Problem> {
    let change: Change = parse(&body)?;
    Ok(Json(lab.change(&change)))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Which {
    archived: bool,
}

async fn expect(
    State(lab): State<Arc<LabState>>,
    Query(which): Query<Which>,
) -> Json<BTreeMap<&'static str, Expectation>> {
    let dataset = lab.dataset();
    Json(Object::ALL.map(|object| (object.name(), dataset.expectation(object, which.archived))).into())
}

async fn records(
    State(lab): State<Arc<LabState>>,
    Path(segment): Path<String>,
    Query(Which { archived }): Query<Which>,
) -> Result<Response, Problem> {
    let object = object_of(&segment)?;
    let chunks = futures_util::stream::unfold(Some(0), move |from| {
        let lab = Arc::clone(&lab);
        async move {
            let (chunk, next) = chunk(&lab, object, archived, from?);
            Some((Ok::<_, std::io::Error>(chunk), next))
        }
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(chunks)).into_response())
}

/// Some records from an id upwards, one a line, and where the next chunk starts.
pub(crate) fn chunk(lab: &LabState, object: Object, archived: bool, from_id: u64) -> (String, Option<u64>) {
    let properties: Vec<_> = object.properties().iter().collect();
    let (mut out, mut scratch, mut next) = (String::new(), String::new(), None);
    for row in lab.dataset().rows_from(object, from_id, archived, AsOf::Now).take(RECORDS_PER_CHUNK) {
        push_record(&mut out, &mut scratch, &row, &properties, 0);
        out.push('\n');
        next = Some(row.id + 1);
    }
    (out, next)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Edit {
    archived: Option<bool>,
    touch: bool,
}

async fn edit(
    State(lab): State<Arc<LabState>>,
    Path((segment, id)): Path<(String, u64)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let object = object_of(&segment)?;
    let change: Edit = parse(&body)?;
    if change.archived.is_none() && !change.touch {
        return Err(problem(StatusCode::BAD_REQUEST, "say `archived` (true or false) or `touch` (true)"));
    }
    let changed = lab.edit(object, id, change.archived, change.touch);
    if changed {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(problem(StatusCode::NOT_FOUND, "no such record"))
    }
}

fn object_of(segment: &str) -> Result<Object, Problem> {
    let message = || problem(StatusCode::NOT_FOUND, &format!("no such object: {segment}"));
    Object::parse(segment).ok_or_else(message)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| problem(StatusCode::BAD_REQUEST, &error.to_string()))
}

fn problem(status: StatusCode, message: &str) -> Problem {
    (status, Json(json!({"error": message})))
}
