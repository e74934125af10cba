//! What becomes of a job whose attempt does not succeed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connectors::{
    Connection, Connector, ConnectorSpec, Host, Next, ObjectSpec, Page, Position, Registry, Session,
    SourceError,
};
use lab::{FaultKind, FaultRule, LabConfig};
use protocol::{
    AttemptErrorClass, ContactFields, Fields, JobStatus, JobView, ObjectName, Record, Table, WaitingReason,
};
use worker::Settings;

use crate::fixture::{World, http, settings, small_lab};
use crate::source::result;

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_fails_on_a_broken_vendor_is_tried_again_and_resumes() {
    let mut world = World::new(small_lab()).await;
    world
        .lab
        .set_faults(vec![FaultRule {
            path: Some("objects/contacts?".into()),
            after_requests: 3,
            ..FaultRule::status(503, 1)
        }])
        .unwrap();
    let worker = world.worker().await;
    let job = world.post().await;
    let waiting = world.seen(job, |view| view.waiting_reason.is_some()).await;
    assert_eq!(waiting.waiting_reason, Some(WaitingReason::RetryBackoff));
    assert_eq!((waiting.status, waiting.attempts), (JobStatus::Queued, 1));
    assert!(waiting.next_attempt_at.is_some() && waiting.error.is_some(), "{waiting:?}");
    let view = world.completed(job).await;
    assert_eq!(view.attempts, 2);
    let [error] = view.attempt_errors.as_slice() else { panic!("{view:?}") };
    assert_eq!((error.attempt, error.class), (1, AttemptErrorClass::Transient));
    assert_eq!(error.object.as_ref().map(ObjectName::as_str), Some("contacts"));
    assert!(error.vendor_request_id.is_some() && error.message.contains("503"), "{error:?}");
    world.assert_complete().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_fails_after_its_last_attempt_and_keeps_what_it_committed() {
    let mut world = World::new(small_lab()).await;
    world
        .lab
        .set_faults(vec![FaultRule {
            path: Some("companies".into()),
            after_requests: 3,
            ..FaultRule::status(500, 1_000)
        }])
        .unwrap();
    let worker = world.worker().await;
    let job = world.post().await;
    let view = world.ended(job).await;
    assert_eq!((view.status, view.attempts), (JobStatus::Failed, 3), "{view:?}");
    assert!(view.error.unwrap().contains("companies"));
    assert!(!world.store.rows(&world.workspace, Table::Deals).await.unwrap().is_empty());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_fail_the_job_at_once_and_the_token_is_not_in_the_error() {
    let mut world = World::new(small_lab()).await;
    world.connect_workspace("pat-na1-wrong-secret").await;
    let worker = world.worker().await;
    let job = world.post().await;
    let view = world.ended(job).await;
    assert_eq!((view.status, view.attempts), (JobStatus::Failed, 1), "{view:?}");
    assert!(!view.error.unwrap().contains("wrong-secret"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_gives_the_slot_back_and_counts_no_attempt() {
    let mut world = World::new(small_lab()).await;
    let storm = FaultRule {
        retry_after: Some(3_600),
        count: Some(1_000),
        ..FaultRule::new(FaultKind::RateLimitStorm)
    };
    world.lab.set_faults(vec![FaultRule { after_requests: 5, ..storm }]).unwrap();
    let worker = world.worker().await;
    let job = world.post().await;
    let view = world.seen(job, |view| view.waiting_reason.is_some()).await;
    assert_eq!(view.waiting_reason, Some(WaitingReason::SourceQuota), "{view:?}");
    assert_eq!(view.attempts, 0);
    let wait = view.next_attempt_at.unwrap() - time::OffsetDateTime::now_utc();
    assert!(wait > time::Duration::minutes(50), "{wait}");
    worker.stop().await;
}

/// A job whose vendor says once that it should come back later than a worker waits.
async fn is_parked_and_goes_on(refusal: FaultRule) {
    let mut world = World::new(small_lab()).await;
    let refusal =
        FaultRule { retry_after: Some(6), count: Some(1), path: Some("objects/deals?".into()), ..refusal };
    world.lab.set_faults(vec![FaultRule { after_requests: 2, ..refusal }]).unwrap();
    // Never from both ends, however busy this machine is: what is under way at the halt would be more than a page.
    let registry = crate::source::registry(&world, http(), None, u64::MAX);
    let worker = world.worker_with(settings(), registry).await;
    let job = world.post().await;
    let parked = world.seen(job, |view| view.waiting_reason.is_some()).await;
    assert_eq!((parked.waiting_reason, parked.attempts), (Some(WaitingReason::SourceQuota), 0), "{parked:?}");
    let due = parked.next_attempt_at.unwrap();
    let committed = parked.progress.current;
    assert!(committed > 0);
    let tickets = loop {
        let tickets = world.store.take_unticketed(Duration::from_secs(3_600), 10).await.unwrap();
        if !tickets.is_empty() {
            break tickets;
        }
        tokio::task::yield_now().await;
    };
    assert!(time::OffsetDateTime::now_utc() >= due, "no ticket before it is due");
    world.bus.publish_tickets(&tickets).await;
    let view = world.completed(job).await;
    assert_eq!((view.attempts, view.takeovers), (1, 0), "{view:?}");
    let twice = world.lab.stats().await.pages_fetched_twice;
    assert_eq!(twice.count, 0, "it went on where it was: {twice:?}");
    world.assert_complete().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_a_quota_parked_goes_on_when_it_is_due() {
    is_parked_and_goes_on(FaultRule::new(FaultKind::RateLimitStorm)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_account_is_being_moved_goes_on_when_it_is_due() {
    is_parked_and_goes_on(FaultRule::status(477, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_takes_too_long_is_tried_again() {
    let mut world = World::new(LabConfig { contacts: 100, companies: 1, deals: 1, ..small_lab() }).await;
    let hang =
        FaultRule { path: Some("contacts?".into()), count: Some(1), ..FaultRule::new(FaultKind::Hang) };
    world.lab.set_faults(vec![hang]).unwrap();
    let patience = Settings { attempt_timeout: Duration::from_millis(700), ..settings() };
    let worker = world.worker_with(patience, world.registry(crate::fixture::http())).await;
    let job = world.post().await;
    let view = world.completed(job).await;
    assert_eq!(view.attempts, 2);
    world.assert_complete().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_puts_the_job_back_uncounted_and_the_next_worker_goes_on() {
    let mut world = World::new(LabConfig { latency_ms: 30, ..small_lab() }).await;
    let first = world.worker().await;
    let job = world.post().await;
    world.lab.wait_for_requests(12).await;
    first.stop().await;
    let row = world.row(job).await;
    assert_eq!(
        (row.status, row.waiting_reason),
        (JobStatus::Queued, Some(WaitingReason::Interrupted)),
        "{row:?}"
    );
    assert_eq!(row.attempts, 0);
    let second = world.worker().await;
    let view = world.completed(job).await;
    assert_eq!((view.attempts, view.takeovers), (1, 0));
    assert_eq!(world.lab.stats().await.pages_fetched_twice.count, 0, "an orderly stop wastes no page");
    world.assert_complete().await;
    second.stop().await;
}

/// A connector with one object, `contacts`, of one page.
struct OnePage(fn() -> Page);

static ONE_PAGE: ConnectorSpec = ConnectorSpec {
    name: "hubspot",
    title: "One page",
    objects: &[ObjectSpec { name: "contacts", table: Table::Contacts }],
    credentials: &[],
};

#[async_trait]
impl Connector for OnePage {
    fn spec(&self) -> &'static ConnectorSpec {
        &ONE_PAGE
    }

    async fn open(&self, _: Connection, _: Arc<dyn Host>) -> Result<Box<dyn Session>, SourceError> {
        Ok(Box::new(Self(self.0)))
    }
}

#[async_trait]
impl Session for OnePage {
    fn account_id(&self) -> &str {
        "1"
    }

    async fn estimate(&self, _: &ObjectName) -> Result<Option<u64>, SourceError> {
        Ok(None)
    }

    async fn page(&self, _: &ObjectName, _: Option<&Position>) -> Result<Page, SourceError> {
        Ok((self.0)())
    }
}

async fn run_one_page(page: fn() -> Page) -> JobView {
    let mut world = World::new(small_lab()).await;
    let worker = world.worker_with(settings(), Arc::new(Registry::of(vec![Arc::new(OnePage(page))]))).await;
    let job = world.post().await;
    let view = world.ended(job).await;
    worker.stop().await;
    view
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_failed_attempt_with_its_message() {
    let view = run_one_page(|| panic!("a bug in a connector")).await;
    assert_eq!((view.status, view.attempts), (JobStatus::Failed, 3));
    assert!(view.error.unwrap().contains("a bug in a connector"));
}

fn contact(id: u64, properties: &str) -> Record {
    Record {
        external_id: id.to_string(),
        fields: Fields::Contact(ContactFields::default()),
        properties: properties.to_owned(),
        source_created_at: None,
        source_updated_at: None,
        deleted_at: None,
        merged_ids: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_postgres_refuses_is_captured_and_the_rest_of_its_page_goes_in() {
    let view = run_one_page(|| Page {
        listed: 3,
        records: vec![contact(1, "{}"), contact(2, r#"{"n": 1e400000}"#), contact(3, "{}")],
        rejected: Vec::new(),
        sweeps: Vec::new(),
        whole: false,
        next: Next::Done { checkpoint: None },
    })
    .await;
    assert_eq!((view.status, view.attempts), (JobStatus::Completed, 1), "{view:?}");
    let contacts = result(&view, "contacts");
    assert_eq!((contacts.listed, contacts.written, contacts.captured), (3, 2, 1));
    let [error] = view.result.as_ref().unwrap().errors.as_slice() else { panic!("{view:?}") };
    assert!(error.reason.contains("overflows numeric"), "{error:?}");
}
