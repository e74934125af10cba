//! Stopping, with real signals to a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use runtime::{Config, Shutdown, ShutdownConfig, Sources, drain, telemetry};
use tokio_util::task::TaskTracker;

/// What the two tests below start: not a test of its own.
#[tokio::test]
#[ignore = "run by the tests of signals, as a process of its own"]
async fn as_a_process() {
    let mut config = Config::load(&Sources::default()).unwrap();
    config.log.format = runtime::LogFormat::Json;
    telemetry::init(&config.log).unwrap();
    telemetry::init(&config.log).expect("a second call changes nothing");
    let shutdown = Shutdown::install().unwrap();
    assert!(std::thread::spawn(|| panic!("on purpose")).join().is_err());
    tracing::info!("ready");
    shutdown.requested().await;
    tracing::info!("draining");
    std::future::pending::<()>().await;
}

struct Process {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
}

impl Process {
    fn start() -> Self {
        let this = std::env::current_exe().unwrap();
        let mut command = Command::new(this);
        command.args(["--exact", "shutdown::as_a_process", "--ignored", "--nocapture"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// Reads on to the line that has this in it.
    fn log_line_with(&mut self, text: &str) -> String {
        let lines = self.log.by_ref().lines().map(Result::unwrap);
        lines.into_iter().find(|line| line.contains(text)).expect("the log ended")
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Over already, unless the test failed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn the_first_signal_drains_and_the_second_exits_with_code_130() {
    for (first, second) in [("TERM", "INT"), ("INT", "INT")] {
        let mut process = Process::start();
        process.log_line_with("ready");
        process.signal(first);
        process.log_line_with("draining");
        process.signal(second);
        assert_eq!(process.child.wait().unwrap().code(), Some(130));
    }
}

#[test]
fn a_panic_is_logged_as_everything_else_is() {
    let mut process = Process::start();
    let line: serde_json::Value = serde_json::from_str(&process.log_line_with("on purpose")).unwrap();
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["panic.message"], "on purpose");
    assert!(line["panic.location"].as_str().unwrap().contains("shutdown.rs"));
    process.log_line_with("ready");
}

#[tokio::test]
async fn one_that_no_signal_reaches_is_triggered_by_hand() {
    let shutdown = Shutdown::manual();
    assert!(!shutdown.token().is_cancelled());
    shutdown.trigger();
    shutdown.requested().await;
}

#[tokio::test(start_paused = true)]
async fn work_is_cut_off_at_the_deadline_after_the_wish_to_stop_and_not_before() {
    let (shutdown, deadline) = (Shutdown::manual(), Duration::from_secs(25));
    let hours = tokio::time::sleep(Duration::from_secs(7_200));
    assert_eq!(shutdown.within(deadline, hours).await, Some(()), "nobody wished to stop");
    shutdown.trigger();
    assert_eq!(shutdown.within(deadline, tokio::time::sleep(deadline)).await, Some(()), "just in time");
    let late = tokio::time::sleep(deadline + Duration::from_millis(1));
    assert_eq!(shutdown.within(deadline, late).await, None);
}

#[test]
fn answers_end_before_the_deadline_so_that_what_comes_after_them_has_time() {
    let answers = |ms| ShutdownConfig { deadline: Duration::from_millis(ms) }.for_answers().as_millis();
    assert_eq!((answers(25_000), answers(1_000), answers(0)), (24_000, 750, 0));
}

#[tokio::test(start_paused = true)]
async fn draining_waits_for_the_tasks_and_no_longer_than_the_deadline() {
    let tracker = TaskTracker::new();
    tracker.spawn(tokio::time::sleep(Duration::from_secs(3)));
    assert!(!drain(&tracker, Duration::from_secs(2)).await);
    assert!(drain(&tracker, Duration::from_secs(2)).await);
}
