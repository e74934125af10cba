//! The worker against real NATS, real Postgres and the lab.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

mod backlog;
mod budgets;
mod bulk;
mod cancelling;
mod deaths;
mod during;
mod fixture;
mod gone;
mod increments;
mod outages;
mod outcomes;
mod processes;
mod rolling;
mod second_sync;
mod source;
mod syncs;
