//! Many syncs at once: workers that are replaced one after another, and lanes that do not stand in each other's way.

use std::collections::HashSet;

use bus::Published;
use lab::{FaultKind, FaultRule, LabConfig, RunningLab};
use protocol::{JobId, JobStatus, Priority, SyncOptions, TICKET_VERSION, Ticket, WorkspaceId};
use store::{NewJob, seeded_workspace};
use worker::{Settings, Slots};

use crate::fixture::{World, http, settings, small_lab};
use crate::processes::Process;

/// A lease that no busy machine lets run out: a takeover could only come from a stop. Room for all 50 at once, also in
/// three workers. And small pages: that there are many is what it takes, not that they are hard work.
const PATIENT: [(&str, &str); 3] = [
    ("SYNCLINE_WORKER_LEASE_MS", "60000"),
    ("SYNCLINE_WORKER_SLOTS_NORMAL", "17"),
    ("SYNCLINE_CONNECTORS_HUBSPOT_PAGE_SIZE", "10"),
];

/// Connects workspaces, each to an account of its own, and accepts a job for each.
pub async fn accept_many(
    world: &World,
    prefix: &str,
    count: usize,
    portal: impl Fn(usize) -> u64,
    priority: Priority,
) -> Vec<NewJob> {
    let hubspot = "hubspot".parse().unwrap();
    let credentials = |n| serde_json::json!({"accessToken": RunningLab::token(portal(n))});
    world.store.seed_workspaces(prefix, count, &hubspot, credentials).await.unwrap();
    let job = |n| NewJob {
        workspace_id: seeded_workspace(prefix, n).parse().unwrap(),
        priority,
        ..world.new_job(SyncOptions::default())
    };
    let jobs: Vec<NewJob> = (0..count).map(job).collect();
    world.store.accept(&jobs).await.unwrap();
    jobs
}

pub async fn publish(world: &World, jobs: &[NewJob]) {
    let ticket = |job: &NewJob| Ticket {
        v: TICKET_VERSION,
        job_id: job.id,
        ticket_no: 1,
        workspace_id: job.workspace_id.clone(),
        job_type: job.job_type.clone(),
        scope: job.scope.clone(),
        priority: job.priority,
    };
    for tickets in jobs.chunks(500) {
        let tickets: Vec<Ticket> = tickets.iter().map(ticket).collect();
        let published = world.bus.publish_tickets(&tickets).await;
        assert!(published.iter().all(|published| *published == Published::Stored));
    }
}

/// Waits until all of them are over, and gives the rows.
async fn all_over(world: &mut World, jobs: &[NewJob]) -> Vec<protocol::JobView> {
    let mut open: HashSet<JobId> = jobs.iter().map(|job| job.id).collect();
    while !open.is_empty() {
        let id = world.seen_any(|view| view.status.is_over() && open.contains(&view.id)).await.id;
        open.remove(&id);
    }
    let mut rows = Vec::new();
    for job in jobs {
        rows.push(world.store.job(&job.workspace_id, job.id).await.unwrap().unwrap());
    }
    rows
}

/// How many of them run now. None may be over.
async fn running(world: &World, jobs: &[NewJob]) -> usize {
    let mut running = 0;
    for job in jobs {
        let row = world.store.job(&job.workspace_id, job.id).await.unwrap().unwrap();
        assert!(!row.status.is_over(), "over before all had begun: {row:?}");
        running += usize::from(row.status == JobStatus::Running);
    }
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn replacing_4_workers_one_by_one_under_50_syncs_costs_no_attempt_and_no_page() {
    let lab = LabConfig { contacts: 300, companies: 200, deals: 60, latency_ms: 400, ..small_lab() };
    let mut world = World::new(lab).await;
    let mut workers: Vec<Process> = (0..4).map(|_| Process::start_with(&world, &PATIENT)).collect();
    let jobs = accept_many(&world, "rolling", 50, |n| 100 + n as u64, Priority::Normal).await;
    publish(&world, &jobs).await;
    while running(&world, &jobs).await < 50 {
        tokio::task::yield_now().await;
    }
    for _ in 0..4 {
        let before = world.lab.stats().await.requests;
        let old = workers.remove(0);
        old.signal("TERM");
        assert_eq!(old.exit_code(), Some(0));
        workers.push(Process::start_with(&world, &PATIENT));
        // The others, or the new one, go on meanwhile.
        world.lab.wait_for_requests(before + 20).await;
    }
    for row in all_over(&mut world, &jobs).await {
        assert_eq!(row.status, JobStatus::Completed, "{row:?}");
        assert_eq!((row.attempts, row.takeovers), (1, 0), "a stop is no attempt: {row:?}");
        assert!(row.attempt_errors.is_empty(), "{row:?}");
    }
    let twice = world.lab.stats().await.pages_fetched_twice;
    assert_eq!(twice.count, 0, "an orderly stop wastes no page: {twice:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_low_jobs_do_not_stand_in_the_way_of_a_high_one() {
    let mut world = World::new(LabConfig { contacts: 100, companies: 1, deals: 1, ..small_lab() }).await;
    // The only slot for low jobs is taken, for as long as this test likes.
    let hang = FaultRule { portal: Some(2), ..FaultRule::new(FaultKind::Hang) };
    world.lab.set_faults(vec![hang]).unwrap();
    let low = accept_many(&world, "low", 5_000, |_| 2, Priority::Low).await;
    publish(&world, &low).await;
    let patient = connectors::HttpConfig { request_timeout_ms: 60_000, ..http() };
    let settings = Settings { slots: Slots { high: 1, normal: 1, low: 1, reserve: 0 }, ..settings() };
    let worker = world.worker_with(settings, world.registry(patient)).await;
    world.lab.wait_for_hanging(1).await;
    let high = NewJob { priority: Priority::High, ..world.new_job(SyncOptions::default()) };
    world.store.accept(std::slice::from_ref(&high)).await.unwrap();
    publish(&world, std::slice::from_ref(&high)).await;
    let view = world.completed(high.id).await;
    assert_eq!(view.attempts, 1);
    let begun = world.lab.stats().await.by_portal;
    assert_eq!(begun.len(), 2, "of the low jobs none but the first was picked up meanwhile");
    // Its own ticket goes after the last view of it.
    crate::source::tickets(&world, 5_000).await;
    // An orderly stop would wait for what hangs.
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_a_quota_has_no_slot_and_no_ticket() {
    let mut world = World::new(small_lab()).await;
    let storm =
        FaultRule { retry_after: Some(3_600), portal: Some(2), ..FaultRule::new(FaultKind::RateLimitStorm) };
    world.lab.set_faults(vec![storm]).unwrap();
    let parked = accept_many(&world, "parked", 30, |_| 2, Priority::Normal).await;
    publish(&world, &parked).await;
    let settings = Settings { slots: Slots { high: 0, normal: 1, low: 0, reserve: 0 }, ..settings() };
    let worker = world.worker_with(settings, world.registry(http())).await;
    let mut waiting = HashSet::new();
    while waiting.len() < parked.len() {
        waiting.insert(world.seen_any(|view| view.waiting_reason.is_some()).await.id);
    }
    // The one slot is free, and the queue empty but for this.
    let job = world.post().await;
    world.completed(job).await;
    crate::source::tickets(&world, 0).await;
    let asked: WorkspaceId = parked[0].workspace_id.clone();
    let row = world.store.job(&asked, parked[0].id).await.unwrap().unwrap();
    assert_eq!((row.status, row.attempts), (JobStatus::Queued, 0), "{row:?}");
    assert!(row.next_attempt_at.is_some());
    worker.stop().await;
}
