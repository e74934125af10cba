//! The rules of the house that the compiler does not know: which crate may know which, and what files are called.
//!
//! `deny.toml` keeps the same edges over all dependencies, but it is a tool that somebody has to run. These run with
//! `cargo test`, need no network, and are stricter: what a crate needs only in its tests is not in its binary.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's own exception covers only the test functions, not what they share"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// The four between `protocol` and the services.
const FOUR: [&str; 4] = ["bus", "store", "connectors", "runtime"];
/// The processes. `lab` is none of them: it plays the vendors.
const SERVICES: [&str; 4] = ["ingress", "worker", "status", "scheduler"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
    /// Empty: to no registry.
    publish: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Dependency {
    /// The package, also where the code calls it something else.
    name: String,
    kind: Option<String>,
}

impl Dependency {
    fn is_for_tests(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}

impl Package {
    /// What it is built from, tests aside.
    fn imports(&self) -> Vec<&str> {
        self.dependencies.iter().filter(|d| !d.is_for_tests()).map(|d| d.name.as_str()).collect()
    }

    /// What only its tests need.
    fn test_imports(&self) -> Vec<&str> {
        self.dependencies.iter().filter(|d| d.is_for_tests()).map(|d| d.name.as_str()).collect()
    }

    /// The folder it is in, from the root.
    fn folder(&self) -> PathBuf {
        let root = fs::canonicalize(ROOT).unwrap();
        let folder = fs::canonicalize(self.manifest_path.parent().unwrap()).unwrap();
        folder.strip_prefix(root).unwrap().to_owned()
    }
}

fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path"])
        .arg(Path::new(ROOT).join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).unwrap();
    // A rule about a crate that is not there would always hold.
    for name in FOUR.iter().chain(&SERVICES).chain(&["protocol", "devstack", "lab", "syncline"]) {
        assert!(metadata.packages.iter().any(|package| package.name == *name), "there is no crate {name}");
    }
    metadata.packages
}

fn ours(packages: &[Package]) -> Vec<&str> {
    packages.iter().map(|package| package.name.as_str()).collect()
}

fn package<'a>(packages: &'a [Package], name: &str) -> &'a Package {
    packages.iter().find(|package| package.name == name).unwrap()
}

/// Who imports a crate, tests aside.
fn importers<'a>(packages: &'a [Package], name: &str) -> Vec<&'a str> {
    let importing = packages.iter().filter(|package| package.imports().contains(&name));
    importing.map(|package| package.name.as_str()).collect()
}

fn none_but(allowed: &[&str], found: &[&str], rule: &str) {
    let extra: Vec<_> = found.iter().filter(|name| !allowed.contains(name)).collect();
    assert!(extra.is_empty(), "{rule}, but: {extra:?}");
}

#[test]
fn services_never_import_each_other() {
    let packages = packages();
    for name in SERVICES {
        none_but(&["syncline"], &importers(&packages, name), &format!("only syncline composes {name}"));
        // Nor in its tests: what runs several of them at once is in `syncline`.
        let tests = package(&packages, name).test_imports();
        let others: Vec<_> = tests.into_iter().filter(|import| SERVICES.contains(import)).collect();
        none_but(&[], &others, &format!("the tests of {name} import no other service"));
    }
    none_but(&[], &importers(&packages, "syncline"), "nothing imports the binary for people");
}

#[test]
fn protocol_imports_none_of_our_crates_and_does_no_io() {
    let packages = packages();
    let imports = package(&packages, "protocol").imports();
    let ours = ours(&packages);
    let doing_io =
        ["async-nats", "axum", "hyper", "hyper-util", "reqwest", "rustix", "sqlx", "tokio", "tokio-util"];
    let wrong: Vec<_> =
        imports.into_iter().filter(|import| ours.contains(import) || doing_io.contains(import)).collect();
    none_but(&[], &wrong, "protocol is pure");
}

#[test]
fn bus_store_connectors_and_runtime_never_import_each_other() {
    let packages = packages();
    let ours = ours(&packages);
    for name in FOUR {
        let imports = package(&packages, name).imports();
        let imports: Vec<_> = imports.into_iter().filter(|import| ours.contains(import)).collect();
        none_but(&["protocol"], &imports, &format!("{name} imports only protocol"));
    }
}

#[test]
fn devstack_and_lab_are_for_syncline_and_for_tests() {
    let packages = packages();
    let ours = ours(&packages);
    for name in ["devstack", "lab"] {
        none_but(&["syncline"], &importers(&packages, name), &format!("{name} is in no service's binary"));
        let imports = package(&packages, name).imports();
        let imports: Vec<_> = imports.into_iter().filter(|import| ours.contains(import)).collect();
        none_but(&["protocol"], &imports, &format!("{name} knows nothing of the product but its words"));
    }
}

#[test]
fn only_bus_knows_async_nats() {
    // The example is a service of somebody else.
    none_but(&["bus", "follow-progress"], &importers(&packages(), "async-nats"), "NATS is behind bus");
}

#[test]
fn only_store_knows_sqlx() {
    // devstack makes the databases that store then works in.
    none_but(&["store", "devstack"], &importers(&packages(), "sqlx"), "SQL is in store");
}

#[test]
fn only_connectors_knows_reqwest() {
    // syncline is a client of our own API.
    none_but(
        &["connectors", "syncline"],
        &importers(&packages(), "reqwest"),
        "vendors are behind connectors",
    );
}

#[test]
fn only_connectors_knows_backoff() {
    let packages = packages();
    none_but(&["connectors"], &importers(&packages, "backoff"), "backoff is unmaintained, one crate has it");
}

#[test]
fn a_crate_has_the_name_of_its_folder_and_is_not_published() {
    for package in packages() {
        let folder = package.folder();
        let expected = ["shared", "services", "examples"].map(|parent| Path::new(parent).join(&package.name));
        assert!(expected.contains(&folder), "{} is in {}", package.name, folder.display());
        assert_eq!(package.publish, Some(Vec::new()), "{} could be published by accident", package.name);
    }
}

#[test]
fn every_crate_has_the_lints_of_the_workspace() {
    for package in packages() {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        let lints = manifest.split_once("\n[lints]\n").map(|(_, rest)| rest.trim_start());
        let has = lints.is_some_and(|lints| lints.starts_with("workspace = true"));
        assert!(has, "{}: `[lints] workspace = true` is missing", package.name);
    }
}

#[test]
fn no_rust_file_is_called_utils_or_helpers() {
    // A name that fits everything gathers everything.
    const NAMES: [&str; 6] = ["util", "utils", "helper", "helpers", "common", "misc"];
    let mut seen = 0;
    for package in packages() {
        for file in rust_files(package.manifest_path.parent().unwrap()) {
            let path = file.strip_prefix(fs::canonicalize(ROOT).unwrap()).unwrap_or(&file);
            let folder = path.parent().and_then(Path::file_name);
            let names = [path.file_stem(), folder].map(|name| name.unwrap_or_default().to_string_lossy());
            let bad = names.iter().find(|name| NAMES.contains(&name.as_ref()));
            assert!(bad.is_none(), "{} says nothing about what is in it", path.display());
            seen += 1;
        }
    }
    assert!(seen > 50, "only {seen} files were looked at");
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    files
}
