//! All budgets of the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::board::Sharing;
use super::budget::{Budget, BudgetKey};
use super::quota_share::QuotaShare;
use super::rules::ClassRules;
use super::stake::Stake;
use super::view::BudgetView;

/// All budgets of the process, by (connector, account, class). Holds as many as are in use or not yet
/// back at full strength, not one for every account ever seen.
#[derive(Default)]
pub(crate) struct Ledger {
    sharing: Option<Sharing>,
    budgets: Mutex<HashMap<BudgetKey, Arc<Budget>>>,
}

impl Ledger {
    /// A ledger whose budgets are shared with other processes, if there is somewhere to share them.
    pub(crate) fn new(sharing: Option<Sharing>) -> Self {
        Self { sharing, budgets: Mutex::default() }
    }

    /// The budget of an account for a class; the same one for everybody who asks. Whoever has it uses no more than `share`
    /// of the quota, or what the rules say: see [`Stake`].
    pub(crate) fn budget(
        &self,
        connector: &'static str,
        account_id: &str,
        rules: &ClassRules,
        share: Option<QuotaShare>,
    ) -> Stake {
        let sharing = self.sharing.as_ref().filter(|_| rules.is_quota);
        self.find(connector, account_id, rules, share, sharing)
    }

    /// As [`Ledger::budget`], but of what only this process knows, such as an account without an id.
    pub(crate) fn private_budget(
        &self,
        connector: &'static str,
        account_id: &str,
        rules: &ClassRules,
    ) -> Stake {
        self.find(connector, account_id, rules, None, None)
    }

    fn find(
        &self,
        connector: &'static str,
        account_id: &str,
        rules: &ClassRules,
        share: Option<QuotaShare>,
        sharing: Option<&Sharing>,
    ) -> Stake {
        let share = share.unwrap_or(rules.share);
        let key = BudgetKey { connector, account_id: account_id.to_owned(), class: rules.class };
        let mut budgets = self.lock();
        if let Some(budget) = budgets.get(&key) {
            return Stake::new(Arc::clone(budget), share);
        }
        budgets.retain(|_, budget| Arc::strong_count(budget) > 1 || !budget.is_idle());
        let budget = Arc::new(Budget::new(key.clone(), rules, sharing));
        budgets.insert(key, Arc::clone(&budget));
        Stake::new(budget, share)
    }

    /// What is left of every budget, in the order of their names.
    pub(crate) fn views(&self) -> Vec<BudgetView> {
        let mut budgets: Vec<_> = self.lock().iter().map(|(key, b)| (key.clone(), Arc::clone(b))).collect();
        budgets.sort_by(|a, b| a.0.cmp(&b.0));
        budgets.iter().map(|(_, budget)| budget.view()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BudgetKey, Arc<Budget>>> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::budget::WindowRule;
    use crate::budget::simulation::World;

    fn rules() -> ClassRules {
        let windows = vec![WindowRule { limit: 2, per: Duration::from_secs(10) }];
        let share = QuotaShare::ALL;
        ClassRules { class: "objects", windows, spacing: Duration::ZERO, burst: None, is_quota: true, share }
    }

    #[tokio::test(start_paused = true)]
    async fn two_sessions_of_an_account_share_its_budget_and_another_account_has_its_own() {
        let ledger = Ledger::default();
        let first = ledger.budget("hubspot", "1", &rules(), None);
        assert!(Arc::ptr_eq(&first, &ledger.budget("hubspot", "1", &rules(), None)));
        assert!(!Arc::ptr_eq(&first, &ledger.budget("hubspot", "2", &rules(), None)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_is_forgotten_only_when_nobody_has_it_and_its_windows_are_empty() {
        let ledger = Ledger::default();
        let used = ledger.budget("hubspot", "used", &rules(), None);
        used.acquire(Duration::ZERO).await.unwrap().answered(None);
        drop(used);
        drop(ledger.budget("hubspot", "idle", &rules(), None));
        let accounts = |ledger: &Ledger| ledger.views().into_iter().map(|v| v.account_id).collect::<Vec<_>>();

        let kept = ledger.budget("hubspot", "kept", &rules(), None);
        assert_eq!(accounts(&ledger), ["kept", "used"]);

        tokio::time::advance(Duration::from_secs(11)).await;
        ledger.budget("hubspot", "new", &rules(), None);
        assert_eq!(accounts(&ledger), ["kept", "new"]);
        drop(kept);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shared_budget_is_forgotten_as_well_although_it_has_a_turn_that_nobody_took() {
        let world = World::new();
        let ledger = Ledger::new(Some(world.sharing("w")));
        let windows = vec![WindowRule { limit: 90, per: Duration::from_secs(10) }];
        let rules = ClassRules { windows, ..rules() };
        let used = ledger.budget("hubspot", "used", &rules, None);
        used.acquire(Duration::ZERO).await.unwrap().answered(None);
        drop(used);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(world.entry().turns.after(0), 2, "one more was taken than was waited for");

        tokio::time::advance(Duration::from_secs(11)).await;
        ledger.budget("hubspot", "new", &rules, None);
        let accounts: Vec<_> = ledger.views().into_iter().map(|view| view.account_id).collect();
        assert_eq!(accounts, ["new"]);
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_workspaces_with_one_account_the_smaller_share_counts_while_both_use_it() {
        let ledger = Ledger::default();
        let windows = vec![WindowRule { limit: 100, per: Duration::from_secs(10) }];
        let rules = ClassRules { windows, share: QuotaShare::DEFAULT, ..rules() };
        let limit = || ledger.views()[0].windows[0].limit;
        let acme = ledger.budget("hubspot", "1", &rules, None);
        assert_eq!(limit(), 90);
        let globex = ledger.budget("hubspot", "1", &rules, QuotaShare::new(0.5));
        let again = ledger.budget("hubspot", "1", &rules, QuotaShare::new(0.5));
        assert_eq!(limit(), 50);
        drop(globex);
        assert_eq!(limit(), 50, "there is another session of it");
        drop(again);
        assert_eq!(limit(), 90);
        let generous = ledger.budget("hubspot", "1", &rules, QuotaShare::new(1.0));
        assert_eq!(limit(), 90);
        drop(acme);
        assert_eq!(limit(), 100);
        drop(generous);
        assert_eq!(limit(), 100, "nobody is left");
    }
}
