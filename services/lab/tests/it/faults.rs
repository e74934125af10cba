use lab::{FaultKind, FaultRule, LabConfig, Limits};
use serde_json::Value;

use crate::vendor::{Vendor, small};

const DEALS: &str = "/crm/v3/objects/deals?limit=100";

#[tokio::test]
async fn a_fault_hits_exactly_the_requests_it_was_asked_to() {
    let vendor = Vendor::start(small()).await;
    let mut rule = FaultRule::status(503, 2);
    rule.after_requests = 1;
    rule.path = Some("objects/deals".to_owned());
    rule.retry_after = Some(3);
    vendor.lab.set_faults(vec![rule]).unwrap();
    let mut statuses = Vec::new();
    for path in [DEALS, "/crm/v3/owners", DEALS, DEALS, DEALS] {
        let response = vendor.get(path).await;
        assert_eq!(response.headers().contains_key("retry-after"), response.status() == 503);
        statuses.push(response.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 503, 503, 200]);
    assert!(vendor.lab.faults().is_empty());
}

#[tokio::test]
async fn a_storm_answers_429_although_the_window_is_free() {
    let limits = Limits { objects_per_10s: 2, ..Limits::strict() };
    let vendor = Vendor::start(LabConfig { limits, ..small() }).await;
    let storm = FaultRule { count: Some(5), ..FaultRule::new(FaultKind::RateLimitStorm) };
    vendor.lab.set_faults(vec![storm]).unwrap();
    for _ in 0..5 {
        let response = vendor.get(DEALS).await;
        assert_eq!(response.status(), 429);
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["policyName"], "TEN_SECONDLY_ROLLING");
    }
    let response = vendor.get(DEALS).await;
    assert_eq!(response.headers()["x-hubspot-ratelimit-remaining"], "1");
}

#[tokio::test]
async fn a_truncated_page_promises_more_than_it_sends_and_does_not_count_as_served() {
    let vendor = Vendor::start(small()).await;
    let whole = vendor.get(DEALS).await.bytes().await.unwrap();
    let cut = FaultRule { count: Some(1), ..FaultRule::new(FaultKind::Truncate) };
    vendor.lab.set_faults(vec![cut]).unwrap();
    let response = vendor.get(DEALS).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.content_length(), Some(whole.len() as u64));
    response.bytes().await.unwrap_err();
    assert_eq!(vendor.get(DEALS).await.bytes().await.unwrap(), whole);

    let stats = vendor.lab.stats().await;
    assert_eq!(stats.pages_served, 2);
    assert_eq!((stats.pages_fetched_twice.count, stats.pages_fetched_twice.list[0].times), (1, 2));
}

#[tokio::test]
async fn a_hanging_request_is_let_go_when_the_faults_are_cleared() {
    let vendor = Vendor::start(small()).await;
    vendor.lab.set_faults(vec![FaultRule::new(FaultKind::Hang)]).unwrap();
    let let_go = async {
        vendor.lab.wait_for_hanging(1).await;
        vendor.lab.set_faults(Vec::new()).unwrap();
    };
    let (response, ()) = tokio::join!(vendor.get(DEALS), let_go);
    assert_eq!(response.status(), 524);
}

#[tokio::test]
async fn a_lab_that_stops_does_not_wait_for_requests_that_hang() {
    let vendor = Vendor::start(small()).await;
    vendor.lab.set_faults(vec![FaultRule::new(FaultKind::Hang)]).unwrap();
    let stop = async {
        vendor.lab.wait_for_hanging(1).await;
        vendor.lab.stop().await;
    };
    let (response, ()) = tokio::join!(vendor.get(DEALS), stop);
    assert_eq!(response.status(), 524);
    assert!(vendor.http.get(&vendor.lab.url).send().await.is_err());
}

#[tokio::test]
async fn a_portal_can_be_locked_out_and_a_proxy_can_answer_in_html() {
    let vendor = Vendor::start(small()).await;
    let locked = FaultRule { portal: Some(42), count: Some(1), ..FaultRule::new(FaultKind::Unauthorized) };
    let elsewhere = FaultRule { portal: Some(43), ..FaultRule::new(FaultKind::Unauthorized) };
    let html = FaultRule { count: Some(1), ..FaultRule::new(FaultKind::Html) };
    vendor.lab.set_faults(vec![elsewhere, locked, html]).unwrap();
    assert_eq!(vendor.get(DEALS).await.status(), 401);
    let proxy = vendor.get(DEALS).await;
    assert_eq!(proxy.status(), 502);
    assert!(proxy.text().await.unwrap().starts_with("<!DOCTYPE html>"));
    assert_eq!(vendor.get(DEALS).await.status(), 200);
}

#[tokio::test]
async fn rules_that_make_no_sense_are_refused() {
    let vendor = Vendor::start(small()).await;
    assert!(vendor.lab.set_faults(vec![FaultRule::new(FaultKind::Status)]).is_err());
    assert!(vendor.lab.set_faults(vec![FaultRule::new(FaultKind::Latency)]).is_err());
    assert!(vendor.lab.set_faults(vec![FaultRule::status(200, 1)]).is_err());
    assert!(vendor.lab.set_faults(vec![FaultRule::status(500, 0)]).is_err());
}
