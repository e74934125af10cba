//! What the lab shows besides records, and what it refused: for whoever compares a destination with it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{Object, Refused, RunningLab, hubspot};

impl RunningLab {
    /// Every owner who is there, or every one who was deactivated, as the list endpoint shows them.
    #[must_use]
    pub fn shown_owners(&self, archived: bool) -> Vec<Value> {
        hubspot::shown_owners(&self.state, archived)
    }

    /// Every pipeline of deals with its stages, as the list endpoint shows them.
    #[must_use]
    pub fn shown_pipelines(&self) -> Vec<Value> {
        hubspot::shown_pipelines(&self.state)
    }

    /// The kinds of association of each pair of live records, as the endpoint shows them: some of them twice.
    #[must_use]
    pub fn shown_association_types(&self, from: Object, to: Object) -> BTreeMap<(u64, u64), Vec<Value>> {
        hubspot::shown_types(&self.state, from, to)
    }

    /// The first 10,000 requests that the limits refused, in order. Those that a fault refused are not among them.
    #[must_use]
    pub fn refused(&self) -> Vec<Refused> {
        self.state.ledger().refused().to_vec()
    }
}
