use async_nats::jetstream::kv;
use bus::{BoardCell, BusError, Posted};
use devstack::NatsUser;
use futures_util::StreamExt;
use protocol::{JobId, JobStatus, JobView, progress_key};

use crate::fixture::{BUCKET, World, as_user, client, later, soon, view};

async fn post(world: &World, cell: &mut BoardCell, view: &JobView) -> Posted {
    world.worker.post(cell, view).await.unwrap()
}

async fn shown(world: &World, view: &JobView) -> Option<JobView> {
    world.worker.board_entry(&view.workspace_id, view.id).await.unwrap()
}

/// Waits until the server has dealt with all that ingress sent before: it takes one after another.
async fn settled(world: &World) {
    let marker = view(JobStatus::Queued, 1);
    world.ingress.announce(&marker).await;
    soon(async { while shown(world, &marker).await.is_none() {} }).await;
}

#[tokio::test]
async fn an_announced_job_is_on_the_board() {
    let world = World::new().await;
    let queued = view(JobStatus::Queued, 1);
    assert_eq!(shown(&world, &queued).await, None);
    world.ingress.announce(&queued).await;
    settled(&world).await;
    assert_eq!(shown(&world, &queued).await, Some(queued));
}

#[tokio::test]
async fn an_announcement_never_overwrites() {
    let world = World::new().await;
    let running = view(JobStatus::Running, 2);
    post(&world, &mut BoardCell::default(), &running).await;
    world.ingress.announce(&later(&running, 1)).await;
    world.ingress.announce(&later(&running, 9)).await;
    settled(&world).await;
    assert_eq!(shown(&world, &running).await, Some(running));
}

#[tokio::test]
async fn a_late_view_never_replaces_a_newer_one() {
    let world = World::new().await;
    let first = view(JobStatus::Running, 3);
    let (mut ours, mut theirs) = (BoardCell::default(), BoardCell::default());
    assert_eq!(post(&world, &mut ours, &first).await, Posted::Posted);
    assert_eq!(post(&world, &mut theirs, &later(&first, 2)).await, Posted::Stale, "it never wrote");
    assert_eq!(post(&world, &mut theirs, &later(&first, 4)).await, Posted::Posted);
    assert_eq!(post(&world, &mut ours, &later(&first, 3)).await, Posted::Stale, "it was overtaken");
    assert_eq!(post(&world, &mut theirs, &later(&first, 3)).await, Posted::Stale, "it was here before");
    assert_eq!(shown(&world, &first).await.unwrap().revision, 4);
    assert_eq!(post(&world, &mut ours, &later(&first, 4)).await, Posted::Posted, "the same again");
    assert_eq!(post(&world, &mut ours, &later(&first, 5)).await, Posted::Posted);
    assert_eq!(shown(&world, &first).await.unwrap().revision, 5);
}

#[tokio::test]
async fn of_concurrent_writers_the_newest_view_stays() {
    let world = World::new().await;
    for _ in 0..20 {
        let job = view(JobStatus::Running, 0);
        let views: Vec<JobView> = [3, 1, 5, 2, 4].iter().map(|revision| later(&job, *revision)).collect();
        let mut writers = tokio::task::JoinSet::new();
        for view in views {
            let bus = world.worker.clone();
            writers.spawn(async move { bus.post(&mut BoardCell::default(), &view).await.unwrap() });
        }
        assert!(writers.join_all().await.contains(&Posted::Posted));
        assert_eq!(shown(&world, &job).await.unwrap().revision, 5);
    }
}

#[tokio::test]
async fn the_entry_of_a_finished_job_expires_and_that_of_an_active_one_does_not() {
    let world = World::new().await;
    let mut cell = BoardCell::default();
    let mut job = view(JobStatus::Running, 1);
    let ttl = async |job: &JobView| {
        let headers = world.entry_headers(job).await;
        headers.get("Nats-TTL").map(|ttl| ttl.as_str().to_owned())
    };
    for (revision, status) in [(1, JobStatus::Queued), (2, JobStatus::Running)] {
        job = JobView { status, revision, ..job };
        post(&world, &mut cell, &job).await;
        assert_eq!(ttl(&job).await, None, "{status}");
    }
    for (revision, status) in [(3, JobStatus::Completed), (4, JobStatus::Failed), (5, JobStatus::Cancelled)] {
        job = JobView { status, revision, ..job };
        post(&world, &mut cell, &job).await;
        assert_eq!(ttl(&job).await.as_deref(), Some("600"), "{status}");
    }
}

#[tokio::test]
async fn what_is_posted_is_republished_for_any_service() {
    let world = World::new().await;
    let job = view(JobStatus::Running, 7);
    let subject = format!("sync.progress.acme.{}", job.id);
    for user in [NatsUser::Viewer, NatsUser::Status] {
        let client = client(&world.env.nats_url(user), user).await;
        let mut progress = client.subscribe(subject.clone()).await.unwrap();
        client.flush().await.unwrap();
        post(&world, &mut BoardCell::default(), &job).await;
        let message = soon(progress.next()).await.unwrap();
        assert_eq!(serde_json::from_slice::<JobView>(&message.payload).unwrap(), job);
    }
}

#[tokio::test]
async fn an_entry_that_was_deleted_or_cannot_be_read_is_written_anew() {
    let world = World::new().await;
    let bucket: kv::Store = world.admin.get_key_value(BUCKET).await.unwrap();
    let job = view(JobStatus::Running, 1);
    let key = progress_key(&job.workspace_id, job.id);
    let mut cell = BoardCell::default();
    post(&world, &mut cell, &job).await;

    bucket.delete(&key).await.unwrap();
    assert_eq!(shown(&world, &job).await, None);
    assert_eq!(post(&world, &mut cell, &later(&job, 2)).await, Posted::Posted);
    bucket.purge(&key).await.unwrap();
    assert_eq!(post(&world, &mut BoardCell::default(), &later(&job, 3)).await, Posted::Posted);
    bucket.put(&key, "not a view".into()).await.unwrap();
    let read = world.worker.board_entry(&job.workspace_id, job.id).await;
    assert!(matches!(read, Err(BusError::Corrupt(_))), "{read:?}");
    assert_eq!(post(&world, &mut cell, &later(&job, 4)).await, Posted::Posted);
    assert_eq!(shown(&world, &job).await.unwrap().revision, 4);
}

#[tokio::test]
async fn without_a_bucket_the_board_says_so() {
    let env = devstack::testing::TestEnv::new().await;
    let worker = as_user(&env, NatsUser::Worker).await;
    let job = view(JobStatus::Running, 1);
    let posted = worker.post(&mut BoardCell::default(), &job).await;
    assert!(matches!(posted, Err(BusError::Missing(_))), "{posted:?}");
    let read = worker.board_entry(&job.workspace_id, JobId::new()).await;
    assert!(matches!(read, Err(BusError::Missing(_))), "{read:?}");
    let watch = as_user(&env, NatsUser::Status).await.watch_board().await;
    assert!(matches!(watch, Err(BusError::Missing(_))), "{watch:?}");
}
