use std::collections::BTreeMap;

use super::*;

fn target(nodes: usize) -> Target {
    let slots = slots(|role| if role == Role::Worker { 4 } else { 2 });
    Target { slots, portals: 40, nodes, lease_ms: 8_000 }
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// Of processes, ours and servers.
fn kills(plan: &[Planned]) -> usize {
    let is_kill = |fault| {
        matches!(
            fault,
            Fault::Kill { .. } | Fault::KillNats { .. } | Fault::KillPostgres { .. } | Fault::Wipe
        )
    };
    plan.iter().filter(|planned| is_kill(planned.fault)).count()
}

fn for_ms(fault: Fault) -> u64 {
    match fault {
        Fault::Kill { down_ms, .. } | Fault::KillNats { down_ms, .. } | Fault::KillPostgres { down_ms } => {
            down_ms
        }
        Fault::HoldUp { for_ms, .. } | Fault::Link { for_ms, .. } => for_ms,
        Fault::Wipe | Fault::Vendor { .. } => 0,
    }
}

#[test]
fn a_seed_gives_one_schedule_and_another_seed_another() {
    let plan = |seed| plan(seed, minutes(5), &target(1));
    assert_eq!(plan(7), plan(7));
    assert_ne!(plan(7), plan(8));
}

#[test]
fn half_an_hour_has_at_least_two_hundred_kills() {
    for seed in 0..50 {
        let kills = kills(&plan(seed, minutes(30), &target(1)));
        assert!((200..=400).contains(&kills), "{kills} with seed {seed}");
    }
}

#[test]
fn no_process_is_killed_while_it_is_down_or_held_up() {
    for seed in 0..50 {
        let mut until: BTreeMap<Slot, Duration> = BTreeMap::new();
        for Planned { at, fault } in plan(seed, minutes(30), &target(1)) {
            let (Fault::Kill { slot, down_ms: for_ms } | Fault::HoldUp { slot, for_ms }) = fault else {
                continue;
            };
            assert!(until.get(&slot).is_none_or(|until| *until <= at), "{slot} at {at:?}, seed {seed}");
            until.insert(slot, at + Duration::from_millis(for_ms));
        }
    }
}

#[test]
fn everything_is_over_before_the_end_and_in_order() {
    for seed in 0..50 {
        let plan = plan(seed, minutes(5), &target(1));
        assert!(plan.is_sorted_by_key(|planned| planned.at));
        for Planned { at, fault } in plan {
            assert!(at + Duration::from_millis(for_ms(fault)) < minutes(5), "{fault:?}");
        }
    }
}

#[test]
fn a_short_run_has_every_kind_and_a_cluster_is_never_wiped() {
    let kinds = |nodes, seed| {
        let plan = plan(seed, Duration::from_secs(20), &target(nodes));
        let kinds = plan.iter().map(|planned| std::mem::discriminant(&planned.fault));
        kinds.collect::<std::collections::HashSet<_>>().len()
    };
    for seed in 0..50 {
        assert_eq!((kinds(1, seed), kinds(3, seed)), (7, 6), "seed {seed}");
    }
}

#[test]
fn some_are_held_up_for_longer_than_a_lease() {
    let plan = plan(1, minutes(5), &target(1));
    let long = |planned: &&Planned| matches!(planned.fault, Fault::HoldUp { for_ms, .. } if for_ms > 8_000);
    assert!(plan.iter().filter(long).count() >= 2);
}

#[test]
fn around_every_second_deletion_nothing_else_is_broken() {
    let is_wipe = |planned: &&Planned| planned.fault == Fault::Wipe;
    for (seed, n) in (0..50).flat_map(|seed| [(seed, 2), (seed, 30)]) {
        let plan = plan(seed, minutes(n), &target(1));
        let wipes = plan.iter().filter(is_wipe);
        assert!(wipes.clone().count() >= 1, "seed {seed}");
        for wipe in wipes.step_by(2) {
            let calm = (wipe.at.saturating_sub(Duration::from_secs(5)), wipe.at + Duration::from_secs(8));
            for Planned { at, fault } in &plan {
                let is_vendors = matches!(fault, Fault::Vendor { .. });
                let is_over = *at + Duration::from_millis(for_ms(*fault)) <= calm.0;
                let is_later = *at >= calm.1;
                assert!(
                    is_vendors || *at == wipe.at || is_over || is_later,
                    "{fault:?} at {at:?}, seed {seed}"
                );
            }
        }
    }
}

#[test]
fn around_the_other_deletions_and_in_short_runs_much_is_broken() {
    let others = |duration: Duration, first: usize| {
        let near = |seed| {
            let plan = plan(seed, duration, &target(1));
            let wipes: Vec<_> = plan.iter().filter(|planned| planned.fault == Fault::Wipe).collect();
            let near = |planned: &&Planned| {
                let at = planned.at;
                wipes
                    .iter()
                    .skip(first)
                    .step_by(2)
                    .any(|wipe| at != wipe.at && at.abs_diff(wipe.at).as_secs() < 5)
            };
            plan.iter().filter(near).count()
        };
        (0..50).map(near).sum::<usize>()
    };
    assert!(others(minutes(30), 1) > 500);
    assert!(others(Duration::from_secs(20), 0) > 50, "there is no time for calm");
}
