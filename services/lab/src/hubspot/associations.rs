//! `POST /crm/v4/associations/{from}/{to}/batch/read`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::data::{AsOf, Link, LinkKind, push_datetime};
use super::gate::Call;
use super::query::plain;
use super::{Object, problem};
use crate::state::LabState;

const INPUTS_MAX: usize = 1_000;

#[derive(Debug, Deserialize)]
struct ReadBody {
    inputs: Vec<SentInput>,
}

#[derive(Debug, Deserialize)]
struct SentInput {
    id: Value,
    after: Option<String>,
}

struct Input {
    /// As sent: what is no number is no record's id.
    id: String,
    /// The first id of the page.
    from_id: u64,
}

/// Answers page by page for each input. An input without associations is an error in a 207 and no result.
pub(super) async fn read(
    State(lab): State<Arc<LabState>>,
    Extension(call): Extension<Call>,
    Path((from, to)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let Some(from) = Object::parse(&from) else { return problem::unknown_object(&call.id, &from) };
    let Some(to) = Object::parse(&to) else { return problem::unknown_object(&call.id, &to) };
    let inputs = match parse(&body) {
        Ok(inputs) => inputs,
        Err(message) => return problem::validation(&call.id, &message),
    };
    let ids: BTreeSet<u64> = inputs.iter().filter_map(|input| input.id.parse().ok()).collect();
    let Some(links) = lab.dataset().links(from, to, &ids) else {
        let message = format!("The lab has no associations from {} to {}.", from.name(), to.name());
        return problem::validation(&call.id, &message);
    };
    let page_size = lab.association_page_size();
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for input in &inputs {
        match input.id.parse().ok().and_then(|id: u64| Some((id, links.get(&id)?))) {
            Some((id, links)) => results.push(result(id, links, input.from_id, page_size, (from, to))),
            None => errors.push(none_found(&input.id, from, to)),
        }
    }
    let mut now = String::new();
    push_datetime(&mut now, lab.now_ms());
    let mut body = json!({"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now});
    if errors.is_empty() {
        return problem::ok(&body);
    }
    body["numErrors"] = json!(errors.len());
    body["errors"] = json!(errors);
    problem::raw_json(StatusCode::MULTI_STATUS, body.to_string())
}

fn parse(body: &[u8]) -> Result<Vec<Input>, String> {
    let body: ReadBody =
        serde_json::from_slice(body).map_err(|error| format!("Invalid input JSON: {error}"))?;
    if body.inputs.len() > INPUTS_MAX {
        let asked = body.inputs.len();
        return Err(format!("The maximum number of inputs supported is {INPUTS_MAX}, not {asked}."));
    }
    let input = |sent: SentInput| {
        let from_id = sent.after.map_or(Ok(0), |after| {
            u64::from_str_radix(&after, 16).map_err(|_| format!("Invalid value for after: {after}"))
        })?;
        Ok(Input { id: plain(&sent.id), from_id })
    };
    body.inputs.into_iter().map(input).collect()
}

fn result(id: u64, links: &[Link], from_id: u64, page_size: usize, pair: (Object, Object)) -> Value {
    // A page starts at an id and not at an offset, so changes meanwhile shift nothing.
    let rest = &links[links.partition_point(|link| link.to_id < from_id)..];
    let to = rest.iter().take(page_size).map(|link| {
        // The live service has answered with both; which one it is depends on the input here.
        let to_id = if id.is_multiple_of(2) { json!(link.to_id) } else { json!(link.to_id.to_string()) };
        json!({"toObjectId": to_id, "associationTypes": types(pair, link)})
    });
    let mut result = json!({"from": {"id": id.to_string()}, "to": to.collect::<Vec<_>>()});
    if let Some(next) = rest.get(page_size) {
        result["paging"] = json!({"next": {"after": format!("{:x}", next.to_id)}});
    }
    result
}

/// The kinds of association of each live record with each other one, as the endpoint shows them.
pub(crate) fn shown_types(lab: &LabState, from: Object, to: Object) -> BTreeMap<(u64, u64), Vec<Value>> {
    let dataset = lab.dataset();
    let all: BTreeSet<u64> = dataset.rows_from(from, 0, false, AsOf::Now).map(|row| row.id).collect();
    let links = dataset.links(from, to, &all).unwrap_or_default();
    let of = |(id, links): (u64, Vec<Link>)| {
        links.into_iter().map(move |link| ((id, link.to_id), types((from, to), &link)))
    };
    links.into_iter().flat_map(of).collect()
}

/// Every fifth record comes with its last type twice.
fn types(pair: (Object, Object), link: &Link) -> Vec<Value> {
    let (plain, primary, (label_id, label)) = match pair {
        (Object::Deals, Object::Companies) => (341, 5, (71, "Reseller")),
        (Object::Companies, Object::Deals) => (342, 6, (72, "Resells")),
        (Object::Contacts, Object::Companies) => (279, 1, (35, "Works for")),
        (Object::Companies, Object::Contacts) => (280, 2, (36, "Employs")),
        (Object::Contacts, _) => (4, 4, (34, "Decides on")),
        _ => (3, 3, (33, "Decision maker")),
    };
    let LinkKind { primary: is_primary, labelled } = link.kind;
    let defined =
        |id: u64, label: Value| json!({"category": "HUBSPOT_DEFINED", "typeId": id, "label": label});
    let mut types = Vec::new();
    if is_primary {
        types.push(defined(primary, json!("Primary")));
    }
    if labelled {
        types.push(json!({"category": "USER_DEFINED", "typeId": label_id, "label": label}));
    }
    types.push(defined(plain, Value::Null));
    if link.to_id.is_multiple_of(5) {
        types.extend(types.last().cloned());
    }
    types
}

fn none_found(id: &str, from: Object, to: Object) -> Value {
    json!({
        "status": "error", "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": format!("No {} is associated with {} {id}.", singular(to), singular(from)),
        "context": {"fromObjectId": [id]},
    })
}

fn singular(object: Object) -> &'static str {
    match object {
        Object::Contacts => "contact",
        Object::Companies => "company",
        Object::Deals => "deal",
    }
}
