//! What the lab has against what Postgres has: records, owners and stages field by field, associations by their kinds.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use lab::{Object, RunningLab};
use protocol::{Table, WorkspaceId};
use serde_json::{Value, json};
use store::Store;

use super::fields::{Expected, Kind, Records, differences, of_ids};

/// A typed column, the property that it is made of, and how.
type Column = (&'static str, &'static str, Kind);

/// Where the records of each object are, and the typed columns of their rows with the properties that they are made of.
const OBJECTS: [(Object, Table, &[Column]); 3] = [
    (
        Object::Contacts,
        Table::Contacts,
        &[
            ("email", "email", Kind::Text),
            ("first_name", "firstname", Kind::Text),
            ("last_name", "lastname", Kind::Text),
            ("phone", "phone", Kind::Text),
            ("job_title", "jobtitle", Kind::Text),
            ("account_external_id", "associatedcompanyid", Kind::Text),
            ("lifecycle_stage", "lifecyclestage", Kind::Text),
            ("owner_id", "hubspot_owner_id", Kind::Text),
            ("source_created_at", "createdate", Kind::Time),
            ("source_updated_at", "lastmodifieddate", Kind::Time),
        ],
    ),
    (
        Object::Companies,
        Table::Accounts,
        &[
            ("name", "name", Kind::Text),
            ("domain", "domain", Kind::Text),
            ("industry", "industry", Kind::Text),
            ("city", "city", Kind::Text),
            ("country", "country", Kind::Text),
            ("employees", "numberofemployees", Kind::Number),
            ("annual_revenue", "annualrevenue", Kind::Number),
            ("owner_id", "hubspot_owner_id", Kind::Text),
            ("source_created_at", "createdate", Kind::Time),
            ("source_updated_at", "hs_lastmodifieddate", Kind::Time),
        ],
    ),
    (
        Object::Deals,
        Table::Deals,
        &[
            ("name", "dealname", Kind::Text),
            ("amount", "amount", Kind::Number),
            ("currency", "deal_currency_code", Kind::Text),
            ("stage", "dealstage", Kind::Text),
            ("pipeline", "pipeline", Kind::Text),
            ("owner_id", "hubspot_owner_id", Kind::Text),
            ("close_date", "closedate", Kind::Day),
            ("is_won", "hs_is_closed_won", Kind::Flag),
            ("source_created_at", "createdate", Kind::Time),
            ("source_updated_at", "hs_lastmodifieddate", Kind::Time),
        ],
    ),
];
/// The associations that a sync brings.
const PAIRS: [(Object, Object); 3] = [
    (Object::Contacts, Object::Companies),
    (Object::Deals, Object::Companies),
    (Object::Deals, Object::Contacts),
];

/// What a workspace must have. All accounts of the lab have the same.
pub(super) struct Source {
    records: BTreeMap<Table, Records>,
    /// Each association, as the row of it is called, with its kinds.
    links: BTreeSet<String>,
}

impl Source {
    pub(super) fn of(lab: &RunningLab) -> anyhow::Result<Self> {
        let mut source = Self { records: BTreeMap::new(), links: BTreeSet::new() };
        let mut without_row = BTreeSet::new();
        for (object, table, columns) in OBJECTS {
            let live = lab.expect(object).untransformable_ids;
            let archived = lab.expect_archived(object).untransformable_ids;
            without_row.extend(live.into_iter().chain(archived).map(|id| (object.name(), id)));
            let mut records = Records::default();
            for (is_live, record) in all_records(lab, object)? {
                let id = record["id"].as_str().context("a record of the lab has no id")?;
                if without_row.contains(&(object.name(), id.to_owned())) {
                    continue;
                }
                let expected = of_record(&record, columns);
                if is_live {
                    records.merged.extend(merged(id, &record));
                    records.live.insert(id.to_owned(), expected);
                } else {
                    records.archived.insert(id.to_owned(), expected);
                }
            }
            source.records.insert(table, records);
        }
        source.records.insert(Table::Owners, owners(lab)?);
        source.records.insert(Table::Stages, stages(lab)?);
        for (from, to) in PAIRS {
            for ((id, other), types) in lab.shown_association_types(from, to) {
                if !without_row.contains(&(from.name(), id.to_string())) {
                    let key = format!("{} {id} {} {other}", from.name(), to.name());
                    source.links.insert(link(&key, &types));
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
            let found = differences(records, &store.rows(&id, *table).await?);
            all.extend(found.into_iter().map(|what| format!("{workspace} {table:?} {what}")));
        }
        let found = of_ids(&self.links, &links(&store.rows(&id, Table::Associations).await?));
        all.extend(found.into_iter().map(|what| format!("{workspace} associations {what}")));
        Ok(all)
    }

    /// How many live records and associations it has.
    pub(super) fn len(&self) -> usize {
        self.links.len() + self.records.values().map(|records| records.live.len()).sum::<usize>()
    }
}

/// Live and archived ones.
fn all_records(lab: &RunningLab, object: Object) -> anyhow::Result<Vec<(bool, Value)>> {
    let live = lab.records(object)?.into_iter().map(|record| (true, record));
    let archived = lab.archived_records(object)?.into_iter().map(|record| (false, record));
    Ok(live.chain(archived).collect())
}

fn of_record(record: &Value, columns: &[Column]) -> Expected {
    let properties = &record["properties"];
    let typed =
        columns.iter().map(|(column, property, kind)| (*column, *kind, properties[*property].clone()));
    let fate =
        [("deleted_at", Kind::Time, record["archivedAt"].clone()), ("merged_into", Kind::Text, Value::Null)];
    Expected { properties: properties.clone(), columns: typed.chain(fate).collect() }
}

/// The records that were merged into this one, by its own word.
fn merged<'a>(id: &'a str, record: &'a Value) -> impl Iterator<Item = (String, String)> + 'a {
    let ids = record["properties"]["hs_merged_object_ids"].as_str().unwrap_or_default();
    ids.split(';')
        .filter(move |loser| !loser.is_empty() && *loser != id)
        .map(|loser| (loser.to_owned(), id.to_owned()))
}

fn owners(lab: &RunningLab) -> anyhow::Result<Records> {
    let owners = |is_archived| {
        let shown = lab.shown_owners(is_archived).into_iter();
        let of = shown.map(|owner| {
            let id = owner["id"].as_str().context("an owner of the lab has no id")?.to_owned();
            anyhow::Ok((id, of_owner(owner)))
        });
        of.collect::<Result<BTreeMap<_, _>, _>>()
    };
    Ok(Records { live: owners(false)?, archived: owners(true)?, merged: BTreeMap::new() })
}

fn of_owner(owner: Value) -> Expected {
    let columns = vec![
        ("email", Kind::Text, owner["email"].clone()),
        ("first_name", Kind::Text, owner["firstName"].clone()),
        ("last_name", Kind::Text, owner["lastName"].clone()),
        ("user_id", Kind::Text, owner["userIdIncludingInactive"].clone()),
        ("kind", Kind::Text, owner["type"].clone()),
        ("source_created_at", Kind::Time, owner["createdAt"].clone()),
        ("source_updated_at", Kind::Time, owner["updatedAt"].clone()),
    ];
    Expected { properties: owner, columns }
}

fn stages(lab: &RunningLab) -> anyhow::Result<Records> {
    let mut records = Records::default();
    for mut pipeline in lab.shown_pipelines() {
        let stages = pipeline["stages"].take();
        for stage in stages.as_array().context("a pipeline of the lab has no stages")? {
            let id = stage["id"].as_str().context("a stage of the lab has no id")?.to_owned();
            let columns = vec![
                ("name", Kind::Text, stage["label"].clone()),
                ("position", Kind::Number, stage["displayOrder"].clone()),
                ("probability", Kind::Number, stage["metadata"]["probability"].clone()),
                ("is_closed", Kind::Flag, stage["metadata"]["isClosed"].clone()),
                ("pipeline", Kind::Text, pipeline["id"].clone()),
                ("pipeline_name", Kind::Text, pipeline["label"].clone()),
                ("pipeline_position", Kind::Number, pipeline["displayOrder"].clone()),
                ("source_created_at", Kind::Time, stage["createdAt"].clone()),
                ("source_updated_at", Kind::Time, stage["updatedAt"].clone()),
            ];
            let of = json!({
                "id": pipeline["id"], "label": pipeline["label"], "displayOrder": pipeline["displayOrder"],
            });
            let properties = json!({"stage": stage, "pipeline": of});
            records.live.insert(id, Expected { properties, columns });
        }
    }
    Ok(records)
}

/// An association and its kinds: the same text for the same ones, in whatever order and however often they are listed.
fn link(key: &str, types: &[Value]) -> String {
    let kinds: BTreeSet<String> = types
        .iter()
        .map(|kind| format!("{} {} {}", kind["category"], kind["typeId"], kind["label"]))
        .collect();
    format!("{key} {kinds:?}")
}

/// Those that are not over. The column for people has the labels of the kinds.
fn links(rows: &BTreeMap<String, Value>) -> BTreeSet<String> {
    let live = rows.iter().filter(|(_, row)| row["deleted_at"].is_null());
    let text = |(key, row): (&String, &Value)| {
        let types = row["types"].as_array().map(Vec::as_slice).unwrap_or_default();
        let labels: Value =
            types.iter().map(|kind| kind["label"].clone()).filter(|label| !label.is_null()).collect();
        let wrong = if labels == row["labels"] { "" } else { " with labels of others" };
        format!("{}{wrong}", link(key, types))
    };
    live.map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_association_of_another_kind_or_with_other_labels_is_found() {
        let kind = |id: u64, label: Value| json!({"category": "USER_DEFINED", "typeId": id, "label": label});
        let types = [kind(1, json!("Reseller")), kind(5, Value::Null)];
        let row = |types: &[Value], labels: Value| {
            let row = json!({"types": types, "labels": labels, "deleted_at": null});
            links(&BTreeMap::from([("deals 7 contacts 9".to_owned(), row)]))
        };
        let twice = [types[1].clone(), types[0].clone(), types[1].clone()];
        let source = BTreeSet::from([link("deals 7 contacts 9", &twice)]);
        assert_eq!(of_ids(&source, &row(&types, json!(["Reseller"]))), Vec::<String>::new());
        for wrong in [row(&types[..1], json!(["Reseller"])), row(&types, json!([])), row(&[], json!([]))] {
            assert_eq!(of_ids(&source, &wrong).len(), 2, "{wrong:?}");
        }
    }
}
