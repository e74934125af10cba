use super::*;
use crate::budget::desk::{Look, Right};
use crate::budget::quota_share::QuotaShare;
use crate::budget::rules::{ClassRules, WindowRule};
use crate::budget::shared_rules::SharedRules;
use crate::budget::timetable::LATE_MS;

/// A desk that knows nothing yet.
fn new_desk(now: Instant) -> Desk {
    let windows = vec![WindowRule { limit: 90, per: Duration::from_secs(10) }];
    let rules = ClassRules {
        class: "objects",
        windows,
        spacing: Duration::ZERO,
        burst: None,
        is_quota: true,
        share: QuotaShare::ALL,
    };
    let id = ["hubspot", "1", "objects"].map(str::to_owned);
    Desk::new("a".to_owned(), id, SharedRules::new(&rules).unwrap(), now)
}

/// A desk that had some turns of a timetable, at this moment of the board's clock.
fn desk() -> (Desk, u64) {
    let now = Instant::now();
    let mut desk = new_desk(now);
    desk.look(now, 3);
    let (known, _) = desk.adopt(&nothing(), now);
    commit(&mut desk, known, now);
    let now_ms = desk.clock.ms(now);
    (desk, now_ms)
}

fn nothing() -> Posted {
    Posted { value: None, revision: 0, stored_at_ms: 0 }
}

fn posted(entry: &BudgetEntry, revision: u64) -> Posted {
    Posted { value: Some(serde_json::to_vec(entry).unwrap()), revision, stored_at_ms: 0 }
}

fn commit(desk: &mut Desk, known: Known, now: Instant) {
    let ask = desk.ask(now);
    let mut known = known;
    let taken = desk.rules.apply(&mut known.entry, &ask);
    desk.commit(&ask, taken, known, now);
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_is_gone_is_made_again_from_what_is_known_and_nobody_takes_turns_at_once() {
    let (desk, now_ms) = desk();
    let known = desk.known.clone().unwrap().entry;
    assert_eq!(known.turns.after(0), 4, "three are waited for, and one more");
    tokio::time::advance(Duration::from_secs(3)).await;
    let (again, changed) = desk.adopt(&nothing(), Instant::now());
    assert_eq!((&again.entry.turns, changed), (&known.turns, true));
    assert!(again.entry.grid_until_ms > Some(now_ms + 3_000));
    assert_ne!(again.entry.created_ms, known.created_ms);
    let spoilt = Posted { value: Some(b"{".to_vec()), ..nothing() };
    assert_eq!(desk.adopt(&spoilt, Instant::now()).0.entry.turns, known.turns);

    tokio::time::advance(Duration::from_secs(60)).await;
    let (expired, _) = desk.adopt(&nothing(), Instant::now());
    assert!(expired.entry.turns.is_empty() && expired.entry.grid_until_ms.is_none(), "{expired:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_somebody_else_made_again_gets_what_only_this_process_knows() {
    let (desk, now_ms) = desk();
    let mut theirs = new_entry("hubspot", "1", "objects", now_ms + 1);
    theirs.turns.add(now_ms, 2);
    theirs.turns.add(now_ms + 7, 1);
    let (merged, changed) = desk.adopt(&posted(&theirs, 9), Instant::now());
    assert!(changed);
    assert_eq!((merged.entry.turns.after(0), merged.revision), (4 + 1, 9));
    let same = desk.known.clone().unwrap().entry;
    assert!(!desk.adopt(&posted(&same, 10), Instant::now()).1, "nothing to add to one's own");
}

/// Waits until the next request may be sent, and sends it.
async fn send(desk: &mut Desk) -> Right {
    loop {
        match desk.look(Instant::now(), 1) {
            Look::Now(right) => {
                desk.take(right);
                return right;
            }
            Look::At(at) => tokio::time::sleep_until(at).await,
            Look::Unknown => panic!("nobody will answer"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_off_the_grid_by_a_clock_that_is_wrong_is_told_in_the_boards_time() {
    const HOUR_MS: u64 = 3_600_000;
    for is_fast in [true, false] {
        let mut desk = new_desk(Instant::now());
        desk.went_away(Instant::now());
        let mut sent_ms = Vec::new();
        for _ in 0..2 {
            assert!(matches!(send(&mut desk).await, Right::Grid(_)));
            sent_ms.push(desk.clock.ms(Instant::now()));
        }
        let right = |ms: u64| if is_fast { ms - HOUR_MS } else { ms + HOUR_MS };
        let (now, now_ms) = (Instant::now(), right(desk.clock.ms(Instant::now())));
        desk.compare_clocks(now, now, now_ms);

        let mut theirs = new_entry("hubspot", "1", "objects", now_ms - 60_000);
        theirs.at_ms = now_ms;
        let (known, changed) = desk.adopt(&posted(&theirs, 1), now);
        assert!(changed);
        let told: Vec<_> = known.entry.turns.iter().map(|(at, _)| at).collect();
        let off_by = told.iter().zip(&sent_ms).map(|(told, sent)| told.abs_diff(right(*sent)));
        assert!(told.len() == 2 && off_by.max() <= Some(LATE_MS), "{told:?}, not {sent_ms:?}");

        commit(&mut desk, known, now);
        // Alone, it goes on with the grid as soon as it has used its turns.
        desk.went_away(now);
        while matches!(send(&mut desk).await, Right::Turn(_)) {}
        assert!(now.elapsed() < Duration::from_secs(1), "{:?}", now.elapsed());
    }
}
