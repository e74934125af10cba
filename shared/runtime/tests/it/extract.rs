//! The extractors, and how precisely they refuse.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Request;
use axum::routing::{get as on_get, post as on_post};
use protocol::{JobId, WorkspaceId};
use runtime::{Json, PathParams, Query};
use serde::{Deserialize, Serialize};

use crate::asking::{Answer, ask, get, post};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Command {
    connector_type: Option<String>,
    #[serde(default)]
    options: Options,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    pages: u32,
}

#[derive(Debug, Deserialize)]
struct Names {
    workspace: WorkspaceId,
    job: JobId,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default)]
    limit: u32,
}

fn routes() -> Router {
    Router::new()
        .route("/echo", on_post(async |Json(command): Json<Command>| Json(command)))
        .route("/raw", on_post(async |body: Bytes| body.len().to_string()))
        .route("/list", on_get(async |Query(page): Query<Page>| Json(page)))
        .route(
            "/w/{workspace}/jobs/{job}",
            on_get(async |PathParams(names): PathParams<Names>| format!("{}/{}", names.workspace, names.job)),
        )
}

async fn send(body: impl Into<Body>) -> Answer {
    ask(routes(), post("/echo").body(body.into()).unwrap()).await
}

#[tokio::test]
async fn a_json_object_is_read_and_answered() {
    let answer = send(r#"{"connectorType": "hubspot", "options": {"pages": 2}}"#).await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.json()["options"]["pages"], 2);
}

#[tokio::test]
async fn an_empty_body_counts_as_an_empty_object_whatever_it_is_declared_as() {
    assert_eq!(send("").await.status, 200);
    assert_eq!(send(" \r\n").await.status, 200);
    let undeclared = Request::post("/echo").body(Body::empty()).unwrap();
    assert_eq!(ask(routes(), undeclared).await.status, 200);
}

#[tokio::test]
async fn a_body_that_is_not_declared_as_json_is_a_415() {
    for declared in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
        let request = Request::post("/echo").header("content-type", declared).body("{}".into()).unwrap();
        let detail = ask(routes(), request).await.problem(415, "unsupported-media-type");
        assert!(detail.contains(declared) && detail.contains("application/json"), "{detail}");
    }
    let undeclared = Request::post("/echo").body("{}".into()).unwrap();
    ask(routes(), undeclared).await.problem(415, "unsupported-media-type");
}

#[tokio::test]
async fn json_may_be_declared_with_a_charset_or_as_a_suffix() {
    for declared in ["application/json; charset=utf-8", "Application/JSON", "application/merge-patch+json"] {
        let request = Request::post("/echo").header("content-type", declared).body("{}".into()).unwrap();
        assert_eq!(ask(routes(), request).await.status, 200, "{declared}");
    }
}

#[tokio::test]
async fn broken_json_is_a_400_with_line_and_column() {
    let detail = send("{\n  \"connectorType\": hub\n}").await.problem(400, "invalid-body");
    assert!(detail.contains("line 2 column 20"), "{detail}");
    for broken in ["nope", "{", "{} {}", "\u{feff}{}", "{\"a\""] {
        send(broken).await.problem(400, "invalid-body");
    }
    send(&b"{\"connectorType\": \"\xff\"}"[..]).await.problem(400, "invalid-body");
}

#[tokio::test]
async fn json_that_is_no_object_is_a_400() {
    for other in ["[]", "[\"hubspot\"]", "null", "5", "\"x\""] {
        let detail = send(other).await.problem(400, "invalid-body");
        assert_eq!(detail, "The body has to be a JSON object.", "{other}");
    }
}

#[tokio::test]
async fn an_unknown_field_is_a_422_that_names_it_and_what_is_allowed() {
    let detail = send(r#"{"connector": "hubspot"}"#).await.problem(422, "invalid-field");
    assert!(detail.contains("`connector`") && detail.contains("`connectorType`"), "{detail}");
}

#[tokio::test]
async fn a_field_of_the_wrong_type_is_a_422_that_names_it_and_what_is_expected() {
    let detail = send(r#"{"connectorType": 5}"#).await.problem(422, "invalid-field");
    assert!(detail.contains("`connectorType`") && detail.contains("expected a string"), "{detail}");
    let detail = send(r#"{"options": {"pages": -1}}"#).await.problem(422, "invalid-field");
    assert!(detail.contains("`options.pages`") && detail.contains("expected u32"), "{detail}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_a_413_announced_or_not() {
    let announced = post("/echo").header("content-length", "1025").body(Body::from("{}")).unwrap();
    let detail = ask(routes(), announced).await.problem(413, "body-too-large");
    assert!(detail.contains("1024 bytes"), "{detail}");
    let chunks = (0..30).map(|_| Ok::<_, std::io::Error>(" ".repeat(100)));
    let streamed = Body::from_stream(futures_util::stream::iter(chunks));
    send(streamed).await.problem(413, "body-too-large");
    assert_eq!(send(format!("{{{}}}", " ".repeat(1022))).await.status, 200);
}

#[tokio::test]
async fn the_limit_holds_for_a_handler_that_reads_the_body_itself() {
    let chunks = (0..30).map(|_| Ok::<_, std::io::Error>(" ".repeat(100)));
    let streamed = Body::from_stream(futures_util::stream::iter(chunks));
    assert_eq!(ask(routes(), post("/raw").body(streamed).unwrap()).await.status, 413);
}

#[tokio::test]
async fn path_segments_are_checked_and_named() {
    let job = JobId::new();
    assert_eq!(
        ask(routes(), get(&format!("/w/acme/jobs/{job}"))).await.body,
        format!("acme/{job}").as_bytes()
    );
    let detail = ask(routes(), get(&format!("/w/a.b/jobs/{job}"))).await.problem(400, "invalid-parameter");
    assert!(detail.contains("`workspace`") && detail.contains("`a.b`") && detail.contains("A-Z"), "{detail}");
    let detail = ask(routes(), get("/w/acme/jobs/17")).await.problem(400, "invalid-parameter");
    assert!(detail.contains("`job`") && detail.contains("`17`") && detail.contains("UUID"), "{detail}");
    let detail = ask(routes(), get("/w/%ff/jobs/17")).await.problem(400, "invalid-parameter");
    assert!(detail.contains("`workspace`") && detail.contains("UTF-8"), "{detail}");
}

#[tokio::test]
async fn a_long_segment_is_not_repeated_in_full() {
    let detail =
        ask(routes(), get(&format!("/w/acme/jobs/{}", "ä".repeat(500)).replace('ä', "%C3%A4"))).await;
    assert!(detail.problem(400, "invalid-parameter").len() < 400);
}

#[tokio::test]
async fn query_parameters_are_checked_and_named() {
    assert_eq!(ask(routes(), get("/list?limit=20")).await.json()["limit"], 20);
    assert_eq!(ask(routes(), get("/list")).await.json()["limit"], 0);
    let detail = ask(routes(), get("/list?limit=many")).await.problem(400, "invalid-parameter");
    assert!(detail.contains("`limit`"), "{detail}");
    let detail = ask(routes(), get("/list?offset=1")).await.problem(400, "invalid-parameter");
    assert!(detail.contains("`offset`") && detail.contains("`limit`"), "{detail}");
    ask(routes(), get("/list?limit=1&limit=2")).await.problem(400, "invalid-parameter");
}
