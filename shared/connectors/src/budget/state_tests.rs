//! What the budget promises about arrivals at the vendor, checked with random schedules.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::quota_share::QuotaShare;
use super::rules::{ClassRules, WindowRule};
use super::state::{Reported, Sent, State, Turn};

const MS: Duration = Duration::from_millis(1);

fn rules(windows: Vec<WindowRule>, spacing: Duration) -> ClassRules {
    ClassRules { class: "objects", windows, spacing, burst: None, is_quota: true, share: QuotaShare::ALL }
}

/// Sends as greedily as `state` allows; `latencies` are (until arrival, from arrival to the answer) in ms.
/// Returns when each request arrived at the vendor.
fn arrivals(state: &mut State, start: Instant, latencies: &[(u64, u64)]) -> Vec<Instant> {
    let mut now = start;
    let mut in_flight: BinaryHeap<Reverse<Instant>> = BinaryHeap::new();
    let mut arrived = Vec::new();
    let mut latencies = latencies.iter();
    let mut next = latencies.next();
    while let Some((there, back)) = next {
        while in_flight.peek().is_some_and(|Reverse(at)| *at <= now) {
            let Reverse(at) = in_flight.pop().unwrap();
            state.finish(at);
        }
        let answer = in_flight.peek().map(|Reverse(at)| *at);
        match state.take(now) {
            Turn::Taken(_) => {
                let arrival = now + *there as u32 * MS;
                arrived.push(arrival);
                in_flight.push(Reverse(arrival + *back as u32 * MS));
                next = latencies.next();
            }
            Turn::Held(until) | Turn::Later(until) => now = answer.map_or(until, |at| at.min(until)),
            Turn::WhenAnswered => now = answer.expect("somebody must be in flight"),
        }
    }
    arrived.sort();
    arrived
}

proptest! {
    #[test]
    fn no_rolling_window_of_arrivals_ever_exceeds_the_limit(
        limit in 1..12u32, per_ms in 1..3_000u64, second_limit in 1..30u32, second_per_ms in 1..10_000u64,
        spacing_ms in prop_oneof![Just(0u64), 1..400u64],
        latencies in prop::collection::vec((0..2_500u64, 0..2_500u64), 1..250),
    ) {
        let windows = vec![
            WindowRule { limit, per: per_ms as u32 * MS },
            WindowRule { limit: second_limit, per: second_per_ms as u32 * MS },
        ];
        let start = Instant::now();
        let mut state = State::new(&rules(windows.clone(), spacing_ms as u32 * MS), start);
        let arrived = arrivals(&mut state, start, &latencies);
        prop_assert_eq!(arrived.len(), latencies.len());
        for rule in windows {
            let limit = rule.limit as usize;
            for (first, beyond) in arrived.iter().zip(arrived.iter().skip(limit)) {
                prop_assert!(*beyond - *first > rule.per, "{} + 1 arrivals within {:?}", limit, *beyond - *first);
            }
        }
    }
}

#[test]
fn at_least_97_percent_of_the_allowed_rate_is_used_once_the_limit_is_reached() {
    let start = Instant::now();
    let window = WindowRule { limit: 90, per: 10_000 * MS };
    let mut state = State::new(&rules(vec![window], Duration::ZERO), start);
    let arrived = arrivals(&mut state, start, &[(40, 60); 90 * 30]);
    let took = (*arrived.last().unwrap() - start).as_secs_f64();
    let used = (arrived.len() as f64 - 90.0) / (9.0 * (took - 10.0));
    assert!(used >= 0.97, "{:.1} % of the rate was used", used * 100.0);
}

#[test]
fn after_the_burst_requests_go_out_evenly_so_that_progress_is_seen() {
    let start = Instant::now();
    let window = WindowRule { limit: 90, per: 10_000 * MS };
    let mut state = State::new(&rules(vec![window], Duration::ZERO), start);
    let arrived = arrivals(&mut state, start, &[(5, 5); 2_000]);
    assert!(arrived[29] - start < 10 * MS, "the first third waits for nothing");
    // The turns that the first third did not take.
    let even = 30 + 4;
    assert!(arrived[even + 9] - arrived[even] > 900 * MS, "then it is nine a second");
    let steady = arrived.iter().zip(&arrived[1..]).skip(180).map(|(a, b)| *b - *a);
    let silence = steady.max().unwrap();
    assert!(silence < 1_000 * MS, "there was silence for {silence:?}");
}

fn take(state: &mut State, now: Instant) -> Sent {
    match state.take(now) {
        Turn::Taken(sent) => sent,
        other => panic!("{other:?}"),
    }
}

fn ten_in_ten_seconds() -> (State, Instant) {
    let now = Instant::now();
    let mut rules = rules(vec![WindowRule { limit: 10, per: 10_000 * MS }], Duration::ZERO);
    rules.burst = Some(10);
    (State::new(&rules, now), now)
}

fn free(state: &mut State, now: Instant) -> u32 {
    state.windows_mut()[0].free(now)
}

#[test]
fn requests_of_others_that_the_vendor_reports_are_left_room_for() {
    let (mut state, now) = ten_in_ten_seconds();
    let sent = take(&mut state, now);
    state.observe(&sent, Reported { per: 10_000 * MS, limit: 12, remaining: 4 }, now);
    assert_eq!(free(&mut state, now), 4);
    assert_eq!(free(&mut state, now + 11_000 * MS), 9, "only the one in flight is left");
}

#[test]
fn a_slow_answer_does_not_make_our_own_requests_look_like_those_of_others() {
    let (mut state, start) = ten_in_ten_seconds();
    for _ in 0..6 {
        take(&mut state, start);
    }
    let slow = take(&mut state, start + 9_000 * MS);
    for _ in 0..6 {
        state.finish(start + 10 * MS);
    }
    // The vendor counted seven at 9 s. When the answer is here, six of them are long past.
    let later = start + 12_000 * MS;
    state.observe(&slow, Reported { per: 10_000 * MS, limit: 10, remaining: 3 }, later);
    assert_eq!(free(&mut state, later), 9);
}

#[test]
fn a_vendor_that_allows_less_than_configured_is_believed() {
    let (mut state, now) = ten_in_ten_seconds();
    let sent = take(&mut state, now);
    state.observe(&sent, Reported { per: 10_000 * MS, limit: 5, remaining: 4 }, now);
    assert_eq!(free(&mut state, now), 4);
}

#[test]
fn of_a_limit_that_the_vendor_lowers_the_share_is_used_and_it_may_rise_again() {
    let now = Instant::now();
    let mut rules = rules(vec![WindowRule { limit: 100, per: 10_000 * MS }], Duration::ZERO);
    rules.share = QuotaShare::DEFAULT;
    let mut state = State::new(&rules, now);
    for (reported, used) in [(190, 90), (50, 45), (80, 72), (80, 72), (100, 90), (0, 1)] {
        state.believe(Reported { per: 10_000 * MS, limit: reported, remaining: 0 }, now);
        assert_eq!(free(&mut state, now), used, "{reported}");
    }
}

#[test]
fn a_share_that_changes_is_paced_anew() {
    let start = Instant::now();
    let mut state =
        State::new(&rules(vec![WindowRule { limit: 90, per: 10_000 * MS }], Duration::ZERO), start);
    state.set_share(QuotaShare::new(0.5).unwrap(), start);
    let arrived = arrivals(&mut state, start, &[(5, 5); 1_000]);
    let steady = arrived.iter().zip(&arrived[1..]).skip(90).map(|(a, b)| *b - *a);
    let silence = steady.max().unwrap();
    assert!(silence < 2_000 * MS, "there was silence for {silence:?}");
}

#[test]
fn a_report_about_another_window_changes_nothing() {
    let (mut state, now) = ten_in_ten_seconds();
    let sent = take(&mut state, now);
    state.observe(&sent, Reported { per: 1_000 * MS, limit: 5, remaining: 0 }, now);
    assert_eq!(free(&mut state, now), 9);
}

#[test]
fn a_hold_lasts_as_long_as_the_longest_word_of_the_vendor() {
    let (mut state, now) = ten_in_ten_seconds();
    state.hold(5_000 * MS, now);
    state.hold(1_000 * MS, now);
    assert_eq!(state.take(now + 4_000 * MS), Turn::Held(now + 5_000 * MS));
    assert!(matches!(state.take(now + 5_000 * MS), Turn::Taken(_)));
}
