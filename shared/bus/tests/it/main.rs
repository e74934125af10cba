//! The bus against a real nats-server: one account a test, each service with its own user.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod board;
mod budgets;
mod deliveries;
mod fixture;
mod fresh;
mod outages;
mod presence;
mod redelivery;
mod roles;
mod settlements;
mod tickets;
mod topology;
mod watching;
mod wipes;
