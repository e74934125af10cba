use std::collections::BTreeMap;

use bus::{BoardCell, BoardChange, BoardWatch, BusError};
use devstack::NatsUser;
use protocol::{JobId, JobStatus, JobView, progress_key};

use crate::fixture::{BUCKET, World, as_user, later, soon, view};

async fn change(watch: &mut BoardWatch) -> BoardChange {
    soon(watch.next()).await.unwrap().unwrap()
}

async fn posted(watch: &mut BoardWatch) -> JobView {
    match change(watch).await {
        BoardChange::Posted(view) => *view,
        gone @ BoardChange::Gone(_) => panic!("{gone:?}"),
    }
}

#[tokio::test]
async fn a_watch_gives_what_is_there_and_then_every_change() {
    let world = World::new().await;
    let jobs = [view(JobStatus::Queued, 1), view(JobStatus::Running, 4), view(JobStatus::Completed, 9)];
    let mut cells: [BoardCell; 3] = Default::default();
    for (cell, job) in cells.iter_mut().zip(&jobs) {
        world.worker.post(cell, job).await.unwrap();
    }
    let mut watch = as_user(&world.env, NatsUser::Status).await.watch_board().await.unwrap();
    let mut seen = BTreeMap::<JobId, u64>::new();
    for _ in &jobs {
        let view = posted(&mut watch).await;
        seen.insert(view.id, view.revision);
    }
    assert_eq!(seen, jobs.iter().map(|job| (job.id, job.revision)).collect());

    for revision in 5..25 {
        world.worker.post(&mut cells[1], &later(&jobs[1], revision)).await.unwrap();
        assert_eq!(posted(&mut watch).await, later(&jobs[1], revision));
    }
}

#[tokio::test]
async fn a_watch_tells_which_entry_is_gone() {
    let world = World::new().await;
    let mut watch = as_user(&world.env, NatsUser::Status).await.watch_board().await.unwrap();
    let job = view(JobStatus::Running, 1);
    world.worker.post(&mut BoardCell::default(), &job).await.unwrap();
    posted(&mut watch).await;
    let key = progress_key(&job.workspace_id, job.id);
    world.admin.get_key_value(BUCKET).await.unwrap().purge(&key).await.unwrap();
    let BoardChange::Gone(gone) = change(&mut watch).await else { panic!("it is still there") };
    assert_eq!(gone, key);
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_does_not_hold_up_the_others() {
    let world = World::new().await;
    let bucket = world.admin.get_key_value(BUCKET).await.unwrap();
    bucket.put("acme.nonsense", "not a view".into()).await.unwrap();
    let job = view(JobStatus::Running, 1);
    world.worker.post(&mut BoardCell::default(), &job).await.unwrap();
    let mut watch = as_user(&world.env, NatsUser::Status).await.watch_board().await.unwrap();
    assert_eq!(posted(&mut watch).await, job);
}

#[tokio::test]
async fn a_watch_of_a_bucket_that_was_made_again_ends_with_an_error() {
    let world = World::new().await;
    let status = as_user(&world.env, NatsUser::Status).await;
    let mut watch = status.watch_board().await.unwrap();
    world.worker.post(&mut BoardCell::default(), &view(JobStatus::Running, 1)).await.unwrap();
    posted(&mut watch).await;
    world.admin.delete_key_value(BUCKET).await.unwrap();
    as_user(&world.env, NatsUser::Scheduler).await.provision(1).await.unwrap();
    let ended = soon(watch.next()).await;
    assert!(matches!(ended, None | Some(Err(BusError::Missing(_)))), "{ended:?}");

    let job = view(JobStatus::Running, 1);
    let mut watch = status.watch_board().await.unwrap();
    world.worker.post(&mut BoardCell::default(), &job).await.unwrap();
    assert_eq!(posted(&mut watch).await, job);
}
