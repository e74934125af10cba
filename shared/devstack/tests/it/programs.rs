use std::time::Duration;

use devstack::programs::{Program, ProgramOptions, Programs};

use crate::processes::{eventually, is_running};

fn start(programs: &Programs, dir: &std::path::Path, script: &str) -> Program {
    let args = ["-c", script].map(Into::into).into();
    let log = dir.join("program.log");
    programs.start(ProgramOptions { program: "/bin/sh".into(), args, log }).unwrap()
}

#[tokio::test]
async fn a_program_can_be_held_up_killed_and_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let programs = Programs::new(dir.path()).unwrap();
    let mut first = start(&programs, dir.path(), "echo first; exec sleep 600");
    first.hold_up().unwrap();
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", first.id())).unwrap_or_default();
    eventually("it is held up", || state().contains(") T ")).await;
    first.go_on().unwrap();
    eventually("it goes on", || !state().contains(") T ")).await;
    eventually("it wrote to its log", || first.log_tail().contains("first")).await;
    programs.kill(&mut first).await.unwrap();
    assert!(!first.is_running().unwrap());
    let mut second = start(&programs, dir.path(), "echo second; exec sleep 600");
    assert!(second.is_running().unwrap() && second.id() != first.id());
    assert!(!programs.stop(&mut second, Duration::from_secs(5)).await.unwrap(), "ended by a signal");
    assert!(!is_running(second.id()));
}

#[tokio::test]
async fn a_program_ends_with_its_owner_even_if_it_is_held_up() {
    let dir = tempfile::tempdir().unwrap();
    let programs = Programs::new(dir.path()).unwrap();
    let program = start(&programs, dir.path(), "exec sleep 600");
    program.hold_up().unwrap();
    drop(programs);
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", program.id())).unwrap_or_default();
    // Ended; we did not ask how.
    eventually("it has ended", || state().contains(") Z ") || state().is_empty()).await;
}

#[tokio::test]
async fn a_cluster_of_three_servers_survives_the_death_of_one() {
    let options = devstack::StackOptions {
        nats_nodes: 3,
        want_postgres: false,
        durable: false,
        ..devstack::StackOptions::ephemeral()
    };
    let mut stack = devstack::Stack::start(options).await.unwrap();
    let user = devstack::NatsUser::Admin;
    let urls = stack.nats_urls(user);
    assert_eq!((urls.len(), stack.nats_url(user)), (3, urls.join(",")));
    let client = crate::clients::nats(&urls[1], user).await;
    let jetstream = async_nats::jetstream::new(client);
    let config =
        async_nats::jetstream::stream::Config { name: "S".into(), num_replicas: 3, ..Default::default() };
    // Three servers have to find each other first, and to choose a leader.
    let mut made = Err(String::new());
    for _ in 0..200 {
        made = jetstream.create_stream(config.clone()).await.map(drop).map_err(|error| error.to_string());
        if made.is_ok() {
            break;
        }
    }
    made.unwrap();
    stack.kill_nats_node(0).await.unwrap();
    let publish = async {
        loop {
            let ack = jetstream.publish("S", "x".into()).await.unwrap();
            if ack.await.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), publish).await.expect("two of three are enough");
    stack.restart_nats_node(0).await.unwrap();
    stack.stop().await.unwrap();
}
