//! HubSpot's increments, against the lab.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use connectors::{Next, Page, Position, Registry, Session};
use lab::{Change, LabConfig, Object, RunningLab};
use protocol::{ObjectName, Record};
use serde_json::json;

use crate::conformance::{list, list_from};
use crate::hubspot::{PORTAL, config, contacts, generous, impatient, open, small_lab};
use crate::hubspot_properties::names;

const LOOK_BACK_MS: i64 = 5 * 60 * 1_000;

struct World {
    lab: RunningLab,
    registry: Registry,
}

impl World {
    async fn new(lab: LabConfig, more: serde_json::Value) -> Self {
        let lab = RunningLab::start(lab).await.unwrap();
        let registry = Registry::new(&config(&lab.url, more), impatient()).unwrap();
        Self { lab, registry }
    }

    async fn small() -> Self {
        Self::new(small_lab(), generous()).await
    }

    async fn open(&self) -> Box<dyn Session> {
        open(&self.registry, PORTAL).await
    }

    /// A first load.
    async fn load(&self, object: Object) -> Load {
        Load::of(list(&*self.open().await, &name(object)).await)
    }

    async fn increment(&self, object: Object, checkpoint: &Position) -> Load {
        Load::of(list_from(&*self.open().await, &name(object), Some(checkpoint.clone())).await)
    }

    /// Ids of so many transformable records from all over the object.
    fn ids(&self, object: Object, count: usize) -> Vec<u64> {
        let bad = self.lab.expect(object).untransformable_ids;
        let records = self.lab.records(object).unwrap();
        let ids = records.iter().map(|record| record["id"].as_str().unwrap().to_owned());
        let good: Vec<String> = ids.filter(|id| !bad.contains(id)).collect();
        let step = good.len() / count;
        good.iter().step_by(step).take(count).map(|id| id.parse().unwrap()).collect()
    }
}

/// What a whole load brought, and where the next one starts.
struct Load {
    records: BTreeMap<u64, Record>,
    rejected: HashSet<String>,
    pages: Vec<(Option<Position>, Page)>,
    checkpoint: Position,
}

impl Load {
    fn of(pages: Vec<(Option<Position>, Page)>) -> Self {
        let (mut records, mut rejected) = (BTreeMap::new(), HashSet::new());
        for (_, page) in &pages {
            for record in &page.records {
                let id = record.external_id.parse().unwrap();
                assert_eq!(records.insert(id, record.clone()), None, "{id} came twice");
            }
            rejected.extend(page.rejected.iter().map(|rejected| rejected.external_id.clone()));
        }
        let Next::Done { checkpoint: Some(checkpoint) } = pages.last().unwrap().1.next.clone() else {
            panic!("no checkpoint")
        };
        Self { records, rejected, pages, checkpoint }
    }

    fn ids(&self) -> Vec<u64> {
        self.records.keys().copied().collect()
    }

    fn deleted(&self) -> Vec<u64> {
        let deleted = self.records.iter().filter(|(_, record)| record.deleted_at.is_some());
        deleted.map(|(id, _)| *id).collect()
    }

    fn since(&self) -> i64 {
        self.checkpoint.0["since"].as_i64().unwrap()
    }
}

fn name(object: Object) -> ObjectName {
    object.name().parse().unwrap()
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

fn since(ms: i64) -> Position {
    Position(json!({"v": 1, "since": ms}))
}

#[tokio::test]
async fn a_first_loads_checkpoint_is_before_its_start_wherever_it_was_resumed() {
    let world = World::small().await;
    let before = now_ms();
    let first = world.open().await.page(&contacts(), None).await.unwrap();
    let after = now_ms();
    let Next::More(position) = first.next else { panic!() };
    let rest = Load::of(list_from(&*world.open().await, &contacts(), Some(position)).await);
    assert!((before..=after).contains(&(rest.since() + LOOK_BACK_MS)), "{}", rest.since());
}

#[tokio::test]
async fn an_increments_checkpoint_is_before_its_own_start() {
    let world = World::small().await;
    let before = now_ms();
    let increment = world.increment(Object::Contacts, &since(before - 1_000)).await;
    assert!((before..=now_ms()).contains(&(increment.since() + LOOK_BACK_MS)), "{}", increment.since());
}

#[tokio::test]
async fn an_increment_brings_what_was_touched_and_nothing_else() {
    let world = World::small().await;
    for object in Object::ALL {
        let first = world.load(object).await;
        assert_eq!(world.increment(object, &first.checkpoint).await.ids(), [0; 0]);
        let touched = world.ids(object, 120);
        for id in &touched {
            assert!(world.lab.touch(object, *id));
        }
        let increment = world.increment(object, &first.checkpoint).await;
        assert_eq!(increment.ids(), touched, "{object:?}");
        assert_eq!(increment.deleted(), [0; 0]);
        for (id, record) in &increment.records {
            let before = &first.records[id];
            assert!(record.source_updated_at > before.source_updated_at);
            assert_ne!(record.properties, before.properties);
            assert_eq!(names(&record.properties), names(&before.properties));
        }
        // The look-back brings them once more, and that is all it brings.
        assert_eq!(world.increment(object, &increment.checkpoint).await.ids(), touched);
        let later = since(now_ms() + 1);
        assert_eq!(world.increment(object, &later).await.ids(), [0; 0]);
    }
}

#[tokio::test]
async fn an_archived_record_comes_with_its_date_and_a_restored_one_without() {
    let world = World::small().await;
    let deals = Object::Deals;
    let ids = world.ids(deals, 5);
    assert!(world.lab.set_archived(deals, ids[0], true));
    let first = world.load(deals).await;
    assert_eq!(first.deleted(), [ids[0]], "a first load knows what was archived before it");
    assert_eq!(first.records.len() + first.rejected.len(), 310);

    let before = now_ms();
    assert!(world.lab.set_archived(deals, ids[1], true));
    assert!(world.lab.touch(deals, ids[2]));
    assert!(world.lab.set_archived(deals, ids[3], true));
    let increment = world.increment(deals, &since(before)).await;
    assert_eq!(increment.ids(), [ids[1], ids[2], ids[3]]);
    assert_eq!(increment.deleted(), [ids[1], ids[3]], "not the one from before the window");
    let deleted_at = increment.records[&ids[1]].deleted_at.unwrap();
    assert!(deleted_at.unix_timestamp() * 1_000 + 1_000 > before);

    assert!(world.lab.set_archived(deals, ids[3], false));
    assert!(world.lab.touch(deals, ids[3]));
    let increment = world.increment(deals, &since(before)).await;
    assert_eq!(increment.deleted(), [ids[1]]);
    assert_eq!(increment.records[&ids[3]].deleted_at, None);
    assert_eq!(world.load(deals).await.records[&ids[3]].deleted_at, None);
}

#[tokio::test]
async fn an_increment_resumed_at_any_position_brings_the_same_rest() {
    let world = World::small().await;
    let object = Object::Companies;
    let archived = world.ids(object, 130);
    for id in &archived {
        assert!(world.lab.set_archived(object, *id, true));
    }
    let whole = world.increment(object, &since(0)).await;
    assert_eq!(whole.records.len() + whole.rejected.len(), 500);
    assert_eq!(whole.deleted(), archived);
    assert!(whole.pages.len() > 8, "{} pages", whole.pages.len());
    for at in 1..whole.pages.len() {
        let stored = serde_json::to_string(&whole.pages[at].0).unwrap();
        let position: Option<Position> = serde_json::from_str(&stored).unwrap();
        let session = world.open().await;
        let rest = list_from(&*session, &name(object), position).await;
        assert_eq!(rest, whole.pages[at..], "from page {at}");
    }
}

#[tokio::test]
async fn a_record_that_changes_during_an_increment_is_in_this_one_or_the_next() {
    let world = World::small().await;
    let object = Object::Companies;
    let session = world.open().await;
    let first = session.page(&name(object), Some(&since(0))).await.unwrap();
    let passed: u64 = first.records[0].external_id.parse().unwrap();
    let ahead = *world.ids(object, 3).last().unwrap();
    let Next::More(position) = first.next else { panic!() };
    while now_ms() <= position.0["to"].as_i64().unwrap() {
        tokio::task::yield_now().await;
    }
    for id in [passed, ahead] {
        assert!(world.lab.touch(object, id));
    }
    let rest = Load::of(list_from(&*session, &name(object), Some(position)).await);
    assert!(!rest.records.contains_key(&ahead), "it left the window");
    let next = world.increment(object, &rest.checkpoint).await;
    assert_eq!(next.ids(), [passed, ahead]);
}

#[tokio::test]
async fn a_bulk_edit_of_more_records_than_a_search_may_page_through_comes_back_complete() {
    let lab = LabConfig { contacts: 12_600, ..small_lab() };
    let mut settings = generous();
    settings.as_object_mut().unwrap().remove("page_size");
    let world = World::new(lab, settings).await;
    let one_moment = now_ms() - 60_000;
    let change = Change { edit: 12_300, timestamp_ms: Some(one_moment), ..Change::of(Object::Contacts) };
    let edited: BTreeSet<u64> = world.lab.change(change).edited.into_iter().collect();
    let increment = world.increment(Object::Contacts, &since(one_moment)).await;
    let rejected = increment.rejected.iter().map(|id| id.parse().unwrap());
    assert_eq!(increment.ids().into_iter().chain(rejected).collect::<BTreeSet<u64>>(), edited);
    let portal = &world.lab.stats().await.by_portal[&PORTAL.to_string()];
    assert_eq!(portal.accepted_searches, 62, "200 records a search");
    assert_eq!(portal.accepted, 123 + 2, "100 records a batch; the names, and the archived records");
}

#[tokio::test]
async fn what_the_index_shows_late_is_brought_by_the_next_increment() {
    let world = World::small().await;
    let before = since(now_ms());
    let touched = world.ids(Object::Deals, 7);
    for id in &touched {
        assert!(world.lab.touch(Object::Deals, *id));
    }
    world.lab.set_search_lag(Duration::from_secs(60));
    let blind = world.increment(Object::Deals, &before).await;
    assert_eq!(blind.ids(), [0; 0]);
    world.lab.set_search_lag(Duration::ZERO);
    assert_eq!(world.increment(Object::Deals, &blind.checkpoint).await.ids(), touched);
}

#[tokio::test]
async fn an_index_that_is_behind_neither_brings_old_values_nor_records_that_are_gone() {
    let world = World::small().await;
    let object = Object::Deals;
    let before = since(now_ms());
    let edit = Change { edit: 20, ..Change::of(object) };
    let edited = world.lab.change(edit).edited;
    world.lab.advance(Duration::from_secs(60));
    let again = *edited.iter().find(|id| world.ids(object, 300).contains(id)).unwrap();
    assert!(world.lab.touch(object, again));
    let gone = world.lab.change(Change { hard_delete: 150, ..Change::of(object) }).hard_deleted;
    assert!(gone.iter().any(|id| edited.contains(id)), "the seed does not show anything");
    world.lab.set_search_lag(Duration::from_secs(30));

    let increment = world.increment(object, &before).await;
    let here: Vec<u64> = edited.iter().copied().filter(|id| !gone.contains(id)).collect();
    let now = world.lab.records(object).unwrap();
    for record in increment.records.values() {
        let now = now.iter().find(|now| now["id"] == *record.external_id).unwrap();
        let properties: serde_json::Value = serde_json::from_str(&record.properties).unwrap();
        assert_eq!(properties, now["properties"]);
    }
    assert_eq!(increment.records.len() + increment.rejected.len(), here.len());
}

#[tokio::test]
async fn a_first_load_takes_a_request_a_page_and_two_more() {
    let lab = LabConfig { contacts: 1_000, ..small_lab() };
    let mut settings = generous();
    settings.as_object_mut().unwrap().remove("page_size");
    let world = World::new(lab, settings).await;
    let started = std::time::Instant::now();
    world.load(Object::Contacts).await;
    assert_eq!(world.lab.stats().await.requests, 10 + 2);
    assert!(started.elapsed() < Duration::from_secs(5));
}
