//! The status service: answers out. From memory while it can, from Postgres while it must.

mod answers;
mod board;
mod budgets;
mod build;
mod events;
mod follow;
mod followers;
mod routes;

pub use board::Board;
pub use build::from_config;
pub use routes::{Status, openapi, router};
