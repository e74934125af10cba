//! HubSpot's error bodies.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};

use super::data::push_datetime;
use super::gate::CorrelationId;
use crate::limiter::Refusal;

/// A 400 with category `VALIDATION_ERROR`.
pub(super) fn validation(id: &CorrelationId, message: &str) -> Response {
    envelope(StatusCode::BAD_REQUEST, id, "VALIDATION_ERROR", message)
}

pub(super) fn unknown_object(id: &CorrelationId, segment: &str) -> Response {
    validation(id, &format!("Unable to infer object type from: {segment}"))
}

pub(super) fn envelope(status: StatusCode, id: &CorrelationId, category: &str, message: &str) -> Response {
    json_response(
        status,
        &json!({"status": "error", "message": message, "correlationId": id.0, "category": category}),
    )
}

pub(super) fn unauthorized(id: &CorrelationId) -> Response {
    let mut response = envelope(
        StatusCode::UNAUTHORIZED,
        id,
        "INVALID_AUTHENTICATION",
        "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more \
         details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
    );
    response.headers_mut().insert("x-hubspot-auth-failure", HeaderValue::from_static("401 Unauthorized"));
    response
}

/// A 401 for a token that was good once.
pub(super) fn expired(id: &CorrelationId, expired_ms: i64, now_ms: i64) -> Response {
    let mut expired_at = String::new();
    push_datetime(&mut expired_at, expired_ms);
    let seconds = (now_ms - expired_ms) / 1_000;
    let body = json!({
        "status": "error",
        "message": format!("The OAuth token used to make this call expired {seconds} second(s) ago."),
        "correlationId": id.0,
        "category": "EXPIRED_AUTHENTICATION",
        "context": {"expire time": [expired_at]},
    });
    json_response(StatusCode::UNAUTHORIZED, &body)
}

/// A 403 for a token that may do other things.
pub(super) fn missing_scopes(id: &CorrelationId, path: &str) -> Response {
    let body = json!({
        "status": "error",
        "message": "This app hasn't been granted all required scopes to make this call. Read more about required \
                    scopes here: https://developers.hubspot.com/scopes.",
        "correlationId": id.0,
        "category": "MISSING_SCOPES",
        "errors": [{
            "message": "One or more of the following scopes are required.",
            "context": {"requiredGranularScopes": [required_scope(path)]},
        }],
        "links": {"scopes": "https://developers.hubspot.com/scopes"},
    });
    json_response(StatusCode::FORBIDDEN, &body)
}

/// `/crm/v3/owners` needs `crm.objects.owners.read`, and so on.
fn required_scope(path: &str) -> String {
    let mut segments = path.trim_start_matches("/crm/").split('/').skip(1);
    match (segments.next().unwrap_or_default(), segments.next()) {
        ("objects" | "associations" | "pipelines", Some(object)) => format!("crm.objects.{object}.read"),
        ("properties", Some(object)) => format!("crm.schemas.{object}.read"),
        ("owners", _) => "crm.objects.owners.read".to_owned(),
        _ => "oauth".to_owned(),
    }
}

pub(super) fn rate_limited(id: &CorrelationId, refusal: Refusal, retry_after_s: Option<u64>) -> Response {
    let (policy, limit) = match refusal {
        Refusal::TenSecondly { .. } => ("TEN_SECONDLY_ROLLING", "ten_secondly_rolling"),
        Refusal::Secondly { .. } => ("SECONDLY", "secondly"),
        Refusal::Daily { .. } => ("DAILY", "daily"),
    };
    let body = json!({
        "status": "error",
        "message": format!("You have reached your {limit} limit."),
        "errorType": "RATE_LIMIT",
        "correlationId": id.0,
        "policyName": policy,
        "requestId": id.0,
    });
    let mut response = json_response(StatusCode::TOO_MANY_REQUESTS, &body);
    set_retry_after(&mut response, retry_after_s);
    response
}

pub(super) fn set_retry_after(response: &mut Response, seconds: Option<u64>) {
    if let Some(seconds) = seconds {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// What a proxy in front of the vendor says.
pub(super) fn html(status: StatusCode) -> Response {
    let reason = status.canonical_reason().unwrap_or("Error");
    let code = status.as_u16();
    let page = format!(
        "<!DOCTYPE html>\n<html><head><title>{code} {reason}</title></head>\n<body><center><h1>{code} {reason}</h1>\
         </center><hr><center>cloudflare</center></body></html>\n"
    );
    (status, Html(page)).into_response()
}

pub(super) async fn not_found() -> Response {
    html(StatusCode::NOT_FOUND)
}

pub(super) fn ok(body: &Value) -> Response {
    json_response(StatusCode::OK, body)
}

pub(super) fn json_response(status: StatusCode, body: &Value) -> Response {
    raw_json(status, body.to_string())
}

pub(super) fn raw_json(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json;charset=utf-8")], body).into_response()
}
