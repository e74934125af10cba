//! The jobs table, by the life of a job: accept, claim, page, finish; read for clients, repair and
//! retention for the scheduler.

mod accept;
mod aside;
mod cancel;
mod captured;
mod claim;
mod compared;
mod finish;
mod once;
mod page;
mod read;
mod renew;
mod repair;
mod retention;
mod row;
mod sync;

pub use accept::{Accepted, Accepting, NewJob};
pub use claim::{Claim, Claimed, CursorState, Lease, NotClaimable};
pub use compared::Compared;
pub use finish::{Ending, Failure, Resting};
pub use once::{ONCE_KEPT, Once, StoredAnswer};
pub use page::{BatchCommitted, Fenced, PageBatch, PagesCommitted};
pub use read::JobPage;
pub use sync::RequestAccepted;
