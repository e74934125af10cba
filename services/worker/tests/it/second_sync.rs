//! The sync after the first one: exactly what changed is written, nothing else is even locked, and few requests do it.

use std::collections::BTreeMap;

use lab::{Change, Changed, LabConfig, Object};
use protocol::{JobView, SyncMode, SyncOptions, Table};

use crate::fixture::{World, http, settings, small_lab};
use crate::source::{
    Ids, OBJECTS, Rows, TABLES, Versions, assert_same_as_source, ids_of, is_live, links, live, registry,
    result, rows, sync, touched, untransformable, versions,
};

/// Records on a page, of lists and searches alike.
const PAGE: u32 = 25;
/// Each vanished record may cost so many requests: counts that halve the ranges of ids down to one, a page of ids, and
/// a look at the suspects among the live and the archived.
const REQUESTS_A_VANISHED: u64 = 10;

fn lab_of_thousands() -> LabConfig {
    LabConfig { contacts: 6_000, companies: 2_000, deals: 400, ..small_lab() }
}

/// 500 edited, 40 archived, 10 restored, 5 merged, 7 hard-deleted, 100 with other associations.
fn changes() -> [Change; 3] {
    let of = |object, counts: [u64; 6]| {
        let [edit, archive, restore, merge, hard_delete, reassociate] = counts;
        Change { edit, archive, restore, merge, hard_delete, reassociate, seed: 5, ..Change::of(object) }
    };
    [
        of(Object::Contacts, [300, 20, 4, 2, 3, 70]),
        of(Object::Companies, [150, 10, 3, 2, 2, 0]),
        of(Object::Deals, [50, 10, 3, 1, 2, 30]),
    ]
}

/// What is there before the second sync.
struct Before {
    changed: Vec<Changed>,
    /// Of each object; afterwards some of them are neither live nor archived.
    untransformable: Vec<Ids>,
    versions: Versions,
    associations: Rows,
}

/// Makes the changes and looks at everything before the next sync sees them.
async fn change(world: &World) -> Before {
    let untransformable = OBJECTS.map(|(object, _)| untransformable(world, object)).to_vec();
    let associations = rows(world, Table::Associations).await;
    let versions = versions(world).await;
    let changed: Vec<Changed> = changes().into_iter().map(|change| world.lab.change(change)).collect();
    let count = |of: fn(&Changed) -> usize| changed.iter().map(of).sum::<usize>();
    assert_eq!(
        [
            count(|c| c.edited.len()),
            count(|c| c.archived.len()),
            count(|c| c.restored.len()),
            count(|c| c.merged.len()),
            count(|c| c.hard_deleted.len()),
            count(|c| c.reassociated.len()),
        ],
        [500, 40, 10, 5, 7, 100]
    );
    Before { changed, untransformable, versions, associations }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sync_changes_exactly_the_rows_that_changed_and_a_third_one_none() {
    let mut world = World::new(lab_of_thousands()).await;
    for (object, _) in OBJECTS {
        world.lab.change(Change { archive: 12, seed: 1, ..Change::of(object) });
    }
    let worker = world.worker_with(settings(), registry(&world, http(), Some(PAGE), u64::MAX)).await;
    sync(&mut world, SyncOptions::default()).await;
    assert_same_as_source(&world, "the first sync").await;
    let first = world.lab.stats().await.requests;

    let before = change(&world).await;
    let second_view = sync(&mut world, SyncOptions::default()).await;
    let second = world.lab.stats().await.requests - first;
    assert_same_as_source(&world, "the second sync").await;
    let after = versions(&world).await;
    for (at, (_, table)) in OBJECTS.into_iter().enumerate() {
        assert_touched_as_changed(&before, &after, at, table);
        let rows = rows(&world, table).await;
        assert_became_what_they_are(&before.changed[at], &before.untransformable[at], &rows);
    }
    assert_associations_touched(&world, &before, &after).await;
    for table in [Table::Owners, Table::Stages] {
        assert_eq!(touched(&before.versions, &after, table), Ids::new());
    }
    assert_counted(&second_view, &before);
    let most = requests_at_most(&world, &before.changed, 7);
    assert!(second <= most, "{second} requests for 662 changes, at most {most} are needed");
    assert!(second * 2 < first, "{second} requests after {first} for the first sync");

    let third_view = sync(&mut world, SyncOptions::default()).await;
    let third = world.lab.stats().await.requests - first - second;
    for object in &third_view.result.as_ref().unwrap().results {
        assert_eq!((object.written, object.deleted, object.needs_review), (0, 0, 0), "{object:?}");
    }
    let last = versions(&world).await;
    for table in TABLES {
        assert_eq!(touched(&after, &last, table), Ids::new(), "{table:?}");
    }
    // What was changed within the look-back is read again; nothing is looked for.
    let most = requests_at_most(&world, &before.changed, 0);
    assert!(third <= most, "{third} requests for nothing, at most {most} are needed");
    worker.stop().await;
}

fn assert_touched_as_changed(before: &Before, after: &Versions, at: usize, table: Table) {
    let mut expected = ids_of(&before.changed[at]);
    expected.retain(|id| !before.untransformable[at].contains(id));
    let touched = touched(&before.versions, after, table);
    let more: Vec<&String> = touched.difference(&expected).collect();
    let fewer: Vec<&String> = expected.difference(&touched).collect();
    assert!(
        more.is_empty() && fewer.is_empty(),
        "{table:?}: touched without a change {more:?}; changed and not touched {fewer:?}"
    );
}

fn assert_became_what_they_are(changed: &Changed, untransformable: &Ids, rows: &Rows) {
    let row = |id: &u64| {
        let id = id.to_string();
        (!untransformable.contains(&id)).then(|| &rows[&id])
    };
    let gone = changed.archived.iter().chain(&changed.hard_deleted);
    for row in gone.filter_map(row) {
        assert!(!is_live(row) && row["merged_into"].is_null(), "{row}");
    }
    for row in changed.edited.iter().chain(&changed.restored).filter_map(row) {
        assert!(is_live(row), "{row}");
    }
    for merge in &changed.merged {
        assert!(row(&merge.survivor).is_none_or(is_live), "{merge:?}");
        let Some(loser) = row(&merge.loser) else { continue };
        assert!(!is_live(loser), "{merge:?}");
        // A survivor that cannot be transformed tells nobody of its losers.
        if row(&merge.survivor).is_some() {
            assert_eq!(loser["merged_into"], merge.survivor.to_string().as_str());
        }
    }
}

/// An association is written if it began, ended, or is of other kinds than before; whatever is equal is not locked.
async fn assert_associations_touched(world: &World, before: &Before, after: &Versions) {
    let now = rows(world, Table::Associations).await;
    let content = |rows: &Rows, id: &String| rows.get(id).map(|row| (is_live(row), row["types"].clone()));
    let differs = |id: &&String| content(&before.associations, id) != content(&now, id);
    let expected: Ids = now.keys().filter(differs).cloned().collect();
    assert_eq!(touched(&before.versions, after, Table::Associations), expected);
    // All of them belong to a record that something was done to.
    let mut reasons: BTreeMap<&str, Ids> = BTreeMap::new();
    for ((object, _), changed) in OBJECTS.into_iter().zip(&before.changed) {
        let mut ids = ids_of(changed);
        ids.extend(changed.reassociated.iter().map(u64::to_string));
        reasons.insert(object.name(), ids);
    }
    for key in &expected {
        let [from, from_id, to, to_id] = key.split(' ').collect::<Vec<_>>()[..] else { panic!("{key}") };
        assert!(
            reasons[from].contains(from_id) || reasons[to].contains(to_id),
            "{key} changed without a reason"
        );
    }
    // Everybody who was to get other associations got some.
    for at in [0, 2] {
        let reassociated = before.changed[at].reassociated.iter().map(u64::to_string);
        for id in reassociated.filter(|id| !before.untransformable[at].contains(id)) {
            let prefix = format!("{} {id} ", OBJECTS[at].0.name());
            assert!(expected.iter().any(|key| key.starts_with(&prefix)), "nothing changed for {prefix}");
        }
    }
    assert_eq!(links(world), live(world, Table::Associations).await);
}

fn assert_counted(view: &JobView, before: &Before) {
    for ((object, _), changed) in OBJECTS.into_iter().zip(&before.changed) {
        let result = result(view, object.name());
        assert_eq!(result.mode, SyncMode::Incremental);
        assert_eq!(result.listed, result.written + result.unchanged + result.captured, "{result:?}");
        assert!(result.deleted <= (changed.hard_deleted.len() + changed.merged.len()) as u64, "{result:?}");
    }
    let deleted: u64 = OBJECTS.map(|(object, _)| result(view, object.name()).deleted).iter().sum();
    assert_eq!(deleted, 12, "5 merged and 7 hard-deleted were live rows and not listed");
}

/// For each object the names of its properties; a search by page and the records of each page; the archived by page
/// (the vendor cannot list only new ones); and one count if nothing vanished. Three lists for owners and stages. The
/// associations of a thousand records with a request, of a hundred where each has many; one request more for each pair of
/// objects, to see how many, and two for records with more than a page of them.
fn requests_at_most(world: &World, changed: &[Changed], vanished: u64) -> u64 {
    let page = u64::from(PAGE);
    let mut requests = 3;
    for ((object, _), changed) in OBJECTS.into_iter().zip(changed) {
        let found = (changed.edited.len() + changed.restored.len() + changed.merged.len()) as u64;
        let archived = world.lab.expect_archived(object).records;
        requests += 1 + 2 * found.div_ceil(page) + archived.div_ceil(page) + 1;
    }
    let requests_of = |object, records: u64| world.lab.expect(object).records.div_ceil(records) + 1;
    let associations = requests_of(Object::Contacts, 1_000)
        + requests_of(Object::Deals, 1_000)
        + requests_of(Object::Deals, 100)
        + 2;
    requests + associations + vanished * REQUESTS_A_VANISHED
}
