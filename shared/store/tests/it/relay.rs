use std::collections::BTreeSet;
use std::time::Duration;

use protocol::{JobId, Priority, TICKET_VERSION, Ticket};
use store::Store;
use tokio::task::JoinSet;

use crate::fixture::{KEY, World, changed, new_job, store_at};

const AGE: Duration = Duration::from_secs(30);

/// Pending jobs, as many as wanted, each of a type of its own.
pub(crate) async fn many(world: &World, count: usize) -> Vec<JobId> {
    let jobs: Vec<_> = (0..count)
        .map(|i| {
            let mut job = new_job("acme", "hubspot");
            job.job_type = format!("type-{i}").parse().unwrap();
            job
        })
        .collect();
    let answers = world.store.accept(&jobs).await.unwrap();
    answers.iter().map(|answer| crate::fixture::created(answer).id).collect()
}

/// Takes from two schedulers at once until both find nothing; every job exactly once, never above the limit.
pub(crate) async fn each_goes_to_one_of_two<F, T>(world: &World, jobs: &[JobId], limit: usize, take: F)
where
    F: Fn(Store) -> T,
    T: Future<Output = Vec<Ticket>> + Send + 'static,
{
    let stores = [world.store.clone(), store_at(&world.env.database_url, KEY)];
    let mut taken = Vec::new();
    loop {
        let mut pass = JoinSet::new();
        for scheduler in 0..4 {
            pass.spawn(take(stores[scheduler % 2].clone()));
        }
        let batches = pass.join_all().await;
        assert!(batches.iter().all(|batch| batch.len() <= limit));
        if batches.iter().all(Vec::is_empty) {
            break;
        }
        taken.extend(batches.into_iter().flatten());
    }
    let ids: BTreeSet<JobId> = taken.iter().map(|ticket| ticket.job_id).collect();
    assert_eq!(taken.len(), jobs.len(), "no row twice");
    assert_eq!(ids, jobs.iter().copied().collect(), "no row left");
    assert!(taken.iter().all(|ticket| ticket.ticket_no == 2));
}

#[tokio::test]
async fn a_row_whose_ticket_is_old_gets_a_new_one() {
    let world = World::new().await;
    let mut job = new_job("acme", "hubspot");
    job.priority = Priority::High;
    let job = crate::fixture::created(&world.store.accept(&[job]).await.unwrap()[0]);
    assert_eq!(world.store.take_unticketed(AGE, 10).await.unwrap(), []);

    world.set(job.id, "ticketed_at = now() - interval '29 s'").await;
    assert_eq!(world.store.take_unticketed(AGE, 10).await.unwrap(), [], "not old enough");
    world.set(job.id, "ticketed_at = now() - interval '30 s'").await;
    let before = world.row(job.id).await;
    let ticket = Ticket {
        v: TICKET_VERSION,
        job_id: job.id,
        ticket_no: 2,
        workspace_id: "acme".parse().unwrap(),
        job_type: "sync".parse().unwrap(),
        scope: "hubspot".parse().unwrap(),
        priority: Priority::High,
    };
    assert_eq!(world.store.take_unticketed(AGE, 10).await.unwrap(), [ticket]);
    assert_eq!(changed(&before, &world.row(job.id).await), ["ticket_no", "ticketed_at"]);
    assert_eq!(world.store.take_unticketed(AGE, 10).await.unwrap(), [], "it was just made");
}

#[tokio::test]
async fn a_row_that_waits_for_long_gets_its_tickets_less_and_less_often() {
    let world = World::new().await;
    let job = world.accepted().await.id;
    let mut minutes = vec![0];
    for minute in 1..40 {
        let since = minute - minutes.last().unwrap();
        let clock =
            format!("run_at = now() - interval '{minute} min', ticketed_at = now() - interval '{since} min'");
        world.set(job, &clock).await;
        if !world.store.take_unticketed(AGE * 2, 10).await.unwrap().is_empty() {
            minutes.push(minute);
        }
    }
    assert_eq!(minutes, [0, 1, 2, 4, 8, 16, 28], "at last every twelve times the age asked for");
}

#[tokio::test]
async fn a_row_of_high_priority_gets_its_ticket_before_all_others() {
    let world = World::new().await;
    let jobs = many(&world, 4).await;
    world.store.mark_unticketed(&jobs).await.unwrap();
    for (job, priority) in jobs.iter().zip(["low", "normal", "high", "normal"]) {
        world.set(*job, &format!("priority = '{priority}'")).await;
    }
    world.set(jobs[0], "run_at = now() - interval '1 h'").await;
    let mut order = Vec::new();
    for _ in 0..3 {
        order.extend(world.store.take_unticketed(AGE, 1).await.unwrap().iter().map(|ticket| ticket.job_id));
    }
    assert_eq!(order, [jobs[2], jobs[1], jobs[3]]);
}

#[tokio::test]
async fn a_row_that_was_marked_gets_a_new_ticket_at_once() {
    let world = World::new().await;
    let jobs = many(&world, 3).await;
    world.store.mark_unticketed(&jobs[..2]).await.unwrap();
    let tickets = world.store.take_unticketed(AGE, 10).await.unwrap();
    let taken: BTreeSet<JobId> = tickets.iter().map(|ticket| ticket.job_id).collect();
    assert_eq!(taken, jobs[..2].iter().copied().collect());
}

#[tokio::test]
async fn a_row_that_is_over_is_not_marked() {
    let world = World::new().await;
    let job = world.accepted().await;
    world.set(job.id, "status = 'failed'").await;
    world.store.mark_unticketed(&[job.id, JobId::new()]).await.unwrap();
    assert!(!world.row(job.id).await["ticketed_at"].is_null());
}

#[tokio::test]
async fn a_row_that_is_not_due_or_not_pending_wants_no_ticket() {
    let world = World::new().await;
    let jobs = many(&world, 3).await;
    world.store.mark_unticketed(&jobs).await.unwrap();
    world.set(jobs[0], "run_at = now() + interval '1 minute'").await;
    world.claimed(jobs[1]).await;
    world.set(jobs[2], "status = 'completed'").await;
    assert_eq!(world.store.take_unticketed(Duration::ZERO, 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_pass_takes_the_most_overdue_up_to_its_limit() {
    let world = World::new().await;
    let jobs = many(&world, 4).await;
    for (minutes, job) in jobs.iter().enumerate() {
        world.set(*job, &format!("ticketed_at = NULL, run_at = now() - interval '{minutes} min'")).await;
    }
    assert_eq!(world.store.take_unticketed(AGE, 0).await.unwrap(), []);
    let first: BTreeSet<JobId> =
        world.store.take_unticketed(AGE, 3).await.unwrap().iter().map(|ticket| ticket.job_id).collect();
    assert_eq!(first, jobs[1..].iter().copied().collect());
    assert_eq!(world.store.take_unticketed(AGE, 3).await.unwrap()[0].job_id, jobs[0]);
}

#[tokio::test]
async fn of_many_schedulers_each_row_goes_to_one() {
    let world = World::new().await;
    let jobs = many(&world, 300).await;
    world.store.mark_unticketed(&jobs).await.unwrap();
    each_goes_to_one_of_two(&world, &jobs, 17, |store| async move {
        store.take_unticketed(AGE, 17).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn of_those_who_wait_the_newest_and_the_oldest_are_seen() {
    let world = World::new().await;
    let jobs = many(&world, 6).await;
    let minute = Duration::from_secs(60);
    world.store.seed_waited(&jobs[..1], minute).await.unwrap();
    world.store.seed_waited(&jobs[1..2], minute / 2).await.unwrap();
    world.set(jobs[2], "waiting_reason = 'interrupted'").await;
    world.set(jobs[3], "run_at = now() + interval '1 minute'").await;
    world.set(jobs[4], "priority = 'low'").await;
    let store = &world.store;
    assert_eq!(store.waiting_briefly(Priority::Normal, minute, 10).await.unwrap(), [jobs[5], jobs[1]]);
    assert_eq!(store.waiting_briefly(Priority::Normal, minute, 1).await.unwrap(), [jobs[5]]);
    assert_eq!(store.waiting_briefly(Priority::Low, minute, 10).await.unwrap(), [jobs[4]]);
    assert_eq!(store.waiting_long(Priority::Normal, minute / 4, 10).await.unwrap(), [jobs[0], jobs[1]]);
    assert_eq!(store.waiting_long(Priority::Normal, minute / 4, 1).await.unwrap(), [jobs[0]]);
    assert_eq!(store.waiting_long(Priority::Low, minute / 4, 10).await.unwrap(), []);
}
