use std::time::Instant;

use lab::{LabConfig, Object};
use serde_json::{Value, json};

use crate::vendor::{Vendor, ids, small};

async fn search(vendor: &Vendor, filters: Value, more: Value) -> Value {
    let mut body = json!({"limit": 200, "filterGroups": [{"filters": filters}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let response = vendor.post("/crm/v3/objects/deals/search", &body).await;
    response.error_for_status().unwrap().json().await.unwrap()
}

fn by_id(operator: &str, id: impl ToString) -> Value {
    json!({"propertyName": "hs_object_id", "operator": operator, "value": id.to_string()})
}

fn descending() -> Value {
    json!({"sorts": [{"propertyName": "hs_object_id", "direction": "DESCENDING"}]})
}

/// Deals of which some are gone in each way that there is, and the ids of all that there ever were.
async fn worn() -> (Vendor, Vec<u64>) {
    let vendor = Vendor::start(small()).await;
    let all = ids(&vendor.lab.records(Object::Deals).unwrap());
    for id in [all[110], all[111], all[140]] {
        assert!(vendor.lab.set_archived(Object::Deals, id, true));
    }
    assert!(vendor.lab.touch(Object::Deals, all[120]));
    vendor.lab.change(lab::Change { hard_delete: 30, merge: 10, ..lab::Change::of(Object::Deals) });
    (vendor, all)
}

#[tokio::test]
async fn every_range_of_ids_is_found_whole_with_its_total_from_either_end() {
    let (vendor, all) = worn().await;
    let live = ids(&vendor.lab.records(Object::Deals).unwrap());
    let (low, high) = (all[100], all[150]);
    let between = json!({"propertyName": "hs_object_id", "operator": "BETWEEN",
        "value": low.to_string(), "highValue": high.to_string()});
    let cases: [(Value, &dyn Fn(u64) -> bool); 8] = [
        (json!([between]), &|id| (low..=high).contains(&id)),
        (json!([by_id("GT", low), by_id("LT", high)]), &|id| id > low && id < high),
        (json!([by_id("GTE", low), by_id("LTE", high)]), &|id| id >= low && id <= high),
        (json!([by_id("LT", all[0])]), &|_| false),
        (json!([by_id("LT", 0)]), &|_| false),
        (json!([by_id("GT", high), by_id("LT", low)]), &|_| false),
        (json!([by_id("EQ", all[120])]), &|id| id == all[120]),
        (json!([by_id("NEQ", all[120]), by_id("GTE", low), by_id("LT", all[121])]), &|id| {
            id >= low && id < all[120]
        }),
    ];
    for (filters, is_inside) in cases {
        let expected: Vec<u64> = live.iter().copied().filter(|id| is_inside(*id)).collect();
        let up = search(&vendor, filters.clone(), json!({})).await;
        assert_eq!(ids(up["results"].as_array().unwrap()), expected, "{filters}");
        assert_eq!((&up["total"], up.get("paging")), (&json!(expected.len()), None), "{filters}");
        let down = search(&vendor, filters.clone(), descending()).await;
        let expected: Vec<u64> = expected.into_iter().rev().collect();
        assert_eq!(ids(down["results"].as_array().unwrap()), expected, "{filters}");
    }
}

#[tokio::test]
async fn alternatives_of_ranges_are_found_together() {
    let (vendor, all) = worn().await;
    let live = ids(&vendor.lab.records(Object::Deals).unwrap());
    let body = json!({"limit": 200, "filterGroups": [
        {"filters": [by_id("LT", all[20])]}, {"filters": [by_id("GTE", all[200])]}]});
    let found = vendor.post("/crm/v3/objects/deals/search", &body).await;
    let found: Value = found.json().await.unwrap();
    let expected: Vec<u64> = live.into_iter().filter(|id| *id < all[20] || *id >= all[200]).collect();
    assert_eq!(ids(found["results"].as_array().unwrap()), expected);
}

#[tokio::test]
async fn an_account_is_walked_downwards_page_by_page() {
    let (vendor, all) = worn().await;
    let mut live = ids(&vendor.lab.records(Object::Deals).unwrap());
    let mut found: Vec<u64> = Vec::new();
    loop {
        let below = found.last().copied().unwrap_or(all[249] + 1);
        let mut more = descending();
        more["limit"] = json!(30);
        let page = search(&vendor, json!([by_id("LT", below)]), more).await;
        let left = live.len() - found.len();
        assert_eq!((&page["total"], page.get("paging").is_some()), (&json!(left), left > 30));
        found.extend(ids(page["results"].as_array().unwrap()));
        if page.get("paging").is_none() {
            break;
        }
    }
    live.reverse();
    assert_eq!(found, live);
}

#[tokio::test]
async fn a_range_costs_its_own_size_and_not_that_of_the_account() {
    let vendor = Vendor::start(LabConfig { deals: 20_000_000, ..small() }).await;
    let started = Instant::now();
    for filters in [json!([]), json!([by_id("LT", 50_000_000_000u64)])] {
        let page = search(&vendor, filters, descending()).await;
        assert_eq!(page["results"].as_array().unwrap().len(), 200);
    }
    let narrow = json!([by_id("GT", 20_000_000_000u64), by_id("LT", 20_001_000_000u64),
        {"propertyName": "hs_lastmodifieddate", "operator": "GT", "value": "0"}]);
    let found = search(&vendor, narrow, descending()).await;
    assert!((300..400).contains(&found["total"].as_u64().unwrap()), "{}", found["total"]);
    // To make a deal takes about 100 ns, so all of them took seconds.
    assert!(started.elapsed().as_secs() < 2, "{:?}", started.elapsed());
}
