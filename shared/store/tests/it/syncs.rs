use protocol::{JobId, JobStatus};
use store::{Accepted, NewJob};

use crate::fixture::{World, new_job, workspace};

fn member_of(sync_id: JobId, connector: &str) -> NewJob {
    NewJob { sync_id, ..new_job("acme", connector) }
}

#[tokio::test]
async fn a_sync_reads_as_one_merged_job_also_with_a_member_that_was_active_before() {
    let world = World::new().await;
    let earlier = world.accepted().await;
    let sync_id = JobId::new();
    let jobs =
        [member_of(sync_id, "salesforce"), member_of(sync_id, "hubspot"), member_of(sync_id, "monday")];
    let answers = world.store.accept_sync(sync_id, &jobs).await.unwrap();
    assert_eq!(answers[1], Accepted::Active(Box::new(earlier.clone())));

    let merged = world.store.job(&workspace("acme"), sync_id).await.unwrap().unwrap();
    assert_eq!(merged.id, sync_id);
    assert_eq!(merged.status, JobStatus::Queued);
    assert_eq!(merged.connector_type, None);
    let members: Vec<JobId> = merged.jobs.iter().map(|job| job.id).collect();
    assert_eq!(members, [earlier.id, jobs[2].id, jobs[0].id], "in the order of their connectors");

    world.claimed(earlier.id).await;
    let merged = world.store.job(&workspace("acme"), sync_id).await.unwrap().unwrap();
    assert_eq!(merged.status, JobStatus::Running);
    let member = world.store.job(&workspace("acme"), earlier.id).await.unwrap().unwrap();
    assert_eq!(member.sync_id, earlier.id, "it still belongs to the request that made it");
}

#[tokio::test]
async fn two_syncs_may_share_all_of_their_members() {
    let world = World::new().await;
    let (first, second) = (JobId::new(), JobId::new());
    let members = |sync_id| [member_of(sync_id, "hubspot"), member_of(sync_id, "monday")];
    let made = world.store.accept_sync(first, &members(first)).await.unwrap();
    let met = world.store.accept_sync(second, &members(second)).await.unwrap();
    for (made, met) in made.iter().zip(&met) {
        assert_eq!(made.job().unwrap().id, met.job().unwrap().id);
    }
    for sync_id in [first, second] {
        let merged = world.store.job(&workspace("acme"), sync_id).await.unwrap().unwrap();
        assert_eq!((merged.id, merged.jobs.len()), (sync_id, 2));
    }
}

#[tokio::test]
async fn a_sync_is_invisible_to_another_workspace() {
    let world = World::new().await;
    let sync_id = JobId::new();
    world.store.accept_sync(sync_id, &[member_of(sync_id, "hubspot")]).await.unwrap();
    assert_eq!(world.store.job(&workspace("globex"), sync_id).await.unwrap(), None);
}

#[tokio::test]
async fn a_sync_of_which_nothing_was_accepted_does_not_exist() {
    let world = World::new().await;
    let sync_id = JobId::new();
    let answers = world.store.accept_sync(sync_id, &[member_of(sync_id, "google-drive")]).await.unwrap();
    assert_eq!(answers, [Accepted::NotConnected]);
    assert_eq!(world.store.job(&workspace("acme"), sync_id).await.unwrap(), None);
}
