//! Search filters: groups are alternatives, the filters of a group must all pass.

use std::cmp::Ordering;

use serde::Deserialize;

use super::Object;
use super::data::{Kind, Property, Row, parse_ms};

const GROUPS_MAX: usize = 5;
const FILTERS_IN_GROUP_MAX: usize = 6;
const FILTERS_MAX: usize = 18;

/// As sent.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FilterGroup {
    filters: Vec<SentFilter>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SentFilter {
    property_name: String,
    operator: String,
    value: Option<String>,
    high_value: Option<String>,
    values: Vec<String>,
}

/// A comparable value: numbers and dates by size, all else as lower-case text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Key {
    Number(f64),
    Text(String),
}

impl Key {
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
        }
    }
}

#[derive(Debug)]
enum Test {
    Compare(fn(Ordering) -> bool, Key),
    Between(Key, Key),
    OneOf(Vec<Key>, bool),
    Known(bool),
}

#[derive(Debug)]
struct Filter {
    property: &'static Property,
    test: Test,
}

/// Ids from `low` to `high`, both included; none if `low` is the greater one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) low: i64,
    pub(super) high: i64,
}

impl Ids {
    const ALL: Self = Self { low: 0, high: i64::MAX };

    /// `None` for what is no number to compare with.
    fn at_least(low: f64) -> Option<Self> {
        low.is_finite().then(|| Self { low: low.ceil() as i64, ..Self::ALL })
    }

    fn at_most(high: f64) -> Option<Self> {
        high.is_finite().then(|| Self { high: high.floor() as i64, ..Self::ALL })
    }

    fn intersection(self, other: Self) -> Self {
        Self { low: self.low.max(other.low), high: self.high.min(other.high) }
    }

    /// All of both and what is between them.
    fn hull(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }
}

/// All filters of a search.
#[derive(Debug)]
pub(super) struct Filters {
    groups: Vec<Vec<Filter>>,
}

impl Filters {
    pub(super) fn compile(object: Object, groups: &[FilterGroup]) -> Result<Self, String> {
        let all: usize = groups.iter().map(|group| group.filters.len()).sum();
        if groups.len() > GROUPS_MAX || all > FILTERS_MAX {
            return Err(format!("At most {GROUPS_MAX} filter groups and {FILTERS_MAX} filters are allowed."));
        }
        if groups.iter().any(|group| group.filters.len() > FILTERS_IN_GROUP_MAX) {
            return Err(format!("At most {FILTERS_IN_GROUP_MAX} filters are allowed in a group."));
        }
        let compile = |group: &FilterGroup| group.filters.iter().map(|sent| sent.compile(object)).collect();
        Ok(Self { groups: groups.iter().map(compile).collect::<Result<_, String>>()? })
    }

    pub(super) fn pass(&self, row: &Row, scratch: &mut String) -> bool {
        self.groups.is_empty()
            || self.groups.iter().any(|group| group.iter().all(|filter| filter.pass(row, scratch)))
    }

    /// No record with another id can pass: lets a walk by id look at its range only.
    pub(super) fn ids(&self) -> Ids {
        let of_group = |group: &Vec<Filter>| {
            let ids = group.iter().filter_map(Filter::ids);
            ids.fold(Ids::ALL, Ids::intersection)
        };
        self.groups.iter().map(of_group).reduce(Ids::hull).unwrap_or(Ids::ALL)
    }

    /// Whether every record with one of [`Filters::ids`] passes.
    pub(super) fn are_about_ids_only(&self) -> bool {
        match self.groups.as_slice() {
            [] => true,
            [only] => only.iter().all(|filter| filter.ids().is_some()),
            _ => false,
        }
    }
}

impl SentFilter {
    fn compile(&self, object: Object) -> Result<Filter, String> {
        let name = &self.property_name;
        let property = object.property(name).ok_or_else(|| format!("Unknown filter property: {name:?}"))?;
        let value = || self.key(property, self.value.as_deref(), "value");
        let many = || -> Vec<Key> { self.values.iter().filter_map(|text| key(property, text)).collect() };
        let test = match self.operator.as_str() {
            "EQ" => Test::Compare(Ordering::is_eq, value()?),
            "NEQ" => Test::Compare(Ordering::is_ne, value()?),
            "GT" => Test::Compare(Ordering::is_gt, value()?),
            "GTE" => Test::Compare(Ordering::is_ge, value()?),
            "LT" => Test::Compare(Ordering::is_lt, value()?),
            "LTE" => Test::Compare(Ordering::is_le, value()?),
            "BETWEEN" => {
                Test::Between(value()?, self.key(property, self.high_value.as_deref(), "highValue")?)
            }
            "IN" => Test::OneOf(many(), true),
            "NOT_IN" => Test::OneOf(many(), false),
            "HAS_PROPERTY" => Test::Known(true),
            "NOT_HAS_PROPERTY" => Test::Known(false),
            other => return Err(format!("The lab does not serve the operator {other:?}.")),
        };
        Ok(Filter { property, test })
    }

    fn key(&self, property: &Property, text: Option<&str>, field: &str) -> Result<Key, String> {
        let name = &self.property_name;
        let text = text.ok_or_else(|| format!("The filter on {name} needs a {field}."))?;
        key(property, text).ok_or_else(|| format!("{text:?} is not a {field} for {name}."))
    }
}

impl Filter {
    fn pass(&self, row: &Row, scratch: &mut String) -> bool {
        let found = key_of(self.property, row, scratch);
        match (&self.test, found) {
            (Test::Known(wanted), found) => found.is_some() == *wanted,
            (_, None) => false,
            (Test::Compare(passes, than), Some(found)) => passes(found.compare(than)),
            (Test::Between(low, high), Some(found)) => {
                found.compare(low).is_ge() && found.compare(high).is_le()
            }
            (Test::OneOf(keys, wanted), Some(found)) => keys.contains(&found) == *wanted,
        }
    }

    /// The ids that pass, if it is about ids and they have no gaps.
    fn ids(&self) -> Option<Ids> {
        if self.property.name != "hs_object_id" {
            return None;
        }
        match &self.test {
            Test::Between(Key::Number(low), Key::Number(high)) => {
                Some(Ids::at_least(*low)?.intersection(Ids::at_most(*high)?))
            }
            Test::Compare(passes, Key::Number(than)) => {
                let than = *than;
                match [Ordering::Less, Ordering::Equal, Ordering::Greater].map(passes) {
                    [true, false, false] => Ids::at_most(than.ceil() - 1.0),
                    [true, true, false] => Ids::at_most(than),
                    [false, true, false] => Some(Ids::at_least(than)?.intersection(Ids::at_most(than)?)),
                    [false, true, true] => Ids::at_least(than),
                    [false, false, true] => Ids::at_least(than.floor() + 1.0),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// What a record is compared or sorted by; `None` if it has no such value.
pub(super) fn key_of(property: &Property, row: &Row, scratch: &mut String) -> Option<Key> {
    match property.name {
        "hs_object_id" => return Some(Key::Number(row.id as f64)),
        "lastmodifieddate" | "hs_lastmodifieddate" => return Some(Key::Number(row.modified_ms as f64)),
        // The index is built from the true date, not from the text that an import spoiled.
        "createdate" => return Some(Key::Number(row.created_ms as f64)),
        _ => {}
    }
    scratch.clear();
    if (property.make)(row, scratch) && !scratch.is_empty() { key(property, scratch) } else { None }
}

fn key(property: &Property, text: &str) -> Option<Key> {
    match property.kind {
        Kind::Number => text.parse().ok().map(Key::Number),
        Kind::Date | Kind::DateTime => parse_ms(text).map(|ms| Key::Number(ms as f64)),
        _ => Some(Key::Text(text.to_lowercase())),
    }
}
