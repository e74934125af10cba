//! Logs: to stderr, as text for people or as JSON for machines. Panics go the same way.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::sections::{LogConfig, LogFormat};

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.filter` cannot be read.
    #[error("log.filter is no filter such as `info` or `info,worker=debug`")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Somebody else installed a subscriber.
    #[error("logging is set up already, by somebody else")]
    Taken(#[from] TryInitError),
}

/// Starts logging to stderr and sends panics the same way. Only the first call of a process does
/// something; further calls, as when one process runs several services, change nothing.
pub fn init(config: &LogConfig) -> Result<(), TelemetryError> {
    static DONE: OnceLock<()> = OnceLock::new();
    let filter = EnvFilter::try_new(&config.filter)?;
    if DONE.set(()).is_err() {
        return Ok(());
    }
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).finish().try_init()?,
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init()?,
    }
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("a panic without a text");
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(
        panic.message = message,
        panic.location = location,
        panic.backtrace = backtrace,
        "panicked"
    );
}
