use devstack::NatsUser;
use devstack::testing::TestEnv;

use crate::clients;

#[tokio::test]
async fn two_environments_do_not_see_each_others_streams() {
    let (one, other) = tokio::join!(TestEnv::new(), TestEnv::new());
    let mine = clients::jetstream(&one.nats_url(NatsUser::Admin), NatsUser::Admin).await;
    let theirs = clients::jetstream(&other.nats_url(NatsUser::Admin), NatsUser::Admin).await;

    mine.create_stream(clients::tickets()).await.unwrap();
    theirs.get_stream("SYNC_JOBS").await.unwrap_err();
    theirs.create_stream(clients::tickets()).await.unwrap();
    mine.publish("sync.jobs.high.w.sync.hubspot", "ticket".into()).await.unwrap().await.unwrap();

    assert_eq!(mine.get_stream("SYNC_JOBS").await.unwrap().cached_info().state.messages, 1);
    assert_eq!(theirs.get_stream("SYNC_JOBS").await.unwrap().cached_info().state.messages, 0);
}

#[tokio::test]
async fn two_environments_have_databases_of_their_own() {
    let (one, other) = tokio::join!(TestEnv::new(), TestEnv::new());
    assert_ne!(one.database_url, other.database_url);
    let mut mine = clients::postgres(&one.database_url).await;
    sqlx::query("CREATE TABLE jobs (id int)").execute(&mut mine).await.unwrap();
    let mut theirs = clients::postgres(&other.database_url).await;
    let found: bool =
        sqlx::query_scalar("SELECT to_regclass('jobs') IS NOT NULL").fetch_one(&mut theirs).await.unwrap();
    assert!(!found);
}

#[tokio::test]
async fn two_environments_with_the_schema_have_all_of_it_and_no_row_of_the_other() {
    let (one, other) = tokio::join!(TestEnv::with_schema(), TestEnv::with_schema());
    one.sql("INSERT INTO workspaces (id, name) VALUES ('acme', 'Acme')").await;
    let mut theirs = clients::postgres(&other.database_url).await;
    let workspaces: i64 =
        sqlx::query_scalar("SELECT count(*) FROM workspaces").fetch_one(&mut theirs).await.unwrap();
    assert_eq!(workspaces, 0);
    let applied: i64 =
        sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations").fetch_one(&mut theirs).await.unwrap();
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations")).unwrap();
    assert_eq!(usize::try_from(applied).unwrap(), files.count());
}
