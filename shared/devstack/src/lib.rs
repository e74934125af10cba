//! Finds or installs nats-server and Postgres and runs them for `syncline up`, the demo and the tests.
//!
//! [`Stack::start`] returns when both servers answer. Nothing survives the process that started them, however it ends:
//! beside the servers runs a watchdog (`watchdog.sh`) that sees its standard input close and stops what is left.
//!
//! Tests take a [`testing::TestEnv`]: a database and a NATS account of their own on servers that the whole
//! `cargo test` run shares. Tests that break servers start a [`Stack`] of their own, or cut a [`proxy::TcpProxy`].

mod claim;
mod identity;
pub mod install;
mod locate;
mod nats;
pub mod ports;
mod postgres;
mod process;
pub mod programs;
pub mod proxy;
mod run_as;
mod secrets;
mod server;
mod stack;
pub mod testing;
mod watchdog;

pub use nats::NatsUser;
pub use stack::{Stack, StackOptions};
