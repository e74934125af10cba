//! Fake vendors that behave like the real ones: paging, limits, 429s, faults on demand.
//!
//! Today there is one vendor, HubSpot. The lab trusts nobody: it depends on no other crate of the workspace, keeps its
//! own exact log of who asked for what and when, and is the source of truth that a sync is compared with.

mod clock;
mod config;
mod control;
mod faults;
mod hubspot;
mod ledger;
mod limiter;
mod running;
mod serve;
mod shown;
mod state;
mod stats;
mod tokens;

pub use config::{LabConfig, Limits};
pub use faults::{FaultKind, FaultRule};
pub use hubspot::{Change, Changed, Expectation, Merge, Object};
pub use limiter::{Budget, Class, PortalLimiter, Refusal, RollingWindow};
pub use running::{OauthCredentials, RunningLab};
pub use serve::Lab;
pub use stats::{PageFetchedTwice, PagesFetchedTwice, PortalStats, Refused, Stats};
