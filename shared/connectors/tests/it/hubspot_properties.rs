//! Which properties HubSpot's records come with.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, Mutex};

use connectors::{Position, Registry, Session};
use lab::{FaultRule, Object, RunningLab};
use serde_json::{Value, json};

use crate::conformance::{list, list_from};
use crate::hubspot::{PORTAL, config, contacts, generous, impatient, open, small_lab};
use crate::scripted::{Asked, Scripted};

async fn lab_session() -> (RunningLab, Box<dyn Session>) {
    let lab = RunningLab::start(small_lab()).await.unwrap();
    let registry = Registry::new(&config(&lab.url, generous()), impatient()).unwrap();
    let session = open(&registry, PORTAL).await;
    (lab, session)
}

/// The names in a record's properties.
pub fn names(properties: &str) -> BTreeSet<String> {
    let properties: Value = serde_json::from_str(properties).unwrap();
    properties.as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn every_property_comes_on_every_page_the_custom_ones_too() {
    let (lab, session) = lab_session().await;
    for object in Object::ALL {
        let expected = names(&lab.records(object).unwrap()[0]["properties"].to_string());
        assert!(expected.len() > 20, "{expected:?}");
        for start in [None, Some(Position(json!({"v": 1, "since": 0})))] {
            let pages = list_from(&*session, &object.name().parse().unwrap(), start).await;
            assert!(pages.len() > 2);
            for record in pages.into_iter().flat_map(|(_, page)| page.records) {
                assert_eq!(names(&record.properties), expected);
            }
        }
    }
    let contact = lab.records(Object::Contacts).unwrap().remove(0);
    assert!(contact["properties"].get("favourite_colours").is_some(), "the lab has no custom property");
}

#[tokio::test]
async fn names_are_asked_for_once_a_session_and_object() {
    let (lab, session) = lab_session().await;
    session.page(&contacts(), None).await.unwrap();
    assert_eq!(lab.stats().await.requests, 2);
    session.page(&contacts(), None).await.unwrap();
    assert_eq!(lab.stats().await.requests, 3);
}

#[tokio::test]
async fn an_account_that_does_not_tell_its_properties_is_read_with_the_typical_ones() {
    let (lab, session) = lab_session().await;
    let no_scope = FaultRule { path: Some("/properties/".into()), ..FaultRule::status(403, 1_000) };
    lab.set_faults(vec![no_scope]).unwrap();
    for record in session.page(&contacts(), None).await.unwrap().records {
        let names = names(&record.properties);
        assert!(names.contains("jobtitle") && !names.contains("favourite_colours"), "{names:?}");
    }
}

/// More names than fit into a URL or a search: about 30,000 characters.
const WIDE: usize = 1_000;
const RECORDS: u64 = 230;

static WIDE_NAMES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let custom = (0..WIDE).map(|n| format!("custom_property_number_{n:05}"));
    ["email".to_owned(), "lastmodifieddate".to_owned()].into_iter().chain(custom).collect()
});

/// Live records have even ids, archived ones odd ids.
fn record(id: u64, asked: &[&str]) -> Value {
    let mut record = json!({"id": id.to_string(), "properties": {"hs_object_id": id.to_string()}});
    for name in asked.iter().filter(|name| WIDE_NAMES.contains(**name)) {
        let is_date = *name == "lastmodifieddate";
        record["properties"][*name] = json!(if is_date { "2026-01-01T00:00:00Z" } else { "x" });
    }
    if !id.is_multiple_of(2) {
        record["archivedAt"] = json!("2026-02-01T00:00:00Z");
    }
    record
}

fn page(ids: impl Iterator<Item = u64>, limit: usize, asked: &[&str]) -> Value {
    let ids: Vec<u64> = ids.take(limit + 1).collect();
    let records: Vec<Value> = ids.iter().take(limit).map(|id| record(*id, asked)).collect();
    let mut page = json!({"results": records});
    if let Some(next) = ids.get(limit) {
        page["paging"] = json!({"next": {"after": next.to_string()}});
    }
    page
}

/// An account with many properties, which has lost record 10 whenever it is read by id.
fn wide_account(asked: &Asked) -> (u16, Value) {
    let archived = asked.query("archived") == Some("true");
    let parity = u64::from(archived);
    let of_body = |key: &str| asked.body[key].as_array().cloned().unwrap_or_default();
    let properties = of_body("properties");
    let properties: Vec<&str> = properties.iter().map(|name| name.as_str().unwrap()).collect();
    let all = |from: u64| (1..=RECORDS).filter(move |id| *id >= from && id % 2 == parity);
    match asked.path.rsplit('/').next().unwrap() {
        _ if asked.target_len > 16_000 => (414, json!({})),
        "contacts" if asked.path.contains("/properties/") => {
            let described: Vec<Value> = WIDE_NAMES.iter().map(|name| json!({"name": name})).collect();
            (200, json!({"results": described}))
        }
        "contacts" => {
            let names: Vec<&str> = asked.query("properties").unwrap().split(',').collect();
            let from = asked.query("after").map_or(0, |after| after.parse().unwrap());
            (200, page(all(from), 50, &names))
        }
        "search" if asked.body_len > 3_000 => (400, json!({"category": "VALIDATION_ERROR"})),
        "search" => {
            let last = asked.body["filterGroups"][0]["filters"][1]["value"].as_str().unwrap_or("0");
            let from = last.parse::<u64>().unwrap() + 1;
            (200, page(all(from), asked.body["limit"].as_u64().unwrap() as usize, &properties))
        }
        "read" => {
            let inputs: Vec<u64> = of_body("inputs")
                .iter()
                .map(|input| input["id"].as_str().unwrap().parse().unwrap())
                .collect();
            if inputs.len() > 100 || inputs.iter().any(|id| id % 2 != parity) {
                return (400, json!({"category": "VALIDATION_ERROR"}));
            }
            let found: Vec<Value> =
                inputs.iter().filter(|id| **id != 10).map(|id| record(*id, &properties)).collect();
            let errors = json!([{"status": "error", "category": "OBJECT_NOT_FOUND"}]);
            match found.len() == inputs.len() {
                true => (200, json!({"status": "COMPLETE", "results": found})),
                false => (207, json!({"status": "COMPLETE", "results": found, "errors": errors})),
            }
        }
        other => panic!("{other} is not in the script"),
    }
}

#[tokio::test]
async fn more_names_than_fit_into_a_request_are_read_by_id() {
    let paths = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&paths);
    let server = Scripted::start(move |asked| {
        let last = asked.path.rsplit('/').next().unwrap().to_owned();
        seen.lock().unwrap().push(if asked.path.contains("/properties/") { "names".into() } else { last });
        wide_account(asked)
    })
    .await;
    let mut settings = generous();
    settings.as_object_mut().unwrap().remove("page_size");
    let registry = Registry::new(&config(&server.url, settings), impatient()).unwrap();
    let session = open(&registry, PORTAL).await;

    for start in [None, Some(Position(json!({"v": 1, "since": 0})))] {
        let pages = match start {
            None => list(&*session, &contacts()).await,
            start => list_from(&*session, &contacts(), start).await,
        };
        let mut ids = BTreeSet::new();
        for record in pages.into_iter().flat_map(|(_, page)| page.records) {
            let id: u64 = record.external_id.parse().unwrap();
            assert_eq!(record.deleted_at.is_some(), id % 2 == 1);
            assert!(record.source_updated_at.is_some());
            let names = names(&record.properties);
            assert!(names.is_superset(&WIDE_NAMES), "{} names", names.len());
            assert!(ids.insert(id));
        }
        let all_but_the_lost_one: BTreeSet<u64> = (1..=RECORDS).filter(|id| *id != 10).collect();
        assert_eq!(ids, all_but_the_lost_one);
    }
    let paths = paths.lock().unwrap();
    let count = |name: &str| paths.iter().filter(|path| *path == name).count();
    // The first load has 3 live pages and 3 archived ones with a batch each; the increment has 115 records in one
    // search and two batches, and again 3 archived pages.
    assert_eq!((count("names"), count("contacts"), count("search"), count("read")), (1, 9, 1, 11));
}
