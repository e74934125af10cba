use reqwest::header::HeaderValue;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn refusal(status: u16, body: &str, retry_after: Option<&'static str>) -> Failure {
    let mut headers = HeaderMap::new();
    if let Some(wait) = retry_after {
        headers.insert("retry-after", HeaderValue::from_static(wait));
    }
    let dialect = HubspotDialect { token: "pat-eu1-secret".into(), host: "api.hubapi.com".into() };
    dialect.refusal(&Answer { status, headers, body: body.into() }).expect("a refusal")
}

fn quota(wait: Duration) -> (ErrorClass, Wait) {
    (ErrorClass::Quota { retry_after: wait }, Wait::Held(wait))
}

#[test]
fn every_status_has_its_meaning() {
    let backoff = |at_least| (ErrorClass::Transient, Wait::Backoff { at_least });
    let asked = |wait| (ErrorClass::Transient, Wait::Asked(wait));
    let permanent = (ErrorClass::Permanent, Wait::Never);
    let unauthorized = (ErrorClass::Unauthorized, Wait::Never);
    let policy = |name: &str| format!(r#"{{"status":"error","policyName":"{name}"}}"#);
    let cases = [
        (302, String::new(), None, permanent),
        (400, r#"{"category":"VALIDATION_ERROR"}"#.into(), None, permanent),
        (401, r#"{"category":"EXPIRED_AUTHENTICATION"}"#.into(), None, unauthorized),
        (401, r#"{"category":"INVALID_AUTHENTICATION"}"#.into(), None, unauthorized),
        (403, r#"{"category":"MISSING_SCOPES"}"#.into(), None, (ErrorClass::Forbidden, Wait::Never)),
        (404, r#"{"category":"OBJECT_NOT_FOUND"}"#.into(), None, permanent),
        (408, String::new(), None, backoff(Duration::ZERO)),
        (414, "<html>".into(), None, permanent),
        (423, String::new(), None, backoff(2 * SECOND)),
        (423, String::new(), Some("1"), asked(2 * SECOND)),
        (429, policy("TEN_SECONDLY_ROLLING"), None, quota(10 * SECOND)),
        (429, policy("TEN_SECONDLY_ROLLING"), Some("3"), quota(3 * SECOND)),
        (429, policy("SECONDLY"), None, quota(SECOND)),
        (429, policy("DAILY"), None, quota(3_600 * SECOND)),
        (429, "<html>".into(), None, quota(10 * SECOND)),
        (477, String::new(), Some("86400"), quota(86_400 * SECOND)),
        (500, String::new(), None, backoff(Duration::ZERO)),
        (502, "<html>bad gateway</html>".into(), None, backoff(Duration::ZERO)),
        (503, String::new(), Some("7"), asked(7 * SECOND)),
        (524, String::new(), None, backoff(Duration::ZERO)),
        (530, "<html>".into(), None, unauthorized),
    ];
    for (status, body, retry_after, (class, wait)) in cases {
        let failure = refusal(status, &body, retry_after);
        assert_eq!((failure.error.class, failure.wait), (class, wait), "{status} {body} {retry_after:?}");
    }
}

#[test]
fn a_message_names_status_category_and_the_vendors_words_and_neither_token_nor_host() {
    let body = r#"{"message":"No scope for pat-eu1-secret at api.hubapi.com.","category":"MISSING_SCOPES","correlationId":"c-1"}"#;
    let error = refusal(403, body, None).error;
    assert_eq!(error.message, "HubSpot answered 403 MISSING_SCOPES: No scope for [redacted] at [redacted].");
    assert_eq!(error.request_id.as_deref(), Some("c-1"));
}

#[test]
fn html_is_not_quoted() {
    assert_eq!(refusal(502, "<html>nginx at 10.0.0.1</html>", None).error.message, "HubSpot answered 502");
}

#[test]
fn the_rate_headers_are_read_whole_or_not_at_all() {
    let dialect = HubspotDialect { token: String::new(), host: String::new() };
    let mut headers = HeaderMap::new();
    headers.insert("x-hubspot-ratelimit-max", HeaderValue::from_static("110"));
    headers.insert("x-hubspot-ratelimit-remaining", HeaderValue::from_static("107"));
    assert_eq!(dialect.reported(&headers), None);
    headers.insert("x-hubspot-ratelimit-interval-milliseconds", HeaderValue::from_static("10000"));
    let reported = Reported { per: 10 * SECOND, limit: 110, remaining: 107 };
    assert_eq!(dialect.reported(&headers), Some(reported));
}
