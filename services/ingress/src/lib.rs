//! The ingress: commands in. It accepts syncs and sets workspaces up; it never talks to a vendor.

mod acceptor;
mod answers;
mod approve;
mod build;
mod cancel;
mod checks;
mod once;
mod request;
mod retry;
mod routes;

pub use acceptor::{Acceptor, Limits};
pub use build::{REQUIRED, check, from_config, serve};
pub use routes::{Ingress, openapi, router};
