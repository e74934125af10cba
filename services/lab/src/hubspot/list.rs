use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};
use axum::response::Response;

use super::data::AsOf;
use super::gate::{Call, Served};
use super::query::ListQuery;
use super::{Object, problem, push_record};
use crate::ledger::Page;
use crate::state::LabState;

/// `GET /crm/v3/objects/{object}`.
pub(super) async fn list(
    State(lab): State<Arc<LabState>>,
    Extension(call): Extension<Call>,
    Path(segment): Path<String>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Response {
    let Some(object) = Object::parse(&segment) else { return problem::unknown_object(&call.id, &segment) };
    let query = match ListQuery::parse(object, &pairs) {
        Ok(query) => query,
        Err(message) => return problem::validation(&call.id, &message),
    };
    let mut out = String::with_capacity(usize::try_from(query.limit).unwrap_or(0) * 1_500 + 300);
    let records = push_page(&mut out, &lab, &call, object, &query, &headers);
    let mut response = problem::raw_json(StatusCode::OK, out);
    let page = Page {
        portal: call.portal,
        object,
        archived: query.archived,
        after: query.after,
        limit: query.limit,
    };
    response.extensions_mut().insert(Served { page, records });
    response
}

fn push_page(
    out: &mut String,
    lab: &LabState,
    call: &Call,
    object: Object,
    query: &ListQuery,
    headers: &HeaderMap,
) -> u64 {
    let dataset = lab.dataset();
    let mut rows = dataset.rows_from(object, query.after, query.archived, AsOf::Now);
    let mut scratch = String::new();
    let mut records = 0;
    let mut last_id = 0;
    out.push_str("{\"results\":[");
    while records < query.limit {
        let Some(row) = rows.next() else { break };
        if records > 0 {
            out.push(',');
        }
        push_record(out, &mut scratch, &row, &query.properties, call.portal);
        records += 1;
        last_id = row.id;
    }
    out.push(']');
    // The next page starts at an id, not at an offset: records archived meanwhile shift nothing.
    if rows.next().is_some() {
        let after = last_id + 1;
        let host = host_of(headers);
        let (name, limit) = (object.name(), query.limit);
        out.push_str(&format!(
            ",\"paging\":{{\"next\":{{\"after\":\"{after}\",\"link\":\"http://{host}/crm/v3/objects/{name}?limit={limit}&after={after}\"}}}}"
        ));
    }
    out.push('}');
    records
}

fn host_of(headers: &HeaderMap) -> String {
    let host =
        headers.get(header::HOST).and_then(|host| host.to_str().ok()).and_then(|host| host.parse().ok());
    host.map_or_else(|| "api.hubapi.com".to_owned(), |host: Authority| host.to_string())
}
