//! The example against a real NATS, as the user for people.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

use std::process::Stdio;
use std::time::Duration;

use bus::{BoardCell, Bus, BusOptions};
use devstack::NatsUser;
use devstack::testing::TestEnv;
use protocol::JobView;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

fn view(id: &str, status: &str, current: u64, revision: u64) -> JobView {
    serde_json::from_value(serde_json::json!({
        "id": id, "syncId": id, "workspaceId": "acme", "jobType": "sync", "connectorType": "hubspot", "status": status,
        "priority": "normal", "progress": {"current": current, "total": 10, "message": "Processing"}, "attempts": 1,
        "maxAttempts": 3, "takeovers": 0, "createdAt": "2026-02-10T12:00:00Z", "error": null, "revision": revision,
    }))
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_sees_what_was_there_before_and_what_comes_and_nothing_twice() {
    let env = TestEnv::new().await;
    let options = |url| BusOptions { url, name: "test".into(), request_timeout: Duration::from_secs(5) };
    let bus = Bus::connect(&options(env.nats_url(NatsUser::Admin))).await.unwrap();
    bus.connected().await;
    bus.provision(1).await.unwrap();
    let (before, live) = ("01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b302099a8058");
    bus.post(&mut BoardCell::default(), &view(before, "running", 3, 7)).await.unwrap();

    let mut follower = Command::new(env!("CARGO_BIN_EXE_follow-progress"))
        .args(["--nats", &env.nats_url(NatsUser::Viewer), "acme", "--until-over", live])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), format!("{before} running 3/10 Processing"));
    let mut cell = BoardCell::default();
    for (status, current, revision) in [("running", 1, 2), ("running", 1, 2), ("completed", 10, 3)] {
        bus.post(&mut cell, &view(live, status, current, revision)).await.unwrap();
    }
    assert_eq!(lines.next_line().await.unwrap().unwrap(), format!("{live} running 1/10 Processing"));
    assert_eq!(lines.next_line().await.unwrap().unwrap(), format!("{live} completed 10/10 Processing"));
    assert_eq!(lines.next_line().await.unwrap(), None, "it ends with the job");
    assert!(follower.wait().await.unwrap().success());
}
