//! A first load of an object from both ends at once.
//!
//! Every page of a list has to be awaited before the next can be asked for. An account that answers slowly then leaves
//! requests unused that its budget allows. In that case, and only then, each step also reads the records with the
//! greatest ids: a search, whose budget is its own, names them, and they are read by id. Where both ends meet, the
//! load is through.
//!
//! Records that the search index does not show yet are missed at that end. They were changed after the load's start
//! minus the index's delay, which is what the first increment begins with.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::api::{Scope, Target};
use super::page::{Listed, Records, Wanted};
use super::position::{ListPlace, Place};
use super::session::HubspotSession;
use super::small;
use crate::{Next, Page, SourceError};

/// Nobody waited for the budget for so long: there is something left of it.
const UNHURRIED: Duration = Duration::from_millis(200);
/// Answers that come faster than this use the budget up by themselves, or the machine.
pub(super) const SLOW_MS: u64 = 40;

/// What is known of how an account answers.
#[derive(Debug)]
pub(super) struct Pace {
    slow: Duration,
    latency_us: AtomicU64,
    /// The other end could not be read; it is left alone then.
    one_end_only: AtomicBool,
}

impl Pace {
    /// Answers that take as long as this are slow.
    pub(super) fn new(slow: Duration) -> Self {
        Self { slow, latency_us: AtomicU64::new(0), one_end_only: AtomicBool::new(false) }
    }

    fn note(&self, latency: Duration) {
        self.latency_us.store(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Whether an answer takes so long that one request after another leaves something of the budget.
    pub(super) fn is_slow(&self) -> bool {
        Duration::from_micros(self.latency_us.load(Ordering::Relaxed)) >= self.slow
    }

    fn has_both_ends(&self) -> bool {
        !self.one_end_only.load(Ordering::Relaxed)
    }
}

impl HubspotSession {
    /// A step of a first load: a page of the list, or, if there is budget to spare, as much as two round trips give.
    pub(super) async fn load(&self, target: Target<'_>, place: ListPlace) -> Result<Page, SourceError> {
        // Once begun it goes on: the same requests bring the same records, only side by side.
        let both_ends = self.pace.is_slow()
            && self.pace.has_both_ends()
            && (place.below.is_some() || self.objects.is_unhurried(UNHURRIED));
        let (bottom, top) = if both_ends {
            let (bottom, top) = tokio::join!(self.two_pages(target, &place), self.top(target, &place));
            (bottom?, top)
        } else {
            (self.one_page(target, place.after.as_deref()).await?, None)
        };
        let (records, next) = join(place, bottom, top);
        Ok(small::page(records.records, records.rejected, false, Next::More(next.store())))
    }

    async fn one_page(&self, target: Target<'_>, after: Option<&str>) -> Result<Listed, SourceError> {
        let asked = Instant::now();
        let listed = self.list(target, Wanted::Live, after).await?;
        let took = asked.elapsed();
        // Otherwise it is the budget that took so long, maybe.
        if self.objects.is_unhurried(took) {
            self.pace.note(took);
        }
        Ok(listed)
    }

    async fn two_pages(&self, target: Target<'_>, place: &ListPlace) -> Result<Listed, SourceError> {
        let mut first = self.one_page(target, place.after.as_deref()).await?;
        let Some(after) = &first.after else { return Ok(first) };
        let second = self.one_page(target, Some(after)).await?;
        // Not in order: then the list has to be read to its end, see `join`.
        if second.first_id <= first.last_id {
            first.first_id = None;
        }
        first.records.extend(second.records);
        first.after = second.after;
        first.last_id = second.last_id.max(first.last_id);
        Ok(first)
    }

    /// The greatest ids that are not read yet. `None` if that is not possible; the list alone gets there, too.
    async fn top(&self, target: Target<'_>, place: &ListPlace) -> Option<Top> {
        let scope = Scope::Top { below: place.below, above: place.last_id };
        let read = async {
            let found = self.api.search(&self.search, target.object, self.sizes.search, scope).await?;
            let below = found.first_id;
            let found = self.complete(target, Wanted::Live, found).await?;
            Ok::<_, SourceError>(below.map(|below| Top { below, records: found.records }))
        };
        read.await.unwrap_or_else(|error| {
            tracing::info!(object = target.object.spec.name, %error, "going on from one end only");
            self.pace.one_end_only.store(true, Ordering::Relaxed);
            None
        })
    }
}

/// What was read from the other end.
struct Top {
    /// The least id of it.
    below: u64,
    records: Records,
}

/// Puts both ends together: each record once, and the place after them.
fn join(mut place: ListPlace, bottom: Listed, top: Option<Top>) -> (Records, Place) {
    let Listed { mut records, after, first_id, last_id, .. } = bottom;
    let ascending = first_id.is_some() && first_id > place.last_id || last_id.is_none();
    let last_id = last_id.max(place.last_id);
    if !ascending {
        // The ends cannot meet if the list is in another order; what the other end read is read again.
        tracing::warn!("the list is not in order of id, going on from one end only");
        let next = match after {
            Some(after) => Place::List(ListPlace { after: Some(after), last_id, below: None, ..place }),
            None => Place::archived_after_list(place.started),
        };
        return (records, next);
    }
    if let Some(below) = place.below {
        records.retain_ids(|id| id < below);
    }
    if let Some(Top { below, records: mut others }) = top {
        others.retain_ids(|id| Some(id) > last_id);
        records.extend(others);
        place.below = Some(below);
    }
    let met = place.below.is_some_and(|below| last_id.is_some_and(|last| last.saturating_add(1) >= below));
    let next = match after {
        Some(after) if !met => Place::List(ListPlace { after: Some(after), last_id, ..place }),
        _ => Place::archived_after_list(place.started),
    };
    (records, next)
}

#[cfg(test)]
#[path = "wide_tests.rs"]
mod tests;
