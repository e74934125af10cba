//! Postgres: the record of everything. The only crate that knows sqlx; every statement of Syncline is here.
//!
//! Three rules hold throughout:
//! * a change of a running job is one conditional statement `WHERE lease_token = mine` ([`Lease`]);
//! * a page is one transaction ([`Store::commit_pages`]);
//! * rows are written in key order, so that concurrent batches cannot deadlock.

mod connections;
mod error;
mod inspect;
mod jobs;
mod pool;
mod records;
mod secrets;
mod seed;
mod workspaces;

pub use connections::StoredConnection;
pub use error::StoreError;
pub use inspect::RecordCounts;
pub use jobs::{
    Accepted, Claim, Claimed, CursorState, Ending, JobPage, Lease, NewJob, NotClaimable, PageBatch,
    PagesCommitted, Resting,
};
pub use pool::{PoolOptions, Store};
pub use secrets::{InvalidKey, SecretKey};
pub use seed::seeded_workspace;
