use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};

use crate::vendor::{Vendor, small};

const DEALS: &str = "/crm/v3/objects/deals?limit=1";

async fn ask(vendor: &Vendor, version: &str, refresh_token: &str) -> Response {
    let form = format!(
        "grant_type=refresh_token&client_id=lab-client&client_secret=lab-client-secret&refresh_token={refresh_token}"
    );
    let request = vendor.http.post(format!("{}/oauth/{version}/token", vendor.lab.url)).body(form);
    request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap()
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_at_every_version_of_the_endpoint() {
    let mut vendor = Vendor::start(small()).await;
    let oauth = vendor.lab.oauth(42);
    for version in ["v1", "v3", "2026-03"] {
        let answer = ask(&vendor, version, &oauth.refresh_token).await;
        assert_eq!(answer.status(), 200);
        let body: Value = answer.json().await.unwrap();
        assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("bearer"), &json!(1_800)));
        assert_eq!(body["refresh_token"], oauth.refresh_token.as_str());
        assert_eq!(body.get("hub_id").is_some(), version != "v1");
        vendor.token = body["access_token"].as_str().unwrap().to_owned();
        assert_eq!(vendor.json("/account-info/v3/details").await["portalId"], 42);
    }
    let stats = vendor.lab.stats().await;
    assert_eq!((stats.token_refreshes, stats.requests, stats.by_portal["42"].requests), (3, 6, 3));
    assert_eq!(stats.by_portal["42"].accepted, 3, "tokens count against no limit");
    assert_eq!(ask(&vendor, "v2", &oauth.refresh_token).await.status(), 404);
}

#[tokio::test]
async fn a_refresh_token_that_is_nobodys_is_refused() {
    let vendor = Vendor::start(small()).await;
    let answer = ask(&vendor, "v1", "refresh-lab-42-9").await;
    assert_eq!(answer.status(), 400);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["status"], "BAD_REFRESH_TOKEN");
    assert_eq!(body["message"], "missing or invalid refresh token");
    let body: Value = ask(&vendor, "v3", "x").await.json().await.unwrap();
    assert_eq!(body["error"], "invalid_grant");
    let good = vendor.lab.oauth(42).refresh_token;
    let body = json!({"grant_type": "refresh_token", "client_id": "lab-client",
        "client_secret": "lab-client-secret", "refresh_token": good});
    assert_eq!(vendor.post("/oauth/v3/token", &body).await.status(), 400, "JSON");
    assert_eq!(vendor.lab.stats().await.token_refreshes, 0);
}

#[tokio::test]
async fn an_access_token_expires_by_the_labs_clock_and_on_demand() {
    let mut vendor = Vendor::start(small()).await;
    vendor.lab.set_token_lifetime(Duration::from_secs(60));
    vendor.token = vendor.lab.oauth(42).access_token;
    assert_eq!(vendor.get(DEALS).await.status(), 200);
    vendor.lab.advance(Duration::from_secs(102));
    let expired = vendor.get(DEALS).await;
    assert_eq!(expired.status(), 401);
    let body: Value = expired.json().await.unwrap();
    assert_eq!(body["category"], "EXPIRED_AUTHENTICATION");
    assert_eq!(body["message"], "The OAuth token used to make this call expired 42 second(s) ago.");
    assert!(body["context"]["expire time"][0].as_str().unwrap().ends_with('Z'));

    let granted = vendor.post("/_lab/accounts/42/credentials", &json!({})).await;
    vendor.token = granted.json::<Value>().await.unwrap()["accessToken"].as_str().unwrap().to_owned();
    assert_eq!(vendor.get(DEALS).await.status(), 200);
    assert_eq!(vendor.post("/_lab/tokens/expire", &json!({})).await.status(), 204);
    assert_eq!(vendor.get(DEALS).await.status(), 401);
    vendor.token = "pat-lab-42".to_owned();
    assert_eq!(vendor.get(DEALS).await.status(), 200);
    vendor.token = "pat-lab-42-oauth-77".to_owned();
    let body: Value = vendor.get(DEALS).await.json().await.unwrap();
    assert_eq!(body["category"], "INVALID_AUTHENTICATION");
}

#[tokio::test]
async fn a_lab_that_rotates_takes_each_refresh_token_once() {
    let vendor = Vendor::start(small()).await;
    let settings = json!({"rotateRefreshTokens": true, "tokenLifetimeMs": 5_000});
    assert_eq!(vendor.post("/_lab/settings", &settings).await.status(), 204);
    let first = vendor.lab.oauth(42).refresh_token;
    let body: Value = ask(&vendor, "v3", &first).await.json().await.unwrap();
    assert_eq!(body["expires_in"], 5);
    assert_eq!(ask(&vendor, "v3", &first).await.status(), 400);
    assert_eq!(ask(&vendor, "v3", body["refresh_token"].as_str().unwrap()).await.status(), 200);
}
