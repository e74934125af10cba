//! Trying a job again: a new job that goes on where the other one stopped.

use protocol::{JobId, JobStatus};
use serde_json::json;
use store::{Accepted, Claimed, Ending, NewJob, PageBatch, RequestAccepted};

use crate::fixture::{World, created, deal, deals, new_job, progress, rejected, workspace};

async fn end(world: &World, claimed: &Claimed, status: JobStatus) {
    let ending = Ending { status, error: None, result: None, message: "Over".to_owned() };
    world.store.end_job(&claimed.lease, &ending).await.unwrap();
}

async fn retry(world: &World, of: JobId) -> Claimed {
    let job = NewJob { retry_of: Some(of), ..new_job("acme", "hubspot") };
    let accepted = world.store.accept_sync(job.id, std::slice::from_ref(&job)).await.unwrap();
    assert_eq!(created(&accepted[0]).retry_of, Some(of));
    world.claimed(job.id).await
}

/// A job that stopped after a page with two deals and one that could not be read.
async fn stopped(world: &World) -> Claimed {
    let running = world.running().await;
    let page = PageBatch {
        rejected: vec![rejected("3", "no number")],
        listed: 3,
        ..deals(vec![deal("1", "2"), deal("2", "3")])
    };
    world.store.commit_pages(&running.lease, &[page], &progress(3)).await.unwrap();
    end(world, &running, JobStatus::Failed).await;
    running
}

#[tokio::test]
async fn a_job_that_is_tried_again_goes_on_from_the_last_page_with_the_same_counts() {
    let world = World::new().await;
    let first = stopped(&world).await;
    let second = retry(&world, first.job.id).await;
    let cursor = &second.cursors[0];
    assert_eq!(cursor.position, Some(json!({"after": "100"})));
    assert_eq!((cursor.listed, cursor.written, cursor.captured, cursor.pages), (3, 2, 1, 1));
    assert_eq!((second.job.progress.current, second.job.progress.total), (3, 1_000), "and the same progress");
    assert_eq!(world.store.adopt_captured(&second.lease, first.job.id, 10).await.unwrap(), 1);
    assert_eq!(world.store.adopt_captured(&second.lease, first.job.id, 10).await.unwrap(), 0);
    let captured = world.store.captured(&second.job, 10).await.unwrap();
    assert_eq!(captured.len(), 1, "its captured records are the new job's to report");
    let row = world.store.job(&workspace("acme"), second.job.id).await.unwrap().unwrap();
    assert_eq!((row.retry_of, row.attempts), (Some(first.job.id), 1));
}

#[tokio::test]
async fn a_job_that_is_tried_again_after_another_one_ran_takes_nothing_from_that_one() {
    let world = World::new().await;
    let first = stopped(&world).await;
    let between = world.running().await;
    let page = PageBatch { position: Some(json!({"after": "7"})), ..deals(vec![deal("1", "2")]) };
    world.store.commit_pages(&between.lease, &[page], &progress(1)).await.unwrap();
    end(&world, &between, JobStatus::Cancelled).await;
    let second = retry(&world, first.job.id).await;
    assert_eq!(second.cursors[0].position, None, "it starts anew");
    assert_eq!((second.cursors[0].listed, second.job.progress.current), (0, 0));
    assert_eq!(world.store.adopt_captured(&second.lease, first.job.id, 10).await.unwrap(), 0);
    assert!(
        world.store.captured(&second.job, 10).await.unwrap().is_empty(),
        "nor does it report the old one's"
    );
}

#[tokio::test]
async fn a_job_that_is_tried_again_with_other_credentials_takes_nothing_from_the_old_account() {
    let world = World::new().await;
    let first = stopped(&world).await;
    let other = json!({"token": "of another account"});
    world.store.put_connection(&workspace("acme"), &"hubspot".parse().unwrap(), &other, None).await.unwrap();
    let second = retry(&world, first.job.id).await;
    assert!(second.cursors.is_empty(), "{:?}", second.cursors);
    assert_eq!(world.store.adopt_captured(&second.lease, first.job.id, 10).await.unwrap(), 0);
}

#[tokio::test]
async fn a_request_that_is_refused_writes_nothing_at_all() {
    let world = World::new().await;
    let active = world.accepted().await;
    let jobs = [new_job("acme", "monday"), new_job("acme", "hubspot")];
    let only_new = |accepted: &[Accepted]| {
        let all_new = accepted.iter().all(|one| matches!(one, Accepted::Created(_)));
        all_new.then(|| json!({}))
    };
    let answer = world.store.accept_request(JobId::new(), &jobs, None, only_new).await.unwrap();
    let RequestAccepted::Refused(accepted) = answer else { panic!("{answer:?}") };
    assert_eq!(accepted[1].job().unwrap().id, active.id);
    assert_eq!(world.one::<i64>("SELECT count(*) FROM jobs").await, 1);
    assert_eq!(world.one::<i64>("SELECT count(*) FROM syncs").await, 0);
}

#[tokio::test]
async fn the_last_job_of_each_connector_is_found() {
    let world = World::new().await;
    stopped(&world).await;
    let last = world.accepted().await;
    let other = new_job("acme", "monday");
    world.store.accept(&[other.clone(), new_job("globex", "hubspot")]).await.unwrap();
    let found: Vec<_> =
        world.store.last_jobs(&workspace("acme")).await.unwrap().iter().map(|j| j.id).collect();
    assert_eq!(found, [last.id, other.id]);
}
