use reqwest::header::HeaderValue;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn dialect() -> HubspotDialect {
    let dialect = HubspotDialect::new("api.hubapi.com".into());
    dialect.keep_secret("pat-eu1-secret");
    dialect
}

fn refusal(status: u16, body: &str, retry_after: Option<&'static str>) -> Failure {
    refusal_by(&dialect(), status, body, retry_after)
}

fn refusal_by(
    dialect: &HubspotDialect,
    status: u16,
    body: &str,
    retry_after: Option<&'static str>,
) -> Failure {
    let mut headers = HeaderMap::new();
    if let Some(wait) = retry_after {
        headers.insert("retry-after", HeaderValue::from_static(wait));
    }
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
        (400, r#"{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid"}"#.into(), None, unauthorized),
        (400, r#"{"error":"invalid_grant"}"#.into(), None, unauthorized),
        (400, r#"{"error":"invalid_request"}"#.into(), None, permanent),
        (401, r#"{"category":"EXPIRED_AUTHENTICATION"}"#.into(), None, unauthorized),
        (401, r#"{"category":"INVALID_AUTHENTICATION"}"#.into(), None, unauthorized),
        (403, r#"{"category":"MISSING_SCOPES"}"#.into(), None, (ErrorClass::Forbidden, Wait::Never)),
        (
            403,
            r#"{"category":"USER_DOES_NOT_HAVE_PERMISSIONS"}"#.into(),
            None,
            (ErrorClass::Forbidden, Wait::Never),
        ),
        (404, r#"{"category":"OBJECT_NOT_FOUND"}"#.into(), None, permanent),
        (408, String::new(), None, backoff(Duration::ZERO)),
        (414, "<html>".into(), None, permanent),
        (423, String::new(), None, backoff(2 * SECOND)),
        (423, String::new(), Some("1"), asked(2 * SECOND)),
        (429, policy("TEN_SECONDLY_ROLLING"), None, quota(10 * SECOND)),
        (429, policy("TEN_SECONDLY_ROLLING"), Some("3"), quota(3 * SECOND)),
        (429, policy("TEN_SECONDLY_ROLLING"), Some("0"), quota(10 * SECOND)),
        (429, policy("SECONDLY"), None, quota(SECOND)),
        (429, policy("SECONDLY"), Some("0.0"), quota(SECOND)),
        (429, policy("DAILY"), None, quota(3_600 * SECOND)),
        (429, policy("DAILY"), Some("40000"), quota(40_000 * SECOND)),
        (429, "<html>".into(), None, quota(10 * SECOND)),
        (477, String::new(), None, quota(3_600 * SECOND)),
        (477, String::new(), Some("86400"), quota(86_400 * SECOND)),
        (500, String::new(), None, backoff(Duration::ZERO)),
        (502, "<html>bad gateway</html>".into(), None, backoff(Duration::ZERO)),
        (503, String::new(), Some("7"), asked(7 * SECOND)),
        (503, String::new(), Some("0"), backoff(Duration::ZERO)),
        (504, "<html>".into(), None, backoff(Duration::ZERO)),
        (521, "<html>".into(), None, quota(120 * SECOND)),
        (523, "<html>".into(), Some("30"), quota(30 * SECOND)),
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
    let dialect = dialect();
    let mut headers = HeaderMap::new();
    headers.insert("x-hubspot-ratelimit-max", HeaderValue::from_static("110"));
    headers.insert("x-hubspot-ratelimit-remaining", HeaderValue::from_static("107"));
    assert_eq!(dialect.reported(&headers), None);
    headers.insert("x-hubspot-ratelimit-interval-milliseconds", HeaderValue::from_static("10000"));
    let reported = Reported { per: 10 * SECOND, limit: 110, remaining: 107 };
    assert_eq!(dialect.reported(&headers), Some(reported));
}

#[test]
fn a_full_day_ends_a_minute_after_the_midnight_of_the_account() {
    let at =
        |hour: i64, minute: i64| Millis(1_780_000_000_000 / DAY_MS * DAY_MS + (hour * 60 + minute) * 60_000);
    let hours = |offset: i64| Some(offset * 3_600_000);
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    for (offset, now, wait) in [
        (None, at(12, 0), minutes(60)),
        (Some(0), at(12, 0), minutes(12 * 60 + 1)),
        (hours(2), at(12, 0), minutes(10 * 60 + 1)),
        (hours(-5), at(12, 0), minutes(17 * 60 + 1)),
        (Some(19_800_000), at(18, 0), minutes(31)),
        // The day there began half an hour ago: hardly anything can be used up, so the offset is not right.
        (hours(1), at(23, 30), minutes(60)),
        (hours(1), at(0, 1), minutes(22 * 60 + 59 + 1)),
    ] {
        assert_eq!(daily_wait(offset, now), wait, "{offset:?} {now:?}");
    }
}

#[test]
fn a_known_offset_is_used_when_the_day_is_full() {
    let dialect = dialect();
    // Whatever the time is, it is an hour to midnight there.
    dialect.know_utc_offset(23 * 3_600_000 - Millis::now().0.rem_euclid(DAY_MS));
    let failure = refusal_by(&dialect, 429, r#"{"policyName":"DAILY"}"#, None);
    let ErrorClass::Quota { retry_after } = failure.error.class else { panic!("{failure:?}") };
    assert!(retry_after <= 3_660 * SECOND && retry_after > 3_600 * SECOND, "{retry_after:?}");
}

#[test]
fn missing_scopes_are_named() {
    let body = r#"{"category":"MISSING_SCOPES","message":"Not granted.","errors":[{"message":"x","context":
        {"requiredGranularScopes":["crm.objects.owners.read","oauth"]}},{"code":7}]}"#;
    let message = refusal(403, body, None).error.message;
    assert_eq!(
        message,
        "HubSpot answered 403 MISSING_SCOPES: Not granted. Required scopes: crm.objects.owners.read, oauth"
    );
}

#[test]
fn a_refused_refresh_token_asks_for_a_new_connection() {
    let body = r#"{"error":"invalid_grant","error_description":"missing or invalid refresh token"}"#;
    let message = refusal(400, body, None).error.message;
    let says =
        "HubSpot answered 400 invalid_grant: missing or invalid refresh token; connect the account again";
    assert_eq!(message, says);
}

#[test]
fn of_secrets_that_begin_alike_none_is_shown_in_part() {
    let dialect = dialect();
    dialect.keep_secret("pat-eu1-secret-and-more");
    let body = r#"{"message":"pat-eu1-secret-and-more pat-eu1-secret"}"#;
    let message = refusal_by(&dialect, 401, body, None).error.message;
    assert_eq!(message, "HubSpot answered 401: [redacted] [redacted]");
}
