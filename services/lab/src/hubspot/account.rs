//! Everything small: the account, its owners, its pipelines and its properties.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::data::{Property, push_datetime};
use super::directory::{MADE_MS, Owner, Pipeline, Zone};
use super::gate::Call;
use super::query::limit;
use super::{Object, problem};
use crate::state::LabState;

/// `GET /account-info/v3/details`.
pub(super) async fn details(State(lab): State<Arc<LabState>>, Extension(call): Extension<Call>) -> Response {
    let Zone { name, utc_offset_min } = lab.directory().zone(call.portal);
    let sign = if utc_offset_min < 0 { '-' } else { '+' };
    let (hours, minutes) = (utc_offset_min.abs() / 60, utc_offset_min.abs() % 60);
    problem::ok(&json!({
        "portalId": call.portal, "accountType": "STANDARD", "timeZone": name, "companyCurrency": "EUR",
        "additionalCurrencies": ["USD", "CHF", "JPY", "GBP"],
        "utcOffset": format!("{sign}{hours:02}:{minutes:02}"),
        "utcOffsetMilliseconds": i64::from(utc_offset_min) * 60_000,
        "uiDomain": "app-eu1.hubspot.com", "dataHostingLocation": "eu1",
    }))
}

/// `GET /crm/v3/owners`.
pub(super) async fn owners(
    State(lab): State<Arc<LabState>>,
    Extension(call): Extension<Call>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let (mut page_size, mut after, mut archived) = (100, 0, false);
    for (name, value) in &pairs {
        match name.as_str() {
            "limit" => match limit(value, 500) {
                Ok(limit) => page_size = limit,
                Err(message) => return problem::validation(&call.id, &message),
            },
            "after" => after = value.parse().unwrap_or(0),
            "archived" => archived = value == "true",
            _ => {}
        }
    }
    let directory = lab.directory();
    let all: Vec<Value> = directory.owners(archived).filter(|one| one.id >= after).map(owner).collect();
    let page_size = usize::try_from(page_size).unwrap_or(100);
    let mut body = json!({"results": all.iter().take(page_size).collect::<Vec<_>>()});
    if let Some(next) = all.get(page_size) {
        body["paging"] = json!({"next": {"after": next["id"]}});
    }
    problem::ok(&body)
}

fn owner(owner: &Owner) -> Value {
    let user = owner.id % 100_000 + 4_000;
    json!({
        "id": owner.id.to_string(), "email": owner.email, "type": "PERSON", "firstName": owner.first_name,
        "lastName": owner.last_name,
        // A deactivated person keeps the user id only under the longer name.
        "userId": if owner.archived { Value::Null } else { json!(user) }, "userIdIncludingInactive": user,
        "createdAt": datetime(MADE_MS), "updatedAt": datetime(owner.updated_ms), "archived": owner.archived,
        "teams": [{"id": "5", "name": "EMEA", "primary": true}],
    })
}

/// `GET /crm/v3/pipelines/{object}`.
pub(super) async fn pipelines(
    State(lab): State<Arc<LabState>>,
    Extension(call): Extension<Call>,
    Path(segment): Path<String>,
) -> Response {
    if Object::parse(&segment) != Some(Object::Deals) {
        return problem::unknown_object(&call.id, &segment);
    }
    problem::ok(&json!({"results": shown_pipelines(&lab)}))
}

/// Every owner, or every deactivated one, as the list shows them.
pub(crate) fn shown_owners(lab: &LabState, archived: bool) -> Vec<Value> {
    lab.directory().owners(archived).map(owner).collect()
}

/// Every pipeline with its stages, as the list shows them.
pub(crate) fn shown_pipelines(lab: &LabState) -> Vec<Value> {
    let directory = lab.directory();
    directory.pipelines().iter().enumerate().map(|(order, one)| pipeline(order, one)).collect()
}

fn pipeline(order: usize, pipeline: &Pipeline) -> Value {
    let made_at = datetime(MADE_MS);
    let stages = pipeline.stages.iter().enumerate().map(|(order, stage)| {
        let closed = matches!(stage.probability.as_str(), "1.0" | "0.0");
        json!({
            "id": stage.id, "label": stage.label, "displayOrder": order, "archived": false,
            "metadata": {"isClosed": closed.to_string(), "probability": stage.probability},
            "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT", "createdAt": made_at, "updatedAt": made_at,
        })
    });
    json!({
        "id": pipeline.id, "label": pipeline.label, "displayOrder": order, "archived": false,
        "createdAt": made_at, "updatedAt": made_at, "stages": stages.collect::<Vec<_>>(),
    })
}

fn datetime(unix_ms: i64) -> String {
    let mut text = String::new();
    push_datetime(&mut text, unix_ms);
    text
}

/// `GET /crm/v3/properties/{object}`.
pub(super) async fn properties(Extension(call): Extension<Call>, Path(segment): Path<String>) -> Response {
    let Some(object) = Object::parse(&segment) else { return problem::unknown_object(&call.id, &segment) };
    let described: Vec<Value> =
        object.properties().iter().map(|property| describe(object, property)).collect();
    problem::ok(&json!({"results": described}))
}

fn describe(object: Object, property: &Property) -> Value {
    let (kind, field) = property.kind.wire();
    let options = property.options.iter().enumerate().map(
        |(order, value)| json!({"label": value, "value": value, "displayOrder": order, "hidden": false}),
    );
    let mut described = json!({
        "name": property.name, "label": property.label, "type": kind, "fieldType": field,
        "groupName": format!("{}information", object.name()), "options": options.collect::<Vec<_>>(),
        "calculated": false, "hasUniqueValue": property.name == "hs_object_id", "hidden": false,
        "hubspotDefined": !property.custom, "formField": false, "createdAt": datetime(MADE_MS), "updatedAt": datetime(MADE_MS),
        "modificationMetadata": {"archivable": property.custom, "readOnlyDefinition": !property.custom,
            "readOnlyValue": property.always()},
    });
    if property.name == "hubspot_owner_id" {
        described["referencedObjectType"] = json!("OWNER");
    }
    described
}
