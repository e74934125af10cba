use lab::{LabConfig, Object};
use serde_json::{Value, json};

use crate::vendor::{Vendor, ids, small};

async fn search(vendor: &Vendor, object: &str, body: Value) -> Value {
    let response = vendor.post(&format!("/crm/v3/objects/{object}/search"), &body).await;
    response.error_for_status().unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_search_without_filters_finds_everything_by_offset() {
    let vendor = Vendor::start(small()).await;
    let first = search(&vendor, "deals", json!({"limit": 200})).await;
    assert_eq!((&first["total"], &first["paging"]["next"]["after"]), (&json!(250), &json!("200")));
    assert_eq!(first["paging"]["next"].get("link"), None);
    let rest = search(&vendor, "deals", json!({"limit": 200, "after": "200"})).await;
    assert_eq!(rest["results"].as_array().unwrap().len(), 50);
    assert_eq!(rest.get("paging"), None);
}

#[tokio::test]
async fn a_time_window_walked_by_id_finds_each_changed_record_once() {
    let vendor = Vendor::start(small()).await;
    let (from, to) = ("2025-01-01T00:00:00Z", "1767225600000");
    let mut found = Vec::new();
    loop {
        let last = found.last().copied().unwrap_or(0u64).to_string();
        let page = search(
            &vendor,
            "contacts",
            json!({"limit": 30, "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
                "filterGroups": [{"filters": [
                    {"propertyName": "lastmodifieddate", "operator": "BETWEEN", "value": from, "highValue": to},
                    {"propertyName": "hs_object_id", "operator": "GT", "value": last}]}]}),
        )
        .await;
        let page = ids(page["results"].as_array().unwrap());
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    let inside = |record: &Value| {
        let at = record["updatedAt"].as_str().unwrap();
        (from..="2026-01-01T00:00:00Z").contains(&at)
    };
    let changed: Vec<Value> =
        vendor.lab.records(Object::Contacts).unwrap().into_iter().filter(inside).collect();
    assert!(found.len() > 60);
    assert_eq!(found, ids(&changed));
}

#[tokio::test]
async fn a_touched_record_is_the_newest_and_an_archived_one_is_hidden() {
    let vendor = Vendor::start(small()).await;
    let all = ids(&vendor.lab.records(Object::Companies).unwrap());
    assert!(vendor.lab.touch(Object::Companies, all[7]));
    assert!(vendor.lab.set_archived(Object::Companies, all[8], true));
    assert!(!vendor.lab.touch(Object::Companies, 1));
    let sort = json!([{"propertyName": "hs_lastmodifieddate", "direction": "DESCENDING"}]);
    let newest = search(&vendor, "companies", json!({"limit": 1, "sorts": sort})).await;
    assert_eq!(ids(newest["results"].as_array().unwrap()), [all[7]]);
    assert_eq!(newest["total"], 599);
}

#[tokio::test]
async fn searches_past_ten_thousand_or_beyond_the_limits_are_refused() {
    let vendor = Vendor::start(LabConfig { contacts: 10_100, ..small() }).await;
    let filter = json!({"propertyName": "city", "operator": "EQ", "value": "Berlin"});
    for body in [
        json!({"limit": 200, "after": "9801"}),
        json!({"limit": 201}),
        json!({"sorts": ["city", "zip"]}),
        json!({"filterGroups": vec![json!({"filters": [filter]}); 6]}),
        json!({"filterGroups": [{"filters": vec![filter.clone(); 7]}]}),
        json!({"filterGroups": [{"filters": [{"propertyName": "lastmodifieddate", "operator": "GT", "value": "soon"}]}]}),
        json!({"properties": ["x".repeat(3_000)]}),
    ] {
        let response = vendor.post("/crm/v3/objects/contacts/search", &body).await;
        assert_eq!(response.status(), 400, "{body}");
    }
    let last = search(&vendor, "contacts", json!({"limit": 200, "after": "9800"})).await;
    assert_eq!((&last["total"], &last["paging"]["next"]["after"]), (&json!(10_100), &json!("10000")));
    assert_eq!(
        vendor.post("/crm/v3/objects/contacts/search", &json!({"after": "10000"})).await.status(),
        400
    );
}
