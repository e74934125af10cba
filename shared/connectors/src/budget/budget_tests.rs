use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::budget::WindowRule;

fn budget(limit: u32, per_ms: u64, spacing_ms: u64) -> Arc<Budget> {
    let rules = ClassRules {
        class: "objects",
        windows: vec![WindowRule { limit, per: Duration::from_millis(per_ms) }],
        spacing: Duration::from_millis(spacing_ms),
        burst: Some(limit),
        is_quota: true,
        share: QuotaShare::ALL,
    };
    let key = BudgetKey { connector: "hubspot", account_id: "1".into(), class: "objects" };
    Arc::new(Budget::new(key, &rules, None))
}

#[tokio::test(start_paused = true)]
async fn who_comes_first_is_served_first() {
    let budget = budget(1, 1_000, 0);
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..5 {
        let (budget, served) = (Arc::clone(&budget), Arc::clone(&served));
        tasks.spawn(async move {
            let permit = budget.acquire(Duration::ZERO).await.unwrap();
            served.lock().unwrap().push(caller);
            permit.answered(None);
        });
        tokio::task::yield_now().await;
    }
    tasks.join_all().await;
    assert_eq!(*served.lock().unwrap(), [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_takes_no_slot_and_blocks_nobody() {
    let budget = budget(1, 1_000, 0);
    let first = budget.acquire(Duration::ZERO).await.unwrap();
    for _ in 0..3 {
        let impatient = tokio::time::timeout(Duration::from_millis(10), budget.acquire(Duration::ZERO));
        assert!(impatient.await.is_err());
    }
    first.answered(None);
    let started = Instant::now();
    budget.acquire(Duration::ZERO).await.unwrap().answered(None);
    assert!(started.elapsed() < Duration::from_millis(1_010), "one window after the first answer");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_keeps_its_slot_longer_because_it_may_still_arrive() {
    let budget = budget(1, 1_000, 0);
    drop(budget.acquire(Duration::ZERO).await.unwrap());
    let started = Instant::now();
    drop(budget.acquire(Duration::ZERO).await.unwrap());
    assert!(started.elapsed() >= Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn spacing_holds_even_when_the_window_has_room() {
    let budget = budget(3, 1_000, 300);
    let started = Instant::now();
    for _ in 0..3 {
        budget.acquire(Duration::ZERO).await.unwrap().answered(None);
    }
    assert!(started.elapsed() >= Duration::from_millis(600));
}

#[tokio::test(start_paused = true)]
async fn a_short_hold_is_sat_out_and_a_long_one_is_the_callers_to_handle() {
    let budget = budget(10, 1_000, 0);
    budget.hold(Duration::from_secs(2));
    let started = Instant::now();
    budget.acquire(Duration::from_secs(5)).await.unwrap().answered(None);
    assert!(started.elapsed() >= Duration::from_secs(2));

    budget.hold(Duration::from_secs(600));
    let held = budget.acquire(Duration::from_secs(5)).await.err().unwrap();
    assert!(held.wait > Duration::from_secs(599));
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_comes_while_callers_wait_reaches_them_all() {
    let budget = budget(1, 30_000, 0);
    budget.acquire(Duration::ZERO).await.unwrap().answered(None);
    let refused = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (budget, refused) = (Arc::clone(&budget), Arc::clone(&refused));
        tasks.spawn(async move {
            if budget.acquire(Duration::from_secs(5)).await.is_err() {
                refused.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    tokio::task::yield_now().await;
    let started = Instant::now();
    budget.hold(Duration::from_secs(3_600));
    tasks.join_all().await;
    assert_eq!(refused.load(Ordering::Relaxed), 3);
    assert!(started.elapsed() < Duration::from_secs(1), "nobody waited for the window first");
}

#[tokio::test(start_paused = true)]
async fn a_used_up_daily_window_is_reported_and_not_waited_for() {
    let budget = budget(1, 86_400_000, 0);
    budget.acquire(Duration::ZERO).await.unwrap().answered(None);
    let held = budget.acquire(Duration::from_secs(5)).await.err().unwrap();
    assert!(held.wait > Duration::from_secs(86_000));
}

#[tokio::test(start_paused = true)]
async fn eight_callers_together_use_at_least_97_percent_of_the_rate() {
    let rules = ClassRules {
        class: "objects",
        windows: vec![WindowRule { limit: 90, per: Duration::from_secs(10) }],
        spacing: Duration::ZERO,
        burst: None,
        is_quota: true,
        share: QuotaShare::ALL,
    };
    let key = BudgetKey { connector: "hubspot", account_id: "1".into(), class: "objects" };
    let budget = Arc::new(Budget::new(key, &rules, None));
    let sent = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (budget, sent) = (Arc::clone(&budget), Arc::clone(&sent));
        tasks.spawn(async move {
            loop {
                let permit = budget.acquire(Duration::ZERO).await.unwrap();
                sent.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(80)).await;
                permit.answered(None);
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(300)).await;
    let used = sent.load(Ordering::Relaxed) as f64 / (30.0 * 90.0);
    assert!((0.97..=1.01).contains(&used), "{:.1} %", used * 100.0);
}
