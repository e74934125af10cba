//! How much of an account's quota is used by several processes: what they were told, and what the vendor says.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use super::quota_share::QuotaShare;
use super::simulation::{LIMIT, World};
use super::stake::Stake;

fn half() -> QuotaShare {
    QuotaShare::new(0.5).unwrap()
}

/// The most that any window of the next seconds holds.
async fn most_in_window(world: &World, seconds: u32) -> usize {
    let mut most = 0;
    for _ in 0..seconds * 20 {
        sleep(Duration::from_millis(50)).await;
        most = most.max(world.vendor.in_window());
    }
    most
}

#[tokio::test(start_paused = true)]
async fn of_a_limit_that_is_lower_than_configured_the_share_is_used_also_by_those_who_come_later() {
    let world = World::new();
    world.vendor.fewer.store(LIMIT / 2, Ordering::Relaxed);
    let process = |name| world.process_with(world.budget_of(name, QuotaShare::DEFAULT), name, 6, 5..40);
    let _first = process("first");
    sleep(Duration::from_secs(25)).await;
    let _others = ["second", "third", "fourth"].map(process);
    assert_eq!((most_in_window(&world, 30).await, world.refused()), (40, 0), "0.9 of 45");
    assert_eq!(world.entry().windows[0].limit, 40);
    let said = world.entry().reported[0];
    assert_eq!((said.limit, said.per_ms), (45, 10_000));

    world.vendor.fewer.store(LIMIT / 3, Ordering::Relaxed);
    sleep(Duration::from_secs(15)).await;
    assert_eq!((most_in_window(&world, 30).await, world.refused()), (54, 0), "0.9 of 60");
    world.vendor.fewer.store(0, Ordering::Relaxed);
    sleep(Duration::from_secs(15)).await;
    assert_eq!((most_in_window(&world, 30).await, world.refused()), (81, 0), "0.9 of 90");
}

#[tokio::test(start_paused = true)]
async fn of_two_workspaces_with_one_account_in_two_processes_the_smaller_share_counts_and_both_get_turns() {
    let world = World::new();
    let budgets = [world.budget_of("modest", half()), world.budget_of("usual", QuotaShare::DEFAULT)];
    let [modest, usual] =
        [0, 1].map(|n: usize| world.process_with(Arc::clone(&budgets[n]), ["modest", "usual"][n], 6, 5..40));
    sleep(Duration::from_secs(15)).await;
    assert_eq!((most_in_window(&world, 30).await, world.refused()), (45, 0));
    assert!(budgets.iter().all(|budget| budget.used() > 10), "both get their part");
    assert!(world.used_in(60).await >= 0.5 * 0.95);

    // A minute after it was last heard of, it does not count any more.
    drop((modest, budgets));
    sleep(Duration::from_secs(75)).await;
    assert_eq!((most_in_window(&world, 30).await, world.entry().windows[0].limit), (81, 81));
    drop(usual);
}

#[tokio::test(start_paused = true)]
async fn a_share_that_changes_holds_from_then_on_for_everybody() {
    let world = World::new();
    let budget = world.budget("a");
    let _whole = Stake::new(Arc::clone(&budget), QuotaShare::ALL);
    let _processes = [world.process_with(Arc::clone(&budget), "a", 6, 5..40), world.process("b", 6, 5..40)];
    sleep(Duration::from_secs(15)).await;
    assert_eq!(most_in_window(&world, 30).await, 90);
    let less = Stake::new(Arc::clone(&budget), half());
    sleep(Duration::from_secs(15)).await;
    assert_eq!((most_in_window(&world, 30).await, world.entry().windows[0].limit), (45, 45));
    drop(less);
    sleep(Duration::from_secs(15)).await;
    assert_eq!((most_in_window(&world, 30).await, world.refused()), (90, 0));
}

#[tokio::test(start_paused = true)]
async fn while_the_board_is_away_too_only_the_share_is_used() {
    let world = World::silent();
    let _processes = [("modest", half()), ("usual", QuotaShare::DEFAULT)]
        .map(|(name, share)| world.process_with(world.budget_of(name, share), name, 6, 5..40));
    sleep(Duration::from_secs(25)).await;
    world.cut.store(true, Ordering::Relaxed);
    sleep(Duration::from_secs(30)).await;
    let most = most_in_window(&world, 30).await;
    assert!((40..=45).contains(&most), "{most}");
}
