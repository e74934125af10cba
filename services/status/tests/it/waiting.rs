//! `?wait=`: the answer comes at the next change.

use std::time::Duration;

use protocol::{JobId, JobStatus};
use reqwest::Method;

use crate::answer::Answer;
use crate::fixture::{Stores, Wiring, World, new_job};
use crate::outages::cuttable;

/// Longer than any test takes: whoever waits it out has failed.
const LONG: u32 = 60;

async fn wait(world: &World, id: JobId, seconds: u32) -> Answer {
    world.get(&format!("acme/sync/jobs/{id}?wait={seconds}")).await
}

/// Waits for what is newer than this revision.
async fn wait_after(world: &World, id: JobId, seconds: u32, revision: u64) -> Answer {
    let request = world.request(Method::GET, &format!("acme/sync/jobs/{id}?wait={seconds}"));
    Answer::to(request.header("if-none-match", format!("\"{revision}\""))).await
}

#[tokio::test]
async fn a_wait_is_answered_at_the_change() {
    let world = World::new().await;
    let (job, lease) = world.stores.running().await;
    world.stores.post(&job).await;
    world.polled(job.id, job.revision).await;
    let change = async {
        world.followed_by(1).await;
        let newer = world.stores.advance(&lease, 7).await;
        world.stores.post(&newer).await;
        newer
    };
    let (answer, newer) = tokio::join!(wait_after(&world, job.id, LONG, job.revision), change);
    let body = answer.ok(200);
    assert_eq!((&body["revision"], &body["progress"]["current"]), (&newer.revision.into(), &7.into()));
    assert_eq!(answer.header("etag"), format!("\"{}\"", newer.revision));
    world.followed_by(0).await;
}

#[tokio::test]
async fn a_wait_that_names_no_revision_is_answered_at_the_next_change() {
    let world = World::new().await;
    let (job, lease) = world.stores.running().await;
    world.stores.post(&job).await;
    let changes = async {
        world.followed_by(1).await;
        // The first ones may come before the request has read the job.
        for current in 1.. {
            world.stores.post(&world.stores.advance(&lease, current).await).await;
        }
    };
    let body = tokio::select! {
        answer = wait(&world, job.id, LONG) => answer.ok(200),
        () = changes => unreachable!(),
    };
    assert!(body["revision"].as_u64().unwrap() > job.revision, "{body}");
}

#[tokio::test]
async fn a_wait_for_a_job_that_is_over_or_newer_is_answered_at_once() {
    let world = World::new().await;
    let over = world.stores.completed().await;
    assert_eq!(wait(&world, over.id, LONG).await.ok(200)["status"], "completed");
    assert_eq!(wait_after(&world, over.id, LONG, over.revision - 1).await.ok(200)["status"], "completed");
    let known = wait_after(&world, over.id, LONG, over.revision).await;
    assert_eq!((known.status, known.text.as_str()), (304, ""));

    let (job, _) = world.stores.running().await;
    let newer = wait_after(&world, job.id, LONG, job.revision - 1).await;
    assert_eq!(newer.ok(200)["revision"], job.revision);
    let request = world.request(Method::GET, &format!("acme/sync/jobs/{}?wait={LONG}", job.id));
    Answer::to(request.header("if-none-match", "\"of somebody else\"")).await.ok(200);
}

#[tokio::test]
async fn after_the_wait_a_known_job_is_a_304_and_another_is_answered_as_it_is() {
    let stores = Stores::new().await;
    // The wait is longer than an ordinary request may take.
    let wiring = Wiring { request_timeout: Duration::from_millis(900), ..stores.wiring() };
    let world = stores.status(wiring).await;
    world.connected().await;
    let (job, _) = world.stores.running().await;
    for seconds in [0, 1] {
        let known = wait_after(&world, job.id, seconds, job.revision).await;
        assert_eq!((known.status, known.text.as_str()), (304, ""));
        assert_eq!(known.header("etag"), format!("\"{}\"", job.revision));
        assert_eq!(wait(&world, job.id, seconds).await.ok(200)["revision"], job.revision);
    }
    let any = world.request(Method::GET, &format!("acme/sync/jobs/{}?wait=0", job.id));
    assert_eq!(Answer::to(any.header("if-none-match", "*")).await.status, 304);
}

#[tokio::test]
async fn a_wait_that_is_too_long_or_none_is_refused() {
    let world = World::new().await;
    let job = world.stores.completed().await;
    for bad in ["wait=61", "wait=-1", "wait=4294967296", "wait=long", "wait=", "wait=1.5", "waits=5"] {
        let answer = world.get(&format!("acme/sync/jobs/{}?{bad}", job.id)).await;
        let detail = answer.problem(400, "invalid-parameter");
        assert!(detail.contains("wait"), "{bad}: {detail}");
    }
    let detail = wait(&world, job.id, 61).await.problem(400, "invalid-parameter");
    assert_eq!(detail, "`wait` must be 0 to 60 seconds.");
}

#[tokio::test]
async fn a_wait_for_a_job_that_is_not_there_is_a_404() {
    let world = World::new().await;
    wait(&world, JobId::new(), LONG).await.problem(404, "unknown-job");
    let job = world.stores.queued().await;
    world.get(&format!("other/sync/jobs/{}?wait={LONG}", job.id)).await.problem(404, "unknown-job");
    world.followed_by(0).await;
}

#[tokio::test]
async fn a_wait_for_a_merged_job_is_answered_when_one_of_its_jobs_changes() {
    let world = World::new().await;
    let (sync, one, two) = (JobId::new(), JobId::new(), JobId::new());
    let jobs = [new_job(one, sync, "hubspot"), new_job(two, sync, "salesforce")];
    world.stores.store.accept_sync(sync, &jobs).await.unwrap();
    let mut revision = world.poll(sync).await.ok(200)["revision"].as_u64().unwrap();
    for member in [one, two] {
        let change = async {
            world.followed_by(1).await;
            let (view, lease) = world.stores.claim(member).await;
            world.stores.post(&view).await;
            lease
        };
        let (answer, _lease) = tokio::join!(wait_after(&world, sync, LONG, revision), change);
        let body = answer.ok(200);
        assert_eq!((&body["id"], &body["status"]), (&serde_json::json!(sync), &"running".into()));
        revision = body["revision"].as_u64().unwrap();
    }
}

#[tokio::test]
async fn while_nats_is_away_a_wait_is_answered_from_postgres() {
    let cuttable = cuttable(true).await;
    let world = &cuttable.world;
    let (job, lease) = world.stores.running().await;
    world.stores.post(&job).await;
    world.polled(job.id, job.revision).await;
    cuttable.cut_nats().await;
    let change = async {
        world.followed_by(1).await;
        world.stores.end(&lease, JobStatus::Completed).await
    };
    let (answer, over) = tokio::join!(wait_after(world, job.id, LONG, job.revision), change);
    let body = answer.ok(200);
    assert_eq!((&body["revision"], &body["status"]), (&over.revision.into(), &"completed".into()));
}

#[tokio::test]
async fn when_nats_goes_away_during_a_wait_postgres_is_asked() {
    let cuttable = cuttable(true).await;
    let world = &cuttable.world;
    let (job, lease) = world.stores.running().await;
    world.stores.post(&job).await;
    world.polled(job.id, job.revision).await;
    let change = async {
        world.followed_by(1).await;
        cuttable.cut_nats().await;
        world.stores.advance(&lease, 7).await
    };
    let (answer, newer) = tokio::join!(wait_after(world, job.id, LONG, job.revision), change);
    assert_eq!(answer.ok(200)["revision"], newer.revision);
}

#[tokio::test]
async fn while_postgres_is_away_a_wait_goes_on_and_is_answered_by_the_board() {
    let cuttable = cuttable(true).await;
    let world = &cuttable.world;
    let (job, lease) = world.stores.running().await;
    world.stores.post(&job).await;
    world.polled(job.id, job.revision).await;
    cuttable.postgres.cut().await;
    let change = async {
        world.followed_by(1).await;
        let newer = world.stores.advance(&lease, 7).await;
        world.stores.post(&newer).await;
        newer
    };
    let (answer, newer) = tokio::join!(wait_after(world, job.id, LONG, job.revision), change);
    assert_eq!(answer.ok(200)["revision"], newer.revision);
}

#[tokio::test]
async fn a_shutdown_ends_the_wait() {
    let world = World::new().await;
    let (job, _) = world.stores.running().await;
    let stop = async {
        world.followed_by(2).await;
        world.stop.cancel();
    };
    let (known, unknown, ()) =
        tokio::join!(wait_after(&world, job.id, LONG, job.revision), wait(&world, job.id, LONG), stop);
    assert_eq!((known.status, unknown.ok(200)["revision"].as_u64()), (304, Some(job.revision)));
}

#[tokio::test]
async fn when_too_many_wait_one_more_is_told_to_come_again() {
    let stores = Stores::new().await;
    let wiring = Wiring { followers_max: 1, ..stores.wiring() };
    let world = stores.status(wiring).await;
    world.connected().await;
    let (job, lease) = world.stores.running().await;
    let others = async {
        world.followed_by(1).await;
        for path in [format!("{}?wait=1", job.id), format!("{}/events", job.id)] {
            let answer = world.get(&format!("acme/sync/jobs/{path}")).await;
            let detail = answer.problem(503, "unavailable");
            assert!(detail.contains("without `wait`"), "{detail}");
            assert_eq!(answer.header("retry-after"), "5");
        }
        world.poll(job.id).await.ok(200);
        world.stores.post(&world.stores.advance(&lease, 1).await).await;
    };
    let (answer, ()) = tokio::join!(wait_after(&world, job.id, LONG, job.revision), others);
    answer.ok(200);
    wait(&world, job.id, 0).await.ok(200);
}
