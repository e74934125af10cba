//! The layers: defaults, file, environment. Laid over each other key by key, so that each value keeps its
//! origin and one that is wrong does not hide the next.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::error::{ConfigError, Origin};
use super::sources::{ENV_CONFIG, ENV_DATABASE_URL, ENV_PREFIX, Sources};

/// The largest number of any key: fits every integer type of the sections.
const NUMBER_MAX: i64 = u32::MAX as i64;

/// Keys that may be 0. All other numbers are limits, sizes and times that make no sense without at least 1.
const MAY_BE_ZERO: &[&str] = &[
    "worker.slots_high",
    "worker.slots_normal",
    "worker.slots_low",
    "worker.slots_reserve",
    "worker.takeovers_max",
    "worker.retry_base_ms",
    "worker.delete_rows_max",
    "worker.delete_percent_max",
    "worker.progress_interval_ms",
    "scheduler.relay_after_ms",
    "scheduler.retention_days",
    "source.retries",
    "source.retry_base_ms",
    "source.quota_wait_max_ms",
];

/// Keys whose values are not repeated in errors.
const SECRETS: &[&str] = &["database.url", "nats.url", "secrets.encryption_key"];

/// A value and where it was said.
#[derive(Debug, Clone)]
struct Entry {
    value: Value,
    origin: Origin,
    /// Something is wrong with it already; checks that build on it are left out.
    refused: bool,
}

/// All values by their key, `worker.lease_ms`, and what is wrong so far.
#[derive(Debug, Default)]
pub(super) struct Layers {
    entries: BTreeMap<String, Entry>,
    pub(super) errors: Vec<ConfigError>,
}

impl Layers {
    /// Lays the sources over the defaults.
    pub(super) fn read(defaults: &str, sources: &Sources) -> Self {
        let mut layers = Self::default();
        for (key, value) in layers.parse(defaults, &Origin::Defaults) {
            layers.entries.insert(key, Entry { value, origin: Origin::Defaults, refused: false });
        }
        if let Some(path) = sources.file() {
            layers.lay_file(path);
        }
        layers.lay_env(&sources.env);
        layers
    }

    fn parse(&mut self, text: &str, origin: &Origin) -> Vec<(String, Value)> {
        let mut leaves = Vec::new();
        match text.parse::<Table>() {
            Ok(table) => flatten("", table, &mut leaves),
            Err(error) => {
                let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
                // The message without the offending line, which may hold a secret.
                let found = format!("in line {line}: {}", error.message());
                self.refuse("the file", origin.clone(), found, "valid TOML");
            }
        }
        leaves
    }

    fn lay_file(&mut self, path: PathBuf) {
        let origin = Origin::File(path.clone());
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                for (key, value) in self.parse(&text, &origin) {
                    self.lay(&key, value, origin.clone());
                }
            }
            Err(error) => self.refuse("the file", origin, error.to_string(), "a readable file"),
        }
    }

    fn lay_env(&mut self, env: &[(String, String)]) {
        let keys: BTreeMap<String, String> =
            self.entries.keys().map(|key| (env_name(key), key.clone())).collect();
        let ours = env.iter().filter(|(name, _)| name.starts_with(ENV_PREFIX) && name != ENV_CONFIG);
        // First, so that the variable with our own name goes over it.
        let aliased = env.iter().filter(|(name, _)| name == ENV_DATABASE_URL);
        for (name, text) in aliased.chain(ours) {
            let key = if name == ENV_DATABASE_URL {
                Some("database.url")
            } else {
                keys.get(name).map(String::as_str)
            };
            let origin = Origin::Env(name.clone());
            match key {
                Some(key) => {
                    let value = self.value_from_text(key, text);
                    self.lay(key, value, origin);
                }
                None => {
                    let expected = closest(name, keys.keys().map(String::as_str));
                    self.refuse(name, origin, "an unknown variable".to_owned(), &expected);
                }
            }
        }
    }

    /// Text as a value of the type that the key has; as a string when it does not fit, which is then refused.
    fn value_from_text(&self, key: &str, text: &str) -> Value {
        match self.entries.get(key).map(|entry| &entry.value) {
            Some(Value::Integer(_)) => {
                text.trim().parse().map_or(Value::String(text.to_owned()), Value::Integer)
            }
            Some(Value::Float(_)) => text.trim().parse().map_or(Value::String(text.to_owned()), Value::Float),
            _ => Value::String(text.to_owned()),
        }
    }

    /// Lays one value over what is there, if it is of the right type.
    fn lay(&mut self, key: &str, value: Value, origin: Origin) {
        let Some(below) = self.entries.get(key).map(|entry| &entry.value) else {
            let section = format!("{key}.");
            if value.is_table() && self.entries.keys().any(|key| key.starts_with(&section)) {
                return; // a section that leaves all to the defaults
            }
            let expected = closest(key, self.entries.keys().map(String::as_str));
            self.refuse(key, origin, "an unknown key".to_owned(), &expected);
            return;
        };
        // 1 is as good as 1.0.
        let value = match (below, value) {
            (Value::Float(_), Value::Integer(whole)) => {
                Value::Float(i32::try_from(whole).map_or(f64::INFINITY, f64::from))
            }
            (_, value) => value,
        };
        let least = least(key);
        let expected = match (below, &value) {
            (Value::Integer(_), Value::Integer(number)) if (least..=NUMBER_MAX).contains(number) => None,
            (Value::Integer(_), _) => Some(format!("a whole number from {least} to {NUMBER_MAX}")),
            (below, value) if below.same_type(value) => None,
            (Value::Float(_), _) => Some("a number, such as 0.9".to_owned()),
            (below, _) => Some(format!("a {}", below.type_str())),
        };
        match expected {
            None => {
                self.entries.insert(key.to_owned(), Entry { value, origin, refused: false });
            }
            Some(expected) => self.refuse(key, origin, shown(key, &value), &expected),
        }
    }

    /// Notes that something is wrong.
    pub(super) fn refuse(&mut self, key: &str, origin: Origin, found: String, expected: &str) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.refused = true;
        }
        self.errors.push(ConfigError { key: key.to_owned(), origin, found, expected: expected.to_owned() });
    }

    /// Notes that the value of a key is wrong, though its type is right.
    pub(super) fn refuse_value(&mut self, key: &str, expected: &str) {
        if let Some(entry) = self.entries.get(key).cloned() {
            self.refuse(key, entry.origin, shown(key, &entry.value), expected);
        }
    }

    /// A number, unless something is wrong with it already.
    pub(super) fn number(&self, key: &str) -> Option<i64> {
        self.sound(key)?.value.as_integer()
    }

    /// A number with a decimal point, unless something is wrong with it already.
    pub(super) fn share(&self, key: &str) -> Option<f64> {
        self.sound(key)?.value.as_float()
    }

    /// A text, unless something is wrong with it already.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.sound(key)?.value.as_str()
    }

    fn sound(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| !entry.refused)
    }

    /// A value as it is said to people, with where it comes from: `worker.lease_ms (6000, from the defaults)`.
    pub(super) fn cite(&self, key: &str) -> String {
        let entry = self.entries.get(key);
        entry.map_or(key.to_owned(), |entry| {
            format!("{key} ({}, from {})", shown(key, &entry.value), entry.origin)
        })
    }

    /// All keys below a section.
    pub(super) fn keys_ending(&self, section: &str, name: &str) -> Vec<String> {
        let fits = |key: &&String| key.starts_with(section) && key.rsplit('.').next() == Some(name);
        self.entries.keys().filter(fits).cloned().collect()
    }

    /// The values as one table again.
    pub(super) fn into_table(self) -> Table {
        let mut root = Table::new();
        for (key, entry) in self.entries {
            insert(&mut root, &key, entry.value);
        }
        root
    }
}

fn flatten(prefix: &str, table: Table, leaves: &mut Vec<(String, Value)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            // An empty one stays, so that a section that does not exist is found without any key in it.
            Value::Table(table) if !table.is_empty() => flatten(&key, table, leaves),
            value => leaves.push((key, value)),
        }
    }
}

fn insert(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            if let Value::Table(inner) = table.entry(section).or_insert_with(|| Value::Table(Table::new())) {
                insert(inner, rest, value);
            }
        }
    }
}

/// `worker.lease_ms` is `SYNCLINE_WORKER_LEASE_MS`. Matched against the known keys, never taken apart: a
/// name has underscores of its own. A test sees to it that no two keys have the same.
fn env_name(key: &str) -> String {
    format!("{ENV_PREFIX}{}", key.replace(['.', '-'], "_").to_ascii_uppercase())
}

fn least(key: &str) -> i64 {
    i64::from(!MAY_BE_ZERO.contains(&key) && !key.ends_with("_spacing_ms"))
}

fn shown(key: &str, value: &Value) -> String {
    if SECRETS.contains(&key) {
        return format!("a {} that is not shown here", value.type_str());
    }
    value.to_string()
}

/// What may have been meant: the known name that shares most of its beginning and end.
fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let alike = |other: &str| {
        let front = name.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
        let back = name.bytes().rev().zip(other.bytes().rev()).take_while(|(a, b)| a == b).count();
        front + back
    };
    let best = known.max_by_key(|other| alike(other)).unwrap_or_default();
    format!("one of the keys in defaults.toml, perhaps {best}")
}

/// The file a process writes for others holds secrets: only its owner may read it.
pub(super) fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
