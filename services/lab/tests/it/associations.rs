use std::collections::{BTreeMap, BTreeSet};

use lab::{Change, LabConfig, Object};
use serde_json::{Value, json};

use crate::vendor::{Vendor, ids, small};

fn medium() -> LabConfig {
    LabConfig { contacts: 3_000, ..small() }
}

async fn page(vendor: &Vendor, pair: &str, inputs: Vec<Value>) -> (u16, Value) {
    let path = format!("/crm/v4/associations/{pair}/batch/read");
    let response = vendor.post(&path, &json!({"inputs": inputs})).await;
    (response.status().as_u16(), response.json().await.unwrap())
}

fn id_of(to: &Value) -> u64 {
    let id = &to["toObjectId"];
    id.as_u64().unwrap_or_else(|| id.as_str().unwrap().parse().unwrap())
}

/// Everything that these records are associated with, page after page.
async fn read(vendor: &Vendor, pair: &str, ids: &[u64]) -> BTreeMap<u64, Vec<u64>> {
    let mut found: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut inputs: Vec<Value> = ids.iter().map(|id| json!({"id": id.to_string()})).collect();
    while !inputs.is_empty() {
        let (_, body) = page(vendor, pair, std::mem::take(&mut inputs)).await;
        for result in body["results"].as_array().unwrap() {
            let id = &result["from"]["id"];
            let to = result["to"].as_array().unwrap();
            assert!(to.len() <= 500);
            found.entry(id.as_str().unwrap().parse().unwrap()).or_default().extend(to.iter().map(id_of));
            if let Some(after) = result.get("paging").map(|paging| &paging["next"]["after"]) {
                inputs.push(json!({"id": id, "after": after}));
            }
        }
    }
    found
}

#[tokio::test]
async fn all_pages_of_all_inputs_are_the_truth_from_either_side() {
    let vendor = Vendor::start(medium()).await;
    for (from, to, pair, back) in [
        (Object::Deals, Object::Companies, "deals/companies", "0-2/0-3"),
        (Object::Deals, Object::Contacts, "0-3/0-1", "contacts/deals"),
        (Object::Contacts, Object::Companies, "contacts/companies", "companies/contacts"),
    ] {
        let all = ids(&vendor.lab.records(from).unwrap());
        let found = read(&vendor, pair, &all[..200]).await;
        let truth = vendor.lab.associations(from, to);
        assert!(found.iter().eq(truth.range(..=all[199])));
        assert!((100..200).contains(&found.len()), "some have none");
        let (id, targets) = found.first_key_value().unwrap();
        let seen_back = read(&vendor, back, &targets[..1]).await;
        assert!(seen_back[&targets[0]].contains(id), "{pair}");
        assert!(targets.is_sorted_by(|a, b| a < b));
    }
    let longest = vendor.lab.associations(Object::Deals, Object::Contacts).into_values().map(|to| to.len());
    assert_eq!(longest.max(), Some(1_200), "more than one page");
}

#[tokio::test]
async fn inputs_without_associations_are_named_in_a_207() {
    let vendor = Vendor::start(medium()).await;
    let deals = ids(&vendor.lab.records(Object::Deals).unwrap());
    let with = vendor.lab.associations(Object::Deals, Object::Companies);
    let none = *deals.iter().find(|id| !with.contains_key(id)).unwrap();
    let some = *with.keys().next().unwrap();
    let inputs = vec![json!({"id": none.to_string()}), json!({"id": some.to_string()}), json!({"id": "x"})];
    let (status, body) = page(&vendor, "deals/companies", inputs).await;
    assert_eq!((status, &body["status"], &body["numErrors"]), (207, &json!("COMPLETE"), &json!(2)));
    assert_eq!(body["results"].as_array().unwrap().len(), 1);
    let error = &body["errors"][0];
    assert_eq!(error["subCategory"], "crm.associations.NO_ASSOCIATIONS_FOUND");
    assert_eq!(error["context"]["fromObjectId"], json!([none.to_string()]));
    let (status, body) = page(&vendor, "deals/companies", vec![json!({"id": some.to_string()})]).await;
    assert_eq!((status, body.get("errors")), (200, None));
}

#[tokio::test]
async fn ids_come_as_numbers_or_text_and_types_come_twice() {
    let vendor = Vendor::start(medium()).await;
    let deals = ids(&vendor.lab.records(Object::Deals).unwrap());
    let inputs = deals.iter().map(|id| json!({"id": id.to_string()})).collect();
    let (_, body) = page(&vendor, "deals/companies", inputs).await;
    let (mut numbers, mut texts, mut doubled, mut user_defined) = (0, 0, 0, 0);
    for result in body["results"].as_array().unwrap() {
        let mut primaries = 0;
        for to in result["to"].as_array().unwrap() {
            numbers += usize::from(to["toObjectId"].is_number());
            texts += usize::from(to["toObjectId"].is_string());
            let types = to["associationTypes"].as_array().unwrap();
            let distinct: BTreeSet<u64> = types.iter().map(|kind| kind["typeId"].as_u64().unwrap()).collect();
            doubled += usize::from(distinct.len() < types.len());
            user_defined += types.iter().filter(|kind| kind["category"] == "USER_DEFINED").count();
            primaries += types.iter().filter(|kind| kind["label"] == "Primary").count();
        }
        assert_eq!(primaries, 1);
    }
    assert!([numbers, texts, doubled, user_defined].iter().all(|count| *count > 10));
}

#[tokio::test]
async fn a_page_holds_as_many_as_the_lab_is_told() {
    let vendor = Vendor::start(medium()).await;
    assert_eq!(vendor.post("/_lab/settings", &json!({"associationPageSize": 1})).await.status(), 204);
    let truth = vendor.lab.associations(Object::Deals, Object::Contacts);
    let (id, targets) = truth.iter().find(|(_, targets)| targets.len() == 3).unwrap();
    let (_, body) = page(&vendor, "deals/contacts", vec![json!({"id": id.to_string()})]).await;
    assert_eq!(body["results"][0]["to"].as_array().unwrap().len(), 1);
    assert_eq!(read(&vendor, "deals/contacts", &[*id]).await[id], *targets);
}

#[tokio::test]
async fn asking_too_much_or_for_what_is_not_there_is_refused() {
    let vendor = Vendor::start(medium()).await;
    let many = |count: u64| (0..count).map(|id| json!({"id": id.to_string()})).collect::<Vec<_>>();
    assert_eq!(page(&vendor, "deals/companies", many(1_001)).await.0, 400);
    assert_eq!(page(&vendor, "deals/companies", many(1_000)).await.0, 207);
    assert_eq!(page(&vendor, "deals/deals", many(1)).await.0, 400);
    assert_eq!(page(&vendor, "deals/unicorns", many(1)).await.0, 400);
    assert_eq!(page(&vendor, "deals/companies", vec![json!({"id": "1", "after": "?"})]).await.0, 400);
}

#[tokio::test]
async fn records_get_other_associations_and_no_date_moves() {
    let vendor = Vendor::start(medium()).await;
    let before = vendor.lab.records(Object::Deals).unwrap();
    let pairs = [(Object::Deals, Object::Companies), (Object::Deals, Object::Contacts)];
    let links = |vendor: &Vendor| pairs.map(|(from, to)| vendor.lab.associations(from, to));
    let mut links_before = links(&vendor);
    for seed in 0..3 {
        let body = json!({"object": "deals", "reassociate": 40, "seed": seed});
        let changed: Value = vendor.post("/_lab/changes", &body).await.json().await.unwrap();
        let told: BTreeSet<u64> =
            changed["reassociated"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
        let links_after = links(&vendor);
        for (before, after) in links_before.iter().zip(&links_after) {
            let everyone = before.keys().chain(after.keys());
            let differing: BTreeSet<u64> =
                everyone.filter(|id| before.get(id) != after.get(id)).copied().collect();
            assert_eq!(differing, told);
        }
        links_before = links_after;
    }
    assert_eq!(vendor.lab.records(Object::Deals).unwrap(), before);
    let companies = Change { reassociate: 5, ..Change::of(Object::Companies) };
    assert!(vendor.lab.change(companies).reassociated.is_empty());
}

#[tokio::test]
async fn a_survivor_takes_the_associations_and_the_old_id_has_none() {
    let vendor = Vendor::start(medium()).await;
    let before = vendor.lab.associations(Object::Deals, Object::Companies);
    for merge in vendor.lab.change(Change { merge: 20, ..Change::of(Object::Deals) }).merged {
        let union: BTreeSet<u64> =
            [merge.survivor, merge.loser].iter().filter_map(|id| before.get(id)).flatten().copied().collect();
        let found = read(&vendor, "deals/companies", &[merge.survivor, merge.loser]).await;
        assert!(!found.contains_key(&merge.loser));
        let found: BTreeSet<u64> = found.get(&merge.survivor).into_iter().flatten().copied().collect();
        assert_eq!(found, union);
    }
    // What points at a company follows its merge and ends with its archiving.
    let (_, targets) = vendor.lab.associations(Object::Deals, Object::Companies).pop_last().unwrap();
    assert!(vendor.lab.set_archived(Object::Companies, targets[0], true));
    let after = vendor.lab.associations(Object::Deals, Object::Companies);
    assert!(after.values().flatten().all(|id| *id != targets[0]));
}
