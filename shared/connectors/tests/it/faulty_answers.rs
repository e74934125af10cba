//! Answers that no sane vendor gives, but proxies and broken networks do.

use connectors::{ErrorClass, HttpConfig, Registry, SourceError};
use serde_json::json;

use crate::canned::Canned;
use crate::hubspot::{config, contacts, impatient, open};

async fn error_of(server: &Canned, http: HttpConfig) -> SourceError {
    let registry = Registry::new(&config(&server.url, json!({})), http).unwrap();
    let error = open(&registry, 1).await.page(&contacts(), None).await.unwrap_err();
    assert!(!error.message.contains("127.0.0.1"), "{error}");
    error
}

#[tokio::test]
async fn html_with_a_good_status_is_retried_and_then_transient() {
    let server = Canned::answer("200 OK", "content-type: text/html\r\n", "<html>please log in</html>").await;
    let error = error_of(&server, impatient()).await;
    assert_eq!(error.class, ErrorClass::Transient);
    assert_eq!(error.message, "HubSpot sent an answer that is not JSON (line 1, column 1)");
    assert_eq!(server.requests(), 4);
}

#[tokio::test]
async fn a_page_that_leads_to_itself_is_transient_rather_than_endless() {
    let body = r#"{"results":[],"paging":{"next":{"after":"5"}}}"#;
    let server = Canned::answer("200 OK", "", body).await;
    let registry = Registry::new(&config(&server.url, json!({})), impatient()).unwrap();
    let session = open(&registry, 1).await;
    let position = connectors::Position(json!({"v": 1, "phase": "list", "started": 1, "after": "5"}));
    let error = session.page(&contacts(), Some(&position)).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Transient);
}

#[tokio::test]
async fn an_endless_body_is_cut_at_the_limit_and_not_asked_for_again() {
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_owned();
    let server = Canned::start(head, vec![b' '; 64 * 1024], usize::MAX).await;
    let error = error_of(&server, HttpConfig { body_max_bytes: 1 << 20, ..impatient() }).await;
    assert_eq!(error.class, ErrorClass::Permanent);
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn an_endless_explanation_of_an_error_does_not_hide_the_error() {
    let head = "HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n".to_owned();
    let server = Canned::start(head, vec![b'x'; 64 * 1024], usize::MAX).await;
    assert_eq!(error_of(&server, impatient()).await.class, ErrorClass::Forbidden);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Canned::answer("200 OK", "", r#"{"results":[]}"#).await;
    let location = format!("location: {}/\r\n", elsewhere.url);
    let server = Canned::answer("302 Found", &location, "").await;
    assert_eq!(error_of(&server, impatient()).await.class, ErrorClass::Permanent);
    assert_eq!((server.requests(), elsewhere.requests()), (1, 0));
}

#[tokio::test]
async fn a_vendor_that_cannot_be_reached_is_a_transient_error_without_an_address() {
    let gone = Canned::answer("200 OK", "", "").await;
    let url = gone.url.clone();
    drop(gone);
    let registry = Registry::new(&config(&url, json!({})), impatient()).unwrap();
    let error = open(&registry, 1).await.page(&contacts(), None).await.unwrap_err();
    assert_eq!(
        (error.class, error.message.as_str()),
        (ErrorClass::Transient, "HubSpot could not be reached")
    );
}
