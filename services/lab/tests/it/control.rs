use lab::{Object, Stats};
use serde_json::{Value, json};

use crate::vendor::{Vendor, ids, small};

#[tokio::test]
async fn the_truth_is_served_line_by_line() {
    let vendor = Vendor::start(small()).await;
    let lines = vendor.get("/_lab/records/contacts").await.text().await.unwrap();
    let records: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records, vendor.lab.records(Object::Contacts).unwrap());
    assert_eq!(records.len(), 1_000);
    let expected = vendor.json("/_lab/expect").await;
    assert_eq!(
        (&expected["contacts"]["records"], &expected["deals"]["untransformable"]),
        (&json!(1_000), &json!(1))
    );
}

#[tokio::test]
async fn a_page_fetched_twice_shows_in_the_stats_until_they_are_reset() {
    let vendor = Vendor::start(small()).await;
    for after in [0, 0, 700] {
        vendor.json(&format!("/crm/v3/objects/contacts?limit=20&after={after}")).await;
    }
    let stats: Stats = vendor.get("/_lab/stats").await.json().await.unwrap();
    assert_eq!(stats.pages_fetched_twice.count, 1);
    let page = &stats.pages_fetched_twice.list[0];
    assert_eq!(
        (page.portal, page.object.as_str(), page.after, page.limit, page.times),
        (42, "contacts", 0, 20, 2)
    );
    assert_eq!((stats.requests, stats.by_object["contacts"]), (3, 3));
    assert!(stats.by_portal["42"].last_request_at >= stats.by_portal["42"].first_request_at);

    assert_eq!(vendor.post("/_lab/reset", &json!({"windows": true})).await.status(), 204);
    assert_eq!(vendor.lab.stats().await, Stats::default());
    // The counter that tests wait for goes on, so that nobody waits for ever.
    vendor.lab.wait_for_requests(3).await;
}

#[tokio::test]
async fn faults_are_set_read_and_cleared_over_http() {
    let vendor = Vendor::start(small()).await;
    let rules = json!([{"kind": "status", "status": 500, "count": 3, "path": "deals"}]);
    assert_eq!(vendor.post("/_lab/faults", &rules).await.status(), 204);
    assert_eq!(vendor.get("/crm/v3/objects/deals").await.status(), 500);
    assert_eq!(vendor.json("/_lab/faults").await[0]["count"], 2);
    let cleared = vendor.http.delete(format!("{}/_lab/faults", vendor.lab.url)).send().await.unwrap();
    assert_eq!(cleared.status(), 204);
    assert_eq!(vendor.get("/crm/v3/objects/deals").await.status(), 200);
}

#[tokio::test]
async fn wrong_control_input_is_explained() {
    let vendor = Vendor::start(small()).await;
    for (path, body, says) in [
        ("/_lab/faults", json!([{"kind": "flood"}]), "unknown variant `flood`"),
        ("/_lab/faults", json!([{"kind": "html", "portl": 1}]), "unknown field `portl`"),
        ("/_lab/faults", json!([{"kind": "status"}]), "rule 0: kind `status` needs a `status`"),
        ("/_lab/reset", json!({"window": true}), "unknown field `window`"),
        ("/_lab/settings", json!({"retryAfter": "maybe"}), "unknown variant `maybe`"),
        ("/_lab/records/deals/79", json!({}), "say `archived`"),
    ] {
        let response = vendor.post(path, &body).await;
        assert_eq!(response.status(), 400, "{path} {body}");
        let answer: Value = response.json().await.unwrap();
        assert!(answer["error"].as_str().unwrap().contains(says), "{answer}");
    }
    assert_eq!(vendor.get("/_lab/nothing").await.status(), 404);
    assert_eq!(vendor.get("/_lab/records/unicorns").await.status(), 404);
}

#[tokio::test]
async fn records_are_changed_over_http() {
    let vendor = Vendor::start(small()).await;
    let all = ids(&vendor.lab.records(Object::Deals).unwrap());
    let path = format!("/_lab/records/deals/{}", all[0]);
    assert_eq!(vendor.post(&path, &json!({"touch": true})).await.status(), 204);
    let touched = vendor.lab.records(Object::Deals).unwrap().remove(0);
    assert!(touched["properties"]["hs_next_step"].as_str().unwrap().ends_with("(rev 1)"));
    assert_eq!(vendor.post(&path, &json!({"archived": true})).await.status(), 204);
    assert_eq!(ids(&vendor.lab.records(Object::Deals).unwrap()), all[1..]);
    assert_eq!(vendor.post("/_lab/records/deals/1", &json!({"touch": true})).await.status(), 404);
}
