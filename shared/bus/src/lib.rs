//! NATS: topology, tickets out, deliveries in, the one place that settles, the progress board, and the
//! budgets of vendor accounts.
//! The only crate that knows async-nats.
//!
//! Nothing here decides anything about a job: a lost message is repaired from Postgres.

mod board;
mod budgets;
mod connect;
mod error;
mod fresh;
mod lane;
mod service;
mod settle;
mod ticket;
mod topology;

pub use board::{BoardCell, BoardChange, BoardWatch, Posted};
pub use budgets::{BudgetPut, BudgetRecord};
pub use connect::{Bus, BusOptions};
pub use error::BusError;
pub use fresh::Fresh;
pub use lane::{Delivery, Lane};
pub use settle::{InProgress, Settlement};
pub use ticket::Published;
pub use topology::{Provisioned, TopologyError};
