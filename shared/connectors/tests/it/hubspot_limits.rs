//! HubSpot's rate limits, against the lab, which counts exactly.

use std::sync::Arc;
use std::time::{Duration, Instant};

use connectors::{Connection, ErrorClass, HttpConfig, Next, Registry};
use lab::{FaultKind, FaultRule, LabConfig, RunningLab};
use serde_json::json;

use crate::conformance::RememberingHost;
use crate::hubspot::{PORTAL, config, connection, contacts, hubspot, impatient, open};

async fn strict_lab() -> RunningLab {
    let config =
        LabConfig { contacts: 2_000, companies: 10, deals: 10, latency_ms: 20, ..LabConfig::default() };
    RunningLab::start(config).await.unwrap()
}

/// Takes ten seconds, because a rolling window of ten seconds has to be seen to roll.
#[tokio::test]
async fn sessions_of_one_account_use_its_whole_limit_together_and_are_never_refused() {
    let lab = strict_lab().await;
    let settings = json!({"page_size": 10, "quota_share": 1});
    let registry = Registry::new(&config(&lab.url, settings), impatient()).unwrap();
    let mut sessions = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let session = open(&registry, PORTAL).await;
        sessions.spawn(async move {
            let mut position = None;
            for _ in 0..35 {
                let page = session.page(&contacts(), position.as_ref()).await.unwrap();
                let Next::More(next) = page.next else { panic!("the lab is too small") };
                position = Some(next);
            }
        });
    }
    sessions.join_all().await;
    let stats = lab.stats().await;
    let portal = &stats.by_portal[&PORTAL.to_string()];
    assert_eq!((portal.accepted, stats.answers429), (4 + 140, 0), "names once a session");
    assert_eq!(portal.max_in_window, 90);
    assert!(portal.utilisation.unwrap() >= 0.97, "{portal:?}");
    let view = registry.budgets().into_iter().find(|budget| budget.class == "objects").unwrap();
    assert_eq!((view.in_flight, view.windows[0].limit), (0, 90));
    assert!(view.windows[0].remaining < 90, "{view:?}");
}

#[tokio::test]
async fn of_what_the_account_is_allowed_the_connection_says_how_much_is_used() {
    let lab = strict_lab().await;
    let registry = Registry::new(&config(&lab.url, json!({})), impatient()).unwrap();
    let limit = || registry.budgets()[0].windows[0].limit;
    let usual = open(&registry, PORTAL).await;
    assert_eq!(limit(), 90, "of 100");
    usual.page(&contacts(), None).await.unwrap();
    assert_eq!(limit(), 81, "of 90, as the lab says");
    let modest = Connection { quota_share: Some(0.5), ..connection(PORTAL) };
    let modest = hubspot(&registry).open(modest, Arc::new(RememberingHost::default())).await.unwrap();
    assert_eq!(limit(), 45);
    drop(modest);
    assert_eq!(limit(), 81);
}

#[tokio::test]
async fn searches_are_spaced_and_never_refused() {
    let lab = strict_lab().await;
    let registry = Registry::new(&config(&lab.url, json!({})), impatient()).unwrap();
    let session = open(&registry, PORTAL).await;
    let started = Instant::now();
    for _ in 0..6 {
        assert!(session.estimate(&contacts()).await.unwrap().is_some());
    }
    assert!(started.elapsed() > Duration::from_millis(1_500), "five gaps of 300 ms");
    let stats = lab.stats().await;
    assert_eq!(stats.answers429, 0);
    assert!(stats.max_search_in_second <= 3);
}

#[tokio::test]
async fn a_429_with_a_short_wait_is_sat_out() {
    let lab = strict_lab().await;
    let registry = Registry::new(&config(&lab.url, json!({})), impatient()).unwrap();
    let session = open(&registry, PORTAL).await;
    let storm =
        FaultRule { count: Some(1), retry_after: Some(1), ..FaultRule::new(FaultKind::RateLimitStorm) };
    lab.set_faults(vec![storm]).unwrap();
    let started = Instant::now();
    session.page(&contacts(), None).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(lab.stats().await.requests, 2 + 1);
}

#[tokio::test]
async fn a_429_with_a_long_wait_is_returned_as_quota_and_holds_the_whole_account() {
    let lab = strict_lab().await;
    let registry = Registry::new(&config(&lab.url, json!({})), impatient()).unwrap();
    let (session, sibling) = (open(&registry, PORTAL).await, open(&registry, PORTAL).await);
    let other_account = open(&registry, PORTAL + 1).await;
    let storm = FaultRule { count: Some(1), ..FaultRule::new(FaultKind::RateLimitStorm) };
    lab.set_faults(vec![storm]).unwrap();

    let error = session.page(&contacts(), None).await.unwrap_err();
    let ten_seconds = Duration::from_secs(10);
    assert_eq!(error.class, ErrorClass::Quota { retry_after: ten_seconds }, "no Retry-After: by policyName");

    let error = sibling.page(&contacts(), None).await.unwrap_err();
    let ErrorClass::Quota { retry_after } = error.class else { panic!("{error:?}") };
    assert!(retry_after > ten_seconds / 2 && retry_after <= ten_seconds);
    assert_eq!(lab.stats().await.requests, 1, "the sibling was not even sent");
    other_account.page(&contacts(), None).await.unwrap();
}

#[tokio::test]
async fn requests_that_others_make_with_the_account_are_left_room_for() {
    let lab = strict_lab().await;
    let ours = Registry::new(&config(&lab.url, json!({})), impatient()).unwrap();
    let others =
        Registry::new(&config(&lab.url, json!({"budgets": {"objects": {"burst": 90}}})), impatient())
            .unwrap();
    let other = open(&others, PORTAL).await;
    for _ in 0..80 {
        other.page(&contacts(), None).await.unwrap();
    }
    let session = open(&ours, PORTAL).await;
    session.page(&contacts(), None).await.unwrap();
    let remaining = ours.budgets()[0].windows.iter().map(|window| window.remaining).min();
    assert_eq!(remaining, Some(90 - 81 - 2));
}

#[tokio::test]
async fn a_retry_takes_a_slot_of_its_own() {
    let lab = strict_lab().await;
    let http = HttpConfig { retries: 2, ..impatient() };
    let registry = Registry::new(&config(&lab.url, json!({"quota_share": 1})), http).unwrap();
    let session = open(&registry, PORTAL).await;
    lab.set_faults(vec![FaultRule::status(500, 2)]).unwrap();
    session.page(&contacts(), None).await.unwrap();
    assert_eq!(registry.budgets()[0].windows[0].remaining, 90 - 3 - 1);
}
