//! The worker against real NATS, real Postgres and the lab.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

mod deaths;
mod fixture;
mod increments;
mod outages;
mod outcomes;
mod processes;
mod syncs;
