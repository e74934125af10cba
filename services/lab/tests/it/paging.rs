use lab::Object;
use serde_json::{Value, json};

use crate::vendor::{Vendor, ids, small};

#[tokio::test]
async fn all_pages_together_are_all_records_in_order_of_id() {
    let vendor = Vendor::start(small()).await;
    let listed = ids(&vendor.list("/crm/v3/objects/deals?properties=amount").await);
    assert_eq!(listed.len(), 250);
    assert!(listed.is_sorted_by(|a, b| a < b));
    assert_eq!(listed, ids(&vendor.lab.records(Object::Deals).unwrap()));

    let stats = vendor.lab.stats().await;
    assert_eq!((stats.pages_served, stats.listed_records["deals"]), (3, 250));
    assert_eq!(stats.pages_fetched_twice.count, 0);
}

#[tokio::test]
async fn a_page_is_not_shifted_by_a_record_archived_before_it() {
    let vendor = Vendor::start(small()).await;
    let first = vendor.json("/crm/v3/objects/contacts?limit=5").await;
    let after = first["paging"]["next"]["after"].as_str().unwrap();
    let second = vendor.json(&format!("/crm/v3/objects/contacts?limit=5&after={after}")).await;

    let gone = ids(first["results"].as_array().unwrap())[2];
    assert!(vendor.lab.set_archived(Object::Contacts, gone, true));
    let again = vendor.json(&format!("/crm/v3/objects/contacts?limit=5&after={after}")).await;
    assert_eq!(again, second);

    let archived = vendor.json("/crm/v3/objects/contacts?archived=true").await;
    assert_eq!(ids(archived["results"].as_array().unwrap()), [gone]);
    assert_eq!(archived["results"][0]["archived"], true);
    assert!(archived["results"][0]["archivedAt"].is_string());
    assert_eq!(archived.get("paging"), None);
}

#[tokio::test]
async fn unknown_properties_are_dropped_and_values_are_strings_or_null() {
    let vendor = Vendor::start(small()).await;
    let page =
        vendor.json("/crm/v3/objects/0-1?limit=100&properties=city,no_such_thing,newsletter_opt_in").await;
    let mut nulls = 0;
    for record in page["results"].as_array().unwrap() {
        let properties = record["properties"].as_object().unwrap();
        let names: Vec<&str> = properties.keys().map(String::as_str).collect();
        assert_eq!(names, ["city", "createdate", "hs_object_id", "lastmodifieddate", "newsletter_opt_in"]);
        assert!(properties.values().all(|value| value.is_string() || value.is_null()));
        nulls += properties.values().filter(|value| value.is_null()).count();
    }
    assert!(nulls > 0);
}

#[tokio::test]
async fn without_properties_the_defaults_come_back() {
    let vendor = Vendor::start(small()).await;
    for (object, defaults) in [
        (
            "contacts",
            vec!["createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"],
        ),
        ("companies", vec!["createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name"]),
    ] {
        let page = vendor.json(&format!("/crm/v3/objects/{object}")).await;
        let records = page["results"].as_array().unwrap();
        assert_eq!(records.len(), 10);
        assert_eq!(records[0]["properties"].as_object().unwrap().keys().collect::<Vec<_>>(), defaults);
    }
}

#[tokio::test]
async fn nonsense_is_refused_with_the_vendors_envelope() {
    let vendor = Vendor::start(small()).await;
    for path in [
        "/crm/v3/objects/deals?limit=101",
        "/crm/v3/objects/deals?limit=0",
        "/crm/v3/objects/deals?after=abc",
        "/crm/v3/objects/unicorns",
        "/crm/v3/objects/deals?associations=companies",
    ] {
        let response = vendor.get(path).await;
        assert_eq!(response.status(), 400, "{path}");
        let body: Value = response.json().await.unwrap();
        assert_eq!((&body["status"], &body["category"]), (&json!("error"), &json!("VALIDATION_ERROR")));
    }
    assert_eq!(vendor.get("/crm/v3/nowhere").await.status(), 404);
    let long = "x".repeat(16_000);
    assert_eq!(vendor.get(&format!("/crm/v3/objects/deals?properties={long}")).await.status(), 414);
}

#[tokio::test]
async fn only_tokens_of_the_lab_are_let_in() {
    let mut vendor = Vendor::start(small()).await;
    for token in ["", "pat-na1-1", "pat-lab-", "pat-lab-x", "pat-lab-+1", "pat-lab-1x"] {
        vendor.token = token.to_owned();
        let response = vendor.get("/crm/v3/objects/deals").await;
        assert_eq!(response.status(), 401, "{token:?}");
        assert_eq!(response.headers()["x-hubspot-auth-failure"], "401 Unauthorized");
        assert!(response.headers().contains_key("x-hubspot-correlation-id"));
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["category"], "INVALID_AUTHENTICATION");
    }
    for token in ["pat-lab-9001", "pat-lab-9001-rotated"] {
        vendor.token = token.to_owned();
        assert_eq!(vendor.json("/account-info/v3/details").await["portalId"], 9001);
    }
}

#[tokio::test]
async fn the_schema_the_owners_and_the_pipelines_fit_the_records() {
    let vendor = Vendor::start(small()).await;
    let schema = vendor.json("/crm/v3/properties/deals").await;
    let names: Vec<&str> =
        schema["results"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert!(names.is_sorted_by(|a, b| a < b));
    let owners = vendor.json("/crm/v3/owners?limit=500").await;
    let owners: Vec<&Value> = owners["results"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    let pipelines = vendor.json("/crm/v3/pipelines/deals").await;
    let pipelines: Vec<&Value> =
        pipelines["results"].as_array().unwrap().iter().map(|one| &one["id"]).collect();

    for deal in vendor.lab.records(Object::Deals).unwrap() {
        let properties = deal["properties"].as_object().unwrap();
        assert_eq!(properties.keys().collect::<Vec<_>>(), names);
        assert!(pipelines.contains(&&properties["pipeline"]));
        let owner = &properties["hubspot_owner_id"];
        assert!(owner.is_null() || owner == "" || owners.contains(&owner));
    }
}
