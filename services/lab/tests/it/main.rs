//! The lab from outside, as a client sees it.

#![allow(clippy::unwrap_used, reason = "the switch in clippy.toml covers test functions, not what they call")]

mod account;
mod associations;
mod batch;
mod changes;
mod control;
mod dataset;
mod faults;
mod index_lag;
mod limits;
mod oauth;
mod paging;
mod search;
mod search_by_id;
mod vendor;
