//! Changes made while a sync runs are there after the next one: many random histories, each from a seed.

use std::time::Duration;

use lab::{Change, LabConfig, Object, RunningLab};
use protocol::SyncOptions;

use crate::fixture::{World, http, settings, small_lab};
use crate::source::{OBJECTS, assert_same_as_source, begin, registry, sync};

const SEEDS: u64 = 100;
/// Worlds side by side: each has its own stores, and its share of the seeds one after another.
const WORLDS: usize = 4;
/// Small pages, so that a sync of few records has many moments.
const PAGE: u32 = 20;
/// A first sync makes so many requests at least: names 3, owners 2, stages 1, lists 14, archived 3, associations 3.
const FIRST: u64 = 26;
/// An increment: names 3, owners 2, stages 1, searches 3, archived 3, counts 3, associations 3.
const INCREMENT: u64 = 18;
const SEARCH_LAG: Duration = Duration::from_secs(1);

/// Numbers that look random, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Some changes of every kind to an object.
    fn change(&mut self, object: Object) -> Change {
        Change {
            edit: self.below(15),
            archive: self.below(6),
            restore: self.below(4),
            merge: self.below(3),
            hard_delete: self.below(4),
            reassociate: self.below(8),
            seed: self.next(),
            ..Change::of(object)
        }
    }
}

/// Says which history it was that failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the seed was {}", self.0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_while_a_sync_runs_is_there_after_the_next_one() {
    // The workers and labs are tasks of their own; only what they are told to do shares this one.
    tokio::join!(
        Box::pin(histories(0)),
        Box::pin(histories(1)),
        Box::pin(histories(2)),
        Box::pin(histories(3))
    );
}

async fn histories(first: u64) {
    let mut world = World::new(small_lab()).await;
    for seed in (first..SEEDS).step_by(WORLDS) {
        let seed = Seed(seed);
        history(&mut world, seed.0).await;
    }
}

/// A first sync and perhaps an increment amid changes, and an increment in peace.
async fn history(world: &mut World, seed: u64) {
    let mut dice = Dice(seed);
    let config = LabConfig { seed, contacts: 150, companies: 80, deals: 40, ..small_lab() };
    world.lab = RunningLab::start(config).await.unwrap();
    world.workspace = format!("seed-{seed}").parse().unwrap();
    world.connect_workspace(&RunningLab::token(1)).await;
    for (object, _) in OBJECTS {
        world.lab.change(Change { archive: 4, seed, ..Change::of(object) });
    }
    // Every second one is read from both ends, and the search index of every third one is behind.
    let slow_ms = if seed.is_multiple_of(2) { u64::MAX } else { 0 };
    if seed.is_multiple_of(3) {
        world.lab.set_search_lag(SEARCH_LAG);
    }
    let worker = world.worker_with(settings(), registry(world, http(), Some(PAGE), slow_ms)).await;
    sync_amid_changes(world, &mut dice, FIRST).await;
    // The others have to do with what the first sync left: an increment looks back far enough to hide a mistake of it.
    if seed % 4 < 2 {
        sync_amid_changes(world, &mut dice, INCREMENT).await;
    }
    if seed.is_multiple_of(3) {
        world.lab.advance(SEARCH_LAG);
    }
    let view = sync(world, SyncOptions::default()).await;
    assert!(!view.result.unwrap().needs_review, "seed {seed}");
    worker.stop().await;
    assert_same_as_source(world, &format!("seed {seed}")).await;
}

/// A sync, and changes to every object at random moments while it runs, which makes at least so many requests.
async fn sync_amid_changes(world: &mut World, dice: &mut Dice, requests: u64) {
    let before = world.lab.stats().await.requests;
    let mut moments = OBJECTS.map(|(object, _)| (dice.below(requests), dice.change(object)));
    moments.sort_by_key(|(moment, _)| *moment);
    let job = begin(world, SyncOptions::default()).await;
    for (moment, change) in moments {
        let moment = world.lab.wait_for_requests(before + 1 + moment);
        tokio::time::timeout(Duration::from_secs(30), moment).await.expect("the sync makes fewer requests");
        world.lab.change(change);
    }
    world.completed(job).await;
}
