//! The endpoints, with a token: requests out, pages in.

use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, Request};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::errors::HubspotDialect;
use super::names::Names;
use super::objects::{Object, URL_LEN_MAX, VERSION};
use super::page::{self, Asked, Listed, Records, Wanted};
use super::position::Window;
use crate::SourceError;
use crate::budget::Budget;
use crate::http::{Call, HttpClient, Unreadable};

/// The endpoints, with a token.
pub(super) struct Api {
    pub(super) http: Arc<HttpClient>,
    pub(super) base_url: Url,
    pub(super) authorization: HeaderValue,
    pub(super) dialect: HubspotDialect,
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
}

/// What is asked for when the records are read by id afterwards.
const ID_ONLY: &str = "hs_object_id";

impl Api {
    /// Which account the token is for.
    pub(super) async fn account_id(&self, budget: &Arc<Budget>) -> Result<String, SourceError> {
        let request = self.request(Method::GET, "/account-info/v3/details");
        let read = |body: &[u8]| Ok(serde_json::from_slice::<AccountDetails>(body)?.portal_id.to_string());
        self.call(request, budget, read).await
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
        let all = with(&target.names.joined());
        let whole = all.url().as_str().len() <= URL_LEN_MAX;
        let request = if whole { all } else { with(ID_ONLY) };
        let asked = Asked { wanted, whole };
        self.call(request, budget, |body| page::read_list(target.object, asked, after, body)).await
    }

    /// Ids of the first records of the window that are greater than `after_id`. No more than ids, because the index
    /// shows records as they were a while ago: its values could overwrite newer ones.
    pub(super) async fn search(
        &self,
        budget: &Arc<Budget>,
        object: &Object,
        size: u32,
        window: Window,
        after_id: Option<u64>,
    ) -> Result<Listed, SourceError> {
        let mut filters = vec![json!({
            "propertyName": object.modified, "operator": "BETWEEN",
            "value": window.since.to_string(), "highValue": window.to.to_string(),
        })];
        if let Some(id) = after_id {
            filters.push(json!({"propertyName": ID_ONLY, "operator": "GT", "value": id.to_string()}));
        }
        let body = json!({
            "filterGroups": [{"filters": filters}],
            "sorts": [{"propertyName": ID_ONLY, "direction": "ASCENDING"}],
            "properties": [ID_ONLY],
            "limit": size,
        });
        let request = self.post(&format!("/crm/{VERSION}/objects/{}/search", object.spec.name), &body);
        self.call(request, budget, |body| page::read_search(object, after_id, body)).await
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

    /// How many live records there are.
    pub(super) async fn total(&self, budget: &Arc<Budget>, object: &Object) -> Result<u64, SourceError> {
        let path = format!("/crm/{VERSION}/objects/{}/search", object.spec.name);
        let request = self.post(&path, &json!({"limit": 1, "properties": [ID_ONLY]}));
        self.call(request, budget, page::read_total).await
    }

    async fn call<T>(
        &self,
        request: Request,
        budget: &Arc<Budget>,
        read: impl Fn(&[u8]) -> Result<T, Unreadable>,
    ) -> Result<T, SourceError> {
        self.http.call(&Call { request, budget, dialect: &self.dialect }, read).await
    }

    fn post(&self, path: &str, body: &Value) -> Request {
        let mut request = self.request(Method::POST, path);
        *request.body_mut() = Some(body.to_string().into());
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        request
    }

    fn request(&self, method: Method, path: &str) -> Request {
        let mut url = self.base_url.clone();
        url.set_path(&format!("{}{path}", self.base_url.path().trim_end_matches('/')));
        let mut request = Request::new(method, url);
        request.headers_mut().insert(AUTHORIZATION, self.authorization.clone());
        request.headers_mut().insert("accept", HeaderValue::from_static("application/json"));
        request
    }
}
