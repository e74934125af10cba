//! What the shell puts around every route.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::{get as on_get, post as on_post};
use protocol::ProblemKind;
use runtime::{ApiError, Patience, RequestId};
use tracing::instrument::WithSubscriber;

use crate::asking::{Answer, ask, get};

fn routes() -> Router {
    Router::new()
        .route("/ok", on_get(async || "fine"))
        .route("/id", on_get(async |id: RequestId| id.to_string()))
        .route("/slow", on_get(async || tokio::time::sleep(Duration::from_secs(60)).await))
        .route("/patient/{seconds}", on_get(patient))
        .route("/panic", on_get(panicking))
        .route("/bug", on_get(async || bug()))
        .route("/busy", on_get(async || busy()))
        .route("/commands", on_post(async || "done").delete(async || "gone"))
}

/// Asks for so much time, and needs a little less than that and the ordinary timeout, or much more.
async fn patient(patience: Patience, Path(seconds): Path<u64>) {
    patience.extend(Duration::from_secs(seconds));
    tokio::time::sleep(Duration::from_secs(if seconds == 30 { 34 } else { 600 })).await;
}

async fn panicking() -> &'static str {
    panic!("the secret is hunter2")
}

fn bug() -> ApiError {
    ApiError::internal(std::io::Error::other("table hunter2 is missing"))
}

fn busy() -> ApiError {
    let busy = ApiError::unavailable("The database is away. Nothing was written.", "pool timed out: hunter2");
    busy.retry_after(Duration::from_millis(2500))
}

/// Asks with a subscriber of its own, and gives what was logged at info and above.
async fn ask_and_read_log(uri: &str) -> (Answer, String) {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let answer = ask(routes(), get(uri)).with_subscriber(subscriber).await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    (answer, text)
}

#[tokio::test]
async fn every_answer_carries_a_request_id() {
    let answer = ask(routes(), get("/ok")).await;
    let id: uuid::Uuid = answer.header("x-request-id").parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
}

#[tokio::test]
async fn a_sane_request_id_is_taken_over_and_any_other_is_replaced() {
    for (id, sane) in [
        ("abc-123_X.y~z", true),
        (&"a".repeat(64), true),
        (&"a".repeat(65), false),
        ("a b", false),
        ("a\"b", false),
        ("a\tb", false),
        ("", false),
    ] {
        let mut request = get("/id");
        request.headers_mut().insert("x-request-id", id.parse().unwrap());
        let answer = ask(routes(), request).await;
        assert_eq!(answer.header("x-request-id") == id, sane, "{id:?}");
        assert_eq!(answer.body, answer.header("x-request-id").as_bytes());
    }
}

#[tokio::test]
async fn an_unknown_path_is_a_404_problem() {
    ask(routes(), get("/nowhere")).await.problem(404, "unknown-path");
}

#[tokio::test]
async fn a_method_that_is_not_there_is_a_405_problem_that_allows_the_others() {
    let answer = ask(routes(), get("/commands")).await;
    let detail = answer.problem(405, "method-not-allowed");
    assert!(detail.starts_with("GET "), "{detail}");
    assert_eq!(answer.header("allow"), "POST,DELETE");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_too_long_is_a_503_problem() {
    let started = tokio::time::Instant::now();
    let answer = ask(routes(), get("/slow")).await;
    answer.problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(started.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_asks_for_more_time_gets_it_and_no_more() {
    let answer = ask(routes(), get("/patient/30")).await;
    assert_eq!(answer.status, 200);
    let started = tokio::time::Instant::now();
    let detail = ask(routes(), get("/patient/40")).await.problem(503, "unavailable");
    assert_eq!(started.elapsed().as_secs(), 45);
    assert!(detail.contains("45000 ms"), "{detail}");
}

#[tokio::test]
async fn a_panic_is_a_500_problem_that_does_not_say_why() {
    let answer = ask(routes(), get("/panic")).await;
    let detail = answer.problem(500, "internal");
    assert!(!detail.contains("hunter2"), "{detail}");
}

#[tokio::test]
async fn the_cause_of_a_bug_is_logged_once_with_the_request_id_and_never_sent() {
    let (answer, log) = ask_and_read_log("/bug").await;
    answer.problem(500, "internal");
    assert!(!String::from_utf8(answer.body.clone()).unwrap().contains("hunter2"));
    assert_eq!(log.matches("hunter2").count(), 1, "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains("ERROR") && log.contains(answer.header("x-request-id")), "{log}");
    assert!(log.contains("/bug"), "{log}");
}

#[tokio::test]
async fn a_503_says_when_to_try_again_in_whole_seconds() {
    let (answer, log) = ask_and_read_log("/busy").await;
    assert_eq!(answer.problem(503, "unavailable"), "The database is away. Nothing was written.");
    assert_eq!(answer.header("retry-after"), "3");
    assert!(log.contains("WARN") && log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn an_answer_that_went_well_is_not_logged_at_info() {
    let (_, log) = ask_and_read_log("/ok").await;
    assert_eq!(log, "");
}

#[tokio::test]
async fn every_kind_of_problem_has_the_status_that_it_promises() {
    for kind in ProblemKind::ALL.iter().copied() {
        let router = Router::new().route("/", on_get(async move || ApiError::new(kind, "Because.")));
        assert_eq!(ask(router, get("/")).await.problem(kind.status(), kind.slug()), "Because.");
    }
}
