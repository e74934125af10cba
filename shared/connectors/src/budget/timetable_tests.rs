use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::budget::QuotaShare;
use crate::budget::rules::{ClassRules, WindowRule};

const START: u64 = 1_700_000_000_000;

fn rules(windows: &[(u32, u64)], spacing_ms: u64) -> SharedRules {
    let window =
        |(limit, per_ms): &(u32, u64)| WindowRule { limit: *limit, per: Duration::from_millis(*per_ms) };
    let spacing = Duration::from_millis(spacing_ms);
    SharedRules::new(&class(windows.iter().map(window).collect(), spacing)).unwrap()
}

fn class(windows: Vec<WindowRule>, spacing: Duration) -> ClassRules {
    let share = QuotaShare::ALL;
    ClassRules { class: "objects", windows, spacing, burst: None, is_quota: true, share }
}

fn hubspot() -> SharedRules {
    rules(&[(90, 10_000)], 0)
}

fn entry() -> BudgetEntry {
    new_entry("hubspot", "1", "objects", START)
}

fn ask(name: &str, now_ms: u64, want: u32) -> Ask {
    Ask { name: name.to_owned(), now_ms, want, ..Ask::default() }
}

/// The most that any window holds.
fn most(mut sent: Vec<u64>, per_ms: u64) -> usize {
    sent.sort_unstable();
    let in_window =
        |(place, at): (usize, &u64)| place + 1 - sent.partition_point(|other| other + per_ms <= *at);
    sent.iter().enumerate().map(in_window).max().unwrap_or(0)
}

#[derive(Debug, Clone)]
struct Step {
    worker: usize,
    later_ms: u64,
    want: u32,
    unused: bool,
    late_ms: u64,
}

fn step() -> impl Strategy<Value = Step> {
    (0..5_usize, 0..400_u64, 0..40_u32, any::<bool>(), 0..300_u64).prop_map(
        |(worker, later_ms, want, unused, late_ms)| Step { worker, later_ms, want, unused, late_ms },
    )
}

proptest! {
    /// Each step is somebody who won the race. What a process reports, it reports the next time it wins one; whatever it
    /// had by then, it sent when its turn came, or later, if it says so.
    #[test]
    fn whoever_wins_the_races_no_window_of_all_requests_holds_more_than_its_limit(
        windows in prop_oneof![
            Just(vec![(90_u32, 10_000_u64)]), Just(vec![(3, 1_000)]), Just(vec![(20, 1_000), (60, 10_000)]),
            Just(vec![(1_500, 3_000)]), Just(vec![(1, 700)]),
        ],
        spacing_ms in prop_oneof![Just(0_u64), Just(120)],
        steps in proptest::collection::vec(step(), 1..150),
    ) {
        let rules = rules(&windows, spacing_ms);
        let mut entry = entry();
        let mut now_ms = START;
        let mut due: Vec<Vec<u64>> = vec![Vec::new(); 5];
        let mut sent = Vec::new();
        for step in steps {
            now_ms += step.later_ms;
            let mut ask = ask(&format!("worker-{}", step.worker), now_ms, step.want);
            let mine = &mut due[step.worker];
            // Those of the future stay; of the others some are given back, some were used a little late.
            for at in mine.extract_if(.., |at| *at + step.late_ms <= now_ms) {
                // A window of a second has turned before a late answer can be told: only the margin helps there.
                let told = step.late_ms > LATE_MS && rules.shortest_ms() > 2 * HORIZON_MS;
                if step.unused {
                    ask.reports.push(Report::Unused(at));
                } else if told {
                    ask.reports.push(Report::Moved { from: at, to: at + step.late_ms });
                    sent.push(at + step.late_ms);
                } else {
                    sent.push(at);
                }
            }
            let mut told = entry.clone();
            rules.apply(&mut told, &Ask { want: 0, ..ask.clone() });
            let last = told.turns.last().unwrap_or(0);
            let taken = rules.apply(&mut entry, &ask);
            prop_assert!(taken.turns.iter().all(|at| (now_ms..=now_ms + HORIZON_MS + 10).contains(at)));
            let apart = taken.turns.windows(2).all(|two| two[1] >= two[0] + spacing_ms);
            prop_assert!(apart && taken.turns.first().is_none_or(|at| *at >= last + spacing_ms));
            prop_assert!(taken.again_ms.is_some() || taken.turns.len() == step.want as usize);
            mine.extend(taken.turns);
            prop_assert!(entry.turns.iter().count() <= 4_000);
        }
        sent.extend(due.into_iter().flatten());
        for (limit, per_ms) in windows {
            // Moved turns were reported late here, up to a horizon of turns may have been taken meanwhile.
            prop_assert!(most(sent.clone(), per_ms) <= limit as usize, "{} in {per_ms}", most(sent.clone(), per_ms));
        }
    }

    #[test]
    fn on_the_grid_no_window_overflows_however_many_share_it(
        n in 1_u64..12, windows in prop_oneof![Just((90_u32, 10_000_u64)), Just((3, 1_000)), Just((1_500, 3_000))],
    ) {
        let rules = rules(&[windows], 0);
        let mut sent = Vec::new();
        for place in 0..n {
            let mut at = START;
            while at < START + 4 * windows.1 {
                at = rules.grid_turn(at, (place, n));
                sent.push(at);
            }
        }
        let (all, (limit, per_ms)) = (sent.len(), windows);
        sent.sort_unstable();
        sent.dedup();
        prop_assert_eq!(sent.len(), all, "nobody has another's turn");
        prop_assert!(most(sent.clone(), per_ms + MARGIN_MS) <= limit as usize);
        prop_assert!(all * 2 >= limit as usize * 5, "and most of the limit is used: {}", all);
    }
}

/// Each asks for as many as are waited for whenever its last turn is near; time passes.
fn saturate(rules: &SharedRules, workers: usize, seconds: u64) -> Vec<u64> {
    let (mut entry, mut sent) = (entry(), Vec::new());
    let mut last = vec![0; workers];
    for now_ms in (START..START + seconds * 1_000).step_by(10) {
        for (worker, last) in last.iter_mut().enumerate() {
            if *last < now_ms + 250 {
                let taken = rules.apply(&mut entry, &ask(&format!("worker-{worker}"), now_ms, 4));
                *last = taken.turns.last().copied().unwrap_or(*last);
                sent.extend(taken.turns);
            }
        }
    }
    sent.retain(|at| *at < START + seconds * 1_000);
    sent
}

#[test]
fn one_process_alone_has_nearly_all_of_the_rate_and_eight_together_hardly_less() {
    for (workers, least) in [(1, 0.99), (8, 0.97)] {
        let sent = saturate(&hubspot(), workers, 180);
        assert_eq!(most(sent.clone(), 10_000), 90);
        let used = sent.len() as f64 / (18.0 * 90.0);
        assert!(used >= least, "{workers}: {used}");
    }
}

#[test]
fn turns_are_spread_but_for_a_first_third() {
    let (rules, mut entry) = (hubspot(), entry());
    let turns = rules.apply(&mut entry, &ask("a", START, 60)).turns;
    assert_eq!(turns.iter().filter(|at| **at == START).count(), 30 + 4);
    let gaps: Vec<_> = turns[34..].windows(2).map(|two| two[1] - two[0]).collect();
    assert!(!gaps.is_empty() && gaps.iter().all(|gap| (108..=109).contains(gap)), "{gaps:?}");
}

#[test]
fn turns_that_are_given_back_are_the_next_to_be_taken() {
    let (rules, mut entry) = (hubspot(), entry());
    let turns = rules.apply(&mut entry, &ask("a", START, 40)).turns;
    let reports = turns[38..].iter().map(|at| Report::Unused(*at)).collect();
    let again = rules.apply(&mut entry, &Ask { reports, ..ask("b", START, 2) }).turns;
    assert_eq!(again, turns[38..]);
    let reports = vec![Report::Unused(START + 7_777)];
    rules.apply(&mut entry, &Ask { reports, ..ask("b", START, 0) });
    assert_eq!(entry.turns.after(0), 40, "one that is not there is nobody's");
}

#[test]
fn what_the_vendor_counts_of_other_workers_is_not_taken_for_foreign_use() {
    let rules = hubspot();
    let mut entry = entry();
    let mut all = Vec::new();
    for now_ms in (START..START + 60_000).step_by(110) {
        let counted = all.iter().filter(|at| **at + 10_000 > now_ms && **at <= now_ms).count();
        let observed = Observed {
            per_ms: 10_000,
            limit: 90,
            remaining: 90 - u32::try_from(counted).unwrap(),
            sent_ms: now_ms.saturating_sub(30),
            answered_ms: now_ms + 40,
        };
        for name in ["a", "b", "c"] {
            all.extend(
                rules.apply(&mut entry, &Ask { observed: Some(observed), ..ask(name, now_ms, 1) }).turns,
            );
        }
    }
    assert!(entry.foreign.is_empty(), "{:?}", entry.foreign);
    assert!(all.len() > 500);
}

#[test]
fn of_foreign_use_only_what_leaves_less_than_is_free_here_counts() {
    let rules = hubspot();
    for (limit, remaining, foreign, left) in
        [(90, 49, 40, 49), (100, 60, 29, 60), (100, 89, 0, 89), (190, 120, 0, 89), (90, 0, 89, 0)]
    {
        let mut entry = entry();
        let turn = rules.apply(&mut entry, &ask("a", START, 1)).turns[0];
        let (sent_ms, answered_ms) = (turn, turn + 80);
        let observed = Some(Observed { per_ms: 10_000, limit, remaining, sent_ms, answered_ms });
        let again = Ask { observed, ..ask("b", START + 100, 0) };
        rules.apply(&mut entry, &again);
        assert_eq!(entry.foreign.after(0), foreign, "{limit} {remaining}");
        assert_eq!(entry.windows_at(START + 100)[0].remaining, left);
        rules.apply(&mut entry, &again);
        assert_eq!(entry.foreign.after(0), foreign, "told twice, counted once");
    }
}

#[test]
fn while_the_vendor_wants_to_be_left_alone_nobody_gets_a_turn() {
    let (rules, mut entry) = (hubspot(), entry());
    let until = START + 30_000;
    rules.apply(&mut entry, &Ask { held_until_ms: Some(until), ..ask("a", START, 0) });
    rules.apply(&mut entry, &Ask { held_until_ms: Some(START + 5_000), ..ask("a", START, 0) });
    assert_eq!(entry.held_until_ms, Some(until), "a shorter word does not end a longer one");
    let none = rules.apply(&mut entry, &ask("b", START + 10, 3));
    assert_eq!(none, Taken { turns: Vec::new(), again_ms: Some(until - HORIZON_MS) });
    let some = rules.apply(&mut entry, &ask("b", until, 3));
    assert_eq!((some.turns.len(), entry.held_until_ms), (3, None));
}

#[test]
fn after_a_resumption_the_first_turns_come_behind_the_grid_and_no_window_overflows() {
    let (rules, mut entry) = (hubspot(), entry());
    rules.resume(&mut entry, true, START);
    let until = entry.grid_until_ms.unwrap();
    let mut sent: Vec<_> = entry.turns.iter().map(|(at, _)| at).collect();
    assert_eq!(rules.apply(&mut entry, &ask("a", START, 5)).turns, [0_u64; 0], "too far ahead");
    for now_ms in (START..START + 30_000).step_by(50) {
        let taken = rules.apply(&mut entry, &ask("a", now_ms, 5)).turns;
        assert!(taken.iter().all(|at| *at >= until));
        sent.extend(taken);
    }
    assert!(most(sent.clone(), 10_000) <= 90);
    assert!(sent.len() > 90 * 3, "and the rate is used: {}", sent.len());
}

#[test]
fn what_somebody_wrote_by_hand_stops_nobody_for_ever() {
    let (rules, mut entry) = (hubspot(), entry());
    let year_3000 = 32_503_680_000_000;
    entry.turns.add(year_3000, 5);
    entry.foreign.add(year_3000, 5);
    entry.grid_until_ms = Some(year_3000);
    entry.paced_until_us = year_3000 * 1_000;
    entry.workers.insert("ghost".to_owned(), year_3000);
    assert_eq!(rules.apply(&mut entry, &ask("a", START, 1)).turns, [START]);
    entry.held_until_ms = Some(year_3000);
    rules.apply(&mut entry, &ask("a", START, 1));
    assert!(entry.held_until_ms.unwrap() <= START + 24 * 60 * 60 * 1_000);
}

#[test]
fn a_limit_that_is_none_and_a_daily_one_are_not_shared() {
    let shared = |windows: Vec<WindowRule>| {
        SharedRules::new(&class(windows, Duration::ZERO)).map(|rules| rules.windows.len())
    };
    let window = |limit, secs| WindowRule { limit, per: Duration::from_secs(secs) };
    assert_eq!(shared(vec![window(1_000_000, 10)]), None);
    assert_eq!(shared(vec![window(250_000, 86_400)]), None);
    assert_eq!(shared(vec![window(90, 10), window(250_000, 86_400)]), Some(1));
    let large = rules(&[(12_000, 60_000)], 0);
    let mut entry = entry();
    for now_ms in (START..START + 70_000).step_by(100) {
        large.apply(&mut entry, &ask("a", now_ms, large.at_a_time()));
    }
    let size = serde_json::to_vec(&entry).unwrap().len();
    assert!(size < 32 * 1_024, "{size}");
}

#[test]
fn those_who_were_not_seen_for_long_do_not_count() {
    let (rules, mut entry) = (hubspot(), entry());
    for (name, at) in [("b", START), ("d", START + 30_000), ("c", START + 61_000)] {
        rules.apply(&mut entry, &ask(name, at, 1));
    }
    assert_eq!(place_among(&entry, "c", START + 61_000), (0, 2));
    assert_eq!(place_among(&entry, "e", START + 61_000), (2, 3));
    assert!(!entry.workers.contains_key("b"));
}
