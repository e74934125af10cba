use lab::{Class, LabConfig, Limits, PortalLimiter, Refusal, RollingWindow};
use serde_json::{Value, json};

use crate::vendor::{Vendor, small};

const SECOND: u64 = 1_000_000;

#[test]
fn no_rolling_window_ever_holds_more_than_the_limit() {
    let mut window = RollingWindow::new(90, 10 * SECOND);
    let mut accepted: Vec<u64> = Vec::new();
    // Bursts with pauses of uneven length, so that windows start anywhere.
    let mut now = 0;
    for step in 0..5_000u64 {
        now += if step % 60 == 0 { 3_700_001 + step * 13 } else { 7 };
        if window.admit(now).is_ok() {
            accepted.push(now);
        }
    }
    for (first, from) in accepted.iter().enumerate() {
        let inside = accepted[first..].iter().take_while(|at| **at < from + 10 * SECOND).count();
        assert!(inside <= 90);
    }
    assert_eq!(window.most(), 90);
}

#[test]
fn a_refused_request_takes_no_place_and_is_told_how_long_to_wait() {
    let mut window = RollingWindow::new(2, 10 * SECOND);
    assert_eq!(window.admit(0), Ok(Some(1)));
    assert_eq!(window.admit(4 * SECOND), Ok(Some(0)));
    assert_eq!(window.admit(9 * SECOND), Err(SECOND));
    assert_eq!(window.admit(10 * SECOND - 1), Err(1));
    assert_eq!(window.admit(10 * SECOND), Ok(Some(0)));
    assert_eq!(window.admit(10 * SECOND), Err(4 * SECOND));
}

#[test]
fn searches_and_the_day_have_limits_of_their_own() {
    let mut portal = PortalLimiter::new(Limits { objects_per_10s: 1, search_per_s: 1, daily: 3 });
    assert!(portal.admit(Class::Objects, 0).is_ok());
    assert!(portal.admit(Class::Search, 0).is_ok());
    assert_eq!(portal.admit(Class::Objects, 1), Err(Refusal::TenSecondly { wait_us: 10 * SECOND - 1 }));
    assert_eq!(portal.admit(Class::Search, 1), Err(Refusal::Secondly { wait_us: SECOND - 1 }));
    assert!(portal.admit(Class::Search, SECOND).is_ok());
    let day = 86_400 * SECOND;
    assert_eq!(portal.admit(Class::Search, 20 * SECOND), Err(Refusal::Daily { wait_us: day - 20 * SECOND }));
    assert!(portal.admit(Class::Search, day).is_ok());
}

#[test]
fn a_day_begins_at_the_midnight_of_the_account() {
    let hour = 3_600 * SECOND;
    let mut portal = PortalLimiter::new(Limits { daily: 1, ..Limits::unlimited() });
    portal.set_utc_offset_us(-2 * 3_600_000_000);
    assert!(portal.admit(Class::Objects, 30 * hour).is_ok());
    let daily = |wait_us| Err(Refusal::Daily { wait_us });
    assert_eq!(portal.admit(Class::Objects, 48 * hour), daily(2 * hour), "22:00 there");
    assert!(portal.admit(Class::Objects, 50 * hour).is_ok());
    assert_eq!(portal.admit(Class::Objects, 50 * hour), daily(24 * hour));
}

#[tokio::test]
async fn the_tokens_of_a_portal_share_its_window_and_other_portals_do_not() {
    let limits = Limits { objects_per_10s: 3, search_per_s: 1, daily: 650_000 };
    let mut vendor = Vendor::start(LabConfig { limits, ..small() }).await;
    let first = vendor.get("/crm/v3/objects/deals").await;
    assert_eq!(first.headers()["x-hubspot-ratelimit-max"], "3");
    assert_eq!(first.headers()["x-hubspot-ratelimit-remaining"], "2");
    assert_eq!(first.headers()["x-hubspot-ratelimit-interval-milliseconds"], "10000");
    assert_eq!(first.headers()["x-hubspot-ratelimit-daily-remaining"], "649999");
    vendor.token = "pat-lab-42-other".to_owned();
    assert_eq!(vendor.get("/crm/v3/owners").await.status(), 200);
    assert_eq!(vendor.get("/crm/v3/objects/contacts").await.status(), 200);

    let mut with_retry_after = 0;
    for _ in 0..4 {
        let refused = vendor.get("/crm/v3/objects/deals").await;
        assert_eq!(refused.status(), 429);
        with_retry_after += usize::from(refused.headers().contains_key("retry-after"));
        let body: Value = refused.json().await.unwrap();
        assert_eq!(
            (&body["errorType"], &body["policyName"]),
            (&"RATE_LIMIT".into(), &"TEN_SECONDLY_ROLLING".into())
        );
    }
    assert_eq!(with_retry_after, 2, "the vendor says when to come back only sometimes");
    vendor.token = "pat-lab-43".to_owned();
    assert_eq!(vendor.get("/crm/v3/objects/deals").await.status(), 200);

    let stats = vendor.lab.stats().await;
    assert_eq!((stats.requests, stats.answers429, stats.max_in_window), (8, 4, 3));
    assert_eq!((stats.by_portal["42"].accepted, stats.by_portal["43"].accepted), (3, 1));
    assert_eq!((stats.by_portal["42"].possible, stats.by_portal["42"].answers429), (Some(3), 4));
    assert!(stats.limited_seconds >= 1);

    vendor.lab.reset(true);
    vendor.token = "pat-lab-42".to_owned();
    assert_eq!(vendor.get("/crm/v3/objects/deals").await.status(), 200);
    assert_eq!(vendor.lab.stats().await.requests, 1);
}

#[tokio::test]
async fn searches_are_limited_by_the_second_and_carry_no_rate_headers() {
    let limits = Limits { objects_per_10s: 90, search_per_s: 1, daily: 650_000 };
    let vendor = Vendor::start(LabConfig { limits, ..small() }).await;
    let mut statuses = Vec::new();
    while statuses.last() != Some(&429) {
        let response = vendor.post("/crm/v3/objects/deals/search", &json!({})).await;
        assert!(!response.headers().keys().any(|name| name.as_str().starts_with("x-hubspot-ratelimit")));
        statuses.push(response.status().as_u16());
        if response.status() == 429 {
            let body: Value = response.json().await.unwrap();
            assert_eq!(body["policyName"], "SECONDLY");
        }
    }
    assert_eq!(vendor.lab.stats().await.max_search_in_second, 1);
}
