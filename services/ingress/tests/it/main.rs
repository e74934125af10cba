//! The ingress over HTTP, against real NATS and real Postgres.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod accepting;
mod answer;
mod approving;
mod bodies;
mod cancelling;
mod credentials;
mod fixture;
mod log;
mod nats_outages;
mod once;
mod postgres_outages;
mod refusals;
mod retrying;
mod several;
mod workspaces;
