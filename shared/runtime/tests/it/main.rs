//! The shell of a process, from outside: over real ports and signals where they matter.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy's own exception covers only the test functions, not what they share"
)]

mod asking;
mod config;
mod extract;
mod health;
mod redaction;
mod serve;
mod shell;
mod shutdown;
