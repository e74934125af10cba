//! The demo, smaller and without limits; its account must add up.

use std::process::Command;

use crate::up::SMALL;

#[test]
fn the_demo_ends_with_an_account_that_adds_up() {
    let output = Command::new(env!("CARGO_BIN_EXE_syncline")).arg("demo").args(SMALL).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    assert!(out.contains("2,266") && out.contains("0 answered with 429"), "{out}");
    assert!(!out.contains('✗'), "{out}");
}
