use std::process::Command;

use devstack::{NatsUser, Stack, StackOptions};
use futures_util::StreamExt;

use crate::clients;
use crate::processes::{Holder, eventually, is_running, running_in};

fn quick() -> StackOptions {
    StackOptions { durable: false, ..StackOptions::ephemeral() }
}

#[tokio::test]
async fn a_started_stack_answers_and_a_stopped_one_leaves_nothing() {
    let stack = Stack::start(StackOptions::ephemeral()).await.unwrap();
    let (nats, postgres) = (stack.nats_pid().unwrap(), stack.postgres_pid().unwrap());
    let dir = stack.data_dir().to_owned();

    let mut connection = clients::postgres(stack.database_url()).await;
    let durable: String = sqlx::query_scalar("SHOW fsync").fetch_one(&mut connection).await.unwrap();
    assert_eq!(durable, "on");
    let client = clients::nats(&stack.nats_url(NatsUser::Admin), NatsUser::Admin).await;
    let mut subscription = client.subscribe("anything").await.unwrap();
    client.publish("anything", "hello".into()).await.unwrap();
    assert_eq!(subscription.next().await.unwrap().payload, "hello");

    stack.stop().await.unwrap();
    assert!(!is_running(nats) && !is_running(postgres), "a server survived");
    assert!(!dir.exists(), "the ephemeral directory survived");
    assert_eq!(running_in(&dir), Vec::<String>::new());
}

#[tokio::test]
async fn only_what_is_wanted_is_started() {
    let options = StackOptions { want_postgres: false, ..quick() };
    let stack = Stack::start(options).await.unwrap();
    assert!(stack.nats_pid().is_some());
    assert_eq!((stack.postgres_pid(), stack.database_url()), (None, ""));
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn a_dropped_stack_leaves_nothing() {
    let stack = Stack::start(quick()).await.unwrap();
    let dir = stack.data_dir().to_owned();
    drop(stack);
    eventually("nothing is left of a dropped stack", || running_in(&dir).is_empty() && !dir.exists()).await;
}

#[tokio::test]
async fn a_parent_killed_with_9_leaves_no_process_and_no_file() {
    let mut holder = Holder::start(None);
    holder.kill();
    let dir = holder.data_dir.clone();
    eventually("the servers of a killed parent are gone", || {
        !is_running(holder.nats_pid) && !is_running(holder.postgres_pid)
    })
    .await;
    eventually("nothing else is left", || running_in(&dir).is_empty() && !dir.exists()).await;
}

#[tokio::test]
async fn ctrl_c_stops_in_good_order() {
    let mut holder = Holder::start(None);
    let pid = holder.child.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
    let status = tokio::task::spawn_blocking(move || {
        holder.child.wait().map(|status| (status, holder.data_dir.clone()))
    });
    let (status, dir) = status.await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    assert!(running_in(&dir).is_empty() && !dir.exists());
}

#[tokio::test]
async fn a_killed_nats_comes_back_with_its_streams_and_a_wiped_one_without() {
    let options = StackOptions { want_postgres: false, ..quick() };
    let mut stack = Stack::start(options).await.unwrap();
    let url = stack.nats_url(NatsUser::Admin);
    let jetstream = clients::jetstream(&url, NatsUser::Admin).await;
    jetstream.create_stream(clients::tickets()).await.unwrap();

    stack.kill_nats().await.unwrap();
    assert_eq!(stack.nats_pid(), None);
    stack.restart_nats().await.unwrap();
    assert_eq!(stack.nats_url(NatsUser::Admin), url, "clients must find it where it was");
    let jetstream = clients::jetstream(&url, NatsUser::Admin).await;
    jetstream.get_stream("SYNC_JOBS").await.unwrap();

    stack.wipe_jetstream().await.unwrap();
    let jetstream = clients::jetstream(&url, NatsUser::Admin).await;
    jetstream.get_stream("SYNC_JOBS").await.unwrap_err();
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_postgres_comes_back_with_its_rows() {
    let options = StackOptions { want_nats: false, ..quick() };
    let mut stack = Stack::start(options).await.unwrap();
    let url = stack.database_url().to_owned();
    let mut connection = clients::postgres(&url).await;
    sqlx::query("CREATE TABLE kept AS SELECT 7 AS number").execute(&mut connection).await.unwrap();

    stack.kill_postgres().await.unwrap();
    assert_eq!(stack.postgres_pid(), None);
    stack.restart_postgres().await.unwrap();
    let mut connection = clients::postgres(&url).await;
    let number: i32 = sqlx::query_scalar("SELECT number FROM kept").fetch_one(&mut connection).await.unwrap();
    assert_eq!(number, 7);
    stack.stop().await.unwrap();
}
