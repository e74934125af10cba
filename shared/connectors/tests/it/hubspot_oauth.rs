//! HubSpot with OAuth, against the lab, whose tokens expire.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use connectors::{Connection, Credentials, ErrorClass, Host, Next, Page, Registry, Session, SourceError};
use lab::{FaultKind, FaultRule, Object, RunningLab};
use protocol::ObjectName;
use serde_json::{Value, json};

use crate::conformance::{RememberingHost, list, list_from};
use crate::hubspot::{PORTAL, config, contacts, generous, hubspot, impatient, small_lab};

struct World {
    lab: RunningLab,
    registry: Registry,
    host: Arc<RememberingHost>,
}

/// What a connection has that was just made.
fn credentials(lab: &RunningLab) -> Value {
    let oauth = lab.oauth(PORTAL);
    json!({"clientId": oauth.client_id, "clientSecret": oauth.client_secret,
        "refreshToken": oauth.refresh_token, "accessToken": oauth.access_token})
}

impl World {
    async fn new() -> Self {
        let lab = RunningLab::start(small_lab()).await.unwrap();
        let registry = Registry::new(&config(&lab.url, generous()), impatient()).unwrap();
        Self { lab, registry, host: Arc::default() }
    }

    async fn try_open(
        &self,
        credentials: Value,
        host: Arc<dyn Host>,
    ) -> Result<Box<dyn Session>, SourceError> {
        let connection = Connection {
            workspace_id: "acme".parse().unwrap(),
            account_id: Some(PORTAL.to_string()),
            utc_offset_ms: None,
            credentials: Credentials::new(credentials),
            quota_share: None,
        };
        hubspot(&self.registry).open(connection, host).await
    }

    async fn open(&self, credentials: Value) -> Box<dyn Session> {
        self.try_open(credentials, Arc::clone(&self.host) as Arc<dyn Host>).await.unwrap()
    }

    fn saved(&self) -> Vec<Value> {
        self.host.saved.lock().unwrap().iter().map(|saved| saved.expose().clone()).collect()
    }
}

fn ids<'a>(pages: impl IntoIterator<Item = &'a Page>) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for page in pages {
        ids.extend(page.records.iter().map(|record| record.external_id.clone()));
        ids.extend(page.rejected.iter().map(|rejected| rejected.external_id.clone()));
    }
    ids
}

fn is_newer(new: &Value, old: &Value) -> bool {
    new["accessToken"] != old["accessToken"]
        && new["expiresAt"].is_string()
        && (&new["clientId"], &new["clientSecret"]) == (&old["clientId"], &old["clientSecret"])
}

#[tokio::test]
async fn a_token_that_expires_half_way_is_replaced_and_no_page_is_lost() {
    let world = World::new().await;
    let first = credentials(&world.lab);
    let session = world.open(first.clone()).await;
    let begun = session.page(&contacts(), None).await.unwrap();
    let Next::More(next) = begun.next.clone() else { panic!("the lab is too small") };
    assert!(world.saved().is_empty());
    world.lab.expire_tokens();
    let rest = list_from(&*session, &contacts(), Some(next)).await;
    let everything = ids(rest.iter().map(|(_, page)| page).chain([&begun]));
    assert_eq!(everything.len() as u64, world.lab.expect(Object::Contacts).records);
    let saved = world.saved();
    assert_eq!(saved.len(), 1);
    assert!(is_newer(&saved[0], &first));
    let stats = world.lab.stats().await;
    assert_eq!((stats.token_refreshes, stats.answers[&401]), (1, 1));

    // The next session goes on with what was saved.
    let again = world.open(saved[0].clone()).await;
    again.page(&contacts(), None).await.unwrap();
    assert_eq!(world.lab.stats().await.token_refreshes, 1);
}

#[tokio::test]
async fn a_token_is_replaced_before_it_expires_and_fetched_if_there_is_none() {
    let world = World::new().await;
    let mut due = credentials(&world.lab);
    due["expiresAt"] = json!("2020-01-01T00:00:00Z");
    let mut none = credentials(&world.lab);
    none.as_object_mut().unwrap().remove("accessToken");
    for (refreshes, credentials) in [(1, due), (2, none)] {
        let session = world.open(credentials.clone()).await;
        assert!(!list(&*session, &contacts()).await.is_empty());
        assert_eq!(world.saved().len(), refreshes);
        assert!(is_newer(&world.saved()[refreshes - 1], &credentials));
    }
    let stats = world.lab.stats().await;
    assert_eq!((stats.token_refreshes, stats.answers.get(&401)), (2, None), "nothing was refused");
}

#[tokio::test]
async fn an_account_that_is_not_known_yet_is_found_with_a_fresh_token() {
    let world = World::new().await;
    let expired = credentials(&world.lab);
    world.lab.expire_tokens();
    let connection = Connection {
        workspace_id: "acme".parse().unwrap(),
        account_id: None,
        utc_offset_ms: None,
        credentials: Credentials::new(expired),
        quota_share: None,
    };
    let host = Arc::clone(&world.host) as Arc<dyn Host>;
    let session = hubspot(&world.registry).open(connection, host).await.unwrap();
    assert_eq!(session.account_id(), PORTAL.to_string());
    assert_eq!(world.saved().len(), 1);
}

#[tokio::test]
async fn each_rotated_refresh_token_is_stored_and_is_the_one_used_next() {
    let world = World::new().await;
    world.lab.rotate_refresh_tokens(true);
    let session = world.open(credentials(&world.lab)).await;
    for _ in 0..3 {
        session.page(&contacts(), None).await.unwrap();
        world.lab.expire_tokens();
    }
    session.page(&contacts(), None).await.unwrap();
    let refresh_tokens: BTreeSet<String> =
        world.saved().iter().map(|saved| saved["refreshToken"].as_str().unwrap().to_owned()).collect();
    assert_eq!(refresh_tokens.len(), 3);
    let last = world.saved().pop().unwrap();
    assert_eq!(last["refreshToken"], world.lab.oauth(PORTAL).refresh_token.as_str());
}

#[tokio::test]
async fn objects_that_are_refused_side_by_side_share_one_new_token() {
    let world = World::new().await;
    let session = world.open(credentials(&world.lab)).await;
    let objects: [ObjectName; 3] = ["contacts", "companies", "deals"].map(|name| name.parse().unwrap());
    for object in &objects {
        session.page(object, None).await.unwrap();
    }
    world.lab.expire_tokens();
    let [a, b, c] = &objects;
    let pages = tokio::join!(session.page(a, None), session.page(b, None), session.page(c, None));
    assert!(pages.0.is_ok() && pages.1.is_ok() && pages.2.is_ok());
    assert_eq!((world.lab.stats().await.token_refreshes, world.saved().len()), (1, 1));
}

#[tokio::test]
async fn a_refresh_token_that_is_refused_asks_for_a_new_connection_and_is_asked_about_once() {
    let world = World::new().await;
    let mut bad = credentials(&world.lab);
    bad["refreshToken"] = json!("refresh-lab-of-another-app");
    let session = world.open(bad.clone()).await;
    world.lab.expire_tokens();
    let deals: ObjectName = "deals".parse().unwrap();
    let contacts = contacts();
    let both = tokio::join!(session.page(&contacts, None), session.page(&deals, None));
    for error in [both.0.unwrap_err(), both.1.unwrap_err()] {
        assert_eq!(error.class, ErrorClass::Unauthorized);
        assert!(error.message.contains("connect the account again"), "{error}");
        for field in ["refreshToken", "clientSecret", "accessToken"] {
            assert!(!error.message.contains(bad[field].as_str().unwrap()), "{error}");
        }
    }
    assert_eq!(world.lab.stats().await.answers[&400], 1);
    assert!(world.saved().is_empty());
}

#[tokio::test]
async fn a_second_refusal_is_the_end_and_the_new_token_is_kept() {
    let world = World::new().await;
    let session = world.open(credentials(&world.lab)).await;
    world.lab.set_faults(vec![FaultRule::new(FaultKind::Unauthorized)]).unwrap();
    let error = session.page(&contacts(), None).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Unauthorized);
    let stats = world.lab.stats().await;
    assert_eq!((stats.token_refreshes, stats.answers[&401], world.saved().len()), (1, 2, 1));
}

#[tokio::test]
async fn a_static_token_that_is_refused_is_not_tried_again() {
    let world = World::new().await;
    let session = world.open(json!({"accessToken": RunningLab::token(PORTAL)})).await;
    world.lab.set_faults(vec![FaultRule::new(FaultKind::Unauthorized)]).unwrap();
    assert_eq!(session.page(&contacts(), None).await.unwrap_err().class, ErrorClass::Unauthorized);
    assert_eq!(world.lab.stats().await.requests, 1);
    assert_eq!(world.registry.budgets().iter().filter(|budget| budget.class == "tokens").count(), 0);
}

#[tokio::test]
async fn a_token_endpoint_that_fails_for_a_moment_is_asked_again() {
    let world = World::new().await;
    let session = world.open(credentials(&world.lab)).await;
    world.lab.expire_tokens();
    let fault =
        |status, count| FaultRule { path: Some("/oauth/".into()), ..FaultRule::status(status, count) };
    world.lab.set_faults(vec![fault(503, 2)]).unwrap();
    session.page(&contacts(), None).await.unwrap();
    world.lab.expire_tokens();
    world.lab.set_faults(vec![fault(502, 4)]).unwrap();
    assert_eq!(session.page(&contacts(), None).await.unwrap_err().class, ErrorClass::Transient);
    session.page(&contacts(), None).await.unwrap();
}

/// Stores nothing the first time, and notes what the lab had been asked by then.
struct ForgetfulHost {
    lab: Arc<RunningLab>,
    refused: Mutex<bool>,
    kept: RememberingHost,
    requests_before_saved: Mutex<Vec<u64>>,
}

#[async_trait]
impl Host for ForgetfulHost {
    async fn save_credentials(&self, new: &Credentials) -> Result<(), SourceError> {
        let requests = self.lab.stats().await.requests;
        self.requests_before_saved.lock().unwrap().push(requests);
        if !std::mem::replace(&mut *self.refused.lock().unwrap(), true) {
            return Err(SourceError::new(ErrorClass::Transient, "not stored"));
        }
        self.kept.save_credentials(new).await
    }
}

#[tokio::test]
async fn a_token_that_could_not_be_stored_is_not_used_and_stored_by_the_next_who_needs_it() {
    let World { lab, registry, .. } = World::new().await;
    lab.rotate_refresh_tokens(true);
    let lab = Arc::new(lab);
    let mut none = credentials(&lab);
    none.as_object_mut().unwrap().remove("accessToken");
    let host = Arc::new(ForgetfulHost {
        lab: Arc::clone(&lab),
        refused: Mutex::default(),
        kept: RememberingHost::default(),
        requests_before_saved: Mutex::default(),
    });
    let connection = Connection {
        workspace_id: "acme".parse().unwrap(),
        account_id: Some(PORTAL.to_string()),
        utc_offset_ms: None,
        credentials: Credentials::new(none),
        quota_share: None,
    };
    let session = hubspot(&registry).open(connection, Arc::clone(&host) as Arc<dyn Host>).await.unwrap();
    let error = session.page(&contacts(), None).await.unwrap_err();
    assert_eq!((error.message.as_str(), lab.stats().await.requests), ("not stored", 1));
    session.page(&contacts(), None).await.unwrap();
    // The rotated token would have been lost if a second one had been asked for.
    assert_eq!(*host.requests_before_saved.lock().unwrap(), [1, 1]);
    assert_eq!((lab.stats().await.token_refreshes, host.kept.saved.lock().unwrap().len()), (1, 1));
}

#[tokio::test]
async fn half_of_what_oauth_needs_is_refused_before_anything_is_sent() {
    let world = World::new().await;
    let mut half = credentials(&world.lab);
    half.as_object_mut().unwrap().remove("clientSecret");
    let host = Arc::clone(&world.host) as Arc<dyn Host>;
    let error = world.try_open(half, host).await.err().unwrap();
    assert_eq!(error.class, ErrorClass::Unauthorized);
    assert!(error.message.starts_with("`credentials.clientSecret` is missing"), "{error}");
    assert_eq!(world.lab.stats().await.requests, 0);
}
