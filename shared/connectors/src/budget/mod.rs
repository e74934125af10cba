//! Budgets: the requests an account still allows. Counted in HTTP requests, by (connector, account, endpoint class),
//! because that is how vendors count.

// The file named like the folder holds what the folder is about.
#[allow(clippy::module_inception)]
mod budget;
mod ledger;
mod pacer;
mod rules;
mod state;
#[cfg(test)]
mod state_tests;
mod window;

pub(crate) use budget::Budget;
pub use budget::{BudgetView, WindowView};
pub(crate) use ledger::Ledger;
pub(crate) use rules::{ClassDefaults, ClassRules, WindowRule};
pub(crate) use state::Reported;
