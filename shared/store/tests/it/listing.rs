use protocol::{JobId, JobStatus};
use store::JobPage;

use crate::fixture::{World, new_job, workspace};
use crate::relay::many;

fn ids(page: &JobPage) -> Vec<JobId> {
    page.jobs.iter().map(|job| job.id).collect()
}

/// Newest first.
async fn newest_first(world: &World, count: usize) -> Vec<JobId> {
    let mut jobs = many(world, count).await;
    jobs.reverse();
    jobs
}

async fn list(world: &World, status: Option<JobStatus>, before: Option<JobId>, limit: u32) -> JobPage {
    world.store.jobs(&workspace("acme"), status, before, limit).await.unwrap()
}

#[tokio::test]
async fn jobs_are_listed_newest_first_and_a_page_says_whether_there_are_more() {
    let world = World::new().await;
    let jobs = newest_first(&world, 5).await;
    for (limit, more) in [(4, true), (5, false), (6, false)] {
        let page = list(&world, None, None, limit).await;
        assert_eq!(ids(&page), jobs[..5.min(limit as usize)], "limit {limit}");
        assert_eq!(page.more, more, "limit {limit}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_overlap() {
    let world = World::new().await;
    let jobs = newest_first(&world, 7).await;
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = list(&world, None, before, 3).await;
        seen.extend(ids(&page));
        before = seen.last().copied();
        // A job that arrives meanwhile is newer than every page to come.
        let mut late = new_job("acme", "monday");
        late.job_type = format!("late-{}", seen.len()).parse().unwrap();
        world.store.accept(&[late]).await.unwrap();
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, jobs);
    assert_eq!(list(&world, None, jobs.last().copied(), 3).await, JobPage { jobs: vec![], more: false });
}

#[tokio::test]
async fn the_list_can_be_of_one_status() {
    let world = World::new().await;
    let jobs = newest_first(&world, 5).await;
    world.claimed(jobs[1]).await;
    world.set(jobs[3], "status = 'failed'").await;
    let status = |status| list(&world, Some(status), None, 10);
    assert_eq!(ids(&status(JobStatus::Queued).await), [jobs[0], jobs[2], jobs[4]]);
    assert_eq!(ids(&status(JobStatus::Running).await), [jobs[1]]);
    assert_eq!(ids(&status(JobStatus::Failed).await), [jobs[3]]);
    assert_eq!(ids(&status(JobStatus::Completed).await), []);
    let page = list(&world, Some(JobStatus::Queued), Some(jobs[0]), 1).await;
    assert_eq!((ids(&page), page.more), (vec![jobs[2]], true));
}

#[tokio::test]
async fn another_workspace_sees_neither_the_list_nor_the_job() {
    let world = World::new().await;
    let jobs = newest_first(&world, 2).await;
    let other = workspace("globex");
    let page = world.store.jobs(&other, None, None, 10).await.unwrap();
    assert_eq!(page, JobPage { jobs: vec![], more: false });
    assert_eq!(world.store.job(&other, jobs[0]).await.unwrap(), None);
    assert_eq!(world.store.job(&workspace("acme"), JobId::new()).await.unwrap(), None);
}
