//! One error type for the boundary to NATS. Every one of them is repaired by the scheduler, so none says more
//! than people need.

/// Why NATS did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// NATS is away, or a request was not answered in time; its effect is unknown.
    #[error("NATS is not available: {0}")]
    Unavailable(String),
    /// The stream, consumer or bucket is not there: somebody wiped the store.
    #[error("{0} does not exist; provision it")]
    Missing(String),
    /// The URL or an option is malformed.
    #[error("nats.url is not usable: {0}")]
    Config(String),
    /// A message is not what this version writes.
    #[error("a message cannot be read: {0}")]
    Corrupt(String),
}

impl BusError {
    pub(crate) fn unavailable(error: impl std::fmt::Display) -> Self {
        Self::Unavailable(error.to_string())
    }
}
