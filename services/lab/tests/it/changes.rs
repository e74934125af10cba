use std::collections::{BTreeMap, BTreeSet};

use lab::{Change, Changed, LabConfig, Object};
use serde_json::{Value, json};

use crate::vendor::{Vendor, ids, small};

type Records = BTreeMap<u64, Value>;

fn by_id(records: Vec<Value>) -> Records {
    ids(&records).into_iter().zip(records).collect()
}

fn live(vendor: &Vendor, object: Object) -> Records {
    by_id(vendor.lab.records(object).unwrap())
}

#[tokio::test]
async fn changes_over_http_answer_the_ids_and_are_what_lists_and_the_truth_show() {
    let vendor = Vendor::start(small()).await;
    let before = live(&vendor, Object::Contacts);
    vendor.lab.change(Change { archive: 30, seed: 9, ..Change::of(Object::Contacts) });
    let body = json!({"object": "contacts", "edit": 100, "archive": 40, "restore": 10, "merge": 5, "hardDelete": 7,
        "seed": 1});
    let changed: Changed = vendor.post("/_lab/changes", &body).await.json().await.unwrap();
    let counts = [&changed.edited, &changed.archived, &changed.restored, &changed.hard_deleted].map(Vec::len);
    assert_eq!((counts, changed.merged.len()), ([100, 40, 10, 7], 5));

    let after = live(&vendor, Object::Contacts);
    let archived = by_id(vendor.lab.archived_records(Object::Contacts).unwrap());
    assert_eq!((after.len(), archived.len()), (1_000 - 30 - 40 + 10 - 5 - 7, 30 + 40 - 10));
    assert_eq!(by_id(vendor.list("/crm/v3/objects/contacts?archived=false").await).len(), after.len());
    let listed_archived = by_id(vendor.list("/crm/v3/objects/contacts?archived=true").await);
    assert!(listed_archived.keys().eq(archived.keys()));
    let expected = vendor.lab.expect(Object::Contacts);
    assert_eq!(expected.records, after.len() as u64);
    assert_eq!(vendor.lab.expect_archived(Object::Contacts).records, archived.len() as u64);
    assert_eq!(vendor.json("/_lab/expect?archived=true").await["contacts"]["records"], archived.len());
    let lines = vendor.get("/_lab/records/contacts?archived=true").await.text().await.unwrap();
    assert_eq!(lines.lines().count(), archived.len());

    for id in &changed.archived {
        assert!(archived[id]["archivedAt"].is_string());
        assert_eq!(archived[id]["updatedAt"], before[id]["updatedAt"], "archiving moves no modified date");
    }
    for id in &changed.restored {
        assert!(after[id]["updatedAt"].as_str() > before[id]["updatedAt"].as_str());
        assert_eq!(after[id].get("archivedAt"), None);
    }
    for merge in &changed.merged {
        assert!(!after.contains_key(&merge.loser) && !archived.contains_key(&merge.loser));
        assert!(after[&merge.survivor]["updatedAt"].as_str() > before[&merge.survivor]["updatedAt"].as_str());
    }
    for id in &changed.hard_deleted {
        assert!(!after.contains_key(id) && !archived.contains_key(id));
        assert_eq!(vendor.get(&format!("/crm/v3/objects/contacts/{id}?archived=true")).await.status(), 404);
    }
    let told: BTreeSet<u64> = changed.edited.iter().chain(&changed.restored).copied().collect();
    let survivors: BTreeSet<u64> = changed.merged.iter().map(|merge| merge.survivor).collect();
    let differs = |id: &&u64| after[*id] != before[*id];
    let differing: BTreeSet<u64> = after.keys().filter(differs).copied().collect();
    assert_eq!(differing, &told | &survivors, "nothing else has changed");
}

#[tokio::test]
async fn an_edit_changes_a_name_a_number_and_a_custom_value_each_time() {
    let vendor = Vendor::start(LabConfig { contacts: 300, companies: 300, deals: 300, ..small() }).await;
    let everything = |object| Change { edit: u64::MAX, ..Change::of(object) };
    for (object, names) in [
        (Object::Contacts, ["lastname", "phone", "loyalty_points"]),
        (Object::Companies, ["name", "phone", "credit_limit"]),
        (Object::Deals, ["dealname", "amount", "discount_percent"]),
    ] {
        let mut before = live(&vendor, object);
        for _ in 0..5 {
            assert_eq!(vendor.lab.change(everything(object)).edited.len(), 300);
            let after = live(&vendor, object);
            let changed = names.map(|name| {
                after
                    .iter()
                    .filter(|(id, now)| now["properties"][name] != before[id]["properties"][name])
                    .count()
            });
            assert_eq!(changed[0], 300);
            assert!(changed[1] >= 295 && changed[2] >= 260, "{object:?} {changed:?}");
            for record in after.values() {
                assert_eq!(record["properties"][object.cursor_property()], record["updatedAt"]);
            }
            before = after;
        }
        let untransformable = vendor.lab.expect(object).untransformable;
        assert!(object != Object::Deals || untransformable == 1, "an edit mends nothing");
    }
}

#[tokio::test]
async fn equal_seeds_choose_equal_records() {
    let vendor = Vendor::start(small()).await;
    let twin = Vendor::start(small()).await;
    let change = Change { edit: 20, merge: 3, hard_delete: 4, seed: 5, ..Change::of(Object::Deals) };
    let changed = vendor.lab.change(change.clone());
    assert_eq!(changed, twin.lab.change(change.clone()));
    let other = Vendor::start(small()).await;
    assert_ne!(changed, other.lab.change(Change { seed: 6, ..change }));
}

#[tokio::test]
async fn a_bulk_edit_gives_twelve_thousand_records_one_timestamp() {
    let vendor = Vendor::start(LabConfig { contacts: 46_000, ..small() }).await;
    let body = json!({"object": "contacts", "edit": 12_000, "timestamp": "2026-11-05T10:00:00.123Z"});
    let changed: Changed = vendor.post("/_lab/changes", &body).await.json().await.unwrap();
    assert_eq!(changed.edited.len(), 12_000);
    let filter = json!({"propertyName": "lastmodifieddate", "operator": "EQ", "value": "1793872800123"});
    let after = changed.edited[6_000].to_string();
    let keyset = json!({"propertyName": "hs_object_id", "operator": "GT", "value": after});
    for (filters, total) in [(json!([filter]), 12_000), (json!([filter, keyset]), 5_999)] {
        let body = json!({"filterGroups": [{"filters": filters}]});
        let found: Value = vendor.post("/crm/v3/objects/contacts/search", &body).await.json().await.unwrap();
        assert_eq!(found["total"], total);
        assert_eq!(found["results"][0]["updatedAt"], "2026-11-05T10:00:00.123Z");
    }
}

#[tokio::test]
async fn a_survivor_carries_what_was_merged_into_its_losers() {
    let vendor = Vendor::start(LabConfig { deals: 40, ..small() }).await;
    // Until one is left: every id answers with it.
    let all: Vec<u64> = live(&vendor, Object::Deals).into_keys().collect();
    while live(&vendor, Object::Deals).len() > 1 {
        vendor.lab.change(Change { merge: 40, ..Change::of(Object::Deals) });
    }
    let last = live(&vendor, Object::Deals).into_values().next().unwrap();
    let merged = last["properties"]["hs_merged_object_ids"].as_str().unwrap();
    let merged: BTreeSet<u64> = merged.split(';').map(|id| id.parse().unwrap()).collect();
    for id in all {
        let answered = vendor.json(&format!("/crm/v3/objects/deals/{id}")).await;
        assert_eq!(answered["id"], last["id"]);
        assert_ne!(merged.contains(&id), answered["id"] == *id.to_string());
    }
}

#[tokio::test]
async fn fewer_are_changed_when_there_are_not_that_many_and_nonsense_is_explained() {
    let vendor = Vendor::start(LabConfig { deals: 9, ..small() }).await;
    let changed = vendor.lab.change(Change { edit: 2, restore: 3, merge: 50, ..Change::of(Object::Deals) });
    assert_eq!((changed.edited.len(), changed.restored.len(), changed.merged.len()), (2, 0, 3));
    for (body, says) in [
        (json!({"object": "unicorns"}), "no such object: unicorns"),
        (json!({"edit": 1}), "missing field `object`"),
        (json!({"object": "deals", "edits": 1}), "unknown field `edits`"),
        (json!({"object": "deals", "timestamp": "soon"}), "not a timestamp: soon"),
    ] {
        let response = vendor.post("/_lab/changes", &body).await;
        assert_eq!(response.status(), 400);
        let answer: Value = response.json().await.unwrap();
        assert!(answer["error"].as_str().unwrap().contains(says), "{answer}");
    }
}
