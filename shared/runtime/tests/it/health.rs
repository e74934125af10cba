//! Health: up is not ready.

use std::future::pending;

use runtime::health::{Check, router};

use crate::asking::{ask, get};

#[tokio::test]
async fn a_process_that_answers_is_up_whatever_its_checks_say() {
    let answer =
        ask(router(vec![Check::new("nats", async || Err("away".to_owned()))]), get("/healthz")).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (200, &b"ok"[..]));
}

#[tokio::test]
async fn it_is_ready_when_every_check_is_well() {
    let checks = vec![Check::new("nats", async || Ok(())), Check::new("postgres", async || Ok(()))];
    let answer = ask(router(checks), get("/readyz")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        serde_json::json!({"status": "ready", "checks": {"nats": {"status": "ok"}, "postgres": {"status": "ok"}}})
    );
}

#[tokio::test(start_paused = true)]
async fn a_check_that_fails_or_hangs_is_named_in_a_503() {
    let started = tokio::time::Instant::now();
    let checks = vec![
        Check::new("nats", async || Err("not connected".to_owned())),
        Check::new("postgres", pending),
        Check::new("vendor", pending),
        Check::new("disk", async || Ok(())),
    ];
    let answer = ask(router(checks), get("/readyz")).await;
    assert_eq!(answer.status, 503);
    let checks = &answer.json()["checks"];
    assert_eq!(checks["nats"]["error"], "not connected");
    assert_eq!(checks["postgres"]["error"], "no answer within 1000 ms");
    assert_eq!(checks["disk"]["status"], "ok");
    assert_eq!(started.elapsed().as_secs(), 1, "the checks run side by side");
}
