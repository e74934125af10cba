//! Budgets that several processes share: what the vendor sees of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use super::simulation::{LIMIT, World};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test(start_paused = true)]
async fn eight_processes_use_the_rate_of_one_account_together_and_are_never_refused() {
    let world = World::silent();
    let _processes: Vec<_> = (0..8).map(|n| world.process(&format!("w{n}"), 3, 5..40)).collect();
    let used = world.used_in(300).await;
    assert_eq!(world.refused(), 0);
    assert!(used >= 0.97, "{used}");
}

#[tokio::test(start_paused = true)]
async fn a_process_alone_uses_as_much_as_one_that_shares_nothing() {
    for callers in [1, 8] {
        let world = World::new();
        let _process = world.process("w", callers, 10..20);
        let used = world.used_in(300).await;
        assert_eq!(world.refused(), 0);
        assert!(used >= 0.97, "{callers}: {used}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_take_seconds_now_and_milliseconds_then_are_counted_when_they_may_have_arrived() {
    let world = World::new();
    let _processes: Vec<_> = (0..4).map(|n| world.process(&format!("w{n}"), 20, 1..1_500)).collect();
    let used = world.used_in(300).await;
    assert_eq!(world.refused(), 0);
    assert!(used >= 0.8, "{used}");
}

#[tokio::test(start_paused = true)]
async fn processes_that_die_with_turns_harm_nobody() {
    let world = World::new();
    let _stays = world.process("stays", 6, 5..40);
    for n in 0..10 {
        let dies = world.process(&format!("dies-{n}"), 6, 5..40);
        sleep(Duration::from_millis(3_210)).await;
        drop(dies);
    }
    let used = world.used_in(60).await;
    assert_eq!(world.refused(), 0);
    assert!(used >= 0.97, "{used}");
}

#[tokio::test(start_paused = true)]
async fn while_the_board_is_away_a_safe_part_is_used_and_afterwards_all_of_it_again() {
    for outage in [3, 12, 13, 14, 16, 20, 60, 90] {
        let world = World::silent();
        let _busy: Vec<_> = (0..3).map(|n| world.process(&format!("w{n}"), 6, 5..40)).collect();
        let _calm = world.process("calm", 1, 900..1_000);
        sleep(Duration::from_secs(25)).await;
        world.cut.store(true, Ordering::Relaxed);
        let during = world.used_in(outage).await;
        world.cut.store(false, Ordering::Relaxed);
        sleep(Duration::from_secs(15)).await;
        let after = world.used_in(60).await;
        assert_eq!(world.refused(), 0, "{outage}");
        assert!(after >= 0.95, "{outage}: {after}");
        // Nothing for a window, then three of four use their part.
        assert!(outage < 60 || during >= 0.5, "{outage}: {during}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_cut_off_alone_uses_its_part_and_tells_of_it_when_it_is_back() {
    let mut world = World::silent();
    let _calm = world.process("calm", 1, 900..1_000);
    world.cut = Arc::default();
    let _cut_off = world.process("cut-off", 6, 5..40);
    sleep(Duration::from_secs(25)).await;
    world.cut.store(true, Ordering::Relaxed);
    sleep(Duration::from_secs(15)).await;
    let used = world.used_in(60).await;
    assert!((0.45..0.6).contains(&used), "half of it, and what the calm one uses: {used}");
    world.cut.store(false, Ordering::Relaxed);
    sleep(Duration::from_millis(1_500)).await;
    assert!(world.turns_in_window() + 2 >= world.vendor.in_window());
    assert!(world.vendor.in_window() > 45);
    world.used_in(30).await;
    assert_eq!(world.refused(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_process_alone_goes_on_without_the_board() {
    let world = World::silent();
    let _process = world.process("w", 4, 10..20);
    sleep(Duration::from_secs(25)).await;
    world.cut.store(true, Ordering::Relaxed);
    let during = world.used_in(30).await;
    world.cut.store(false, Ordering::Relaxed);
    let after = world.used_in(60).await;
    assert_eq!(world.refused(), 0);
    assert!(during >= 0.9 && after >= 0.9, "{during} {after}");
}

#[tokio::test(start_paused = true)]
async fn a_board_that_was_wiped_is_filled_from_what_is_known_and_nobody_bursts() {
    let world = World::silent();
    let _processes: Vec<_> = (0..4).map(|n| world.process(&format!("w{n}"), 6, 5..40)).collect();
    for _ in 0..5 {
        sleep(Duration::from_millis(17_300)).await;
        world.board.values.lock().unwrap().clear();
    }
    let after = world.used_in(60).await;
    assert_eq!(world.refused(), 0);
    assert!(after >= 0.9, "{after}");
}

#[tokio::test(start_paused = true)]
async fn what_one_was_told_to_wait_all_wait() {
    let world = World::new();
    let (told, other) = (world.budget("told"), world.budget("other"));
    for budget in [&told, &other] {
        budget.acquire(Duration::ZERO).await.unwrap().answered(None);
    }
    told.hold(Duration::from_secs(30));
    sleep(Duration::from_millis(100)).await;
    // One turn may be left from before.
    let mut refused = None;
    for _ in 0..3 {
        refused = refused.or(other.acquire(Duration::from_secs(5)).await.err());
    }
    assert!(refused.unwrap().wait > Duration::from_secs(29));
    let new = world.budget("new");
    assert!(new.acquire(Duration::from_secs(5)).await.is_err(), "who knows nothing yet asks first");
}

#[tokio::test(start_paused = true)]
async fn whatever_the_vendor_says_nobody_waits_for_more_than_a_day() {
    let world = World::new();
    let told = world.budget("told");
    // `Retry-After: 1e19` is a number.
    told.hold(Duration::from_secs(10_000_000_000_000_000_000));
    sleep(Duration::from_millis(100)).await;
    let held = |wait: Duration| wait > DAY - Duration::from_secs(1) && wait <= DAY;
    assert!(held(told.acquire(Duration::ZERO).await.err().unwrap().wait));
    assert!(held(Duration::from_millis(world.entry().held_until_ms.unwrap() - world.now_ms())));
}

#[tokio::test(start_paused = true)]
async fn requests_from_before_the_account_was_known_are_told() {
    let world = World::new();
    let budget = world.budget("w");
    budget.add_foreign(5);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(world.turns_in_window(), 5);
}

#[tokio::test(start_paused = true)]
async fn other_tools_of_the_customer_are_left_room_for() {
    let world = World::new();
    let _processes: Vec<_> = (0..3).map(|n| world.process(&format!("w{n}"), 4, 5..40)).collect();
    sleep(Duration::from_secs(20)).await;
    let mut foreign = 0;
    for _ in 0..300 {
        foreign += u64::from(world.vendor.arrive().is_some());
        sleep(Duration::from_millis(200)).await;
    }
    let ours = world.refused();
    assert!(foreign > 250, "half of the limit is theirs: {foreign}, {ours}");
}

#[tokio::test(start_paused = true)]
async fn callers_that_give_up_keep_nobody_waiting_and_who_sends_nothing_asks_nothing() {
    let world = World::new();
    let budget = world.budget("w");
    for _ in 0..50 {
        let impatient = tokio::time::timeout(Duration::from_micros(500), budget.acquire(Duration::ZERO));
        drop(impatient.await);
    }
    budget.acquire(Duration::ZERO).await.unwrap().answered(None);
    sleep(Duration::from_secs(5)).await;
    let asked = world.board.asked.load(Ordering::Relaxed);
    sleep(Duration::from_secs(3_600)).await;
    assert_eq!(world.board.asked.load(Ordering::Relaxed), asked);
    let view = budget.view();
    assert_eq!(view.windows[0].remaining, LIMIT);
    budget.acquire(Duration::ZERO).await.unwrap().answered(None);
}
