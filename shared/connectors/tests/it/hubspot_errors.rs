//! What HubSpot's refusals come to, against the lab and against a vendor that echoes secrets.

use std::time::Duration;

use connectors::{Connection, Credentials, ErrorClass, HttpConfig, Registry, Session, SourceError};
use lab::{FaultKind, FaultRule, Object, RunningLab};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::conformance::{RememberingHost, list};
use crate::hubspot::{PORTAL, config, contacts, generous, hubspot, impatient, open, small_lab};
use crate::scripted::Scripted;

async fn start() -> (RunningLab, Box<dyn Session>) {
    let lab = RunningLab::start(small_lab()).await.unwrap();
    let registry = Registry::new(&config(&lab.url, generous()), impatient()).unwrap();
    let session = open(&registry, PORTAL).await;
    (lab, session)
}

async fn error_after(rule: FaultRule) -> (SourceError, RunningLab) {
    let (lab, session) = start().await;
    lab.set_faults(vec![rule]).unwrap();
    (session.page(&contacts(), None).await.unwrap_err(), lab)
}

fn quota(secs: u64) -> ErrorClass {
    ErrorClass::Quota { retry_after: Duration::from_secs(secs) }
}

fn html(status: u16) -> FaultRule {
    FaultRule { status: Some(status), ..FaultRule::new(FaultKind::Html) }
}

#[tokio::test]
async fn every_refusal_ends_in_its_class_after_its_number_of_requests() {
    let endless = |status| FaultRule { count: None, ..FaultRule::status(status, 1) };
    let moving = FaultRule { retry_after: Some(86_400), ..endless(477) };
    let locked = FaultRule { retry_after: Some(30), ..endless(423) };
    let cases = [
        (html(502), ErrorClass::Transient, 4),
        (html(524), ErrorClass::Transient, 4),
        (html(521), quota(120), 1),
        (html(530), ErrorClass::Unauthorized, 1),
        (moving, quota(86_400), 1),
        (endless(477), quota(3_600), 1),
        (locked, quota(30), 1),
        (FaultRule::new(FaultKind::DailyLimit), quota(3_600), 1),
        (endless(400), ErrorClass::Permanent, 1),
        (endless(404), ErrorClass::Permanent, 1),
        (FaultRule::new(FaultKind::Unauthorized), ErrorClass::Unauthorized, 1),
    ];
    for (rule, class, requests) in cases {
        let (error, lab) = error_after(rule.clone()).await;
        assert_eq!((error.class, lab.stats().await.requests), (class, requests), "{rule:?} {error}");
    }
}

#[tokio::test]
async fn a_locked_resource_is_waited_for() {
    let (lab, session) = start().await;
    lab.set_faults(vec![FaultRule { retry_after: Some(2), ..FaultRule::status(423, 1) }]).unwrap();
    session.page(&contacts(), None).await.unwrap();
    assert_eq!(lab.stats().await.answers[&423], 1);
}

#[tokio::test]
async fn a_missing_scope_is_named() {
    let (error, _) = error_after(FaultRule::status(403, 2)).await;
    assert_eq!(error.class, ErrorClass::Forbidden);
    let (error, _) =
        error_after(FaultRule { path: Some("/objects/contacts".into()), ..FaultRule::status(403, 1) }).await;
    assert!(error.message.ends_with("Required scopes: crm.objects.contacts.read"), "{error}");
    let category = Some("USER_DOES_NOT_HAVE_PERMISSIONS".to_owned());
    let denied = FaultRule { category, path: Some("/objects/".into()), ..FaultRule::status(403, 1) };
    let (error, _) = error_after(denied).await;
    assert_eq!(error.class, ErrorClass::Forbidden);
    assert!(error.message.contains("USER_DOES_NOT_HAVE_PERMISSIONS"), "{error}");
}

#[tokio::test]
async fn a_full_day_is_waited_out_until_the_accounts_own_midnight() {
    let lab = RunningLab::start(small_lab()).await.unwrap();
    let minute_of_day = i32::try_from(lab.now_ms().rem_euclid(86_400_000) / 60_000).unwrap();
    lab.set_time_zone(PORTAL, "Somewhere", 18 * 60 - minute_of_day);
    let registry = Registry::new(&config(&lab.url, generous()), impatient()).unwrap();
    let connection = Connection {
        workspace_id: "acme".parse().unwrap(),
        account_id: None,
        utc_offset_ms: None,
        credentials: Credentials::new(json!({"accessToken": RunningLab::token(PORTAL)})),
        quota_share: None,
    };
    let session = hubspot(&registry).open(connection, Arc::new(RememberingHost::default())).await.unwrap();
    lab.set_faults(vec![FaultRule::new(FaultKind::DailyLimit)]).unwrap();
    let error = session.page(&contacts(), None).await.unwrap_err();
    let ErrorClass::Quota { retry_after } = error.class else { panic!("{error:?}") };
    let hours = retry_after.as_secs_f64() / 3_600.0;
    assert!((5.9..6.1).contains(&hours), "it is six in the evening there: {hours} h");
}

#[tokio::test]
async fn a_url_that_is_too_long_is_replaced_by_reading_by_id_from_then_on() {
    let (lab, session) = start().await;
    lab.set_faults(vec![FaultRule { count: Some(1), path: Some("properties=".into()), ..html(414) }])
        .unwrap();
    let pages = list(&*session, &contacts()).await;
    let records: usize = pages.iter().map(|(_, page)| page.records.len() + page.rejected.len()).sum();
    assert_eq!(records as u64, lab.expect(Object::Contacts).records);
    let whole = pages.iter().flat_map(|(_, page)| &page.records);
    let is_whole = |properties: &str| properties.contains("\"city\"") && properties.contains("\"email\"");
    assert!(whole.clone().all(|record| is_whole(&record.properties)));
    assert_eq!(lab.stats().await.answers[&414], 1);
}

#[tokio::test]
async fn a_url_that_cannot_be_shorter_is_a_permanent_error() {
    let (error, lab) = error_after(FaultRule { path: Some("/objects/".into()), ..html(414) }).await;
    assert_eq!((error.class, lab.stats().await.answers[&414]), (ErrorClass::Permanent, 2));
}

/// A vendor that repeats whatever it was sent, in every refusal.
async fn echo(status: u16, refreshes: bool) -> Scripted {
    Scripted::start(move |asked| {
        let said = format!("{} {:?} {}", asked.path, asked.query, SECRETS.join(" "));
        match asked.path.as_str() {
            "/oauth/v3/token" if refreshes => {
                (200, json!({"access_token": SECRETS[3], "refresh_token": SECRETS[4], "expires_in": 1_800}))
            }
            "/oauth/v3/token" => (400, json!({"status": "BAD_REFRESH_TOKEN", "message": said})),
            _ => {
                let scopes = json!([{"context": {"requiredGranularScopes": SECRETS}}]);
                (
                    status,
                    json!({"category": SECRETS[1], "message": said, "correlationId": SECRETS[2],
                    "errors": scopes}),
                )
            }
        }
    })
    .await
}

/// The first three are stored; the others are issued in the session, and longer forms of the first.
const SECRETS: [&str; 5] =
    ["access-secret", "client-secret", "refresh-secret", "access-secret-2", "refresh-secret-2"];

fn oauth() -> Value {
    json!({"accessToken": SECRETS[0], "clientId": "app", "clientSecret": SECRETS[1], "refreshToken": SECRETS[2]})
}

#[tokio::test]
async fn no_secret_of_a_session_is_in_any_error() {
    let statuses = [400, 401, 403, 404, 429, 477, 500].map(|status| (status, true));
    for (status, refreshes) in statuses.into_iter().chain([(401, false)]) {
        let vendor = echo(status, refreshes).await;
        let http = HttpConfig { retries: 0, ..impatient() };
        let registry = Registry::new(&config(&vendor.url, generous()), http).unwrap();
        let connection = Connection {
            workspace_id: "acme".parse().unwrap(),
            account_id: Some("1".to_owned()),
            utc_offset_ms: None,
            credentials: Credentials::new(oauth()),
            quota_share: None,
        };
        let host = Arc::new(RememberingHost::default());
        let session = hubspot(&registry).open(connection, host).await.unwrap();
        let error = session.page(&contacts(), None).await.unwrap_err();
        let shown = format!("{error:?} {error}");
        assert!(shown.contains("[redacted]"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
        assert!(std::error::Error::source(&error).is_none(), "nothing more is said");
    }
}
