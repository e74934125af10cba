//! What a row must have for what the vendor shows: every property, every typed column, and what became of the record.
//! Pure, and knows nothing of the connectors: it reads the vendor's text itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{Date, OffsetDateTime};

/// Differences that are told of each table.
const TOLD_MAX: usize = 3;

/// How a column is compared with the vendor's text. Money has no more digits than a double holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Flag,
    Day,
    Time,
}

/// What the row of a record must have. Equal texts and empty ones are the vendor's affair.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Expected {
    /// All that the vendor shows of it.
    pub properties: Value,
    /// Typed columns, and what each is made of.
    pub columns: Vec<(&'static str, Kind, Value)>,
}

/// What a table must have.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Records {
    /// By id; without those that no client can transform.
    pub live: BTreeMap<String, Expected>,
    /// Those that the vendor keeps as deleted. They need no row.
    pub archived: BTreeMap<String, Expected>,
    /// Records that are another one by now, and which.
    pub merged: BTreeMap<String, String>,
}

/// What is not the same.
pub(super) fn differences(records: &Records, rows: &BTreeMap<String, Value>) -> Vec<String> {
    let (live, gone): (BTreeMap<&String, &Value>, BTreeMap<&String, &Value>) =
        rows.iter().partition(|(_, row)| row["deleted_at"].is_null());
    let mut all = of_ids(&records.live.keys().collect(), &live.keys().copied().collect());
    let pairs = [(&records.live, &live), (&records.archived, &gone)];
    let both = pairs.into_iter().flat_map(|(expected, rows)| {
        expected.iter().filter_map(|(id, expected)| Some((id, expected, *rows.get(id)?)))
    });
    let differ = both.filter_map(|(id, expected, row)| Some(format!("{id}: {}", of_fields(expected, row)?)));
    all.extend(differ.take(TOLD_MAX));
    let lost = gone.iter().filter(|(id, _)| !records.archived.contains_key(**id));
    let differ = lost.filter_map(|(id, row)| Some(format!("{id}: {}", of_merge(records, id, row)?)));
    all.extend(differ.take(TOLD_MAX));
    all
}

/// Which ids only one side has.
pub(super) fn of_ids<T: Ord + std::fmt::Display>(
    source: &BTreeSet<T>,
    destination: &BTreeSet<T>,
) -> Vec<String> {
    let (missing, extra) = (source.difference(destination), destination.difference(source));
    let missing = missing.take(TOLD_MAX).map(|id| format!("{id}: is missing"));
    missing.chain(extra.take(TOLD_MAX).map(|id| format!("{id}: is not at the source"))).collect()
}

/// The first field that differs. A property that only the source has is a difference, unless it is empty.
fn of_fields(expected: &Expected, row: &Value) -> Option<String> {
    let (Some(source), Some(destination)) = (expected.properties.as_object(), row["properties"].as_object())
    else {
        return Some("has no properties".to_owned());
    };
    let names: BTreeSet<&String> = source.keys().chain(destination.keys()).collect();
    let property = names.into_iter().find_map(|name| {
        let expected = source.get(name).map_or(Value::Null, without_nul);
        let found = destination.get(name).unwrap_or(&Value::Null);
        (expected != *found).then(|| format!("{name} is {found} and should be {expected}"))
    });
    property.or_else(|| {
        let differs = |(name, kind, source): &&(&str, Kind, Value)| !is_same(*kind, source, &row[*name]);
        let (name, _, source) = expected.columns.iter().find(differs)?;
        Some(format!("column {name} is {} and should be {source}", row[*name]))
    })
}

/// Of a row whose record the vendor shows nowhere: it may have become another one.
fn of_merge(records: &Records, id: &str, row: &Value) -> Option<String> {
    let (survivor, merged_into) = (records.merged.get(id).map(String::as_str), row["merged_into"].as_str());
    match (survivor, merged_into) {
        (Some(survivor), found) if found != Some(survivor) => {
            Some(format!("is merged into {found:?} and should be into {survivor}"))
        }
        (None, Some(found)) if records.live.contains_key(found) => {
            Some(format!("is merged into {found}, which does not say so"))
        }
        _ => None,
    }
}

/// Postgres has no such character.
fn without_nul(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace('\0', "")),
        other => other.clone(),
    }
}

fn is_same(kind: Kind, source: &Value, found: &Value) -> bool {
    let text = match without_nul(source) {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let trimmed = text.trim();
    if text.is_empty() || kind != Kind::Text && trimmed.is_empty() {
        return found.is_null();
    }
    match kind {
        Kind::Text => found.as_str() == Some(text.as_str()),
        Kind::Number => trimmed.parse().is_ok_and(|number: f64| found.as_f64() == Some(number)),
        Kind::Flag => trimmed.parse().is_ok_and(|flag: bool| found.as_bool() == Some(flag)),
        Kind::Day => {
            let day = |text| moment(text).map(OffsetDateTime::date);
            day(trimmed).is_some() && day(trimmed) == found.as_str().and_then(day)
        }
        Kind::Time => moment(trimmed).is_some() && moment(trimmed) == found.as_str().and_then(moment),
    }
}

/// RFC 3339, a day, or milliseconds since 1970: the vendor has all of them.
fn moment(text: &str) -> Option<OffsetDateTime> {
    if let Ok(ms) = text.parse::<i64>() {
        return OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok();
    }
    if text.len() == 10 {
        return Some(Date::parse(text, &Iso8601::DATE).ok()?.midnight().assume_utc());
    }
    let utc = time::UtcOffset::UTC;
    OffsetDateTime::parse(text, &Rfc3339).ok().map(|moment| moment.to_offset(utc))
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
