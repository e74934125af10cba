//! How Postgres runs what the scheduler asks again and again, with many finished jobs around.

use std::fs;
use std::path::Path;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor};

use crate::fixture::World;

/// The statement with this text, as the crate was compiled with it.
fn statement(text: &str) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let all = fs::read_dir(dir).unwrap().map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let all =
        all.map(|file| serde_json::from_str::<Value>(&file).unwrap()["query"].as_str().unwrap().to_owned());
    let mut found: Vec<String> = all.filter(|query| query.contains(text)).collect();
    assert_eq!(found.len(), 1, "statements with {text:?}");
    found.remove(0)
}

/// The plan, as it is for these very values and as it is for any.
async fn plans(world: &World, statement: &str, values: &str) -> [String; 2] {
    let mut plans = [String::new(), String::new()];
    for (plan, mode) in plans.iter_mut().zip(["force_custom_plan", "force_generic_plan"]) {
        let mut conn = world.pg.acquire().await.unwrap();
        let prepare = format!("DEALLOCATE ALL; SET plan_cache_mode = {mode}; PREPARE asked AS {statement}");
        conn.execute(sqlx::raw_sql(AssertSqlSafe(prepare))).await.unwrap();
        let explain = format!("EXPLAIN EXECUTE asked({values})");
        let rows = conn.fetch_all(sqlx::raw_sql(AssertSqlSafe(explain))).await.unwrap();
        let lines: Vec<String> = rows.iter().map(|row| sqlx::Row::get(row, 0)).collect();
        *plan = lines.join("\n");
        conn.detach();
    }
    plans
}

/// 20,000 jobs that are over, and a few that are not.
async fn history() -> World {
    let world = World::new().await;
    world
        .run(
            "INSERT INTO jobs (id, sync_id, job_type, workspace_id, scope, status, created_at, run_at, completed_at)
              SELECT gen_random_uuid(), gen_random_uuid(), 'sync', 'w' || n % 100, 'hubspot',
                     (ARRAY['completed', 'failed', 'cancelled'])[n % 3 + 1],
                     now() - n * interval '1 min', now() - n * interval '1 min', now() - n * interval '1 min'
              FROM generate_series(1, 20000) n",
        )
        .await;
    crate::relay::many(&world, 30).await;
    world
        .run(
            "UPDATE jobs SET status = 'running', lease_token = gen_random_uuid(), lease_expires_at = now()
              WHERE job_type LIKE 'type-_'",
        )
        .await;
    world.run("VACUUM ANALYZE jobs").await;
    world
}

#[tokio::test]
async fn the_relay_looks_at_pending_rows_only_however_many_are_over() {
    let world = history().await;
    let relay = statement("LEAST(ticketed_at - run_at");
    for plan in plans(&world, &relay, "30, 100, 360").await {
        assert!(plan.contains("jobs_waiting") && !plan.contains("Seq Scan"), "{plan}");
    }
    // However many wait in another lane, they are not even read.
    world
        .run(
            "INSERT INTO jobs (id, sync_id, job_type, workspace_id, scope, priority, run_at)
              SELECT gen_random_uuid(), gen_random_uuid(), 'sync', 'low' || n, 'hubspot', 'low', now() - n * interval '10 ms'
              FROM generate_series(1, 20000) n",
        )
        .await;
    world.run("VACUUM ANALYZE jobs").await;
    for text in ["ORDER BY run_at DESC LIMIT $3", "ORDER BY run_at LIMIT $3"] {
        for plan in plans(&world, &statement(text), "'normal', 60, 8").await {
            let range = "Index Cond: ((priority = ";
            assert!(plan.contains("jobs_waiting") && plan.contains(range), "{plan}");
        }
    }
}

#[tokio::test]
async fn the_rescue_and_the_workers_look_at_running_rows_only_however_many_are_over() {
    let world = history().await;
    for text in ["ticketed_at <= now() - interval '2 seconds'", "ORDER BY random()"] {
        for plan in plans(&world, &statement(text), "100").await {
            assert!(plan.contains("jobs_running") && !plan.contains("Seq Scan"), "{plan}");
        }
    }
}

#[tokio::test]
async fn retention_looks_at_what_it_deletes_only_however_many_jobs_are_younger() {
    let world = history().await;
    let retention = statement("DELETE FROM jobs");
    // All but twenty are younger.
    for plan in plans(&world, &retention, "19980 * 60, 500").await {
        assert!(plan.contains("Index Scan using jobs_over") && plan.contains("jobs_pkey"), "{plan}");
        assert!(!plan.contains("Seq Scan") && !plan.contains("Sort"), "{plan}");
    }
    // The cascade looks its rows up by job.
    world.run("INSERT INTO syncs SELECT gen_random_uuid(), id FROM jobs").await;
    world.run("VACUUM ANALYZE syncs").await;
    for plan in plans(&world, "DELETE FROM syncs WHERE job_id = $1", "gen_random_uuid()").await {
        assert!(plan.contains("syncs_by_job"), "{plan}");
    }
}

#[tokio::test]
async fn stored_answers_are_looked_at_by_age_only_however_many_are_younger() {
    let world = World::new().await;
    world
        .run(
            "INSERT INTO idempotency_keys (workspace_id, key, request, answer, created_at)
             SELECT 'w' || n % 100, n::text, '{}', '{}', now() - n * interval '4 s' FROM generate_series(1, 20000) n",
        )
        .await;
    world.run("VACUUM ANALYZE idempotency_keys").await;
    for plan in plans(&world, &statement("DELETE FROM idempotency_keys"), "79980, 500").await {
        assert!(
            plan.contains("Index Scan using idempotency_keys_by_age") && plan.contains("Tid Scan"),
            "{plan}"
        );
        assert!(!plan.contains("Seq Scan") && !plan.contains("Sort"), "{plan}");
    }
}

#[tokio::test]
async fn a_list_of_a_workspace_and_an_active_job_are_found_by_index() {
    let world = history().await;
    let list = statement("ORDER BY id DESC LIMIT $4");
    for plan in plans(&world, &list, "'w1', NULL, NULL, 21").await {
        assert!(plan.contains("jobs_by_workspace") && !plan.contains("Seq Scan"), "{plan}");
    }
    let active = statement("CROSS JOIN LATERAL (\n               SELECT * FROM jobs");
    for plan in plans(&world, &active, "'{w1}', '{sync}', '{hubspot}'").await {
        assert!(plan.contains("jobs_one_active") && !plan.contains("Seq Scan on jobs"), "{plan}");
    }
}

#[tokio::test]
async fn a_sweep_looks_associations_up_by_primary_key_before_there_are_statistics() {
    let world = World::new().await;
    world.run("ALTER TABLE associations SET (autovacuum_enabled = false)").await;
    world
        .run(
            "INSERT INTO associations (workspace_id, connector, from_object, from_id, to_object, to_id, types, job_id)
             SELECT 'w1', 'hubspot', 'contacts', n::text, 'companies', (n % 10)::text, '[]', gen_random_uuid()
             FROM generate_series(1, 20000) n",
        )
        .await;
    let job = "gen_random_uuid()";
    let write = statement("INSERT INTO associations");
    let listed = "'{7,8}', '{1,2}'";
    let written = format!("'w1', 'hubspot', {job}, 'contacts', 'companies', {listed}, '{{[],[]}}'");
    let (range, rest) = (statement("a.from_id <= $9"), statement("a.from_id > $8 AND coalesce"));
    let ended = format!("'w1', 'hubspot', {job}, 'contacts', 'companies', {listed}, '5'");
    for (statement, values) in [(write, written), (range, format!("{ended}, '9'")), (rest, ended)] {
        for plan in plans(&world, &statement, &values).await {
            assert!(plan.contains("associations_pkey"), "{plan}");
            assert!(!plan.contains("associations_by_target") && !plan.contains("Seq Scan"), "{plan}");
        }
    }
}
