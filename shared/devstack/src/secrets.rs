//! The servers' passwords: made once for a data directory, and kept there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::nats::NatsUser;

/// One password for Postgres and one for each NATS user, by its name.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Secrets {
    pub postgres: String,
    pub nats: BTreeMap<String, String>,
}

impl Secrets {
    /// Those of the data directory; new ones when it has none.
    pub fn load_or_create(path: &Path) -> Result<Self> {
        if path.exists() {
            let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
            return serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()));
        }
        let nats = NatsUser::ALL.iter().map(|user| (user.name().to_owned(), password())).collect();
        let secrets = Self { postgres: password(), nats };
        write_private(path, &serde_json::to_string_pretty(&secrets)?)?;
        Ok(secrets)
    }

    pub fn of(&self, user: NatsUser) -> &str {
        self.nats.get(user.name()).map_or("", String::as_str)
    }
}

/// Writes a file that only its owner may read, all of it or nothing.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file: File =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().with_context(|| format!("write {}", path.display()))
}

/// Letters and digits, a letter first: nats-server reads it from the environment as a configuration value.
fn password() -> String {
    let rest: String = rand::rng().sample_iter(rand::distr::Alphanumeric).take(31).map(char::from).collect();
    format!("p{rest}")
}
