//! HubSpot's CRM: contacts, companies and deals. A first load lists, an increment searches.

mod api;
mod errors;
mod names;
mod objects;
mod page;
mod position;
mod session;
mod transform;

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::HeaderValue;
use url::Url;

use self::api::Api;
use self::errors::HubspotDialect;
use self::objects::{BASE_URL, OBJECTS, PAGE_SIZE_MAX, SEARCH, SEARCH_SIZE_MAX};
use self::session::{HubspotSession, Sizes};
use crate::budget::{ClassRules, Ledger};
use crate::http::HttpClient;
use crate::registry::Parts;
use crate::{Connection, Connector, ConnectorSpec, ErrorClass, Host, Session, SourceError, config};

pub(crate) use self::objects::SPEC;

/// The connector.
struct Hubspot {
    http: Arc<HttpClient>,
    ledger: Arc<Ledger>,
    base_url: Url,
    objects: ClassRules,
    search: ClassRules,
    page_size: u32,
    search_size: u32,
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
            // Whoever wants smaller pages than HubSpot allows wants them everywhere.
            search_size: parts.config.page_size.unwrap_or(SEARCH_SIZE_MAX),
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
        let search = self.ledger.budget(SPEC.name, &account_id, &self.search);
        let sizes = Sizes { page: self.page_size, search: self.search_size };
        Ok(Box::new(HubspotSession::new(api, account_id, objects, search, sizes)))
    }
}
