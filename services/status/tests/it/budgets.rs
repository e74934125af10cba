//! What accounts still allow.

use protocol::{BudgetEntry, BudgetWindow};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::fixture::World;
use crate::outages::cuttable;

fn now_ms() -> u64 {
    u64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap()
}

/// As a worker leaves it: `used` requests a moment ago and as many long ago.
fn entry(class: &str, used: u32) -> BudgetEntry {
    let per_ms = 3_600_000;
    let mut entry = BudgetEntry {
        class: class.to_owned(),
        windows: vec![BudgetWindow { limit: 90, per_ms, remaining: 0 }],
        ..BudgetEntry::default()
    };
    entry.turns.add(now_ms() - 2 * per_ms, used);
    entry.turns.add(now_ms() - 1_000, used);
    entry.foreign.add(now_ms() - 1_000, 3);
    entry
}

impl World {
    async fn put(&self, key: &str, entry: &BudgetEntry) {
        let value = serde_json::to_vec(entry).unwrap();
        self.stores.worker.put_budget(key, value, 0).await.unwrap();
    }

    /// The account of the workspace's HubSpot is known, as after a first contact.
    async fn know_account(&self, account_id: &str) {
        let job = self.stores.queued().await;
        let (_, lease) = self.stores.claim(job.id).await;
        self.stores.store.set_account(&lease, account_id, None).await.unwrap();
    }
}

#[tokio::test]
async fn the_budgets_of_the_workspaces_accounts_are_listed_with_what_is_left_now() {
    let world = World::new().await;
    assert_eq!(world.get("acme/budgets").await.ok(200), json!({"budgets": []}), "no account is known yet");
    world.know_account("47.11").await;
    assert_eq!(world.get("acme/budgets").await.ok(200), json!({"budgets": []}), "and now none was used");
    let held_until_ms = now_ms() + 60_000;
    world
        .put(
            "hubspot.47=2E11.search",
            &BudgetEntry { held_until_ms: Some(held_until_ms), ..entry("search", 1) },
        )
        .await;
    world.put("hubspot.47=2E11.objects", &entry("objects", 40)).await;
    world.put("hubspot.47.objects", &entry("objects", 1)).await;
    let answer = world.get("acme/budgets").await.ok(200);
    let of = |class: &str, remaining: u32| {
        json!({"connectorType": "hubspot", "accountId": "47.11", "class": class,
               "windows": [{"limit": 90, "perMs": 3_600_000, "remaining": remaining}]})
    };
    assert_eq!(answer["budgets"][0], of("objects", 90 - 43));
    let mut search = answer["budgets"][1].clone();
    let held = search.as_object_mut().unwrap().remove("heldUntil").unwrap();
    assert_eq!(search, of("search", 90 - 4));
    let held = OffsetDateTime::parse(held.as_str().unwrap(), &time::format_description::well_known::Rfc3339);
    assert_eq!(held.unwrap().unix_timestamp(), i64::try_from(held_until_ms / 1_000).unwrap());
    assert_eq!(answer["budgets"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn what_cannot_be_read_is_left_out_and_hides_nothing_else() {
    let world = World::new().await;
    world.know_account("1").await;
    world.stores.worker.put_budget("hubspot.1.objects", b"{".to_vec(), 0).await.unwrap();
    world.put("hubspot.1.search", &entry("search", 1)).await;
    let answer = world.get("acme/budgets").await.ok(200);
    let classes: Vec<&Value> = answer["budgets"].as_array().unwrap().iter().map(|b| &b["class"]).collect();
    assert_eq!(classes, ["search"]);
}

#[tokio::test]
async fn an_unknown_workspace_has_no_budgets() {
    let world = World::new().await;
    let detail = world.get("nobody/budgets").await.problem(404, "unknown-workspace");
    assert!(detail.contains("PUT /api/workspaces/nobody"), "{detail}");
    world.stores.store.put_workspace(&"new".parse().unwrap(), "New").await.unwrap();
    assert_eq!(world.get("new/budgets").await.ok(200), json!({"budgets": []}));
}

#[tokio::test]
async fn while_nats_or_postgres_is_away_there_is_a_503() {
    let cuttable = cuttable(true).await;
    cuttable.world.know_account("1").await;
    cuttable.cut_nats().await;
    let answer = cuttable.world.get("acme/budgets").await;
    let detail = answer.problem(503, "unavailable");
    assert!(detail.contains("budgets") && !detail.contains("127.0.0.1"), "{detail}");
    cuttable.postgres.cut().await;
    cuttable.world.get("acme/budgets").await.problem(503, "unavailable");
}
