//! Budgets as people and metrics see them.

use std::time::Duration;

/// What is left of a budget, for people and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetView {
    /// The connector's name.
    pub connector: &'static str,
    /// The account's id at the vendor.
    pub account_id: String,
    /// The endpoint class.
    pub class: &'static str,
    /// Requests that are sent and not yet answered.
    pub in_flight: u32,
    /// How long the vendor wants to be left alone; zero if it does not.
    pub held_for: Duration,
    /// Every window that holds.
    pub windows: Vec<WindowView>,
}

/// A window of a [`BudgetView`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowView {
    /// Requests that may be sent in `per`.
    pub limit: u32,
    /// The window's length.
    pub per: Duration,
    /// Requests that may be sent now, apart from pacing.
    pub remaining: u32,
}
