//! The jobs table, by the life of a job: accept, claim, page, finish; read for clients, repair for the scheduler.

mod accept;
mod claim;
mod finish;
mod page;
mod read;
mod repair;
mod row;

pub use accept::{Accepted, NewJob};
pub use claim::{Claim, Claimed, CursorState, Lease, NotClaimable};
pub use finish::{Ending, Resting};
pub use page::{PageBatch, PagesCommitted};
pub use read::JobPage;
