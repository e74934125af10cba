use lab::{Change, LabConfig, Limits, Object};
use serde_json::{Value, json};

use crate::vendor::{Vendor, ids, small};

/// The status and the body of a batch read of these ids.
async fn read(vendor: &Vendor, query: &str, ids: &[u64]) -> (u16, Value) {
    let inputs: Vec<Value> = ids.iter().map(|id| json!({"id": id.to_string()})).collect();
    let body = json!({"properties": ["city", "no_such_thing"], "inputs": inputs});
    let response = vendor.post(&format!("/crm/v3/objects/contacts/batch/read{query}"), &body).await;
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_batch_read_gives_each_record_once_as_the_list_does() {
    let vendor = Vendor::start(small()).await;
    let listed = vendor.json("/crm/v3/objects/contacts?limit=100&properties=city").await;
    let all = ids(listed["results"].as_array().unwrap());
    let asked: Vec<u64> = all.iter().rev().copied().take(99).chain([all[99]]).collect();
    let (status, body) = read(&vendor, "", &asked).await;
    assert_eq!((status, &body["status"]), (200, &json!("COMPLETE")));
    assert_eq!(body["results"].as_array().unwrap()[..], listed["results"].as_array().unwrap()[1..]);
    assert_eq!((body.get("errors"), body.get("numErrors")), (None, None));
    assert!(body["startedAt"].is_string() && body["completedAt"].is_string());
}

#[tokio::test]
async fn missing_ids_of_a_batch_read_are_named_in_a_207() {
    let vendor = Vendor::start(small()).await;
    let all = ids(&vendor.lab.records(Object::Contacts).unwrap());
    assert!(vendor.lab.set_archived(Object::Contacts, all[3], true));
    let asked = [all[2], all[3], 1_999_999];
    let (status, body) = read(&vendor, "", &asked).await;
    assert_eq!((status, ids(body["results"].as_array().unwrap())), (207, vec![all[2]]));
    assert_eq!((&body["status"], &body["numErrors"]), (&json!("COMPLETE"), &json!(1)));
    assert_eq!(body["errors"][0]["category"], "OBJECT_NOT_FOUND");
    assert_eq!(body["errors"][0]["context"]["ids"], json!([all[3].to_string(), "1999999"]));

    let (status, body) = read(&vendor, "?archived=true", &asked).await;
    assert_eq!((status, ids(body["results"].as_array().unwrap())), (207, vec![all[3]]));
    assert_eq!(body["results"][0]["archived"], true);
    let (status, body) = read(&vendor, "?archived=true", &[all[3]]).await;
    assert_eq!((status, body.get("errors")), (200, None));
}

#[tokio::test]
async fn a_batch_read_that_asks_too_much_is_refused() {
    let vendor = Vendor::start(small()).await;
    let many: Vec<u64> = (1..=101).collect();
    let (status, body) = read(&vendor, "", &many).await;
    assert_eq!((status, &body["category"]), (400, &json!("VALIDATION_ERROR")));
    assert_eq!(read(&vendor, "", &many[1..]).await.0, 207);
    for body in
        [json!({}), json!({"inputs": [], "idProperty": "email"}), json!({"inputs": [{"email": "a@b.test"}]})]
    {
        let response = vendor.post("/crm/v3/objects/contacts/batch/read", &body).await;
        assert_eq!(response.status(), 400, "{body}");
    }
    let unknown = vendor.post("/crm/v3/objects/unicorns/batch/read", &json!({"inputs": []})).await;
    assert_eq!(unknown.status(), 400);
}

#[tokio::test]
async fn a_batch_read_takes_a_place_in_the_window_of_the_objects() {
    let limits = Limits { objects_per_10s: 2, search_per_s: 1, daily: 0 };
    let vendor = Vendor::start(LabConfig { limits, ..small() }).await;
    assert_eq!(read(&vendor, "", &[1]).await.0, 207);
    assert_eq!(vendor.get("/crm/v3/objects/contacts/1").await.status(), 404);
    let (status, body) = read(&vendor, "", &[1]).await;
    assert_eq!((status, &body["policyName"]), (429, &json!("TEN_SECONDLY_ROLLING")));
    assert_eq!(vendor.lab.stats().await.by_object["contacts"], 3);
}

#[tokio::test]
async fn the_id_of_a_merged_record_answers_with_the_survivor() {
    let vendor = Vendor::start(small()).await;
    let merges = vendor.lab.change(Change { merge: 5, ..Change::of(Object::Contacts) }).merged;
    for merge in &merges {
        let path = format!("/crm/v3/objects/contacts/{}?properties=hs_merged_object_ids", merge.loser);
        let answered = vendor.json(&path).await;
        assert_eq!(answered["id"], merge.survivor.to_string());
        let merged = answered["properties"]["hs_merged_object_ids"].as_str().unwrap();
        assert!(merged.split(';').any(|id| id == merge.loser.to_string()), "{merged}");
    }
    let (survivor, losers) = (merges[0].survivor, [merges[0].loser, merges[1].loser]);
    let (status, body) = read(&vendor, "", &[losers[0], survivor, losers[1]]).await;
    assert_eq!(status, 200);
    assert_eq!(ids(body["results"].as_array().unwrap()), [survivor, merges[1].survivor]);

    assert!(vendor.lab.set_archived(Object::Contacts, survivor, true));
    assert_eq!(vendor.get(&format!("/crm/v3/objects/contacts/{}", losers[0])).await.status(), 404);
    assert!(!vendor.lab.touch(Object::Contacts, losers[0]), "what was merged away cannot be changed");
}
