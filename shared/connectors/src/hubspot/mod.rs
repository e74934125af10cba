//! HubSpot's CRM: contacts, companies and deals, their owners, stages and associations. A first load lists, an
//! increment searches.

mod api;
mod associations;
mod compare;
mod errors;
mod names;
mod objects;
mod owners;
mod page;
mod position;
mod session;
mod small;
mod stages;
mod tokens;
mod transform;
mod wide;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use url::Url;

use self::api::Api;
use self::errors::HubspotDialect;
use self::objects::{BASE_URL, OBJECTS, PAGE_SIZE_MAX, SEARCH, SEARCH_SIZE_MAX, TOKENS};
use self::session::{HubspotSession, Sizes};
use self::tokens::{Door, Tokens};
use crate::budget::{ClassRules, Ledger, QuotaShare};
use crate::http::HttpClient;
use crate::registry::Parts;
use crate::{Connection, Connector, ConnectorSpec, Host, Session, SourceError, config};

pub(crate) use self::objects::SPEC;

/// The connector.
struct Hubspot {
    http: Arc<HttpClient>,
    ledger: Arc<Ledger>,
    base_url: Url,
    objects: ClassRules,
    search: ClassRules,
    tokens: ClassRules,
    page_size: u32,
    search_size: u32,
    slow: Duration,
}

/// Builds the connector.
///
/// # Errors
/// Everything that is wrong with its settings.
pub(crate) fn build(parts: &Parts<'_>) -> Result<Arc<dyn Connector>, Vec<String>> {
    let base_url = config::base_url(parts.config, BASE_URL);
    let page_size = config::page_size(parts.config, PAGE_SIZE_MAX);
    let [objects, search, tokens] = config::class_rules(parts.config, [&OBJECTS, &SEARCH, &TOKENS]);
    match (base_url, page_size, objects, search, tokens) {
        (Ok(base_url), Ok(page_size), Ok(objects), Ok(search), Ok(tokens)) => Ok(Arc::new(Hubspot {
            http: Arc::clone(parts.http),
            ledger: Arc::clone(parts.ledger),
            base_url,
            objects,
            search,
            tokens,
            page_size,
            // Whoever wants smaller pages than HubSpot allows wants them everywhere.
            search_size: if page_size < PAGE_SIZE_MAX { page_size } else { SEARCH_SIZE_MAX },
            slow: Duration::from_millis(parts.config.slow_ms.unwrap_or(wide::SLOW_MS)),
        })),
        (base_url, page_size, objects, search, tokens) => {
            let problems = [base_url.err(), page_size.err(), objects.err(), search.err(), tokens.err()];
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
        host: Arc<dyn Host>,
    ) -> Result<Box<dyn Session>, SourceError> {
        // Counted for the workspace until the account is known, and for the account afterwards.
        let unknown = format!("unknown-{}", connection.workspace_id);
        let account = connection.account_id.as_deref().unwrap_or(&unknown);
        let dialect = Arc::new(HubspotDialect::new(self.base_url.host_str().unwrap_or_default().to_owned()));
        let door = || Door {
            http: Arc::clone(&self.http),
            base_url: self.base_url.clone(),
            budget: self.ledger.budget(SPEC.name, account, &self.tokens, None),
            dialect: Arc::clone(&dialect),
        };
        connection.utc_offset_ms.into_iter().for_each(|ms| dialect.know_utc_offset(ms));
        let tokens = Tokens::new(connection.credentials, Arc::clone(&host), &dialect, door)?;
        let api = Api::new(Arc::clone(&self.http), self.base_url.clone(), tokens, dialect);
        let (account_id, spent) = match connection.account_id {
            Some(account_id) => (account_id, 0),
            None => {
                let budget = self.ledger.private_budget(SPEC.name, &unknown, &self.objects);
                (api.account_id(&budget).await?, budget.used())
            }
        };
        let share = connection.quota_share.and_then(QuotaShare::new);
        let objects = self.ledger.budget(SPEC.name, &account_id, &self.objects, share);
        objects.add_foreign(spent);
        let search = self.ledger.budget(SPEC.name, &account_id, &self.search, share);
        let sizes = Sizes { page: self.page_size, search: self.search_size, slow: self.slow };
        Ok(Box::new(HubspotSession::new(api, host, account_id, (objects, search), sizes)))
    }
}
