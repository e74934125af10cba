//! A job as server-sent events.

use protocol::{JobId, JobStatus};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::fixture::{World, new_job};
use crate::outages::cuttable;

/// A stream of events, read as a browser does.
struct Events {
    response: Response,
    text: String,
}

impl Events {
    async fn of(world: &World, id: JobId) -> Self {
        Self::after(world, id, None).await
    }

    /// What comes after the event that has this id.
    async fn after(world: &World, id: JobId, last: Option<u64>) -> Self {
        let mut request = world.request(Method::GET, &format!("acme/sync/jobs/{id}/events"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        Self { response, text: String::new() }
    }

    /// The next job; `None` at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if event.starts_with(':') {
                    continue;
                }
                return Some(job_of(&event));
            }
            let Some(chunk) = self.response.chunk().await.unwrap() else {
                assert_eq!(self.text, "", "the stream ended within an event");
                return None;
            };
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

fn job_of(event: &str) -> Value {
    let field = |name: &str| {
        let lines = event.lines().filter_map(|line| line.split_once(": "));
        let values: Vec<_> = lines.filter(|(key, _)| *key == name).map(|(_, value)| value).collect();
        assert_eq!(values.len(), 1, "{name} of {event}");
        values[0].to_owned()
    };
    assert_eq!(field("event"), "job");
    let job: Value = serde_json::from_str(&field("data")).unwrap();
    assert_eq!(field("id"), job["revision"].to_string());
    job
}

#[tokio::test]
async fn the_events_of_a_whole_job_arrive_in_order_and_the_stream_ends() {
    let world = World::new().await;
    let queued = world.stores.queued().await;
    let mut events = Events::of(&world, queued.id).await;
    assert_eq!(events.next().await.unwrap(), json!(queued));
    let (running, lease) = world.stores.claim(queued.id).await;
    world.stores.post(&running).await;
    assert_eq!(events.next().await.unwrap(), json!(running));
    for current in 1..5 {
        let view = world.stores.advance(&lease, current).await;
        world.stores.post(&view).await;
        assert_eq!(events.next().await.unwrap(), json!(view));
    }
    let over = world.stores.end(&lease, JobStatus::Completed).await;
    world.stores.post(&over).await;
    assert_eq!(events.next().await.unwrap(), world.poll(over.id).await.ok(200));
    assert_eq!(events.next().await, None);
    world.followed_by(0).await;
}

#[tokio::test]
async fn a_slow_reader_gets_the_newest_state_and_never_an_older_one() {
    let world = World::new().await;
    let (job, lease) = world.stores.running().await;
    let mut events = Events::of(&world, job.id).await;
    for current in 1..50 {
        world.stores.post(&world.stores.advance(&lease, current).await).await;
    }
    let over = world.stores.end(&lease, JobStatus::Failed).await;
    world.stores.post(&over).await;
    let mut revisions = Vec::new();
    while let Some(event) = events.next().await {
        revisions.push(event["revision"].as_u64().unwrap());
    }
    assert!(revisions.is_sorted_by(|a, b| a < b), "{revisions:?}");
    assert_eq!(revisions.last(), Some(&over.revision));
}

#[tokio::test]
async fn what_the_last_event_id_names_is_not_sent_again() {
    let world = World::new().await;
    let (job, lease) = world.stores.running().await;
    world.stores.post(&job).await;
    let mut events = Events::after(&world, job.id, Some(job.revision)).await;
    let newer = world.stores.advance(&lease, 7).await;
    world.stores.post(&newer).await;
    assert_eq!(events.next().await.unwrap(), json!(newer));
    let mut behind = Events::after(&world, job.id, Some(job.revision)).await;
    assert_eq!(behind.next().await.unwrap(), json!(newer));
}

#[tokio::test]
async fn the_events_of_a_job_that_is_over_are_one_and_who_has_it_is_told_not_to_come_again() {
    let world = World::new().await;
    let over = world.stores.completed().await;
    let mut events = Events::after(&world, over.id, Some(over.revision - 1)).await;
    assert_eq!(events.next().await.unwrap(), json!(over));
    assert_eq!(events.next().await, None);
    let request = world.request(Method::GET, &format!("acme/sync/jobs/{}/events", over.id));
    let response = request.header("last-event-id", over.revision).send().await.unwrap();
    assert_eq!(response.status(), 204);
}

#[tokio::test]
async fn a_job_that_is_not_there_has_no_events() {
    let world = World::new().await;
    let events = format!("acme/sync/jobs/{}/events", JobId::new());
    world.get(&events).await.problem(404, "unknown-job");
    world.get("acme/sync/jobs/abc/events").await.problem(400, "invalid-parameter");
    let job = world.stores.queued().await;
    world.get(&format!("other/sync/jobs/{}/events", job.id)).await.problem(404, "unknown-job");
    world.followed_by(0).await;
}

#[tokio::test]
async fn a_merged_job_has_events_until_all_its_jobs_are_over() {
    let world = World::new().await;
    let (sync, one, two) = (JobId::new(), JobId::new(), JobId::new());
    let jobs = [new_job(one, sync, "hubspot"), new_job(two, sync, "salesforce")];
    world.stores.store.accept_sync(sync, &jobs).await.unwrap();
    let mut events = Events::of(&world, sync).await;
    assert_eq!(events.next().await.unwrap()["status"], "queued");
    for (member, status) in [(one, "running"), (two, "completed")] {
        let (_, lease) = world.stores.claim(member).await;
        let over = world.stores.end(&lease, JobStatus::Completed).await;
        world.stores.post(&over).await;
        assert_eq!(events.next().await.unwrap()["status"], status);
    }
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn events_go_on_while_nats_is_away_and_when_it_comes_back() {
    let cuttable = cuttable(true).await;
    let world = &cuttable.world;
    let (job, lease) = world.stores.running().await;
    let mut events = Events::of(world, job.id).await;
    assert_eq!(events.next().await.unwrap(), json!(job));
    cuttable.cut_nats().await;
    let newer = world.stores.advance(&lease, 7).await;
    assert_eq!(events.next().await.unwrap(), json!(newer));
    cuttable.nats.restore().await.unwrap();
    world.connected().await;
    let over = world.stores.end(&lease, JobStatus::Completed).await;
    world.stores.post(&over).await;
    assert_eq!(events.next().await.unwrap(), json!(over));
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_shutdown_ends_the_stream_and_a_reader_that_goes_away_leaves_nothing() {
    let world = World::new().await;
    let (job, _) = world.stores.running().await;
    let mut stays = Events::of(&world, job.id).await;
    let goes = Events::of(&world, job.id).await;
    world.followed_by(2).await;
    drop(goes);
    world.followed_by(1).await;
    assert_eq!(stays.next().await.unwrap(), json!(job));
    world.stop.cancel();
    assert_eq!(stays.next().await, None);
}
