use protocol::{JobId, JobStatus};
use store::Accepted;

use crate::fixture::{World, created, new_job, workspace};

#[tokio::test]
async fn an_accepted_job_reads_back_as_it_was_answered() {
    let world = World::new().await;
    let answered = world.accepted().await;
    assert_eq!(answered.status, JobStatus::Queued);
    let read = world.store.job(&workspace("acme"), answered.id).await.unwrap().unwrap();
    assert_eq!(read, answered);
}

#[tokio::test]
async fn the_ticket_of_a_new_job_is_the_first_and_counts_as_published_now() {
    let world = World::new().await;
    let job = world.accepted().await;
    let row = world.row(job.id).await;
    assert_eq!(row["ticket_no"], 1);
    assert_eq!(row["ticketed_at"], row["created_at"]);
}

#[tokio::test]
async fn a_second_request_for_an_active_scope_answers_the_first_job() {
    let world = World::new().await;
    let first = world.accepted().await;
    let second = new_job("acme", "hubspot");
    let answers = world.store.accept(std::slice::from_ref(&second)).await.unwrap();
    assert_eq!(answers, [Accepted::Active(Box::new(first.clone()))]);
    assert_eq!(world.store.job(&workspace("acme"), second.id).await.unwrap(), None);

    let running = world.claimed(first.id).await.job;
    let answers = world.store.accept(&[new_job("acme", "hubspot")]).await.unwrap();
    assert_eq!(answers, [Accepted::Active(Box::new(running))]);
}

#[tokio::test]
async fn another_connector_another_workspace_or_another_job_type_is_another_job() {
    let world = World::new().await;
    let mut audit = new_job("acme", "hubspot");
    audit.job_type = "audit".parse().unwrap();
    let jobs = [new_job("acme", "hubspot"), new_job("acme", "monday"), new_job("globex", "hubspot"), audit];
    let answers = world.store.accept(&jobs).await.unwrap();
    let ids: Vec<JobId> = answers.iter().map(|answer| created(answer).id).collect();
    assert_eq!(ids, jobs.each_ref().map(|job| job.id));
}

#[tokio::test]
async fn each_of_a_batch_is_answered_on_its_own_merits_and_in_order() {
    let world = World::new().await;
    let active = world.accepted().await;
    let jobs = [
        new_job("nowhere", "hubspot"),
        new_job("acme", "hubspot"),
        new_job("acme", "google-drive"),
        new_job("globex", "salesforce"),
        new_job("globex", "salesforce"),
        new_job("acme", "monday"),
        new_job("nowhere", "no-such-connector"),
    ];
    let answers = world.store.accept(&jobs).await.unwrap();
    assert_eq!(answers[0], Accepted::UnknownWorkspace);
    assert_eq!(answers[1].job().unwrap().id, active.id);
    assert_eq!(answers[2], Accepted::NotConnected);
    assert_eq!(created(&answers[3]).id, jobs[3].id);
    assert_eq!(answers[4], Accepted::Active(Box::new(created(&answers[3]))));
    assert_eq!(created(&answers[5]).id, jobs[5].id);
    assert_eq!(answers[6], Accepted::UnknownWorkspace);
    assert_eq!(world.one::<i64>("SELECT count(*) FROM jobs").await, 3);
}

#[tokio::test]
async fn an_empty_batch_has_no_answers() {
    let world = World::new().await;
    assert_eq!(world.store.accept(&[]).await.unwrap(), []);
}

#[tokio::test]
async fn a_scope_is_free_again_once_its_job_is_over() {
    let world = World::new().await;
    for status in ["completed", "failed", "cancelled"] {
        let job = world.accepted().await;
        world.set(job.id, &format!("status = '{status}', completed_at = now()")).await;
    }
    world.accepted().await;
    assert_eq!(world.one::<i64>("SELECT count(*) FROM jobs").await, 4);
}
