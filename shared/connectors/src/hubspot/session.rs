//! An account, page after page: which request a place in a load stands for, and which place comes next.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use protocol::ObjectName;
use tokio::sync::OnceCell;

use super::api::{Api, Scope, Target};
use super::names::Names;
use super::objects::{self, BATCH_SIZE_MAX, Object, SPEC};
use super::page::{Listed, Records, Wanted};
use super::position::{Checkpoint, Millis, Place, Window};
use super::wide::Pace;
use super::{associations, owners, small, stages};
use crate::budget::Stake;
use crate::{Difference, ErrorClass, Host, Next, Page, Position, Session, SourceError};

/// An account.
pub(super) struct HubspotSession {
    pub(super) api: Api,
    pub(super) host: Arc<dyn Host>,
    account_id: String,
    pub(super) objects: Stake,
    pub(super) search: Stake,
    pub(super) sizes: Sizes,
    pub(super) pace: Pace,
    described: Vec<Described>,
}

/// Records to ask for with one request, and how fast that is expected to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Of a list.
    pub(super) page: u32,
    /// Of a search.
    pub(super) search: u32,
    /// Answers that take as long as this are slow.
    pub(super) slow: Duration,
}

/// An object of the CRM, and the names of its properties once they were asked for.
struct Described {
    object: &'static Object,
    names: OnceCell<Names>,
}

impl HubspotSession {
    pub(super) fn new(
        api: Api,
        host: Arc<dyn Host>,
        account_id: String,
        (objects, search): (Stake, Stake),
        sizes: Sizes,
    ) -> Self {
        let described = SPEC.object_names().into_iter().filter_map(|name| objects::find(&name));
        let described = described.map(|object| Described { object, names: OnceCell::new() }).collect();
        Self { api, host, account_id, objects, search, sizes, pace: Pace::new(sizes.slow), described }
    }

    fn described(&self, name: &ObjectName) -> Option<&Described> {
        self.described.iter().find(|known| known.object.spec.name == name.as_str())
    }

    /// What to read of an object. Asks for the names of its properties the first time.
    async fn target<'a>(&self, known: &'a Described) -> Result<Target<'a>, SourceError> {
        let object = known.object;
        let ask = || async {
            match self.api.names(&self.objects, object).await {
                Err(error) if error.class == ErrorClass::Forbidden => {
                    let object = object.spec.name;
                    tracing::info!(object, %error, "properties are not told, the typical ones are read");
                    Ok(Names::typical(known.object))
                }
                names => names,
            }
        };
        Ok(Target { object, names: known.names.get_or_try_init(ask).await? })
    }

    pub(super) async fn list(
        &self,
        target: Target<'_>,
        wanted: Wanted,
        after: Option<&str>,
    ) -> Result<Listed, SourceError> {
        let listed = self.api.list(&self.objects, target, self.sizes.page, wanted, after).await?;
        self.complete(target, wanted, listed).await
    }

    async fn search(
        &self,
        target: Target<'_>,
        window: Window,
        after_id: Option<u64>,
    ) -> Result<Listed, SourceError> {
        let scope = Scope::Changed { window, after_id };
        let found = self.api.search(&self.search, target.object, self.sizes.search, scope).await?;
        self.complete(target, Wanted::Live, found).await
    }

    /// Reads what came only as ids.
    pub(super) async fn complete(
        &self,
        target: Target<'_>,
        wanted: Wanted,
        mut listed: Listed,
    ) -> Result<Listed, SourceError> {
        let ids = std::mem::take(&mut listed.ids);
        // A search has two batches: read side by side, they cost one round trip.
        let batches =
            ids.chunks(BATCH_SIZE_MAX).map(|ids| self.api.batch(&self.objects, target, wanted, ids));
        for read in try_join_all(batches).await? {
            listed.records.extend(read);
        }
        tracing::debug!(asked = ids.len(), records = listed.records.len(), "read by id");
        Ok(listed)
    }
}

#[async_trait]
impl Session for HubspotSession {
    fn account_id(&self) -> &str {
        &self.account_id
    }

    fn utc_offset_ms(&self) -> Option<i64> {
        self.api.utc_offset_ms()
    }

    /// For a first load; an increment has fewer.
    async fn estimate(&self, object: &ObjectName) -> Result<Option<u64>, SourceError> {
        match (self.described(object), object.as_str()) {
            (Some(known), _) => self.api.total(&self.search, known.object, (0, None)).await.map(Some),
            (None, owners::NAME | stages::NAME | associations::NAME) => Ok(None),
            (None, _) => Err(unknown(object)),
        }
    }

    async fn page(&self, object: &ObjectName, position: Option<&Position>) -> Result<Page, SourceError> {
        if let Some(known) = self.described(object) {
            return self.record_page(self.target(known).await?, position).await;
        }
        match object.as_str() {
            owners::NAME => self.api.owners(&self.objects, position).await,
            stages::NAME => self.api.stages(&self.objects).await,
            associations::NAME => {
                let (host, is_slow) = (self.host.as_ref(), self.pace.is_slow());
                self.api.associations(&self.objects, host, is_slow, position).await
            }
            _ => Err(unknown(object)),
        }
    }

    async fn compare(
        &self,
        object: &ObjectName,
        place: Option<&Position>,
    ) -> Result<Difference, SourceError> {
        match self.described(object) {
            Some(known) => self.difference(object, self.target(known).await?, place).await,
            None => Ok(Difference::default()),
        }
    }
}

impl HubspotSession {
    async fn record_page(
        &self,
        target: Target<'_>,
        position: Option<&Position>,
    ) -> Result<Page, SourceError> {
        match Place::resume(position, Millis::now()) {
            Place::List(place) => self.load(target, place).await,
            Place::Search { window, after_id } => {
                let found = self.search(target, window, after_id).await?;
                let next = match found.after {
                    Some(_) => Place::Search { window, after_id: found.last_id },
                    None => Place::archived_after_search(window),
                };
                Ok(page(found.records, Next::More(next.store())))
            }
            Place::Archived { since, checkpoint, after } => {
                let listed = self.list(target, Wanted::Archived(since), after.as_deref()).await?;
                let next = match listed.after {
                    Some(after) => {
                        Next::More(Place::Archived { since, checkpoint, after: Some(after) }.store())
                    }
                    None => Next::Done { checkpoint: Some(Checkpoint { since: checkpoint }.store()) },
                };
                Ok(page(listed.records, next))
            }
        }
    }
}

fn unknown(object: &ObjectName) -> SourceError {
    SourceError::new(ErrorClass::Permanent, format!("HubSpot has no object `{object}`"))
}

fn page(Records { records, rejected }: Records, next: Next) -> Page {
    small::page(records, rejected, false, next)
}
