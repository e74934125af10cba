//! Postgres: the record of everything. The only crate that knows sqlx; every statement of Syncline is here.
//!
//! Three rules hold throughout:
//! * a change of a running job is one conditional statement `WHERE lease_token = mine` ([`Lease`]);
//! * a page is one transaction ([`Store::commit_pages`]);
//! * rows are written in key order, so that concurrent batches cannot deadlock.

mod audit;
mod connections;
mod error;
mod in_use;
mod inspect;
mod jobs;
mod known;
mod pool;
mod records;
mod secrets;
mod seed;
mod workspaces;
mod yardstick;

pub use audit::{CursorChange, JobChange, JobFacts, RowWrite};
pub use connections::StoredConnection;
pub use error::StoreError;
pub use inspect::RecordCounts;
pub use jobs::{
    Accepted, Accepting, BatchCommitted, Claim, Claimed, Compared, CursorState, Ending, Failure, Fenced,
    JobPage, Lease, NewJob, NotClaimable, ONCE_KEPT, Once, PageBatch, PagesCommitted, RequestAccepted,
    Resting, StoredAnswer,
};
pub use known::Known;
pub use pool::{PoolOptions, Store};
pub use secrets::{InvalidKey, SecretKey};
pub use seed::seeded_workspace;
pub use yardstick::CopyAndMerge;
