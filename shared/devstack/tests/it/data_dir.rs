use std::process::Command;

use devstack::{NatsUser, Stack, StackOptions};

use crate::clients;
use crate::processes::{Holder, eventually, is_running, running_in};

/// Below the system's temporary directory, which Postgres' user can reach; the lock keeps it while in use.
fn empty_dir() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn watchdog_pid(dir: &std::path::Path) -> u32 {
    let line = std::fs::read_to_string(dir.join("watchdog.pid")).unwrap();
    line.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_data_dir_is_used_again_after_kill_9() {
    let dir = empty_dir();
    let mut holder = Holder::start(Some(dir.path()));
    let mut connection = clients::postgres(&holder.database_url).await;
    sqlx::query("CREATE TABLE kept AS SELECT 7 AS number").execute(&mut connection).await.unwrap();
    let jetstream = clients::jetstream(&holder.nats_url, NatsUser::Admin).await;
    jetstream.create_stream(clients::tickets()).await.unwrap();
    drop(connection);
    holder.kill();

    // At once: the old servers may still be stopping.
    let stack = Stack::start(StackOptions::in_dir(dir.path())).await.unwrap();
    let mut connection = clients::postgres(stack.database_url()).await;
    let number: i32 = sqlx::query_scalar("SELECT number FROM kept").fetch_one(&mut connection).await.unwrap();
    assert_eq!(number, 7);
    let jetstream = clients::jetstream(&stack.nats_url(NatsUser::Admin), NatsUser::Admin).await;
    jetstream.get_stream("SYNC_JOBS").await.unwrap();
    assert_ne!(stack.nats_pid(), Some(holder.nats_pid));
    stack.stop().await.unwrap();
    assert_eq!(running_in(dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn servers_whose_owner_and_watchdog_were_killed_are_stopped_by_the_next_start() {
    let dir = empty_dir();
    let mut holder = Holder::start(Some(dir.path()));
    let watchdog = watchdog_pid(dir.path());
    assert!(Command::new("kill").args(["-s", "KILL", &watchdog.to_string()]).status().unwrap().success());
    eventually("the watchdog is gone", || !is_running(watchdog)).await;
    holder.kill();
    assert!(is_running(holder.nats_pid) && is_running(holder.postgres_pid), "nobody was there to stop them");

    let stack = Stack::start(StackOptions::in_dir(dir.path())).await.unwrap();
    assert!(!is_running(holder.nats_pid) && !is_running(holder.postgres_pid));
    stack.stop().await.unwrap();
    assert_eq!(running_in(dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_second_stack_on_the_same_directory_is_refused_and_told_by_whom() {
    let options = StackOptions { durable: false, want_postgres: false, ..StackOptions::ephemeral() };
    let stack = Stack::start(options.clone()).await.unwrap();
    let error = Stack::start(options).await.err().unwrap().to_string();
    assert!(error.contains("another Syncline") && error.contains(&std::process::id().to_string()), "{error}");
    assert!(is_running(stack.nats_pid().unwrap()), "the first must not notice");
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn a_directory_with_other_files_is_never_ephemeral() {
    let dir = empty_dir();
    let precious = dir.path().join("thesis.txt");
    std::fs::write(&precious, "years of work").unwrap();
    let options = StackOptions { ephemeral: true, ..StackOptions::in_dir(dir.path()) };
    let error = Stack::start(options).await.err().unwrap().to_string();
    assert!(error.contains("choose an empty directory"), "{error}");
    assert!(precious.exists());
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let options = StackOptions { nats_port: Some(port), want_postgres: false, ..StackOptions::ephemeral() };
    let error = Stack::start(options).await.err().unwrap().to_string();
    assert!(error.contains(&format!("port {port}")), "{error}");
}

#[tokio::test]
async fn passwords_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let options = StackOptions { durable: false, want_postgres: false, ..StackOptions::ephemeral() };
    let stack = Stack::start(options).await.unwrap();
    let mode = std::fs::metadata(stack.data_dir().join("secrets.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    stack.stop().await.unwrap();
}
