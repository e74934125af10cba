//! Which record belongs to which, and objects that fit on one page.

use std::collections::BTreeMap;

use protocol::{Fields, Link, Record, StageFields, Sweep, Table};
use serde_json::json;
use store::{BatchCommitted, Claimed, PageBatch};

use crate::fixture::{World, deals, progress, rejected, workspace};

/// Associations as `from>to:label`.
fn sweep(range: (Option<&str>, Option<&str>), links: &[&str]) -> Sweep {
    let link = |text: &&str| {
        let (from_id, rest) = text.split_once('>').unwrap();
        let (to_id, label) = rest.split_once(':').unwrap();
        let types = json!([{"typeId": 1, "category": "X", "label": label}]).to_string();
        Link { from_id: from_id.into(), to_id: to_id.into(), types: types.into() }
    };
    Sweep {
        from_object: "deals".parse().unwrap(),
        to_object: "contacts".parse().unwrap(),
        after: range.0.map(str::to_owned),
        up_to: range.1.map(str::to_owned),
        links: links.iter().map(link).collect(),
    }
}

async fn commit_sweep(world: &World, claimed: &Claimed, sweep: Sweep) -> BatchCommitted {
    let page = PageBatch {
        object: "associations".parse().unwrap(),
        table: Table::Associations,
        listed: sweep.links.len() as u64,
        sweeps: vec![sweep],
        ..deals(vec![])
    };
    world.store.commit_pages(&claimed.lease, &[page], &progress(0)).await.unwrap().batches[0]
}

fn did(written: u64, unchanged: u64, deleted: u64) -> BatchCommitted {
    BatchCommitted { written, unchanged, deleted }
}

/// `from>to:label`, with a `!` if it is over.
async fn associations(world: &World) -> Vec<String> {
    let all = "SELECT coalesce(array_agg(from_id || '>' || to_id || ':' || (labels ->> 0)
                   || CASE WHEN deleted_at IS NULL THEN '' ELSE '!' END ORDER BY from_id, to_id), '{}') FROM associations";
    world.one(all).await
}

async fn versions(world: &World, table: Table) -> BTreeMap<String, (String, String)> {
    world.store.row_versions(&workspace("acme"), table).await.unwrap()
}

const ALL: (Option<&str>, Option<&str>) = (None, None);

#[tokio::test]
async fn an_association_that_is_unchanged_is_neither_rewritten_nor_locked() {
    let world = World::new().await;
    let claimed = world.running().await;
    let links = ["1>501:a", "1>502:a", "2>501:b", "3>503:c"];
    assert_eq!(commit_sweep(&world, &claimed, sweep(ALL, &links)).await, did(4, 0, 0));
    let before = versions(&world, Table::Associations).await;
    assert_eq!(commit_sweep(&world, &claimed, sweep(ALL, &links)).await, did(0, 4, 0));
    assert_eq!(versions(&world, Table::Associations).await, before);
    // Another label, one more, one less.
    let links = ["1>501:a", "1>502:z", "2>501:b", "2>502:b"];
    assert_eq!(commit_sweep(&world, &claimed, sweep(ALL, &links)).await, did(2, 2, 1));
    assert_eq!(associations(&world).await, ["1>501:a", "1>502:z", "2>501:b", "2>502:b", "3>503:c!"]);
    let after = versions(&world, Table::Associations).await;
    let same: Vec<&str> =
        before.iter().filter(|(id, version)| after[*id] == **version).map(|(id, _)| id.as_str()).collect();
    assert_eq!(same, ["deals 1 contacts 501", "deals 2 contacts 501"]);
}

#[tokio::test]
async fn a_sweep_ends_what_it_did_not_list_in_its_range_only() {
    let world = World::new().await;
    let claimed = world.running().await;
    let links = ["1>501:a", "2>501:a", "3>501:a", "4>501:a", "5>501:a"];
    commit_sweep(&world, &claimed, sweep(ALL, &links)).await;
    // After 2, up to and with 4.
    assert_eq!(
        commit_sweep(&world, &claimed, sweep((Some("2"), Some("4")), &["4>501:a"])).await,
        did(0, 1, 1)
    );
    assert_eq!(associations(&world).await, ["1>501:a", "2>501:a", "3>501:a!", "4>501:a", "5>501:a"]);
    // The first range has no beginning, and the last one no end.
    assert_eq!(commit_sweep(&world, &claimed, sweep((None, Some("1")), &[])).await, did(0, 0, 1));
    assert_eq!(commit_sweep(&world, &claimed, sweep((Some("4"), None), &[])).await, did(0, 0, 1));
    assert_eq!(associations(&world).await, ["1>501:a!", "2>501:a", "3>501:a!", "4>501:a", "5>501:a!"]);
    // The same records have other associations with another object, which are none of this sweep's.
    let companies = Sweep { to_object: "companies".parse().unwrap(), ..sweep(ALL, &["2>501:a"]) };
    assert_eq!(commit_sweep(&world, &claimed, companies).await, did(1, 0, 0));
    assert_eq!(commit_sweep(&world, &claimed, sweep(ALL, &["2>501:a"])).await, did(0, 1, 1));
    assert!(
        world.one::<bool>("SELECT deleted_at IS NULL FROM associations WHERE to_object = 'companies'").await
    );
}

#[tokio::test]
async fn an_association_that_comes_back_is_alive_again() {
    let world = World::new().await;
    let claimed = world.running().await;
    commit_sweep(&world, &claimed, sweep(ALL, &["1>501:a"])).await;
    assert_eq!(commit_sweep(&world, &claimed, sweep(ALL, &[])).await, did(0, 0, 1));
    let over = versions(&world, Table::Associations).await;
    assert_eq!(commit_sweep(&world, &claimed, sweep(ALL, &[])).await, did(0, 0, 0));
    assert_eq!(versions(&world, Table::Associations).await, over, "it ends once");
    assert_eq!(commit_sweep(&world, &claimed, sweep(ALL, &["1>501:a"])).await, did(1, 0, 0));
    assert_eq!(associations(&world).await, ["1>501:a"]);
}

fn stage(id: &str) -> Record {
    Record {
        external_id: id.to_owned(),
        fields: Fields::Stage(StageFields { name: Some(id.to_owned()), ..StageFields::default() }),
        properties: json!({ "id": id }).to_string(),
        source_created_at: None,
        source_updated_at: None,
        deleted_at: None,
        merged_ids: Vec::new(),
    }
}

fn stages(whole: bool, ids: &[&str]) -> PageBatch {
    PageBatch {
        object: "stages".parse().unwrap(),
        table: Table::Stages,
        whole,
        listed: ids.len() as u64,
        ..deals(ids.iter().map(|id| stage(id)).collect())
    }
}

async fn commit(world: &World, claimed: &Claimed, page: PageBatch) -> BatchCommitted {
    world.store.commit_pages(&claimed.lease, &[page], &progress(0)).await.unwrap().batches[0]
}

/// The ids, with a `!` if deleted.
async fn stage_ids(world: &World) -> Vec<String> {
    let all = "SELECT array_agg(external_id || CASE WHEN deleted_at IS NULL THEN '' ELSE '!' END ORDER BY external_id)
               FROM stages WHERE workspace_id = 'acme' AND connector = 'hubspot'";
    world.one(all).await
}

#[tokio::test]
async fn a_page_with_everything_marks_all_others_and_any_other_page_none() {
    let world = World::new().await;
    let claimed = world.running().await;
    assert_eq!(commit(&world, &claimed, stages(true, &["a", "b", "c"])).await, did(3, 0, 0));
    assert_eq!(commit(&world, &claimed, stages(false, &["a"])).await, did(0, 1, 0));
    assert_eq!(stage_ids(&world).await, ["a", "b", "c"]);
    let other = "INSERT INTO stages (workspace_id, connector, external_id, properties, content_hash, job_id)
                 SELECT w, c, 'z', '{}', 1, gen_random_uuid() FROM (VALUES ('acme', 'monday'), ('globex', 'hubspot')) AS o (w, c)";
    world.run(other).await;
    assert_eq!(commit(&world, &claimed, stages(true, &["a", "c"])).await, did(0, 2, 1));
    assert_eq!(stage_ids(&world).await, ["a", "b!", "c"]);
    let others = "SELECT bool_and(deleted_at IS NULL) FROM stages WHERE external_id = 'z'";
    assert!(world.one::<bool>(others).await, "those of others");
    // Once marked it stays as it is, until it is listed again, whatever it was before.
    let before = versions(&world, Table::Stages).await;
    assert_eq!(commit(&world, &claimed, stages(true, &["a", "c"])).await, did(0, 2, 0));
    assert_eq!(versions(&world, Table::Stages).await, before);
    assert_eq!(commit(&world, &claimed, stages(true, &["a", "b", "c"])).await, did(1, 2, 0));
    assert_eq!(stage_ids(&world).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn what_is_listed_and_cannot_be_transformed_is_not_taken_for_gone() {
    let world = World::new().await;
    let claimed = world.running().await;
    commit(&world, &claimed, stages(true, &["a", "b", "c"])).await;
    let page = PageBatch { rejected: vec![rejected("b", "odd")], listed: 2, ..stages(true, &["a"]) };
    assert_eq!(commit(&world, &claimed, page).await, did(0, 1, 1));
    assert_eq!(stage_ids(&world).await, ["a", "b", "c!"]);
    // One without an id could be any of them.
    let page = PageBatch { rejected: vec![rejected("", "odd")], listed: 2, ..stages(true, &["a"]) };
    assert_eq!(commit(&world, &claimed, page).await, did(0, 1, 0));
    assert_eq!(stage_ids(&world).await, ["a", "b", "c!"]);
}

#[tokio::test]
async fn a_page_with_nothing_at_all_is_not_believed() {
    let world = World::new().await;
    let claimed = world.running().await;
    commit(&world, &claimed, stages(true, &["a", "b"])).await;
    assert_eq!(commit(&world, &claimed, stages(true, &[])).await, did(0, 0, 0));
    assert_eq!(stage_ids(&world).await, ["a", "b"]);
}
