//! HubSpot's lists, searches and batches: from JSON to records.

use protocol::{Record, Rejected};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::api::Scope;
use super::objects::Object;
use super::position::Millis;
use super::transform::{head, transform};
use crate::http::Unreadable;
use crate::jsonb::jsonb_safe;

/// What every answer with records has. Each record is kept as text at first, so that one of an odd shape does not
/// cost the others.
#[derive(Deserialize)]
struct Results<'a> {
    #[serde(borrow)]
    results: Vec<&'a RawValue>,
    /// Absent on the last page. `link` is not read: behind proxies it names a wrong host.
    paging: Option<Paging>,
    /// What a batch could not read.
    #[serde(default)]
    errors: Vec<BatchError>,
}

#[derive(Deserialize)]
pub(super) struct Paging {
    next: Option<NextPage>,
}

impl Paging {
    /// Where the next page starts.
    pub(super) fn after(self) -> Option<String> {
        self.next.map(|next| next.after)
    }
}

#[derive(Deserialize)]
struct NextPage {
    after: String,
}

#[derive(Deserialize)]
struct BatchError {
    category: Option<String>,
}

/// A search's answer, as far as it is needed.
#[derive(Deserialize)]
struct Found {
    total: u64,
}

/// Which of the records of a page are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The page has live records: all of them.
    Live,
    /// The page has archived records: those that were archived at this time or later; all if there is none.
    Archived(Option<Millis>),
}

/// How a page was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) wanted: Wanted,
    /// With all properties, or only for ids, because the names of all properties are too long.
    pub(super) whole: bool,
}

/// Records, transformed.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Records {
    pub(super) records: Vec<Record>,
    pub(super) rejected: Vec<Rejected>,
}

/// A page of a list or a search.
#[derive(Debug, PartialEq)]
pub(super) struct Listed {
    /// What came whole.
    pub(super) records: Records,
    /// What came as an id and has to be read yet.
    pub(super) ids: Vec<String>,
    /// Where the next page of a list starts; `None` on the last one.
    pub(super) after: Option<String>,
    /// The least and the greatest id on the page, wanted or not.
    pub(super) first_id: Option<u64>,
    pub(super) last_id: Option<u64>,
}

/// Reads a page of a list that was asked for with `asked_after`.
///
/// # Errors
/// If it is no list, or leads back to where it came from.
pub(super) fn read_list(
    object: &Object,
    asked: Asked,
    asked_after: Option<&str>,
    body: &[u8],
) -> Result<Listed, Unreadable> {
    let listed = read(object, asked, body)?;
    if listed.after.is_some() && listed.after.as_deref() == asked_after {
        return Err(Unreadable("a page whose next page is itself".to_owned()));
    }
    Ok(listed)
}

/// Reads a page of a search.
///
/// # Errors
/// If it is no search's answer, or does not get on.
pub(super) fn read_search(object: &Object, scope: Scope, body: &[u8]) -> Result<Listed, Unreadable> {
    let listed = read(object, Asked { wanted: Wanted::Live, whole: false }, body)?;
    if listed.after.is_some() && !scope.gets_on(listed.first_id, listed.last_id) {
        return Err(Unreadable("a page whose next page is itself".to_owned()));
    }
    Ok(listed)
}

/// Reads a batch of records that were asked for by id. Those that are gone are not in it.
///
/// # Errors
/// If it is no batch, or failed in part for another reason than that records are gone.
pub(super) fn read_batch(object: &Object, wanted: Wanted, body: &[u8]) -> Result<Records, Unreadable> {
    let answer = parse(body)?;
    let is_fault = |error: &BatchError| error.category.as_deref() != Some("OBJECT_NOT_FOUND");
    if answer.errors.iter().any(is_fault) {
        return Err(Unreadable("a batch of which some could not be read".to_owned()));
    }
    let mut records = Records::default();
    for raw in answer.results {
        records.push(object, wanted, raw);
    }
    Ok(records)
}

/// How many records a search has found.
///
/// # Errors
/// If it is no search's answer.
pub(super) fn read_total(body: &[u8]) -> Result<u64, Unreadable> {
    let found: Found = serde_json::from_slice(body)?;
    Ok(found.total)
}

fn parse(body: &[u8]) -> Result<Results<'_>, Unreadable> {
    let body = std::str::from_utf8(body).map_err(|_| Unreadable("not UTF-8".to_owned()))?;
    Ok(serde_json::from_str(body)?)
}

fn read(object: &Object, asked: Asked, body: &[u8]) -> Result<Listed, Unreadable> {
    let answer = parse(body)?;
    let after = answer.paging.and_then(Paging::after);
    let mut listed =
        Listed { records: Records::default(), ids: Vec::new(), after, first_id: None, last_id: None };
    for raw in answer.results {
        let (id, archived_at) = head(raw);
        // By number: ids have 1 to 11 digits, and "9" is greater than "10".
        if let Some(id) = id.as_deref().and_then(|id| id.parse().ok()) {
            listed.first_id = Some(listed.first_id.map_or(id, |first| first.min(id)));
            listed.last_id = listed.last_id.max(Some(id));
        }
        // One that does not say when it was archived is wanted, and rejected with that reason.
        if let (Wanted::Archived(Some(since)), Some(at)) = (asked.wanted, archived_at)
            && at < since
        {
            continue;
        }
        match id {
            Some(id) if !asked.whole => listed.ids.push(id),
            _ => listed.records.push(object, asked.wanted, raw),
        }
    }
    Ok(listed)
}

impl Records {
    /// Adds others.
    pub(super) fn extend(&mut self, others: Self) {
        self.records.extend(others.records);
        self.rejected.extend(others.rejected);
    }

    /// Whether there is a record with this id, or one that could not be transformed.
    pub(super) fn has(&self, id: &str) -> bool {
        self.records.iter().any(|record| record.external_id == id)
            || self.rejected.iter().any(|rejected| rejected.external_id == id)
    }

    /// Keeps those whose ids, as numbers, are wanted, and those whose ids are no numbers.
    pub(super) fn retain_ids(&mut self, wanted: impl Fn(u64) -> bool) {
        self.records.retain(|record| record.external_id.parse().map_or(true, &wanted));
        self.rejected.retain(|rejected| rejected.external_id.parse().map_or(true, &wanted));
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.records.len() + self.rejected.len()
    }

    fn push(&mut self, object: &Object, wanted: Wanted, raw: &RawValue) {
        match transform(object, raw) {
            // Without a date it would be written as a live record.
            Ok(record) if wanted != Wanted::Live && record.deleted_at.is_none() => {
                self.rejected.push(Rejected {
                    external_id: record.external_id,
                    reason: "it is archived and does not say since when".to_owned(),
                    payload: jsonb_safe(raw.get()).into_owned(),
                    is_live: false,
                });
            }
            Ok(record) => self.records.push(record),
            Err(rejected) => {
                self.rejected.push(Rejected { is_live: wanted == Wanted::Live, ..rejected });
            }
        }
    }
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
