//! What the lab has against what Postgres has, record by record and association by association; and which rows a sync
//! touched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use connectors::{BudgetConfig, ConnectorConfig, ConnectorsConfig, HttpConfig, Registry, WindowConfig};
use lab::{Changed, Object};
use protocol::{JobId, JobView, ObjectResult, SyncOptions, Table};
use serde_json::Value;

use crate::fixture::World;

/// The objects of the CRM, and where their records are.
pub const OBJECTS: [(Object, Table); 3] = [
    (Object::Contacts, Table::Contacts),
    (Object::Companies, Table::Accounts),
    (Object::Deals, Table::Deals),
];
/// The associations that a sync brings.
pub const PAIRS: [(Object, Object); 3] = [
    (Object::Contacts, Object::Companies),
    (Object::Deals, Object::Companies),
    (Object::Deals, Object::Contacts),
];
pub const TABLES: [Table; 6] =
    [Table::Contacts, Table::Accounts, Table::Deals, Table::Associations, Table::Owners, Table::Stages];

pub type Ids = BTreeSet<String>;
pub type Rows = BTreeMap<String, Value>;
/// `xmin` and `xmax` of every row, by table.
pub type Versions = BTreeMap<Table, BTreeMap<String, (String, String)>>;

/// Posts a sync, and the worker may begin.
pub async fn begin(world: &World, options: SyncOptions) -> JobId {
    let job = world.accept_with(options).await;
    // The subject may still be occupied for a moment; the relay would try again, so does the test.
    while world.publish(job, 1).await != bus::Published::Stored {
        tokio::task::yield_now().await;
    }
    job
}

/// Posts a sync and waits until it is completed.
pub async fn sync(world: &mut World, options: SyncOptions) -> JobView {
    let job = begin(world, options).await;
    world.completed(job).await
}

/// Waits until so many tickets are in the queue, and no more.
pub async fn tickets(world: &World, count: u64) {
    let look = async {
        while world.bus.tickets_queued().await.unwrap() != count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), look).await.expect("another number of tickets");
}

pub fn result<'a>(view: &'a JobView, name: &str) -> &'a ObjectResult {
    let results = &view.result.as_ref().unwrap().results;
    let named = results.iter().find(|result| result.object.as_str() == name);
    named.unwrap_or_else(|| panic!("no {name} in {results:?}"))
}

pub async fn rows(world: &World, table: Table) -> Rows {
    world.store.rows(&world.workspace, table).await.unwrap()
}

pub fn is_live(row: &Value) -> bool {
    row["deleted_at"].is_null()
}

/// The ids of the live rows.
pub async fn live(world: &World, table: Table) -> Ids {
    rows(world, table).await.into_iter().filter(|(_, row)| is_live(row)).map(|(id, _)| id).collect()
}

pub async fn versions(world: &World) -> Versions {
    let mut versions = Versions::new();
    for table in TABLES {
        versions.insert(table, world.store.row_versions(&world.workspace, table).await.unwrap());
    }
    versions
}

/// The rows of a table that were written or locked in between, or are new.
pub fn touched(before: &Versions, after: &Versions, table: Table) -> Ids {
    let (before, after) = (&before[&table], &after[&table]);
    assert!(before.keys().all(|id| after.contains_key(id)), "no row of {table:?} is ever removed");
    after.iter().filter(|(id, version)| before.get(*id) != Some(version)).map(|(id, _)| id.clone()).collect()
}

/// Records of the lab that no client can transform, live or archived.
pub fn untransformable(world: &World, object: Object) -> Ids {
    let live = world.lab.expect(object).untransformable_ids;
    let archived = world.lab.expect_archived(object).untransformable_ids;
    live.into_iter().chain(archived).collect()
}

/// Every record that a change did something to that shows in its own row, survivors included.
pub fn ids_of(changed: &Changed) -> Ids {
    let merged = changed.merged.iter().flat_map(|merge| [merge.survivor, merge.loser]);
    let kinds = [&changed.edited, &changed.archived, &changed.restored, &changed.hard_deleted];
    kinds.into_iter().flatten().copied().chain(merged).map(|id| id.to_string()).collect()
}

/// The lab's associations by the ids of their rows, but for records that have no row.
pub fn links(world: &World) -> Ids {
    let mut links = Ids::new();
    for (from, to) in PAIRS {
        let captured = untransformable(world, from);
        for (id, others) in world.lab.associations(from, to) {
            if !captured.contains(&id.to_string()) {
                let key = |other: u64| format!("{} {id} {} {other}", from.name(), to.name());
                links.extend(others.into_iter().map(key));
            }
        }
    }
    links
}

/// Source set = destination set, live rows only: records field by field, and which belongs to which. `what` is said if
/// it is not so.
pub async fn assert_same_as_source(world: &World, what: &str) {
    for (object, table) in OBJECTS {
        let captured = world.lab.expect(object).untransformable_ids;
        let source: Rows = world.lab.records(object).unwrap().into_iter().map(by_id).collect();
        let rows = rows(world, table).await;
        let expected: Ids = source.keys().filter(|id| !captured.contains(id)).cloned().collect();
        let there: Ids = rows.iter().filter(|(_, row)| is_live(row)).map(|(id, _)| id.clone()).collect();
        assert_same_ids(&expected, &there, &format!("{what}: {object:?}"));
        for id in &expected {
            assert_same(&source[id], &rows[id], &format!("{what}: {object:?} {id}"));
        }
        for (id, row) in &rows {
            let merged = &row["merged_into"];
            assert!(merged.is_null() || !is_live(row), "{what}: {object:?} {id} is merged and live");
        }
    }
    let there = live(world, Table::Associations).await;
    assert_same_ids(&links(world), &there, &format!("{what}: associations"));
}

fn by_id(record: Value) -> (String, Value) {
    (record["id"].as_str().unwrap().to_owned(), record)
}

fn assert_same_ids(source: &Ids, destination: &Ids, what: &str) {
    let missing: Vec<&String> = source.difference(destination).take(20).collect();
    let too_many: Vec<&String> = destination.difference(source).take(20).collect();
    assert!(
        missing.is_empty() && too_many.is_empty(),
        "{what}: of {} at the source these are missing: {missing:?}; of {} these are not at the source: {too_many:?}",
        source.len(),
        destination.len()
    );
}

fn assert_same(source: &Value, row: &Value, what: &str) {
    let properties = row["properties"].as_object().unwrap();
    assert!(properties.len() > 10, "{what}: {row}");
    for (name, value) in properties {
        let expected = match &source["properties"][name] {
            Value::String(text) => Value::String(text.replace('\0', "")),
            other => other.clone(),
        };
        assert_eq!(&expected, value, "{what}: {name}");
    }
}

/// As [`World::registry`], with pages of this size, or the vendor's greatest; whoever answers slower than `slow_ms` is read from both ends.
pub fn registry(world: &World, http: HttpConfig, page_size: Option<u32>, slow_ms: u64) -> Arc<Registry> {
    let none = BudgetConfig {
        windows: Some(vec![WindowConfig { limit: 1_000_000, per_ms: 1_000 }]),
        spacing_ms: Some(0),
        burst: Some(1_000_000),
    };
    let hubspot = ConnectorConfig {
        base_url: Some(world.lab.url.clone()),
        budgets: BTreeMap::from([("objects".to_owned(), none.clone()), ("search".to_owned(), none)]),
        page_size,
        slow_ms: Some(slow_ms),
    };
    let config = ConnectorsConfig { connectors: BTreeMap::from([("hubspot".parse().unwrap(), hubspot)]) };
    Arc::new(Registry::new(&config, http).unwrap())
}
