//! The status service over HTTP, against real NATS and real Postgres.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod answer;
mod budgets;
mod events;
mod fixture;
mod freshness;
mod jobs;
mod lists;
mod merged;
mod outages;
mod refusals;
mod vandal;
mod waiting;
