//! HubSpot's CRM: contacts, companies and deals through the list endpoints.

mod errors;
mod objects;
mod page;
mod transform;

use std::sync::Arc;

use async_trait::async_trait;
use protocol::ObjectName;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, Request};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use self::errors::HubspotDialect;
use self::objects::{BASE_URL, OBJECTS, Object, PAGE_SIZE_MAX, SEARCH, VERSION};
use crate::budget::{Budget, ClassRules, Ledger};
use crate::http::{Call, HttpClient};
use crate::registry::Parts;
use crate::{
    Connection, Connector, ConnectorSpec, ErrorClass, Host, Page, Position, Session, SourceError, config,
};

pub(crate) use self::objects::SPEC;

/// The connector.
struct Hubspot {
    http: Arc<HttpClient>,
    ledger: Arc<Ledger>,
    base_url: Url,
    objects: ClassRules,
    search: ClassRules,
    page_size: u32,
}

/// Builds the connector.
///
/// # Errors
/// Everything that is wrong with its settings.
pub(crate) fn build(parts: &Parts<'_>) -> Result<Arc<dyn Connector>, Vec<String>> {
    let base_url = config::base_url(parts.config, BASE_URL);
    let page_size = config::page_size(parts.config, PAGE_SIZE_MAX);
    let [objects, search] = config::class_rules(parts.config, [&OBJECTS, &SEARCH]);
    match (base_url, page_size, objects, search) {
        (Ok(base_url), Ok(page_size), Ok(objects), Ok(search)) => Ok(Arc::new(Hubspot {
            http: Arc::clone(parts.http),
            ledger: Arc::clone(parts.ledger),
            base_url,
            objects,
            search,
            page_size,
        })),
        (base_url, page_size, objects, search) => {
            let problems = [base_url.err(), page_size.err(), objects.err(), search.err()];
            Err(problems.into_iter().flatten().collect())
        }
    }
}

#[async_trait]
impl Connector for Hubspot {
    fn spec(&self) -> &'static ConnectorSpec {
        &SPEC
    }

    async fn open(
        &self,
        connection: Connection,
        _host: Arc<dyn Host>,
    ) -> Result<Box<dyn Session>, SourceError> {
        let unauthorized = |message: &str| SourceError::new(ErrorClass::Unauthorized, message);
        let token = connection
            .credentials
            .field("accessToken")
            .ok_or_else(|| unauthorized("the connection has no `accessToken`"))?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| unauthorized("the connection's `accessToken` has characters that no token has"))?;
        authorization.set_sensitive(true);
        let host = self.base_url.host_str().unwrap_or_default().to_owned();
        let api = Api {
            http: Arc::clone(&self.http),
            base_url: self.base_url.clone(),
            authorization,
            dialect: HubspotDialect { token: token.to_owned(), host },
        };
        let (account_id, spent) = match connection.account_id {
            Some(account_id) => (account_id, 0),
            None => {
                // Counted for the workspace until the account is known, and for the account afterwards.
                let unknown = format!("unknown-{}", connection.workspace_id);
                let budget = self.ledger.budget(SPEC.name, &unknown, &self.objects);
                (api.account_id(&budget).await?, budget.used())
            }
        };
        let objects = self.ledger.budget(SPEC.name, &account_id, &self.objects);
        objects.add_foreign(spent);
        Ok(Box::new(HubspotSession {
            objects,
            search: self.ledger.budget(SPEC.name, &account_id, &self.search),
            page_size: self.page_size,
            account_id,
            api,
        }))
    }
}

/// The endpoints, with a token.
struct Api {
    http: Arc<HttpClient>,
    base_url: Url,
    authorization: HeaderValue,
    dialect: HubspotDialect,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountDetails {
    portal_id: u64,
}

impl Api {
    async fn account_id(&self, budget: &Arc<Budget>) -> Result<String, SourceError> {
        let request = self.request(Method::GET, "/account-info/v3/details");
        let read = |body: &[u8]| Ok(serde_json::from_slice::<AccountDetails>(body)?.portal_id.to_string());
        self.http.call(&Call { request, budget, dialect: &self.dialect }, read).await
    }

    async fn list(
        &self,
        budget: &Arc<Budget>,
        object: &Object,
        page_size: u32,
        after: Option<&str>,
    ) -> Result<Page, SourceError> {
        let mut request = self.request(Method::GET, &format!("/crm/{VERSION}/objects/{}", object.spec.name));
        {
            let mut query = request.url_mut().query_pairs_mut();
            query.append_pair("limit", &page_size.to_string());
            query.append_pair("properties", object.properties);
            if let Some(after) = after {
                query.append_pair("after", after);
            }
        }
        let read = |body: &[u8]| page::read_list(object, after, body);
        self.http.call(&Call { request, budget, dialect: &self.dialect }, read).await
    }

    async fn total(&self, budget: &Arc<Budget>, object: &Object) -> Result<u64, SourceError> {
        let path = format!("/crm/{VERSION}/objects/{}/search", object.spec.name);
        let mut request = self.request(Method::POST, &path);
        let body = json!({"limit": 1, "properties": ["hs_object_id"]}).to_string();
        *request.body_mut() = Some(body.into());
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        self.http.call(&Call { request, budget, dialect: &self.dialect }, page::read_total).await
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

/// An account.
struct HubspotSession {
    api: Api,
    account_id: String,
    objects: Arc<Budget>,
    search: Arc<Budget>,
    page_size: u32,
}

#[async_trait]
impl Session for HubspotSession {
    fn account_id(&self) -> &str {
        &self.account_id
    }

    async fn estimate(&self, object: &ObjectName) -> Result<Option<u64>, SourceError> {
        self.api.total(&self.search, known(object)?).await.map(Some)
    }

    async fn page(&self, object: &ObjectName, position: Option<&Position>) -> Result<Page, SourceError> {
        let after = page::after(position)?;
        self.api.list(&self.objects, known(object)?, self.page_size, after).await
    }
}

fn known(object: &ObjectName) -> Result<&'static Object, SourceError> {
    let unknown = || SourceError::new(ErrorClass::Permanent, format!("HubSpot has no object `{object}`"));
    objects::find(object).ok_or_else(unknown)
}
