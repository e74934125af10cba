use std::time::Duration;

use lab::{LabConfig, Limits};
use serde_json::{Value, json};

use crate::vendor::{Vendor, small};

async fn owner_ids(vendor: &Vendor, archived: bool) -> Vec<Value> {
    let owners = vendor.json(&format!("/crm/v3/owners?archived={archived}")).await;
    owners["results"].as_array().unwrap().iter().map(|owner| owner["id"].clone()).collect()
}

async fn stages(vendor: &Vendor) -> Vec<String> {
    let pipelines = vendor.json("/crm/v3/pipelines/deals").await;
    let pipelines = pipelines["results"].as_array().unwrap();
    let stages = pipelines.iter().flat_map(|pipeline| pipeline["stages"].as_array().unwrap());
    stages.map(|stage| stage["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_owner_that_is_archived_moves_to_the_other_list_and_loses_the_user_id() {
    let vendor = Vendor::start(small()).await;
    assert!(vendor.lab.set_owner_archived(77_001, true));
    assert_eq!(owner_ids(&vendor, true).await, ["55001", "77001"]);
    assert!(!owner_ids(&vendor, false).await.contains(&json!("77001")));
    let archived = vendor.json("/crm/v3/owners?archived=true&after=77001").await;
    let owner = &archived["results"][0];
    assert_eq!((&owner["userId"], &owner["archived"]), (&Value::Null, &json!(true)));
    assert_eq!(owner["userIdIncludingInactive"], 81_001);
    assert!(owner["updatedAt"].as_str() > owner["createdAt"].as_str());

    assert_eq!(vendor.post("/_lab/owners/77001", &json!({"archived": false})).await.status(), 204);
    assert_eq!(owner_ids(&vendor, true).await, ["55001"]);
    assert_eq!(vendor.post("/_lab/owners/1", &json!({"archived": true})).await.status(), 404);
}

#[tokio::test]
async fn a_stage_comes_and_goes() {
    let vendor = Vendor::start(small()).await;
    let before = stages(&vendor).await;
    assert!(vendor.lab.remove_stage("default", "contractsent"));
    assert!(!vendor.lab.remove_stage("default", "contractsent"));
    assert_eq!(stages(&vendor).await.len(), before.len() - 1);
    assert!(!stages(&vendor).await.contains(&"contractsent".to_owned()));

    let path = "/_lab/pipelines/7755001/stages/118820009";
    let stage = json!({"label": "On hold", "probability": "0.1"});
    assert_eq!(vendor.post(path, &stage).await.status(), 204);
    assert_eq!(stages(&vendor).await.last().unwrap(), "118820009");
    let removed = vendor.http.delete(format!("{}{path}", vendor.lab.url)).send().await.unwrap();
    assert_eq!(removed.status(), 204);
    assert_eq!(stages(&vendor).await.len(), before.len() - 1);
    assert_eq!(vendor.post("/_lab/pipelines/1/stages/2", &stage).await.status(), 404);
}

#[tokio::test]
async fn an_account_has_the_time_zone_that_it_was_given() {
    let vendor = Vendor::start(small()).await;
    let details = vendor.json("/account-info/v3/details").await;
    assert_eq!((&details["timeZone"], &details["utcOffset"]), (&json!("UTC"), &json!("+00:00")));
    vendor.lab.set_time_zone(42, "America/St_Johns", -150);
    let details = vendor.json("/account-info/v3/details").await;
    assert_eq!((&details["timeZone"], &details["utcOffset"]), (&json!("America/St_Johns"), &json!("-02:30")));
    assert_eq!(details["utcOffsetMilliseconds"], -9_000_000);
}

#[tokio::test]
async fn the_day_of_an_account_ends_at_its_own_midnight() {
    let limits = Limits { daily: 2, ..Limits::unlimited() };
    let vendor = Vendor::start(LabConfig { limits, ..small() }).await;
    // However late it is, some whole offset brings the account to the last hour of its day.
    let now = vendor.lab.now_ms().rem_euclid(86_400_000);
    let offset = i32::try_from(23 - now / 3_600_000).unwrap() * 60;
    let zone = json!({"timeZone": "Somewhere", "utcOffsetMinutes": offset});
    assert_eq!(vendor.post("/_lab/accounts/42", &zone).await.status(), 204);
    for status in [200, 200, 429] {
        assert_eq!(vendor.get("/crm/v3/owners").await.status(), status);
    }
    let refused = vendor.get("/crm/v3/owners").await;
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(wait <= 3_600, "{wait}");
    assert_eq!(refused.json::<Value>().await.unwrap()["policyName"], "DAILY");
    vendor.lab.advance(Duration::from_secs(wait));
    assert_eq!(vendor.get("/crm/v3/owners").await.status(), 200);
}
