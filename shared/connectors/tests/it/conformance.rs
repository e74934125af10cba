//! What every connector promises, whatever the vendor. A connector's own test file makes a [`Bench`] and runs
//! each of these with it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connectors::{
    Connection, Connector, Credentials, ErrorClass, Host, Next, Page, Position, Session, SourceError,
};
use protocol::{ObjectName, Record, Rejected};

/// More pages than any bench has.
const PAGES_MAX: usize = 1_000;

/// A connector, an account that it can read, and what is true about the account.
pub struct Bench<'a> {
    pub connector: &'a dyn Connector,
    pub connection: Connection,
    /// Credentials of the right form that the vendor refuses.
    pub refused: Credentials,
    pub truth: Vec<Truth>,
    /// Breaks the vendor's next answers.
    pub breaks: &'a (dyn Fn(Breakage) + Sync),
}

/// What an object holds.
pub struct Truth {
    pub object: ObjectName,
    pub records: u64,
    /// Ids of those that no connector can transform.
    pub untransformable: HashSet<String>,
}

/// What the vendor does next.
#[derive(Debug, Clone, Copy)]
pub enum Breakage {
    /// A 500 with the vendor's error body, so many times.
    ServerError(u64),
    /// A gateway's HTML page, so many times.
    GatewayHtml(u64),
    /// A body that ends too early, so many times.
    CutOff(u64),
    /// "These credentials are no good", once.
    Unauthorized,
}

/// A host that remembers what it was asked to save.
#[derive(Default)]
pub struct RememberingHost {
    pub saved: Mutex<Vec<Credentials>>,
}

#[async_trait]
impl Host for RememberingHost {
    async fn save_credentials(&self, new: &Credentials) -> Result<(), SourceError> {
        self.saved.lock().unwrap().push(new.clone());
        Ok(())
    }
}

impl Bench<'_> {
    pub async fn open(&self) -> Box<dyn Session> {
        self.try_open(self.connection.clone()).await.unwrap()
    }

    async fn try_open(&self, connection: Connection) -> Result<Box<dyn Session>, SourceError> {
        self.connector.open(connection, Arc::new(RememberingHost::default())).await
    }

    /// Opening may already fail; if not, the first page does.
    async fn first_error(&self, connection: Connection) -> SourceError {
        match self.try_open(connection).await {
            Err(error) => error,
            Ok(session) => session.page(&self.truth[0].object, None).await.unwrap_err(),
        }
    }
}

/// All pages of an object, each with the position it was asked for with.
pub async fn list(session: &dyn Session, object: &ObjectName) -> Vec<(Option<Position>, Page)> {
    list_from(session, object, None).await
}

/// The same from a position on.
pub async fn list_from(
    session: &dyn Session,
    object: &ObjectName,
    mut position: Option<Position>,
) -> Vec<(Option<Position>, Page)> {
    let mut pages = Vec::new();
    while pages.len() < PAGES_MAX {
        let page = session.page(object, position.as_ref()).await.unwrap();
        let next = page.next.clone();
        pages.push((position, page));
        position = match next {
            Next::Done { .. } => return pages,
            Next::More(position) => Some(position),
            Next::Wait { position, after } => {
                tokio::time::sleep(after.min(Duration::from_millis(50))).await;
                Some(position)
            }
        };
    }
    panic!("{object} does not end");
}

pub async fn every_object_is_listed_to_the_end(bench: &Bench<'_>) {
    let session = bench.open().await;
    assert_eq!(bench.truth.len(), bench.connector.spec().objects.len());
    for truth in &bench.truth {
        let table = bench.connector.spec().table(&truth.object);
        let mut seen = HashSet::new();
        for (_, page) in list(&*session, &truth.object).await {
            assert_eq!(page.listed as usize, page.records.len() + page.rejected.len());
            for record in page.records {
                assert_eq!(Some(record.fields.table()), table);
                assert!(seen.insert(record.external_id.clone()), "{} came twice", record.external_id);
                let properties: serde_json::Value = serde_json::from_str(&record.properties).unwrap();
                assert!(properties.is_object());
            }
        }
        assert_eq!(seen.len() as u64, truth.records - truth.untransformable.len() as u64, "{}", truth.object);
    }
}

pub async fn records_that_cannot_be_transformed_are_captured(bench: &Bench<'_>) {
    let session = bench.open().await;
    let mut captured_of_all = 0;
    for truth in &bench.truth {
        let pages = list(&*session, &truth.object).await;
        let rejected: Vec<_> = pages.into_iter().flat_map(|(_, page)| page.rejected).collect();
        let ids: HashSet<_> = rejected.iter().map(|rejected| rejected.external_id.clone()).collect();
        assert_eq!(ids, truth.untransformable, "{}", truth.object);
        for rejected in &rejected {
            assert!(!rejected.reason.is_empty());
            assert!(serde_json::from_str::<serde_json::Value>(&rejected.payload).is_ok());
        }
        captured_of_all += rejected.len();
    }
    assert!(captured_of_all > 0, "the bench needs bad records, or this shows nothing");
}

/// A page without its way on: positions may say when a load began.
fn content(page: Page) -> (u64, Vec<Record>, Vec<Rejected>) {
    (page.listed, page.records, page.rejected)
}

pub async fn a_second_listing_equals_the_first(bench: &Bench<'_>) {
    let contents = |pages: Vec<(_, Page)>| pages.into_iter().map(|(_, page)| content(page));
    for truth in &bench.truth {
        let first = list(&*bench.open().await, &truth.object).await;
        let second = list(&*bench.open().await, &truth.object).await;
        assert!(contents(first).eq(contents(second)), "{}", truth.object);
    }
}

pub async fn a_checkpoint_leads_to_an_increment_that_ends_with_a_checkpoint(bench: &Bench<'_>) {
    let session = bench.open().await;
    for truth in &bench.truth {
        let pages = list(&*session, &truth.object).await;
        let Some((_, Page { next: Next::Done { checkpoint }, .. })) = pages.last() else { panic!() };
        let Some(checkpoint) = checkpoint.clone() else { continue };
        let increment = list_from(&*bench.open().await, &truth.object, Some(checkpoint)).await;
        let listed: u64 = increment.iter().map(|(_, page)| page.listed).sum();
        assert!(listed < truth.records, "nothing was changed meanwhile");
        let Some((_, Page { next: Next::Done { checkpoint }, .. })) = increment.last() else { panic!() };
        assert!(checkpoint.is_some());
    }
}

pub async fn another_session_resumes_at_any_stored_position(bench: &Bench<'_>) {
    for truth in &bench.truth {
        let pages = list(&*bench.open().await, &truth.object).await;
        for (position, page) in pages {
            let stored = serde_json::to_string(&position).unwrap();
            let position: Option<Position> = serde_json::from_str(&stored).unwrap();
            let again = bench.open().await.page(&truth.object, position.as_ref()).await.unwrap();
            if position.is_some() {
                assert_eq!(again.next, page.next);
            }
            assert_eq!(content(again), content(page));
        }
    }
}

pub async fn an_estimate_is_close_or_absent(bench: &Bench<'_>) {
    let session = bench.open().await;
    for truth in &bench.truth {
        if let Some(estimate) = session.estimate(&truth.object).await.unwrap() {
            assert!(
                estimate.abs_diff(truth.records) * 10 <= truth.records,
                "{estimate} of {}",
                truth.records
            );
        }
    }
}

pub async fn an_account_that_is_not_known_yet_is_found(bench: &Bench<'_>) {
    let known = bench.open().await.account_id().to_owned();
    let unknown = Connection { account_id: None, ..bench.connection.clone() };
    assert_eq!(bench.try_open(unknown).await.unwrap().account_id(), known);
}

pub async fn credentials_that_are_refused_or_missing_are_unauthorized_and_not_shown(bench: &Bench<'_>) {
    for credentials in [bench.refused.clone(), Credentials::new(serde_json::json!({}))] {
        let connection = Connection { credentials: credentials.clone(), ..bench.connection.clone() };
        let error = bench.first_error(connection).await;
        assert_eq!(error.class, ErrorClass::Unauthorized, "{error}");
        assert_shows_no_secret(&error, &credentials);
    }
}

pub async fn a_token_that_is_refused_half_way_is_unauthorized(bench: &Bench<'_>) {
    let session = bench.open().await;
    let object = &bench.truth[0].object;
    session.page(object, None).await.unwrap();
    (bench.breaks)(Breakage::Unauthorized);
    let error = session.page(object, None).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Unauthorized);
    assert_shows_no_secret(&error, &bench.connection.credentials);
}

pub async fn an_unknown_object_is_a_permanent_error(bench: &Bench<'_>) {
    let session = bench.open().await;
    let unknown: ObjectName = "no-such-object".parse().unwrap();
    assert_eq!(session.page(&unknown, None).await.unwrap_err().class, ErrorClass::Permanent);
    assert_eq!(session.estimate(&unknown).await.unwrap_err().class, ErrorClass::Permanent);
}

pub async fn a_position_that_cannot_be_read_starts_over(bench: &Bench<'_>) {
    let session = bench.open().await;
    let object = &bench.truth[0].object;
    let start = content(session.page(object, None).await.unwrap());
    for foreign in [serde_json::json!({"made": "by nobody"}), serde_json::json!(null)] {
        assert_eq!(content(session.page(object, Some(&Position(foreign))).await.unwrap()), start);
    }
}

pub async fn passing_faults_are_retried_and_change_nothing(bench: &Bench<'_>) {
    let object = &bench.truth[0].object;
    let session = bench.open().await;
    let undisturbed = content(session.page(object, None).await.unwrap());
    for breakage in [Breakage::ServerError(2), Breakage::GatewayHtml(2), Breakage::CutOff(2)] {
        (bench.breaks)(breakage);
        assert_eq!(content(session.page(object, None).await.unwrap()), undisturbed, "{breakage:?}");
    }
}

pub async fn a_lasting_fault_is_a_transient_error(bench: &Bench<'_>) {
    let session = bench.open().await;
    (bench.breaks)(Breakage::ServerError(100));
    let error = session.page(&bench.truth[0].object, None).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Transient);
    assert_shows_no_secret(&error, &bench.connection.credentials);
}

fn assert_shows_no_secret(error: &SourceError, credentials: &Credentials) {
    let shown = format!("{error} {error:?}");
    let secrets = credentials.expose().as_object().into_iter().flat_map(|fields| fields.values());
    for secret in secrets.filter_map(serde_json::Value::as_str) {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(!shown.contains("127.0.0.1"), "{shown}");
}
