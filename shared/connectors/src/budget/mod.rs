//! Budgets: the requests an account still allows. Counted in HTTP requests, by (connector, account, endpoint class),
//! because that is how vendors count.
//!
//! `state.rs` is exact for the requests of this process. `timetable.rs` is what the processes agree on; `desk.rs` and
//! `share.rs` are a process's part in it.

mod board;
// The file named like the folder holds what the folder is about.
#[allow(clippy::module_inception)]
mod budget;
mod clock;
mod desk;
mod ledger;
mod pacer;
mod quota_share;
#[cfg(test)]
mod quota_share_tests;
mod rules;
mod share;
#[cfg(test)]
mod share_tests;
mod shared_rules;
#[cfg(test)]
mod simulation;
mod stake;
mod state;
#[cfg(test)]
mod state_tests;
mod timetable;
mod view;
mod window;

pub use board::{BoardAway, BudgetBoard, Posted, Sharing, Written};
pub(crate) use budget::Budget;
pub(crate) use ledger::Ledger;
pub(crate) use quota_share::QuotaShare;
pub(crate) use rules::{ClassDefaults, ClassRules, WindowRule};
pub(crate) use stake::Stake;
pub(crate) use state::Reported;
pub use view::{BudgetView, WindowView};
