//! A poll never goes backwards, whatever becomes of the board.

use bus::{BoardCell, Posted};
use devstack::NatsUser;
use protocol::{JobId, JobStatus, JobView};
use reqwest::Method;

use crate::answer::Answer;
use crate::fixture::{Stores, Wiring, World, new_job};
use crate::vandal::Vandal;

/// The view a worker posts after so many more commits.
fn later(view: &JobView, commits: u64) -> JobView {
    let mut later = view.clone();
    later.revision += commits;
    later.progress.current += commits;
    later
}

/// A status service that tells how far it has read the board.
struct Watched {
    world: World,
    vandal: Vandal,
    marker: JobView,
}

impl Watched {
    async fn new() -> Self {
        let world = World::new().await;
        let vandal = Vandal::new(&world.stores.env.nats_url(NatsUser::Admin)).await;
        let id = JobId::new();
        world.stores.store.accept(&[new_job(id, id, "salesforce")]).await.unwrap();
        let marker = world.stores.row(id).await;
        let mut watched = Self { world, vandal, marker };
        watched.has_seen_everything().await;
        watched
    }

    /// Waits until everything that is on the board now has been read: what is put on it last shows up. The
    /// marker is in memory already, so it is not looked up in the bucket.
    async fn has_seen_everything(&mut self) {
        self.marker.revision += 1;
        self.vandal.put(&self.marker).await;
        self.world.polled(self.marker.id, self.marker.revision).await;
    }
}

#[tokio::test]
async fn a_newer_view_on_the_board_shows_up_in_the_next_polls() {
    let world = World::new().await;
    let (job, lease) = world.stores.running().await;
    for current in 1..5 {
        let view = world.stores.advance(&lease, current).await;
        world.stores.post(&view).await;
        assert_eq!(world.polled(job.id, view.revision).await["progress"]["current"], current);
    }
}

#[tokio::test]
async fn a_claim_that_postgres_forgot_when_it_was_killed_is_waited_for() {
    let world = World::new().await;
    let (job, lease) = world.stores.running().await;
    let poll = || {
        let request = world.request(Method::GET, &format!("acme/sync/jobs/{}", job.id));
        Answer::to(request.header("if-none-match", format!("\"{}\"", job.revision + 1)))
    };
    poll().await.problem(503, "unavailable");
    // Claimed again, and shown to nobody yet.
    let again = world.stores.advance(&lease, 1).await;
    assert_eq!(again.revision, job.revision + 1);
    assert_eq!(poll().await.status, 304);
}

#[tokio::test]
async fn whoever_has_a_newer_answer_of_another_replica_gets_no_older_one() {
    let world = World::new().await;
    let (job, lease) = world.stores.running().await;
    world.stores.post(&world.stores.row(job.id).await).await;
    world.poll(job.id).await.ok(200);
    // Nobody told this replica.
    let newer = world.stores.advance(&lease, 7).await;
    let request = world.request(Method::GET, &format!("acme/sync/jobs/{}", job.id));
    let answer = Answer::to(request.header("if-none-match", format!("\"{}\"", newer.revision))).await;
    assert_eq!(answer.status, 304, "{}", answer.text);
    let request = world.request(Method::GET, &format!("acme/sync/jobs/{}", job.id));
    let answer = Answer::to(request.header("if-none-match", format!("\"{}\"", newer.revision - 1))).await;
    assert_eq!(answer.ok(200)["revision"], newer.revision, "and what it learnt it keeps");
}

#[tokio::test]
async fn an_older_view_on_the_board_does_not_show_up() {
    let mut watched = Watched::new().await;
    let (job, _) = watched.world.stores.running().await;
    for round in 1..4 {
        let newest = later(&job, 10 * round);
        watched.vandal.put(&newest).await;
        watched.world.polled(job.id, newest.revision).await;
        for older in [job.clone(), later(&job, 10 * round - 7)] {
            watched.vandal.put(&older).await;
            watched.has_seen_everything().await;
            assert_eq!(watched.world.poll(job.id).await.ok(200)["revision"], newest.revision);
        }
    }
}

#[tokio::test]
async fn an_entry_that_is_deleted_in_mid_run_takes_nothing_back_and_the_next_view_is_shown() {
    let mut watched = Watched::new().await;
    let (job, lease) = watched.world.stores.running().await;
    let mut cell = BoardCell::default();
    for round in 1..4 {
        // Ahead of the row, so that Postgres cannot stand in for memory.
        let ahead = later(&watched.world.stores.advance(&lease, round).await, 100 * round);
        watched.world.stores.worker.post(&mut cell, &ahead).await.unwrap();
        watched.world.polled(job.id, ahead.revision).await;
        if round % 2 == 0 {
            watched.vandal.purge(&job).await;
        } else {
            watched.vandal.delete(&job).await;
        }
        watched.has_seen_everything().await;
        assert_eq!(watched.world.poll(job.id).await.ok(200)["revision"], ahead.revision);
    }
}

#[tokio::test]
async fn after_a_deletion_marker_a_worker_can_post_again() {
    let world = World::new().await;
    let vandal = Vandal::new(&world.stores.env.nats_url(NatsUser::Admin)).await;
    let (job, _) = world.stores.running().await;
    let mut cell = BoardCell::default();
    world.stores.worker.post(&mut cell, &job).await.unwrap();
    // As `nats kv del` does.
    vandal.delete(&job).await;
    let next = later(&job, 1);
    assert_eq!(world.stores.worker.post(&mut cell, &next).await.unwrap(), Posted::Posted);
    world.polled(job.id, next.revision).await;
}

#[tokio::test]
async fn a_finished_job_that_is_on_no_board_is_served_from_postgres() {
    let world = World::new().await;
    let job = world.stores.completed().await;
    for _ in 0..3 {
        let body = world.poll(job.id).await.ok(200);
        assert_eq!((&body["status"], &body["revision"]), (&"completed".into(), &job.revision.into()));
    }
}

#[tokio::test]
async fn a_job_whose_last_view_never_reached_the_board_reads_as_over() {
    let stores = Stores::new().await;
    let (running, lease) = stores.running().await;
    stores.post(&running).await;
    let over = stores.end(&lease, JobStatus::Completed).await;
    // Nothing in memory: it was evicted, or the process is new.
    let wiring = stores.wiring();
    let world = stores.status(Wiring { watched: false, ..wiring }).await;
    world.connected().await;
    let body = world.poll(over.id).await.ok(200);
    assert_eq!((&body["status"], &body["revision"]), (&"completed".into(), &over.revision.into()));
}

#[tokio::test]
async fn after_the_bucket_was_deleted_and_made_again_the_board_is_watched_again() {
    let world = World::new().await;
    let vandal = Vandal::new(&world.stores.env.nats_url(NatsUser::Admin)).await;
    let (job, _) = world.stores.running().await;
    world.stores.post(&later(&job, 1)).await;
    world.polled(job.id, job.revision + 1).await;
    vandal.delete_bucket().await;
    assert_eq!(world.poll(job.id).await.ok(200)["revision"], job.revision + 1);
    let provision = crate::fixture::connected(world.stores.env.nats_url(NatsUser::Provision)).await;
    provision.provision(1).await.unwrap();
    world.stores.post(&later(&job, 2)).await;
    world.polled(job.id, job.revision + 1).await;
}
