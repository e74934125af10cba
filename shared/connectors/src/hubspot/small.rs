//! What the objects that are no CRM objects have in common: few records, with fields of their own.

use protocol::{Record, Rejected};
use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::page::{Paging, Records};
use crate::http::Unreadable;
use crate::jsonb::jsonb_safe;
use crate::{Next, columns};

/// A page of such a list.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) records: Records,
    pub(super) after: Option<String>,
}

#[derive(Deserialize)]
struct Results<'a> {
    #[serde(borrow)]
    results: Vec<&'a RawValue>,
    paging: Option<Paging>,
}

/// Reads a page that was asked for with `asked_after`.
///
/// # Errors
/// If it is no list, or leads back to where it came from.
pub(super) fn read(
    body: &[u8],
    asked_after: Option<&str>,
    record: impl Fn(&RawValue) -> Result<Record, Rejected>,
) -> Result<Page, Unreadable> {
    let body = std::str::from_utf8(body).map_err(|_| Unreadable("not UTF-8".to_owned()))?;
    let answer: Results<'_> = serde_json::from_str(body)?;
    let after = answer.paging.and_then(Paging::after);
    if after.is_some() && after.as_deref() == asked_after {
        return Err(Unreadable("a page whose next page is itself".to_owned()));
    }
    let mut records = Records::default();
    for raw in answer.results {
        match record(raw) {
            Ok(record) => records.records.push(record),
            Err(rejected) => records.rejected.push(rejected),
        }
    }
    Ok(Page { records, after })
}

/// A page without associations.
pub(super) fn page(records: Vec<Record>, rejected: Vec<Rejected>, whole: bool, next: Next) -> crate::Page {
    let listed = (records.len() + rejected.len()) as u64;
    crate::Page { listed, records, rejected, sweeps: Vec::new(), whole, next }
}

/// A record that cannot be stored.
pub(super) fn rejected(raw: &RawValue, id: &str, reason: &str, is_live: bool) -> Rejected {
    Rejected { external_id: id.to_owned(), reason: reason.to_owned(), payload: properties(raw), is_live }
}

/// The record as it is.
pub(super) fn properties(raw: &RawValue) -> String {
    jsonb_safe(raw.get()).into_owned()
}

/// A text; none if it is empty. Without NUL, which Postgres does not store.
pub(super) fn text(text: Option<String>) -> Option<String> {
    let text = text?;
    let text = if text.contains('\0') { text.replace('\0', "") } else { text };
    Some(text).filter(|text| !text.is_empty())
}

/// A time; none if it is missing or empty.
///
/// # Errors
/// If it is something else.
pub(super) fn time(text: Option<&str>) -> Result<Option<OffsetDateTime>, ()> {
    match text.filter(|text| !text.is_empty()) {
        Some(text) => columns::timestamp(text).map(Some).ok_or(()),
        None => Ok(None),
    }
}
