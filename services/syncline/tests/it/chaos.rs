//! A short run of chaos: everything is broken at least once, and every promise is kept.

use std::process::Command;

use serde_json::Value;

#[test]
fn a_fleet_that_is_broken_in_every_way_keeps_its_promises() {
    let args =
        ["chaos", "--minutes", "0.35", "--seed", "1", "--workspaces", "5", "--records", "200", "--json"];
    let output = Command::new(env!("CARGO_BIN_EXE_syncline")).args(args).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["well"], &report["findings"]), (&true.into(), &Value::Array(Vec::new())));
    let number = |name: &str| report[name].as_u64().unwrap();
    assert!(number("kills") >= 4 && number("accepted") >= 5 && number("completed") >= 5, "{report}");
    assert_eq!(number("compared"), 5, "each workspace was compared with the source: {report}");
    assert!(number("keys") >= 1, "some posts had a key: {report}");
    for kind in ["kill -9 Postgres", "kill -9 nats-server", "JetStream store deleted", "SIGSTOP and SIGCONT"]
    {
        assert!(report["incidents"][kind].as_u64() >= Some(1), "no {kind}: {report}");
    }
}
