//! Where settings are said besides the defaults. Loading them is pure: what the process has is passed in.

use std::path::PathBuf;

/// The prefix of the variables that are ours.
pub(super) const ENV_PREFIX: &str = "SYNCLINE_";
/// Names the configuration file.
pub(super) const ENV_CONFIG: &str = "SYNCLINE_CONFIG";
/// What most hosts call the address of the database.
pub(super) const ENV_DATABASE_URL: &str = "DATABASE_URL";

/// Where settings are said, later ones over earlier ones: the file, then the environment.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// A TOML file. Goes over `SYNCLINE_CONFIG`.
    pub file: Option<PathBuf>,
    /// Environment variables; those that are none of ours are passed over.
    pub env: Vec<(String, String)>,
}

impl Sources {
    /// What this process has. The only place in the project that reads the environment.
    #[allow(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn from_process(file: Option<PathBuf>) -> Self {
        let env = std::env::vars_os().map(|(name, value)| {
            // What is not Unicode cannot be one of our names; as a value it is found wrong later.
            (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
        });
        Self { file, env: env.filter(|(name, _)| is_ours(name)).collect() }
    }

    /// The file to read.
    pub(super) fn file(&self) -> Option<PathBuf> {
        let from_env = || self.env.iter().find(|(name, _)| name == ENV_CONFIG);
        self.file.clone().or_else(|| from_env().map(|(_, path)| PathBuf::from(path)))
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with(ENV_PREFIX) || name == ENV_DATABASE_URL
}
