//! HubSpot, against the lab.

use connectors::{
    Connection, Connector, ConnectorsConfig, Credentials, ErrorClass, HttpConfig, Registry, Session,
};
use lab::{FaultKind, FaultRule, LabConfig, Limits, Object, RunningLab};
use protocol::ObjectName;
use serde_json::json;
use std::sync::Arc;

use crate::conformance::{self, Bench, Breakage, RememberingHost, Truth};

/// A portal of the lab.
pub const PORTAL: u64 = 4_711;

pub fn contacts() -> ObjectName {
    "contacts".parse().unwrap()
}

pub fn connection(portal: u64) -> Connection {
    Connection {
        workspace_id: "acme".parse().unwrap(),
        account_id: Some(portal.to_string()),
        utc_offset_ms: None,
        credentials: Credentials::new(json!({"accessToken": RunningLab::token(portal)})),
        quota_share: None,
    }
}

/// Settings for the lab at `url`; `more` is merged into HubSpot's.
pub fn config(url: &str, more: serde_json::Value) -> ConnectorsConfig {
    // Requests are counted: a slow machine must not make it look like a slow account.
    let mut hubspot = json!({"base_url": url, "slow_ms": 3_600_000});
    hubspot.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(json!({"connectors": {"hubspot": hubspot}})).unwrap()
}

/// Retries at once instead of after seconds.
pub fn impatient() -> HttpConfig {
    HttpConfig { retry_base_ms: 5, request_timeout_ms: 5_000, ..HttpConfig::default() }
}

pub fn hubspot(registry: &Registry) -> Arc<dyn Connector> {
    Arc::clone(registry.get(&"hubspot".parse().unwrap()).unwrap())
}

pub async fn open(registry: &Registry, portal: u64) -> Box<dyn Session> {
    let host = Arc::new(RememberingHost::default());
    hubspot(registry).open(connection(portal), host).await.unwrap()
}

pub fn generous() -> serde_json::Value {
    let windows = json!([{"limit": 100_000, "per_ms": 10_000}]);
    json!({"page_size": 50, "budgets": {
        "objects": {"windows": windows}, "search": {"windows": windows, "spacing_ms": 0}}})
}

pub fn small_lab() -> LabConfig {
    LabConfig {
        contacts: 420,
        companies: 500,
        deals: 310,
        limits: Limits::unlimited(),
        ..LabConfig::default()
    }
}

fn truth(lab: &RunningLab) -> Vec<Truth> {
    let of = |object: Object| {
        let expected = lab.expect(object);
        Truth {
            object: object.name().parse().unwrap(),
            records: expected.records,
            untransformable: expected.untransformable_ids.into_iter().collect(),
        }
    };
    let mut truth: Vec<Truth> = Object::ALL.map(of).into();
    // Eight owners and a deactivated one; the host knows no records to ask associations of.
    for (name, records) in [("owners", lab.owners()), ("stages", lab.stages()), ("associations", 0)] {
        truth.push(Truth { object: name.parse().unwrap(), records, untransformable: Default::default() });
    }
    truth
}

fn break_lab(lab: &RunningLab, breakage: Breakage) {
    let rule = match breakage {
        Breakage::ServerError(count) => FaultRule::status(500, count),
        Breakage::GatewayHtml(count) => FaultRule { count: Some(count), ..FaultRule::new(FaultKind::Html) },
        Breakage::CutOff(count) => FaultRule { count: Some(count), ..FaultRule::new(FaultKind::Truncate) },
        Breakage::Unauthorized => FaultRule { count: Some(1), ..FaultRule::new(FaultKind::Unauthorized) },
    };
    lab.set_faults(vec![rule]).unwrap();
}

macro_rules! conforms {
    ($($promise:ident)+) => { $(
        #[tokio::test]
        async fn $promise() {
            let lab = RunningLab::start(small_lab()).await.unwrap();
            let registry = Registry::new(&config(&lab.url, generous()), impatient()).unwrap();
            let connector = hubspot(&registry);
            let bench = Bench {
                connector: &*connector,
                connection: connection(PORTAL),
                refused: Credentials::new(json!({"accessToken": "pat-eu1-wrong"})),
                truth: truth(&lab),
                breaks: &|breakage| break_lab(&lab, breakage),
            };
            conformance::$promise(&bench).await;
        }
    )+ };
}

conforms! {
    every_object_is_listed_to_the_end
    records_that_cannot_be_transformed_are_captured
    a_second_listing_equals_the_first
    another_session_resumes_at_any_stored_position
    an_estimate_is_close_or_absent
    an_account_that_is_not_known_yet_is_found
    credentials_that_are_refused_or_missing_are_unauthorized_and_not_shown
    a_token_that_is_refused_half_way_is_unauthorized
    an_unknown_object_is_a_permanent_error
    a_position_that_cannot_be_read_starts_over
    a_checkpoint_leads_to_an_increment_that_ends_with_a_checkpoint
    passing_faults_are_retried_and_change_nothing
    a_lasting_fault_is_a_transient_error
}

#[tokio::test]
async fn a_missing_scope_forbids_only_its_object() {
    let lab = RunningLab::start(small_lab()).await.unwrap();
    let registry = Registry::new(&config(&lab.url, generous()), impatient()).unwrap();
    let session = open(&registry, PORTAL).await;
    lab.set_faults(vec![FaultRule { path: Some("objects/contacts".into()), ..FaultRule::status(403, 1) }])
        .unwrap();
    let error = session.page(&contacts(), None).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Forbidden);
    assert!(error.request_id.is_some());
    assert!(session.page(&"deals".parse().unwrap(), None).await.is_ok());
}

#[tokio::test]
async fn a_vendor_that_hangs_is_given_up_after_the_timeout() {
    let lab = RunningLab::start(small_lab()).await.unwrap();
    let http = HttpConfig { request_timeout_ms: 100, retries: 1, ..impatient() };
    let registry = Registry::new(&config(&lab.url, generous()), http).unwrap();
    let session = open(&registry, PORTAL).await;
    lab.set_faults(vec![FaultRule::new(FaultKind::Hang)]).unwrap();
    let error = session.page(&contacts(), None).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Transient);
    assert_eq!(error.message, "HubSpot did not answer within 100 ms");
    assert_eq!(lab.stats().await.requests, 2);
}
