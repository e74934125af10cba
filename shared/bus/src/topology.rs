//! Streams, consumers and the buckets: `nats/*.json` are the only source of their settings.
//!
//! The JSON goes to the server as it is and is compared with what the server says it has, so a misspelt key
//! shows as a difference instead of vanishing in a typed struct.

use protocol::Priority;
use serde_json::{Map, Value, json};

use crate::{Bus, BusError};

/// The stream of tickets.
pub(crate) const STREAM: &str = "SYNC_JOBS";
const SYNC_JOBS: &str = include_str!("../../../nats/streams/SYNC_JOBS.json");
const SYNC_PROGRESS: &str = include_str!("../../../nats/kv/sync_progress.json");
const SYNC_BUDGETS: &str = include_str!("../../../nats/kv/sync_budgets.json");
const LANES: [&str; 3] = [
    include_str!("../../../nats/consumers/sync-worker-high.json"),
    include_str!("../../../nats/consumers/sync-worker-normal.json"),
    include_str!("../../../nats/consumers/sync-worker-low.json"),
];
/// Older servers accept settings they do not know, silently.
const SERVER_VERSION_MIN: (u64, u64) = (2, 12);

/// The durable consumer of a priority.
pub(crate) fn consumer_name(priority: Priority) -> String {
    format!("sync-worker-{priority}")
}

/// Why the topology is not what Syncline needs.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// NATS is away.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The server is too old.
    #[error("nats-server {found} is too old: Syncline needs 2.12 or newer")]
    ServerTooOld {
        /// What it says it is.
        found: String,
    },
    /// Something is missing or different, one line each.
    #[error("NATS does not have what Syncline needs; run `syncline provision`:\n{}", .0.join("\n"))]
    Different(Vec<String>),
    /// The server refused to create or change something.
    #[error("{what} has other settings and the server refuses to change them ({reason}):\n{}", diff.join("\n"))]
    Refused {
        /// The stream or consumer.
        what: String,
        /// What the server says.
        reason: String,
        /// Setting by setting.
        diff: Vec<String>,
    },
}

/// What a provisioning did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provisioned {
    /// What was not there before.
    pub created: Vec<String>,
    /// What had other settings.
    pub updated: Vec<String>,
}

/// A stream, consumer or bucket as the files want it.
struct Wanted {
    name: String,
    info: String,
    create: String,
    update: String,
    config: Map<String, Value>,
    is_consumer: bool,
}

impl Bus {
    /// Creates what is missing and updates what differs. Never deletes. `replicas` is 1, or 3 in a cluster.
    ///
    /// # Errors
    /// If NATS is away, too old, or refuses a change: then the error shows the difference.
    pub async fn provision(&self, replicas: u32) -> Result<Provisioned, TopologyError> {
        self.make(replicas, true).await
    }

    /// Creates what is missing and leaves the rest as it is, also if it differs: that is somebody's decision.
    ///
    /// # Errors
    /// If NATS is away, too old, or refuses.
    pub async fn provision_missing(&self, replicas: u32) -> Result<Provisioned, TopologyError> {
        self.make(replicas, false).await
    }

    async fn make(&self, replicas: u32, update: bool) -> Result<Provisioned, TopologyError> {
        self.check_server().await?;
        let mut done = Provisioned::default();
        for wanted in wanted(Some(replicas))? {
            match self.present(&wanted).await? {
                None => {
                    self.apply(&wanted, &wanted.create, &[]).await?;
                    done.created.push(wanted.name);
                }
                Some(present) => {
                    let diff = difference(&wanted.config, &present);
                    if update && !diff.is_empty() {
                        self.apply(&wanted, &wanted.update, &diff).await?;
                        done.updated.push(wanted.name);
                    }
                }
            }
        }
        Ok(done)
    }

    /// Checks that everything is there with the right settings, however many replicas. Changes nothing.
    ///
    /// # Errors
    /// If NATS is away, too old, or something is missing or different.
    pub async fn verify(&self) -> Result<(), TopologyError> {
        self.check_server().await?;
        let mut lines = Vec::new();
        for wanted in wanted(None)? {
            match self.present(&wanted).await? {
                None => lines.push(format!("  {} is missing", wanted.name)),
                Some(present) => {
                    let diff = difference(&wanted.config, &present);
                    lines.extend(diff.into_iter().map(|line| format!("  {}: {line}", wanted.name)));
                }
            }
        }
        if lines.is_empty() { Ok(()) } else { Err(TopologyError::Different(lines)) }
    }

    async fn check_server(&self) -> Result<(), TopologyError> {
        // A moment after the connection is up the client does not know its server yet; an answer later it does.
        self.ping().await?;
        let found = self.client.server_info().version;
        let mut parts = found.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
        if (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < SERVER_VERSION_MIN {
            return Err(TopologyError::ServerTooOld { found });
        }
        Ok(())
    }

    async fn present(&self, wanted: &Wanted) -> Result<Option<Map<String, Value>>, TopologyError> {
        let answer: Value = self.ask(&wanted.info, &json!({})).await?;
        match (&answer["error"]["code"], &answer["config"]) {
            (Value::Null, Value::Object(config)) => Ok(Some(config.clone())),
            (code, _) if code == 404 => Ok(None),
            _ => Err(BusError::Unavailable(format!("{}: {}", wanted.name, answer["error"])).into()),
        }
    }

    async fn apply(&self, wanted: &Wanted, subject: &str, diff: &[String]) -> Result<(), TopologyError> {
        let body = if wanted.is_consumer {
            let action = if diff.is_empty() { "create" } else { "update" };
            json!({"stream_name": STREAM, "config": wanted.config, "action": action})
        } else {
            Value::Object(wanted.config.clone())
        };
        let answer = self.ask(subject, &body).await?;
        let refused = |reason: String, diff: Vec<String>| {
            Err(TopologyError::Refused { what: wanted.name.clone(), reason, diff })
        };
        if let Some(reason) = answer["error"]["description"].as_str() {
            return refused(reason.to_owned(), diff.to_vec());
        }
        // What the server did not understand it leaves out of its echo.
        match answer["config"].as_object().map(|echo| difference(&wanted.config, echo)) {
            Some(left) if left.is_empty() => Ok(()),
            Some(left) => refused("it was accepted, but not taken over".to_owned(), left),
            None => refused("the answer has no settings".to_owned(), diff.to_vec()),
        }
    }

    async fn ask(&self, subject: &str, body: &Value) -> Result<Value, BusError> {
        self.require_connection()?;
        self.jetstream.request(subject.to_owned(), body).await.map_err(BusError::unavailable)
    }
}

fn wanted(replicas: Option<u32>) -> Result<Vec<Wanted>, BusError> {
    let mut all = Vec::new();
    for json in [SYNC_JOBS, SYNC_PROGRESS, SYNC_BUDGETS] {
        let mut config = object(json)?;
        match replicas {
            Some(replicas) => config.insert("num_replicas".to_owned(), replicas.into()),
            None => config.remove("num_replicas"),
        };
        let name = text(&config, "name")?;
        all.push(Wanted {
            info: format!("STREAM.INFO.{name}"),
            create: format!("STREAM.CREATE.{name}"),
            update: format!("STREAM.UPDATE.{name}"),
            name,
            config,
            is_consumer: false,
        });
    }
    for json in LANES {
        let config = object(json)?;
        let name = text(&config, "name")?;
        let create = format!("CONSUMER.CREATE.{STREAM}.{name}.{}", text(&config, "filter_subject")?);
        all.push(Wanted {
            info: format!("CONSUMER.INFO.{STREAM}.{name}"),
            update: create.clone(),
            create,
            name,
            config,
            is_consumer: true,
        });
    }
    Ok(all)
}

fn object(json: &str) -> Result<Map<String, Value>, BusError> {
    serde_json::from_str(json).map_err(|error| BusError::Config(error.to_string()))
}

fn text(config: &Map<String, Value>, key: &str) -> Result<String, BusError> {
    config[key].as_str().map(str::to_owned).ok_or_else(|| BusError::Config(format!("`{key}` is missing")))
}

/// What the server has otherwise than wanted. Settings that the files leave open do not count; a setting the
/// server leaves out of its answer has its zero value.
fn difference(wanted: &Map<String, Value>, present: &Map<String, Value>) -> Vec<String> {
    wanted
        .iter()
        .filter_map(|(key, want)| match present.get(key) {
            Some(have) if have == want => None,
            None if is_zero(want) => None,
            have => Some(format!("{key} is {}, wanted {want}", have.unwrap_or(&Value::Null))),
        })
        .collect()
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}
