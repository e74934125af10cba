//! What the lab has against what Postgres has, record by record, field by field.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use lab::{Object, RunningLab};
use protocol::{Table, WorkspaceId};
use serde_json::Value;
use store::Store;

/// Where the records of each object are.
const OBJECTS: [(Object, Table); 3] = [
    (Object::Contacts, Table::Contacts),
    (Object::Companies, Table::Accounts),
    (Object::Deals, Table::Deals),
];
/// The associations that a sync brings.
const PAIRS: [(Object, Object); 3] = [
    (Object::Contacts, Object::Companies),
    (Object::Deals, Object::Companies),
    (Object::Deals, Object::Contacts),
];
/// Differences that are told of each object.
const TOLD_MAX: usize = 3;

/// What a workspace must have.
pub(super) struct Source {
    /// The live records of an object, without those that no client can transform, by id.
    records: BTreeMap<Table, BTreeMap<String, Value>>,
    links: BTreeSet<String>,
}

impl Source {
    pub(super) fn of(lab: &RunningLab) -> anyhow::Result<Self> {
        let mut source = Self { records: BTreeMap::new(), links: BTreeSet::new() };
        let mut without_row = BTreeSet::new();
        for (object, table) in OBJECTS {
            let live = lab.expect(object).untransformable_ids;
            let mut records = BTreeMap::new();
            for mut record in lab.records(object)? {
                let id = record["id"].as_str().context("a record of the lab has no id")?.to_owned();
                if !live.contains(&id) {
                    records.insert(id, record["properties"].take());
                }
            }
            source.records.insert(table, records);
            let archived = lab.expect_archived(object).untransformable_ids;
            without_row.extend(live.into_iter().chain(archived).map(|id| (object.name(), id)));
        }
        for (from, to) in PAIRS {
            for (id, others) in lab.associations(from, to) {
                if !without_row.contains(&(from.name(), id.to_string())) {
                    let key = |other: u64| format!("{} {id} {} {other}", from.name(), to.name());
                    source.links.extend(others.into_iter().map(key));
                }
            }
        }
        Ok(source)
    }

    /// What is not the same in a workspace.
    pub(super) async fn differences(&self, store: &Store, workspace: &str) -> anyhow::Result<Vec<String>> {
        let id: WorkspaceId = workspace.parse()?;
        let mut all = Vec::new();
        for (table, records) in &self.records {
            let rows = live(store.rows(&id, *table).await?);
            all.extend(
                differences(records, &rows).into_iter().map(|what| format!("{workspace} {table:?} {what}")),
            );
        }
        let links = live(store.rows(&id, Table::Associations).await?).into_keys().collect();
        all.extend(
            of_ids(&self.links, &links).into_iter().map(|what| format!("{workspace} associations {what}")),
        );
        Ok(all)
    }

    /// How many records and associations it has.
    pub(super) fn len(&self) -> usize {
        self.links.len() + self.records.values().map(BTreeMap::len).sum::<usize>()
    }
}

fn live(rows: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    rows.into_iter().filter(|(_, row)| row["deleted_at"].is_null()).collect()
}

fn differences(records: &BTreeMap<String, Value>, rows: &BTreeMap<String, Value>) -> Vec<String> {
    let mut all = of_ids(&records.keys().cloned().collect(), &rows.keys().cloned().collect());
    let both = records.iter().filter_map(|(id, record)| Some((id, record, rows.get(id)?)));
    let differ = both.filter_map(|(id, record, row)| Some(format!("{id}: {}", of_fields(record, row)?)));
    all.extend(differ.take(TOLD_MAX));
    all
}

fn of_ids(source: &BTreeSet<String>, destination: &BTreeSet<String>) -> Vec<String> {
    let (missing, extra) = (source.difference(destination), destination.difference(source));
    let missing = missing.take(TOLD_MAX).map(|id| format!("{id}: is missing"));
    missing.chain(extra.take(TOLD_MAX).map(|id| format!("{id}: is not at the source"))).collect()
}

/// The first field that differs. A field that only the source has is a difference, unless it is empty.
fn of_fields(record: &Value, row: &Value) -> Option<String> {
    let (Some(source), Some(destination)) = (record.as_object(), row["properties"].as_object()) else {
        return Some("has no properties".to_owned());
    };
    let names: BTreeSet<&String> = source.keys().chain(destination.keys()).collect();
    names.into_iter().find_map(|name| {
        let expected = match source.get(name) {
            // Postgres has no such character.
            Some(Value::String(text)) => Value::String(text.replace('\0', "")),
            other => other.cloned().unwrap_or(Value::Null),
        };
        let found = destination.get(name).cloned().unwrap_or(Value::Null);
        (expected != found).then(|| format!("{name} is {found} and should be {expected}"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn records() -> BTreeMap<String, Value> {
        BTreeMap::from([
            ("1".to_owned(), json!({"name": "a", "empty": null})),
            ("2".to_owned(), json!({"name": "b\0"})),
        ])
    }

    fn rows() -> BTreeMap<String, Value> {
        let row = |name: &str| json!({"properties": {"name": name}, "deleted_at": null});
        BTreeMap::from([("1".to_owned(), row("a")), ("2".to_owned(), row("b"))])
    }

    #[test]
    fn equal_sides_have_no_difference() {
        assert_eq!(differences(&records(), &rows()), Vec::<String>::new());
    }

    #[test]
    fn a_tampered_a_missing_and_an_extra_row_are_found() {
        let mut tampered = rows();
        tampered.get_mut("1").unwrap()["properties"]["name"] = json!("x");
        assert_eq!(differences(&records(), &tampered), ["1: name is \"x\" and should be \"a\""]);
        let mut missing = rows();
        missing.remove("2");
        assert_eq!(differences(&records(), &missing), ["2: is missing"]);
        let mut extra = rows();
        extra.insert("3".to_owned(), json!({"properties": {}}));
        assert_eq!(differences(&records(), &extra), ["3: is not at the source"]);
        let mut deleted = rows();
        deleted.get_mut("1").unwrap()["deleted_at"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(differences(&records(), &live(deleted)), ["1: is missing"]);
    }
}
