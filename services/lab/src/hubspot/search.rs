use std::cmp::Ordering;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::data::{AsOf, Dataset, Property, Row};
use super::filter::{FilterGroup, Filters, Key, key_of};
use super::gate::Call;
use super::query::{limit, plain, select};
use super::{Object, problem, push_record};
use crate::state::LabState;

const LIMIT_MAX: u64 = 200;
const RESULTS_MAX: u64 = 10_000;
const BODY_LENGTH_MAX: usize = 3_000;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SearchBody {
    filter_groups: Vec<FilterGroup>,
    sorts: Vec<Value>,
    properties: Vec<String>,
    query: Option<String>,
    limit: Option<Value>,
    after: Option<Value>,
}

struct Search {
    filters: Filters,
    sort: Option<Sort>,
    properties: Vec<&'static Property>,
    limit: u64,
    offset: u64,
}

/// `POST /crm/v3/objects/{object}/search`.
pub(super) async fn search(
    State(lab): State<Arc<LabState>>,
    Extension(call): Extension<Call>,
    Path(segment): Path<String>,
    body: Bytes,
) -> Response {
    let Some(object) = Object::parse(&segment) else { return problem::unknown_object(&call.id, &segment) };
    match Search::parse(object, &body) {
        Ok(search) => problem::raw_json(StatusCode::OK, search.run(&lab, &call, object)),
        Err(message) => problem::validation(&call.id, &message),
    }
}

impl Search {
    fn parse(object: Object, body: &[u8]) -> Result<Self, String> {
        if body.len() > BODY_LENGTH_MAX {
            return Err(format!("The request is longer than {BODY_LENGTH_MAX} characters."));
        }
        let body: SearchBody = match body {
            [] => SearchBody::default(),
            body => serde_json::from_slice(body).map_err(|error| format!("Invalid input JSON: {error}"))?,
        };
        if body.query.is_some_and(|query| !query.is_empty()) {
            return Err("The lab does not serve `query`.".to_owned());
        }
        let limit = body.limit.map_or(Ok(10), |value| limit(&plain(&value), LIMIT_MAX))?;
        let offset = body.after.map_or(Ok(0), |value| {
            plain(&value).parse().map_err(|_| format!("Invalid value for after: {value}"))
        })?;
        if limit.saturating_add(offset) > RESULTS_MAX {
            return Err(format!(
                "Cannot page beyond {RESULTS_MAX} results: after {offset} with limit {limit}."
            ));
        }
        let sort = match body.sorts.as_slice() {
            [] => None,
            [one] => Some(sort(object, one)?),
            _ => return Err("Only one sort is allowed.".to_owned()),
        };
        let wanted: Vec<&str> = body.properties.iter().map(String::as_str).collect();
        let filters = Filters::compile(object, &body.filter_groups)?;
        Ok(Self { filters, sort, properties: select(object, &wanted), limit, offset })
    }

    fn run(&self, lab: &LabState, call: &Call, object: Object) -> String {
        let Found { total, rows } = self.find(&lab.dataset(), object, lab.search_sees());
        let mut out = format!("{{\"total\":{total},\"results\":[");
        let mut scratch = String::new();
        for (position, row) in rows.iter().enumerate() {
            if position > 0 {
                out.push(',');
            }
            push_record(&mut out, &mut scratch, row, &self.properties, call.portal);
        }
        out.push(']');
        let to = self.offset + rows.len() as u64;
        if to < total {
            out.push_str(&format!(",\"paging\":{{\"next\":{{\"after\":\"{to}\"}}}}"));
        }
        out.push('}');
        out
    }

    fn find(&self, dataset: &Dataset, object: Object, as_of: AsOf) -> Found {
        let ids = self.filters.ids();
        let id = |id: i64| u64::try_from(id).unwrap_or(0);
        let range = id(ids.low)..id(ids.high.saturating_add(1));
        let rows = dataset.rows_within(object, range.clone(), as_of);
        match self.sort {
            // Whoever walks an account by id gets its page without a look at the rest of the account.
            sort if self.filters.are_about_ids_only() && sort.is_none_or(|sort| sort.is_by_id()) => {
                let total = dataset.count_within(object, range, as_of);
                let descending = sort.is_some_and(|sort| sort.descending);
                let rows = if descending { self.page(rows.rev()) } else { self.page(rows) };
                Found { total, rows }
            }
            sort => {
                let mut scratch = String::new();
                let mut passed: Vec<Row> = rows.filter(|row| self.filters.pass(row, &mut scratch)).collect();
                if let Some(sort) = sort {
                    passed = sort.sorted(passed);
                }
                Found { total: passed.len() as u64, rows: self.page(passed.into_iter()) }
            }
        }
    }

    fn page(&self, rows: impl Iterator<Item = Row>) -> Vec<Row> {
        let size = |count| usize::try_from(count).unwrap_or(usize::MAX);
        rows.skip(size(self.offset)).take(size(self.limit)).collect()
    }
}

/// A page, and how many records there are on all pages.
struct Found {
    total: u64,
    rows: Vec<Row>,
}

#[derive(Clone, Copy)]
struct Sort {
    property: &'static Property,
    descending: bool,
}

impl Sort {
    fn is_by_id(self) -> bool {
        self.property.name == "hs_object_id"
    }

    /// In order of the property, then of id.
    fn sorted(self, rows: Vec<Row>) -> Vec<Row> {
        let mut scratch = String::new();
        let keyed = rows.into_iter().map(|row| (key_of(self.property, &row, &mut scratch), row));
        let mut keyed: Vec<(Option<Key>, Row)> = keyed.collect();
        keyed.sort_by(|(a, _), (b, _)| match (a, b) {
            (Some(a), Some(b)) if self.descending => b.compare(a),
            (Some(a), Some(b)) => a.compare(b),
            // Records without a value come last in either direction.
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        });
        keyed.into_iter().map(|(_, row)| row).collect()
    }
}

fn sort(object: Object, value: &Value) -> Result<Sort, String> {
    let name = value.as_str().or_else(|| value["propertyName"].as_str()).unwrap_or_default();
    let descending = match value["direction"].as_str() {
        None | Some("ASCENDING") => false,
        Some("DESCENDING") => true,
        Some(other) => return Err(format!("Unknown sort direction: {other}")),
    };
    let property = object.property(name).ok_or_else(|| format!("Unknown sort property: {name:?}"))?;
    Ok(Sort { property, descending })
}
