//! Everything small: the account, its owners, its pipelines and its properties.

use axum::Extension;
use axum::extract::{Path, Query};
use axum::response::Response;
use serde_json::{Value, json};

use super::data::{OWNERS, PIPELINES, Property};
use super::gate::Call;
use super::query::limit;
use super::{Object, problem};

const MADE_AT: &str = "2019-01-01T00:00:00Z";

/// `GET /account-info/v3/details`.
pub(super) async fn details(Extension(call): Extension<Call>) -> Response {
    problem::ok(&json!({
        "portalId": call.portal, "accountType": "STANDARD", "timeZone": "UTC", "companyCurrency": "EUR",
        "additionalCurrencies": ["USD", "CHF", "JPY", "GBP"], "utcOffset": "+00:00", "utcOffsetMilliseconds": 0,
        "uiDomain": "app-eu1.hubspot.com", "dataHostingLocation": "eu1",
    }))
}

/// `GET /crm/v3/owners`.
pub(super) async fn owners(
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
    let all: Vec<Value> = if archived {
        vec![owner(&(55_001, "Old", "Timer", "old@lab.test"), true)]
    } else {
        OWNERS.iter().filter(|(id, ..)| *id >= after).map(|known| owner(known, false)).collect()
    };
    let page_size = usize::try_from(page_size).unwrap_or(100);
    let mut body = json!({"results": all.iter().take(page_size).collect::<Vec<_>>()});
    if let Some(next) = all.get(page_size) {
        body["paging"] = json!({"next": {"after": next["id"]}});
    }
    problem::ok(&body)
}

fn owner((id, first, last, email): &(u64, &str, &str, &str), archived: bool) -> Value {
    let user = id % 100_000 + 4_000;
    json!({
        "id": id.to_string(), "email": email, "type": "PERSON", "firstName": first, "lastName": last,
        // A deactivated person keeps the user id only under the longer name.
        "userId": if archived { Value::Null } else { json!(user) }, "userIdIncludingInactive": user,
        "createdAt": MADE_AT, "updatedAt": MADE_AT, "archived": archived,
        "teams": [{"id": "5", "name": "EMEA", "primary": true}],
    })
}

/// `GET /crm/v3/pipelines/{object}`.
pub(super) async fn pipelines(Extension(call): Extension<Call>, Path(segment): Path<String>) -> Response {
    if Object::parse(&segment) != Some(Object::Deals) {
        return problem::unknown_object(&call.id, &segment);
    }
    let pipelines = PIPELINES.iter().enumerate().map(|(order, (id, label, stages))| {
        let stages = stages.iter().enumerate().map(|(order, (id, label, probability))| {
            let closed = matches!(*probability, "1.0" | "0.0");
            json!({
                "id": id, "label": label, "displayOrder": order, "archived": false,
                "metadata": {"isClosed": closed.to_string(), "probability": probability},
                "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT", "createdAt": MADE_AT, "updatedAt": MADE_AT,
            })
        });
        json!({
            "id": id, "label": label, "displayOrder": order, "archived": false, "createdAt": MADE_AT,
            "updatedAt": MADE_AT, "stages": stages.collect::<Vec<_>>(),
        })
    });
    problem::ok(&json!({"results": pipelines.collect::<Vec<_>>()}))
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
        "hubspotDefined": !property.custom, "formField": false, "createdAt": MADE_AT, "updatedAt": MADE_AT,
        "modificationMetadata": {"archivable": property.custom, "readOnlyDefinition": !property.custom,
            "readOnlyValue": property.always()},
    });
    if property.name == "hubspot_owner_id" {
        described["referencedObjectType"] = json!("OWNER");
    }
    described
}
