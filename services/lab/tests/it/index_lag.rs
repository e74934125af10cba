use std::time::Duration;

use lab::{Change, Object};
use serde_json::{Value, json};

use crate::vendor::{Vendor, ids, small};

/// Which companies the search has, with all that can be asked for in one request.
async fn indexed(vendor: &Vendor) -> Vec<Value> {
    let sort = json!([{"propertyName": "hs_object_id", "direction": "ASCENDING"}]);
    let mut found: Vec<Value> = Vec::new();
    for offset in ["0", "200", "400"] {
        let body = json!({"limit": 200, "after": offset, "sorts": sort, "properties": ["name"]});
        let page: Value = vendor.post("/crm/v3/objects/companies/search", &body).await.json().await.unwrap();
        found.extend(page["results"].as_array().unwrap().iter().cloned());
    }
    found
}

/// How many companies the search says were modified since.
async fn modified_since(vendor: &Vendor, at: &str) -> Value {
    let filter = json!({"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": at});
    let body = json!({"filterGroups": [{"filters": [filter]}]});
    let page: Value = vendor.post("/crm/v3/objects/companies/search", &body).await.json().await.unwrap();
    page["total"].clone()
}

#[tokio::test]
async fn search_lags_behind_every_kind_of_change_and_lists_do_not() {
    let vendor = Vendor::start(small()).await;
    vendor.lab.change(Change { archive: 50, seed: 3, ..Change::of(Object::Companies) });
    vendor.lab.advance(Duration::from_secs(60));
    assert_eq!(vendor.post("/_lab/settings", &json!({"searchLagMs": 30_000})).await.status(), 204);
    let before = indexed(&vendor).await;
    assert_eq!(before.len(), 550);

    let change = Change {
        edit: 60,
        archive: 5,
        restore: 6,
        merge: 7,
        hard_delete: 8,
        timestamp_ms: Some(1_793_872_800_000),
        ..Change::of(Object::Companies)
    };
    let changed = vendor.lab.change(change.clone());
    assert_eq!(indexed(&vendor).await, before);
    assert_eq!(modified_since(&vendor, "1793872800000").await, 0);
    assert_eq!(vendor.lab.records(Object::Companies).unwrap().len(), 550 - 5 + 6 - 7 - 8);

    vendor.lab.advance(Duration::from_secs(30));
    let after = indexed(&vendor).await;
    let listed = vendor.list("/crm/v3/objects/companies?properties=name").await;
    assert_eq!(after, listed);
    let edited: Vec<&Value> =
        after.iter().filter(|record| record["updatedAt"] == "2026-11-05T10:00:00Z").collect();
    assert_eq!(edited.len(), 60);
    assert!(changed.restored.iter().all(|id| ids(&after).contains(id)));

    // The second edit of a record is late as well: until then the first one shows.
    vendor.lab.change(Change { timestamp_ms: Some(1_893_456_000_000), ..change });
    assert_eq!(indexed(&vendor).await, after);
    vendor.lab.set_search_lag(Duration::ZERO);
    assert_eq!(modified_since(&vendor, "2030-01-01").await, 60);
}

#[tokio::test]
async fn settings_and_the_clock_are_set_one_by_one() {
    let vendor = Vendor::start(small()).await;
    for (path, body, status) in [
        ("/_lab/settings", json!({"searchLagMs": 60_000}), 204),
        ("/_lab/settings", json!({"retryAfter": "always"}), 204),
        ("/_lab/settings", json!({"searchLag": 1}), 400),
        ("/_lab/clock", json!({"advanceMs": 5_000}), 204),
        ("/_lab/clock", json!({}), 400),
    ] {
        assert_eq!(vendor.post(path, &body).await.status(), status, "{path} {body}");
    }
    vendor.lab.change(Change { edit: 10, ..Change::of(Object::Companies) });
    let before_the_lab_began = "2026-11-02";
    assert_eq!(modified_since(&vendor, before_the_lab_began).await, 0, "one setting leaves the others alone");
    vendor.lab.advance(Duration::from_secs(60));
    let shown = indexed(&vendor).await;
    assert_eq!(
        shown
            .iter()
            .filter(|record| record["properties"]["name"].as_str().unwrap_or("").ends_with("(rev 1)"))
            .count(),
        10
    );
}

#[tokio::test]
async fn an_advanced_clock_frees_the_window() {
    let limits = lab::Limits { objects_per_10s: 1, search_per_s: 1, daily: 0 };
    let vendor = Vendor::start(lab::LabConfig { limits, ..small() }).await;
    assert_eq!(vendor.get("/crm/v3/objects/deals").await.status(), 200);
    assert_eq!(vendor.get("/crm/v3/objects/deals").await.status(), 429);
    vendor.lab.advance(Duration::from_secs(10));
    assert_eq!(vendor.get("/crm/v3/objects/deals").await.status(), 200);
}
