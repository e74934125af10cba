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
pub use build::{REQUIRED, from_config, serve};
pub use routes::{Status, openapi, router};
