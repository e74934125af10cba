//! The binary for people, run as people run it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod api;
mod chaos;
mod demo;
mod up;
mod workers;
