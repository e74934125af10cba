//! The jobs table, by the life of a job: accept, claim, page, finish; read for clients, repair and
//! retention for the scheduler.

mod accept;
mod captured;
mod claim;
mod compared;
mod finish;
mod page;
mod read;
mod repair;
mod retention;
mod row;

pub use accept::{Accepted, NewJob};
pub use claim::{Claim, Claimed, CursorState, Lease, NotClaimable};
pub use compared::Compared;
pub use finish::{Ending, Resting};
pub use page::{BatchCommitted, PageBatch, PagesCommitted};
pub use read::JobPage;
