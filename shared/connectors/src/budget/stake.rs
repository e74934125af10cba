//! Who uses a budget has a say in how much of the quota that is.

use std::ops::Deref;
use std::sync::Arc;

use super::budget::Budget;
use super::quota_share::QuotaShare;

/// A budget in use by somebody who was told to use that share of the quota. For as long as it lives, nobody in this process
/// uses more of it, whoever they are and whatever they were told; with a shared budget nobody in another process either.
pub(crate) struct Stake {
    budget: Arc<Budget>,
    share: QuotaShare,
}

impl Stake {
    pub(super) fn new(budget: Arc<Budget>, share: QuotaShare) -> Self {
        budget.change_shares(|shares| shares.push(share));
        Self { budget, share }
    }
}

impl Deref for Stake {
    type Target = Arc<Budget>;

    fn deref(&self) -> &Arc<Budget> {
        &self.budget
    }
}

impl Drop for Stake {
    fn drop(&mut self) {
        self.budget.change_shares(|shares| {
            if let Some(place) = shares.iter().position(|share| *share == self.share) {
                shares.swap_remove(place);
            }
        });
    }
}
