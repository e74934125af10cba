//! Asking a router something and reading what it answers.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use runtime::http::{ShellConfig, shell};
use serde_json::Value;
use tower::ServiceExt;

/// An answer, read to its end.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Asserts that this is a problem in full, and gives its detail.
    #[track_caller]
    pub fn problem(&self, status: u16, slug: &str) -> String {
        let body = self.json();
        assert_eq!(self.status.as_u16(), status, "{body}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.header("content-length"), self.body.len().to_string());
        assert_eq!(body["type"], format!("urn:syncline:problem:{slug}"), "{body}");
        assert_eq!(body["status"], status);
        assert_eq!(body["retryable"], status == 503);
        assert_eq!(body["requestId"], self.header("x-request-id"));
        assert_eq!(self.headers.contains_key("retry-after"), status == 503);
        body["detail"].as_str().unwrap().to_owned()
    }
}

pub fn config() -> ShellConfig {
    ShellConfig::new(1024, Duration::from_secs(5))
}

pub fn get(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::empty()).unwrap()
}

pub fn post(uri: &str) -> Builder {
    Request::post(uri).header("content-type", "application/json")
}

/// Asks a router inside the shell.
pub async fn ask(router: Router, request: Request<Body>) -> Answer {
    let (parts, body) = shell(router, config()).oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}
