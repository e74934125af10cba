//! The store against a real Postgres: one empty database a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod accepting;
mod attempt_errors;
mod audit;
mod cancelling;
mod captured;
mod claiming;
mod comparisons;
mod concurrency;
mod credentials;
mod cursors;
mod ending;
mod fixture;
mod listing;
mod migrations;
mod once;
mod outages;
mod pages;
mod plans;
mod relations;
mod relay;
mod rescue;
mod resting;
mod retention;
mod retrying;
mod syncs;
mod unchanged;
mod zombies;
