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

async fn refused(vendor: &Vendor, path: &str) -> (u16, Option<String>, Value) {
    let response = vendor.get(path).await;
    let wait = response.headers().get("retry-after").map(|wait| wait.to_str().unwrap().to_owned());
    (response.status().as_u16(), wait, response.json().await.unwrap())
}

#[tokio::test]
async fn a_missing_scope_is_named_and_shuts_off_one_path_alone() {
    let vendor = Vendor::start(small()).await;
    for (path, scope) in [
        ("/crm/v3/owners", "crm.objects.owners.read"),
        (DEALS, "crm.objects.deals.read"),
        ("/crm/v3/properties/contacts", "crm.schemas.contacts.read"),
    ] {
        let only = path.split('?').next().unwrap().to_owned();
        vendor.lab.set_faults(vec![FaultRule { path: Some(only), ..FaultRule::status(403, 1) }]).unwrap();
        assert_eq!(vendor.get("/crm/v3/objects/companies").await.status(), 200);
        let (status, _, body) = refused(&vendor, path).await;
        assert_eq!((status, &body["category"]), (403, &"MISSING_SCOPES".into()));
        assert_eq!(body["errors"][0]["context"]["requiredGranularScopes"][0], scope);
    }
    let category = Some("USER_DOES_NOT_HAVE_PERMISSIONS".to_owned());
    vendor.lab.set_faults(vec![FaultRule { category, ..FaultRule::status(403, 1) }]).unwrap();
    assert_eq!(refused(&vendor, DEALS).await.2["category"], "USER_DOES_NOT_HAVE_PERMISSIONS");
}

#[tokio::test]
async fn locks_moves_and_full_days_come_with_and_without_a_retry_after() {
    let vendor = Vendor::start(small()).await;
    for status in [423, 477] {
        for retry_after in [None, Some(86_400)] {
            vendor.lab.set_faults(vec![FaultRule { retry_after, ..FaultRule::status(status, 1) }]).unwrap();
            let (answered, wait, _) = refused(&vendor, DEALS).await;
            assert_eq!((answered, wait), (status, retry_after.map(|s| s.to_string())));
        }
    }
    vendor.lab.set_faults(vec![FaultRule::new(FaultKind::DailyLimit)]).unwrap();
    let (status, wait, body) = refused(&vendor, DEALS).await;
    assert_eq!((status, wait, &body["policyName"]), (429, None, &"DAILY".into()));
    let too_long = FaultRule { status: Some(414), ..FaultRule::new(FaultKind::Html) };
    vendor.lab.set_faults(vec![too_long]).unwrap();
    assert_eq!(vendor.get(DEALS).await.status(), 414);
}

#[tokio::test]
async fn requests_for_tokens_are_hit_only_by_rules_that_name_them() {
    let vendor = Vendor::start(small()).await;
    let named = FaultRule { path: Some("/oauth/".to_owned()), ..FaultRule::status(500, 1) };
    vendor.lab.set_faults(vec![FaultRule::status(503, 1), named]).unwrap();
    assert_eq!(vendor.post("/oauth/v3/token", &Value::Null).await.status(), 500);
    assert_eq!(vendor.post("/oauth/v3/token", &Value::Null).await.status(), 400);
    assert_eq!(vendor.get(DEALS).await.status(), 503);
}
