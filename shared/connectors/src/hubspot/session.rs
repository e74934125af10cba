//! An account, page after page: which request a place in a load stands for, and which place comes next.

use std::sync::Arc;

use async_trait::async_trait;
use protocol::ObjectName;
use tokio::sync::OnceCell;

use super::api::{Api, Target};
use super::names::Names;
use super::objects::{self, BATCH_SIZE_MAX, Object, SPEC};
use super::page::{Listed, Records, Wanted};
use super::position::{Checkpoint, Millis, Place, Window};
use crate::budget::Budget;
use crate::{ErrorClass, Next, Page, Position, Session, SourceError};

/// An account.
pub(super) struct HubspotSession {
    api: Api,
    account_id: String,
    objects: Arc<Budget>,
    search: Arc<Budget>,
    sizes: Sizes,
    known: Vec<Known>,
}

/// Records to ask for with one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Of a list.
    pub(super) page: u32,
    /// Of a search.
    pub(super) search: u32,
}

/// An object, and the names of its properties once they were asked for.
struct Known {
    object: &'static Object,
    names: OnceCell<Names>,
}

impl HubspotSession {
    pub(super) fn new(
        api: Api,
        account_id: String,
        objects: Arc<Budget>,
        search: Arc<Budget>,
        sizes: Sizes,
    ) -> Self {
        let known = SPEC.object_names().into_iter().filter_map(|name| objects::find(&name));
        let known = known.map(|object| Known { object, names: OnceCell::new() }).collect();
        Self { api, account_id, objects, search, sizes, known }
    }

    fn known(&self, name: &ObjectName) -> Result<&Known, SourceError> {
        let unknown = || SourceError::new(ErrorClass::Permanent, format!("HubSpot has no object `{name}`"));
        self.known.iter().find(|known| known.object.spec.name == name.as_str()).ok_or_else(unknown)
    }

    /// What to read of an object. Asks for the names of its properties the first time.
    async fn target<'a>(&self, known: &'a Known) -> Result<Target<'a>, SourceError> {
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

    async fn list(
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
        let found = self.api.search(&self.search, target.object, self.sizes.search, window, after_id).await?;
        self.complete(target, Wanted::Live, found).await
    }

    /// Reads what came only as ids.
    async fn complete(
        &self,
        target: Target<'_>,
        wanted: Wanted,
        mut listed: Listed,
    ) -> Result<Listed, SourceError> {
        let ids = std::mem::take(&mut listed.ids);
        for ids in ids.chunks(BATCH_SIZE_MAX) {
            let read = self.api.batch(&self.objects, target, wanted, ids).await?;
            tracing::debug!(asked = ids.len(), records = read.records.len(), "read by id");
            listed.records.extend(read);
        }
        Ok(listed)
    }
}

#[async_trait]
impl Session for HubspotSession {
    fn account_id(&self) -> &str {
        &self.account_id
    }

    /// For a first load; an increment has fewer.
    async fn estimate(&self, object: &ObjectName) -> Result<Option<u64>, SourceError> {
        self.api.total(&self.search, self.known(object)?.object).await.map(Some)
    }

    async fn page(&self, object: &ObjectName, position: Option<&Position>) -> Result<Page, SourceError> {
        let target = self.target(self.known(object)?).await?;
        match Place::resume(position, Millis::now()) {
            Place::List { started, after } => {
                let listed = self.list(target, Wanted::Live, after.as_deref()).await?;
                let next = match listed.after {
                    Some(after) => Place::List { started, after: Some(after) },
                    None => Place::archived_after_list(started),
                };
                Ok(page(listed.records, Next::More(next.store())))
            }
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

fn page(Records { records, rejected }: Records, next: Next) -> Page {
    let listed = (records.len() + rejected.len()) as u64;
    Page { listed, records, rejected, next }
}
