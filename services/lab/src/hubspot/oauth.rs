//! `POST /oauth/{version}/token`: a refresh token for an access token.

use std::sync::Arc;

use axum::Extension;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::gate::{Call, CorrelationId};
use super::problem;
use crate::state::LabState;
use crate::tokens::{CLIENT_ID, CLIENT_SECRET, Granted};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sent {
    grant_type: String,
    client_id: String,
    client_secret: String,
    refresh_token: String,
}

/// Form-encoded only, as at the vendor.
pub(super) async fn token(
    State(lab): State<Arc<LabState>>,
    Extension(call): Extension<Call>,
    Path(version): Path<String>,
    sent: Result<Form<Sent>, FormRejection>,
) -> Response {
    if !matches!(version.as_str(), "v1" | "v3" | "2026-03") {
        return problem::not_found().await;
    }
    let Ok(Form(sent)) = sent else {
        let status = StatusCode::BAD_REQUEST;
        return problem::envelope(status, &call.id, "VALIDATION_ERROR", "The request is not form-encoded.");
    };
    if sent.grant_type != "refresh_token" {
        let message = format!("The lab does not serve the grant_type {:?}.", sent.grant_type);
        return problem::validation(&call.id, &message);
    }
    let is_app = sent.client_id == CLIENT_ID && sent.client_secret == CLIENT_SECRET;
    let granted = if is_app { lab.refresh(&sent.refresh_token) } else { None };
    match granted {
        Some(granted) => problem::ok(&body(&granted, &version)),
        None => refused(&call.id, &version),
    }
}

fn body(granted: &Granted, version: &str) -> Value {
    let mut body = json!({
        "token_type": "bearer", "access_token": granted.access_token, "refresh_token": granted.refresh_token,
        "expires_in": granted.expires_in,
    });
    if version != "v1" {
        body["token_use"] = json!("access_token");
        body["hub_id"] = json!(granted.portal);
        body["user_id"] = json!(4_411);
        body["scopes"] = json!(["oauth", "crm.objects.contacts.read", "crm.objects.deals.read"]);
    }
    body
}

/// A refresh token of another app is refused in the same way.
fn refused(id: &CorrelationId, version: &str) -> Response {
    let message = "missing or invalid refresh token";
    let body = if version == "v1" {
        json!({
            "status": "BAD_REFRESH_TOKEN", "message": message, "correlationId": id.0, "requestId": id.0,
        })
    } else {
        json!({"error": "invalid_grant", "error_description": message})
    };
    problem::json_response(StatusCode::BAD_REQUEST, &body)
}
