//! Where nats-server and Postgres are on this machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::install;
use crate::stack::StackOptions;

/// The lowest version of nats-server that has what the streams use.
const NATS_MIN: (u32, u32) = (2, 12);
const POSTGRES_MIN: (u32, u32) = (15, 0);

/// What was found of what was wanted.
pub(crate) struct Programs {
    pub nats_server: Option<PathBuf>,
    pub postgres_bin_dir: Option<PathBuf>,
}

/// Finds both, and installs what is missing. May take a minute then.
pub(crate) async fn programs(options: StackOptions) -> Result<Programs> {
    let find = move || -> Result<Programs> {
        let nats = options.want_nats.then(|| nats_server(options.nats_server.as_deref())).transpose()?;
        let postgres = options
            .want_postgres
            .then(|| postgres_bin_dir(options.postgres_bin_dir.as_deref()))
            .transpose()?;
        Ok(Programs { nats_server: nats, postgres_bin_dir: postgres })
    };
    tokio::task::spawn_blocking(find).await.context("look for nats-server and Postgres")?
}

fn nats_server(explicit: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = explicit {
        let version = version(path).with_context(|| format!("{} is no nats-server", path.display()))?;
        ensure!(
            version >= NATS_MIN,
            "{} is version {}.{}: 2.12 or newer is needed",
            path.display(),
            version.0,
            version.1
        );
        return Ok(path.to_owned());
    }
    let mut places = path_dirs();
    places.extend(["/usr/local/bin", "/usr/bin", "/usr/sbin", "/opt/homebrew/bin"].map(PathBuf::from));
    places.extend(subdirs("/opt", "nats", ""));
    places.extend(home().into_iter().flat_map(|home| [home.join("go/bin"), home.join(".local/bin")]));
    let too_old = match first_of(places, "nats-server", NATS_MIN) {
        Ok(path) => return Ok(path),
        Err(too_old) => too_old,
    };
    install::nats_server(cache_dir().as_deref()).with_context(|| match too_old {
        Some(path) => format!("{} is too old, nats-server 2.12 or newer is needed", path.display()),
        None => "nats-server 2.12 or newer was not found: install it and put it on PATH".to_owned(),
    })
}

fn postgres_bin_dir(explicit: Option<&Path>) -> Result<PathBuf> {
    if let Some(dir) = explicit {
        let path = dir.join("postgres");
        let version = version(&path).with_context(|| format!("{} is no Postgres", path.display()))?;
        ensure!(
            version >= POSTGRES_MIN,
            "{} is version {}: 15 or newer is needed",
            path.display(),
            version.0
        );
        return Ok(dir.to_owned());
    }
    if let Some(dir) = installed_postgres() {
        return Ok(dir);
    }
    install::postgres().context("Postgres 15 or newer was not found: install its server package")?;
    installed_postgres().context("Postgres was installed, but not where it is looked for")
}

fn installed_postgres() -> Option<PathBuf> {
    let mut places = path_dirs();
    places.extend(subdirs("/usr/lib/postgresql", "", "bin"));
    places.extend(subdirs("/usr", "pgsql-", "bin"));
    places.extend(subdirs("/opt/homebrew/opt", "postgresql", "bin"));
    places.extend(subdirs("/usr/local/opt", "postgresql", "bin"));
    places.extend(subdirs("/opt", "postgres", "bin"));
    places.extend(["/usr/local/bin", "/usr/bin", "/usr/local/pgsql/bin"].map(PathBuf::from));
    places.retain(|dir| dir.join("initdb").is_file());
    let postgres = first_of(places, "postgres", POSTGRES_MIN).ok()?;
    postgres.parent().map(Path::to_owned)
}

/// The first program of this name that is new enough; else one that is too old.
fn first_of(dirs: Vec<PathBuf>, name: &str, min: (u32, u32)) -> Result<PathBuf, Option<PathBuf>> {
    let mut too_old = None;
    for path in dirs.into_iter().map(|dir| dir.join(name)).filter(|path| path.is_file()) {
        match version(&path) {
            Ok(version) if version >= min => return Ok(path),
            Ok(_) => too_old = Some(path),
            Err(error) => tracing::debug!(path = %path.display(), "does not tell its version: {error:#}"),
        }
    }
    Err(too_old)
}

/// Asks a program for its version: `nats-server: v2.15.1`, `postgres (PostgreSQL) 15.8 (Debian …)`, `17beta1`.
pub(crate) fn version(program: &Path) -> Result<(u32, u32)> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().context("run it")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(found) = text.split_whitespace().find_map(parse_version) else {
        bail!("its answer to --version is not understood: {text:?}")
    };
    Ok(found)
}

fn parse_version(word: &str) -> Option<(u32, u32)> {
    let digits = word.strip_prefix('v').unwrap_or(word);
    let mut parts = digits.split(|c: char| !c.is_ascii_digit());
    let major = parts.next()?.parse().ok()?;
    Some((major, parts.next().and_then(|minor| minor.parse().ok()).unwrap_or(0)))
}

/// `parent/<prefix…>/child`, the highest version first.
fn subdirs(parent: &str, prefix: &str, child: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect();
    let number = |name: &str| {
        let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
        parse_version(digits).unwrap_or_default()
    };
    names.sort_by_key(|name| std::cmp::Reverse(number(name)));
    names.into_iter().map(|name| Path::new(parent).join(name).join(child)).collect()
}

fn path_dirs() -> Vec<PathBuf> {
    environment("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

fn home() -> Option<PathBuf> {
    environment("HOME").map(PathBuf::from)
}

/// Outside of the repository, so that every checkout shares it.
fn cache_dir() -> Option<PathBuf> {
    let base = environment("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(home()?.join(".cache")));
    base.map(|base| base.join("syncline"))
}

/// The machine's own variables, which no configuration of ours replaces.
#[expect(clippy::disallowed_methods, reason = "PATH and HOME belong to the machine")]
fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
