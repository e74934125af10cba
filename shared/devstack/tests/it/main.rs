//! The servers, as a user of this crate sees them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod clients;
mod data_dir;
mod environments;
mod lifecycle;
mod permissions;
mod processes;
mod programs;
mod proxies;
mod wheel;
