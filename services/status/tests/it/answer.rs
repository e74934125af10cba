//! An answer of the API, read to its end.

use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {:?}", self.text))
    }

    /// Asserts the status, and gives the body.
    #[track_caller]
    pub fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/json");
        self.json()
    }

    /// Asserts that this is a problem in full, and gives its detail.
    #[track_caller]
    pub fn problem(&self, status: u16, slug: &str) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let body = self.json();
        let mut members: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["detail", "requestId", "retryable", "status", "title", "type"]);
        assert_eq!(body["type"], format!("urn:syncline:problem:{slug}"), "{body}");
        assert_eq!(body["status"], status);
        assert_eq!(body["retryable"], status == StatusCode::SERVICE_UNAVAILABLE.as_u16());
        assert_eq!(self.headers.contains_key("retry-after"), status == 503, "{body}");
        assert!(!body["title"].as_str().unwrap().is_empty());
        let id = body["requestId"].as_str().unwrap();
        assert!(!id.is_empty() && id == self.header("x-request-id"), "{body}");
        body["detail"].as_str().unwrap().to_owned()
    }
}
