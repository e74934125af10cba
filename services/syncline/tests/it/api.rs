//! The API as a whole: what no service has alone.

use std::process::Command;

use devstack::NatsUser;
use devstack::proxy::TcpProxy;
use devstack::testing::TestEnv;
use futures_util::future::join_all;
use serde_json::Value;

use crate::up::{SMALL, Up};

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_posts_for_one_scope_make_one_job_that_runs_once() {
    let (env, dir) = (TestEnv::new().await, tempfile::tempdir().unwrap());
    let up = Up::start(&env, dir.path(), &["--lab-latency-ms", "50"]).await;
    let answers = join_all((0..1_000).map(|_| up.post())).await;
    let id = answers[0]["jobId"].as_str().unwrap();
    assert!(answers.iter().all(|answer| answer["jobId"] == id), "two jobs for one scope");
    assert_eq!(answers.iter().filter(|answer| answer["deduplicated"] != true).count(), 1);
    let job = up.completed(id).await;
    assert_eq!(job["attempts"], 1);
    let list: Value = up.http.get(up.url("/sync/jobs")).send().await.unwrap().json().await.unwrap();
    assert_eq!(list["jobs"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_while_nats_is_down_is_accepted_and_runs_when_nats_is_back() {
    let (env, dir) = (TestEnv::new().await, tempfile::tempdir().unwrap());
    let url = env.nats_url(NatsUser::Admin);
    let proxy = TcpProxy::in_front_of(&url).await.unwrap();
    let mut command = Up::command(dir.path());
    command
        .args(["--lab"])
        .args(SMALL)
        .env("DATABASE_URL", &env.database_url)
        .env("SYNCLINE_NATS_URL", proxy.url(&url));
    let up = Up::spawn(command).await;
    proxy.cut().await;
    let accepted = up.post().await;
    let id = accepted["jobId"].as_str().unwrap();
    assert_eq!(up.job(id).await["status"], "queued");
    assert_eq!(up.post().await["jobId"], id, "also then: one job for one scope");
    proxy.restore().await.unwrap();
    assert_eq!(up.completed(id).await["attempts"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_watch_and_jobs_speak_to_a_running_syncline() {
    let (env, dir) = (TestEnv::new().await, tempfile::tempdir().unwrap());
    let up = Up::start(&env, dir.path(), &[]).await;
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_syncline"))
            .args(args)
            .args(["--url", up.text("baseUrl")])
            .output();
        let output = output.unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, out, err) = run(&["sync", "demo", "--connector", "hubspot", "--watch"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("completed: 2263 records"), "{out}");
    let (code, out, _) = run(&["jobs", "demo"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("completed"), "{out}");
    let (code, _, err) = run(&["sync", "nobody"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("There is no such workspace"), "{err}");
}

#[test]
fn the_committed_openapi_document_is_what_the_code_says() {
    let output = Command::new(env!("CARGO_BIN_EXE_syncline")).arg("openapi").output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let committed: Value = serde_json::from_str(include_str!("../../../../openapi.json")).unwrap();
    assert_eq!(said, committed, "run `cargo run -- openapi > openapi.json`");
    assert_eq!(said["openapi"], "3.1.0");
}
