//! The endpoints, with a token: requests out, pages in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, Request};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::compare::IdRange;
use super::errors::HubspotDialect;
use super::names::Names;
use super::objects::{Object, URL_LEN_MAX, VERSION};
use super::page::{self, Asked, Listed, Records, Wanted};
use super::position::Window;
use super::tokens::Tokens;
use crate::budget::{Budget, Reported};
use crate::http::{Answer, Call, Dialect, Failure, HttpClient, Unreadable};
use crate::{ErrorClass, SourceError};

/// The endpoints, with a token.
pub(super) struct Api {
    http: Arc<HttpClient>,
    base_url: Url,
    tokens: Tokens,
    dialect: Arc<HubspotDialect>,
    /// Longer URLs are not sent; less than [`URL_LEN_MAX`] once HubSpot refused a shorter one.
    url_len_max: AtomicUsize,
}

/// What is read: an object with these properties.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) object: &'static Object,
    pub(super) names: &'a Names,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountDetails {
    portal_id: u64,
    utc_offset_milliseconds: Option<i64>,
}

/// What is asked for when the records are read by id afterwards.
const ID_ONLY: &str = "hs_object_id";

/// What a search looks for, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// What was changed in a window of time, in order of id, after this one.
    Changed { window: Window, after_id: Option<u64> },
    /// What is in a range of ids, in order of id, after this one.
    Ids { range: IdRange, after_id: Option<u64> },
    /// The greatest ids that are less than `below` and greater than `above`, the greatest first.
    Top { below: Option<u64>, above: Option<u64> },
}

impl Scope {
    fn filters(self, object: &Object) -> Vec<Value> {
        let id = |operator: &str, id: Option<u64>| {
            id.map(|id| json!({"propertyName": ID_ONLY, "operator": operator, "value": id.to_string()}))
        };
        match self {
            Self::Changed { window, after_id } => {
                let changed = json!({
                    "propertyName": object.modified, "operator": "BETWEEN",
                    "value": window.since.to_string(), "highValue": window.to.to_string(),
                });
                [Some(changed), id("GT", after_id)].into_iter().flatten().collect()
            }
            Self::Ids { range: (from, to), after_id } => {
                // Zero is no id, so "from zero on" is everything.
                let from = Some(from).filter(|from| *from > 0);
                let from = if after_id.is_some() { id("GT", after_id) } else { id("GTE", from) };
                [from, id("LT", to)].into_iter().flatten().collect()
            }
            Self::Top { below, above } => [id("GT", above), id("LT", below)].into_iter().flatten().collect(),
        }
    }

    fn direction(self) -> &'static str {
        if matches!(self, Self::Top { .. }) { "DESCENDING" } else { "ASCENDING" }
    }

    /// Whether a page with these first and last ids gets on.
    pub(super) fn gets_on(self, first_id: Option<u64>, last_id: Option<u64>) -> bool {
        match self {
            // `None` is less than every id.
            Self::Changed { after_id, .. } | Self::Ids { after_id, .. } => last_id > after_id,
            Self::Top { below, .. } => below.is_none_or(|below| first_id.is_some_and(|first| first < below)),
        }
    }
}

impl Api {
    pub(super) fn new(
        http: Arc<HttpClient>,
        base_url: Url,
        tokens: Tokens,
        dialect: Arc<HubspotDialect>,
    ) -> Self {
        Self { http, base_url, tokens, dialect, url_len_max: AtomicUsize::new(URL_LEN_MAX) }
    }

    /// Which account the token is for.
    pub(super) async fn account_id(&self, budget: &Arc<Budget>) -> Result<String, SourceError> {
        let request = self.request(Method::GET, "/account-info/v3/details");
        let read = |body: &[u8]| Ok(serde_json::from_slice::<AccountDetails>(body)?);
        let details = self.call(request, budget, read).await?;
        details.utc_offset_milliseconds.into_iter().for_each(|ms| self.dialect.know_utc_offset(ms));
        Ok(details.portal_id.to_string())
    }

    /// How far the account's clock is ahead of UTC, as far as that is known.
    pub(super) fn utc_offset_ms(&self) -> Option<i64> {
        self.dialect.utc_offset_ms()
    }

    /// Which properties the object has.
    pub(super) async fn names(&self, budget: &Arc<Budget>, object: &Object) -> Result<Names, SourceError> {
        let mut request =
            self.request(Method::GET, &format!("/crm/{VERSION}/properties/{}", object.spec.name));
        request.url_mut().query_pairs_mut().append_pair("dataSensitivity", "non_sensitive");
        self.call(request, budget, |body| Names::read(object, body)).await
    }

    /// A page of the live or of the archived records. Properties are sent with every page, because `after` does not
    /// remember them.
    pub(super) async fn list(
        &self,
        budget: &Arc<Budget>,
        target: Target<'_>,
        page_size: u32,
        wanted: Wanted,
        after: Option<&str>,
    ) -> Result<Listed, SourceError> {
        let with = |properties: &str| {
            let path = format!("/crm/{VERSION}/objects/{}", target.object.spec.name);
            let mut request = self.request(Method::GET, &path);
            let mut query = request.url_mut().query_pairs_mut();
            query.append_pair("limit", &page_size.to_string()).append_pair("properties", properties);
            if wanted != Wanted::Live {
                query.append_pair("archived", "true");
            }
            if let Some(after) = after {
                query.append_pair("after", after);
            }
            drop(query);
            request
        };
        let read =
            |whole| move |body: &[u8]| page::read_list(target.object, Asked { wanted, whole }, after, body);
        let all = with(&target.names.joined());
        let url_len = all.url().as_str().len();
        if url_len <= self.url_len_max.load(Ordering::Relaxed) {
            let noting = NotingTooLong { dialect: &self.dialect, too_long: AtomicBool::new(false) };
            let listed = self.call_as(all, budget, &noting, read(true)).await;
            if !noting.too_long.into_inner() {
                return listed;
            }
            tracing::info!(
                object = target.object.spec.name,
                url_len,
                "too long a URL, reading by id instead"
            );
            self.url_len_max.fetch_min(url_len.saturating_sub(1), Ordering::Relaxed);
        }
        self.call(with(ID_ONLY), budget, read(false)).await
    }

    /// Ids of the first records of the scope. No more than ids, because the index shows records as they were a while
    /// ago: its values could overwrite newer ones.
    pub(super) async fn search(
        &self,
        budget: &Arc<Budget>,
        object: &Object,
        size: u32,
        scope: Scope,
    ) -> Result<Listed, SourceError> {
        let body = json!({
            "filterGroups": [{"filters": scope.filters(object)}],
            "sorts": [{"propertyName": ID_ONLY, "direction": scope.direction()}],
            "properties": [ID_ONLY],
            "limit": size,
        });
        let request = self.post(&format!("/crm/{VERSION}/objects/{}/search", object.spec.name), &body);
        self.call(request, budget, |body| page::read_search(object, scope, body)).await
    }

    /// The records with these ids, whole. Those that are gone meanwhile are not in it.
    pub(super) async fn batch(
        &self,
        budget: &Arc<Budget>,
        target: Target<'_>,
        wanted: Wanted,
        ids: &[String],
    ) -> Result<Records, SourceError> {
        let inputs: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
        let body = json!({"properties": target.names.all(), "inputs": inputs});
        let path = format!("/crm/{VERSION}/objects/{}/batch/read", target.object.spec.name);
        let mut request = self.post(&path, &body);
        if wanted != Wanted::Live {
            request.url_mut().query_pairs_mut().append_pair("archived", "true");
        }
        self.call(request, budget, |body| page::read_batch(target.object, wanted, body)).await
    }

    /// How many live records there are in a range of ids, as far as the index knows.
    pub(super) async fn total(
        &self,
        budget: &Arc<Budget>,
        object: &Object,
        range: IdRange,
    ) -> Result<u64, SourceError> {
        let path = format!("/crm/{VERSION}/objects/{}/search", object.spec.name);
        let filters = Scope::Ids { range, after_id: None }.filters(object);
        let groups = if filters.is_empty() { json!([]) } else { json!([{ "filters": filters }]) };
        let body = json!({"filterGroups": groups, "limit": 1, "properties": [ID_ONLY]});
        self.call(self.post(&path, &body), budget, page::read_total).await
    }

    pub(super) async fn call<T>(
        &self,
        request: Request,
        budget: &Arc<Budget>,
        read: impl Fn(&[u8]) -> Result<T, Unreadable>,
    ) -> Result<T, SourceError> {
        self.call_as(request, budget, &*self.dialect, read).await
    }

    /// Sends a request with a token. If the token is refused and there can be another one, sends it once again.
    async fn call_as<T>(
        &self,
        mut request: Request,
        budget: &Arc<Budget>,
        dialect: &dyn Dialect,
        read: impl Fn(&[u8]) -> Result<T, Unreadable>,
    ) -> Result<T, SourceError> {
        let token = self.tokens.token().await?;
        token.authorize(&mut request);
        let mut call = Call { request, budget, dialect };
        match self.http.call(&call, &read).await {
            Err(error) if error.class == ErrorClass::Unauthorized => {
                let Some(token) = self.tokens.instead_of(&token).await? else { return Err(error) };
                token.authorize(&mut call.request);
                self.http.call(&call, &read).await
            }
            done => done,
        }
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Request {
        let mut request = self.request(Method::POST, path);
        *request.body_mut() = Some(body.to_string().into());
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        request
    }

    pub(super) fn request(&self, method: Method, path: &str) -> Request {
        let mut request = Request::new(method, address(&self.base_url, path));
        request.headers_mut().insert("accept", HeaderValue::from_static("application/json"));
        request
    }
}

/// An endpoint's address.
pub(super) fn address(base_url: &Url, path: &str) -> Url {
    let mut url = base_url.clone();
    url.set_path(&format!("{}{path}", base_url.path().trim_end_matches('/')));
    url
}

/// Notes whether HubSpot refused a URL for its length.
struct NotingTooLong<'a> {
    dialect: &'a HubspotDialect,
    too_long: AtomicBool,
}

impl Dialect for NotingTooLong<'_> {
    fn title(&self) -> &'static str {
        self.dialect.title()
    }

    fn reported(&self, headers: &HeaderMap) -> Option<Reported> {
        self.dialect.reported(headers)
    }

    fn refusal(&self, answer: &Answer) -> Option<Failure> {
        // The last answer is what counts: a token may have been refused before.
        self.too_long.store(answer.status == 414, Ordering::Relaxed);
        self.dialect.refusal(answer)
    }
}
