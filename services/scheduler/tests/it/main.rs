//! The scheduler against real NATS and real Postgres.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod fixture;
mod outages;
mod relaying;
mod replicas;
mod rescuing;
mod retaining;
mod running;
mod wipes;
