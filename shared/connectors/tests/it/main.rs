//! The connectors against fake vendors.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing test may panic")]

mod canned;
mod conformance;
mod faulty_answers;
mod hubspot;
mod hubspot_both_ends;
mod hubspot_errors;
mod hubspot_increments;
mod hubspot_limits;
mod hubspot_oauth;
mod hubspot_properties;
mod scripted;
