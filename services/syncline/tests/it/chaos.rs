//! Short runs of chaos: everything is broken at least once, and every promise is kept.

use std::process::Command;

use serde_json::Value;

/// What a run reports that kept every promise.
fn kept(args: &[&str]) -> Value {
    let output =
        Command::new(env!("CARGO_BIN_EXE_syncline")).args(["chaos", "--json"]).args(args).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["well"], &report["findings"]), (&true.into(), &Value::Array(Vec::new())));
    report
}

fn number(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap()
}

#[test]
fn a_fleet_that_is_broken_in_every_way_keeps_its_promises() {
    let report = kept(&["--minutes", "0.35", "--seed", "1", "--workspaces", "5", "--records", "200"]);
    let number = |name: &str| number(&report, name);
    assert!(number("kills") >= 4 && number("accepted") >= 5 && number("completed") >= 5, "{report}");
    assert_eq!(number("compared"), 5, "each workspace was compared with the source: {report}");
    assert!(number("keys") >= 1, "some posts had a key: {report}");
    assert!(number("pollsWithTag") >= 1, "some polls had a tag: {report}");
    for kind in ["kill -9 Postgres", "kill -9 nats-server", "JetStream store deleted", "SIGSTOP and SIGCONT"]
    {
        assert!(report["incidents"][kind].as_u64() >= Some(1), "no {kind}: {report}");
    }
}

#[test]
fn a_fleet_on_a_cluster_that_loses_one_server_at_a_time_keeps_its_promises() {
    let report =
        kept(&["--minutes", "0.25", "--seed", "2", "--cluster", "--workspaces", "4", "--records", "150"]);
    assert!(report["incidents"]["kill -9 nats-server"].as_u64() >= Some(1), "no node was killed: {report}");
    assert_eq!(report["incidents"]["JetStream store deleted"], Value::Null, "no cluster is wiped: {report}");
    assert_eq!(number(&report, "compared"), 4, "each workspace was compared with the source: {report}");
}
