//! Records by id: one, or up to a hundred.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::data::{Property, Row, push_datetime};
use super::gate::Call;
use super::query::{ListQuery, plain, select};
use super::{Object, problem, push_record};
use crate::state::LabState;

const INPUTS_MAX: usize = 100;

/// `GET /crm/v3/objects/{object}/{id}`. The id of a record that was merged away answers with the survivor.
pub(super) async fn one(
    State(lab): State<Arc<LabState>>,
    Extension(call): Extension<Call>,
    Path((segment, id)): Path<(String, String)>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let Some(object) = Object::parse(&segment) else { return problem::unknown_object(&call.id, &segment) };
    let query = match ListQuery::parse(object, &pairs) {
        Ok(query) => query,
        Err(message) => return problem::validation(&call.id, &message),
    };
    let found = id.parse().ok().and_then(|id| lab.dataset().resolve(object, id, query.archived));
    let Some(row) = found else {
        return problem::envelope(StatusCode::NOT_FOUND, &call.id, "OBJECT_NOT_FOUND", "resource not found");
    };
    let mut out = String::new();
    push_record(&mut out, &mut String::new(), &row, &query.properties, call.portal);
    problem::raw_json(StatusCode::OK, out)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadBody {
    inputs: Vec<Input>,
    #[serde(default)]
    properties: Vec<String>,
    #[serde(default)]
    properties_with_history: Vec<String>,
    id_property: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Input {
    id: Value,
}

struct Read {
    /// As sent: what is no number is no record's id.
    ids: Vec<String>,
    properties: Vec<&'static Property>,
}

/// `POST /crm/v3/objects/{object}/batch/read`.
///
/// Each record comes once, in order of its own id and not of the inputs, because a client must match by id and not by
/// position. The input id of a record that was merged away gets the survivor and is not missing.
pub(super) async fn read(
    State(lab): State<Arc<LabState>>,
    Extension(call): Extension<Call>,
    Path(segment): Path<String>,
    Query(pairs): Query<Vec<(String, String)>>,
    body: Bytes,
) -> Response {
    let Some(object) = Object::parse(&segment) else { return problem::unknown_object(&call.id, &segment) };
    let parsed = ListQuery::parse(object, &pairs).and_then(|query| Ok((query, Read::parse(object, &body)?)));
    let (archived, read) = match parsed {
        Ok((query, read)) => (query.archived, read),
        Err(message) => return problem::validation(&call.id, &message),
    };
    let (mut found, mut missing) = (BTreeMap::new(), Vec::new());
    {
        let dataset = lab.dataset();
        for id in &read.ids {
            match id.parse().ok().and_then(|id| dataset.resolve(object, id, archived)) {
                Some(row) => drop(found.insert(row.id, row)),
                None => missing.push(id),
            }
        }
    }
    let mut now = String::new();
    push_datetime(&mut now, lab.now_ms());
    let mut out = String::from("{\"status\":\"COMPLETE\",\"results\":[");
    push_results(&mut out, found.values(), &read.properties, call.portal);
    out.push_str(&format!("],\"startedAt\":\"{now}\",\"completedAt\":\"{now}\""));
    if missing.is_empty() {
        out.push('}');
        return problem::raw_json(StatusCode::OK, out);
    }
    let errors = json!([{
        "status": "error", "category": "OBJECT_NOT_FOUND",
        "message": format!("Could not get some {} objects, they may be deleted or not exist. Check that ids are valid.",
            object.type_id()),
        "context": {"ids": missing},
    }]);
    out.push_str(&format!(",\"numErrors\":1,\"errors\":{errors}}}"));
    problem::raw_json(StatusCode::MULTI_STATUS, out)
}

fn push_results<'a>(
    out: &mut String,
    rows: impl Iterator<Item = &'a Row>,
    properties: &[&'static Property],
    portal: u64,
) {
    let mut scratch = String::new();
    for (position, row) in rows.enumerate() {
        if position > 0 {
            out.push(',');
        }
        push_record(out, &mut scratch, row, properties, portal);
    }
}

impl Read {
    fn parse(object: Object, body: &[u8]) -> Result<Self, String> {
        let body: ReadBody =
            serde_json::from_slice(body).map_err(|error| format!("Invalid input JSON: {error}"))?;
        if body.inputs.len() > INPUTS_MAX {
            return Err(format!(
                "The maximum number of inputs supported in a batch request is {INPUTS_MAX}, not {}.",
                body.inputs.len()
            ));
        }
        // Ignoring these would let a client believe that it gets what it asked for.
        if !body.properties_with_history.is_empty() || body.id_property.is_some() {
            return Err("The lab does not serve `propertiesWithHistory` and `idProperty`.".to_owned());
        }
        let wanted: Vec<&str> = body.properties.iter().map(String::as_str).collect();
        let ids = body.inputs.iter().map(|input| plain(&input.id)).collect();
        Ok(Self { ids, properties: select(object, &wanted) })
    }
}
