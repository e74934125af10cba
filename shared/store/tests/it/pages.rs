use protocol::{AccountFields, ContactFields, DealFields, Fields, Record, Table};
use serde_json::{Value, json};
use store::{PageBatch, StoreError};
use time::macros::{date, datetime};

use crate::fixture::{World, deal, deals, progress, rejected, written};

/// A record with everything set, and each value different, so that none can end in another's column.
fn full(fields: Fields) -> Record {
    Record {
        external_id: "id-1".to_owned(),
        fields,
        properties: r#"{"vendor": "says"}"#.to_owned(),
        source_created_at: Some(datetime!(2025-01-02 03:04:05.123456 UTC)),
        source_updated_at: Some(datetime!(2026-01-02 03:04:05 UTC)),
        deleted_at: Some(datetime!(2026-02-02 03:04:05 UTC)),
        merged_ids: Vec::new(),
    }
}

/// Commits one record and answers its row without what the store adds.
async fn stored(fields: Fields) -> Value {
    let world = World::new().await;
    let claimed = world.running().await;
    let table = fields.table();
    let page = PageBatch { table, records: vec![full(fields)], ..deals(vec![]) };
    world.store.commit_pages(&claimed.lease, &[page], &progress(1)).await.unwrap();
    let table = table.as_str();
    let mut row: Value = world.one(&format!("SELECT to_jsonb({table}) FROM {table}")).await;
    let row = row.as_object_mut().unwrap();
    let ours = [
        ("workspace_id", json!("acme")),
        ("connector", json!("hubspot")),
        ("external_id", json!("id-1")),
        ("job_id", json!(claimed.job.id)),
        ("properties", json!({"vendor": "says"})),
        ("source_created_at", json!("2025-01-02T03:04:05.123456+00:00")),
        ("source_updated_at", json!("2026-01-02T03:04:05+00:00")),
        ("deleted_at", json!("2026-02-02T03:04:05+00:00")),
    ];
    for (column, value) in ours {
        assert_eq!(row.remove(column), Some(value), "{table}.{column}");
    }
    assert!(row.remove("content_hash").is_some_and(|hash| hash.is_i64()));
    assert!(row.remove("synced_at").is_some());
    Value::Object(row.clone())
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

#[tokio::test]
async fn every_column_of_a_deal_is_kept_and_money_stays_exact() {
    let row = stored(Fields::Deal(DealFields {
        name: text("name"),
        amount: text("12345678901234567890.123456789"),
        currency: text("EUR"),
        stage: text("stage"),
        pipeline: text("pipeline"),
        owner_id: text("owner"),
        close_date: Some(date!(2026 - 03 - 04)),
        is_won: Some(true),
    }));
    let amount: Value = serde_json::from_str("12345678901234567890.123456789").unwrap();
    assert_eq!(
        row.await,
        json!({"name": "name", "amount": amount, "currency": "EUR", "stage": "stage", "pipeline": "pipeline",
               "owner_id": "owner", "close_date": "2026-03-04", "is_won": true, "merged_into": null})
    );
}

#[tokio::test]
async fn money_is_kept_digit_by_digit() {
    let world = World::new().await;
    let claimed = world.running().await;
    let amounts = ["0.10", "12345678901234567890.123456789", "-1"];
    let page = deals(amounts.iter().map(|amount| deal(amount, amount)).collect());
    world.store.commit_pages(&claimed.lease, &[page], &progress(1)).await.unwrap();
    let kept = "SELECT bool_and(amount::text = external_id) AND count(*) = 3 FROM deals";
    assert!(world.one::<bool>(kept).await);
}

#[tokio::test]
async fn every_column_of_a_contact_is_kept() {
    let row = stored(Fields::Contact(ContactFields {
        email: text("email"),
        first_name: text("first"),
        last_name: text("last"),
        phone: text("phone"),
        job_title: text("title"),
        account_external_id: text("account"),
        lifecycle_stage: text("lead"),
        owner_id: text("owner"),
    }));
    assert_eq!(
        row.await,
        json!({"email": "email", "first_name": "first", "last_name": "last", "phone": "phone",
               "job_title": "title", "account_external_id": "account", "lifecycle_stage": "lead",
               "owner_id": "owner", "merged_into": null})
    );
}

#[tokio::test]
async fn every_column_of_an_account_is_kept() {
    let row = stored(Fields::Account(AccountFields {
        name: text("name"),
        domain: text("domain"),
        industry: text("industry"),
        city: text("city"),
        country: text("country"),
        employees: Some(i64::MAX),
        annual_revenue: text("1.5"),
        owner_id: text("owner"),
    }));
    assert_eq!(
        row.await,
        json!({"name": "name", "domain": "domain", "industry": "industry", "city": "city",
               "country": "country", "employees": i64::MAX, "annual_revenue": 1.5, "owner_id": "owner",
               "merged_into": null})
    );
}

#[tokio::test]
async fn a_commit_writes_rows_captures_cursor_progress_and_lease_together() {
    let world = World::new().await;
    let claimed = world.running().await;
    world.set(claimed.job.id, "lease_expires_at = now() + interval '1 s'").await;
    let mut page = deals(vec![deal("1", "10"), deal("2", "20")]);
    page.rejected = vec![rejected("3", "bad")];
    let mut contacts = PageBatch { object: "contacts".parse().unwrap(), ..deals(vec![]) };
    contacts.table = Table::Contacts;
    let committed = world.store.commit_pages(&claimed.lease, &[page, contacts], &progress(3)).await.unwrap();
    assert_eq!(written(&committed), [2, 0]);
    assert_eq!(committed.fenced.revision, claimed.job.revision + 1);
    assert_eq!(world.one::<i64>("SELECT count(*) FROM deals").await, 2);
    assert_eq!(world.one::<i64>("SELECT count(*) FROM record_errors").await, 1);
    assert_eq!(world.one::<i64>("SELECT count(*) FROM cursors").await, 2);
    let row = world.row(claimed.job.id).await;
    assert_eq!(row["progress"], json!({"current": 3, "total": 1000, "message": "3 so far"}));
    assert!(world.one::<bool>("SELECT lease_expires_at > now() + interval '290 s' FROM jobs").await);
}

#[tokio::test]
async fn a_commit_that_fails_anywhere_leaves_nothing() {
    let world = World::new().await;
    let claimed = world.running().await;
    let before = world.row(claimed.job.id).await;
    let mut good = deals(vec![deal("1", "10")]);
    good.rejected = vec![rejected("2", "bad")];
    let mut no_json = deal("3", "30");
    no_json.properties = "{".to_owned();
    let stray = Record { fields: Fields::Contact(ContactFields::default()), ..deal("4", "40") };
    for bad in [deal("3", "ten"), no_json, stray] {
        let bad = PageBatch { object: "more".parse().unwrap(), ..deals(vec![deal("5", "50"), bad]) };
        let error = world.store.commit_pages(&claimed.lease, &[good.clone(), bad], &progress(3)).await;
        assert!(matches!(error, Err(StoreError::Refused(_) | StoreError::Corrupt(_))), "{error:?}");
        for table in ["deals", "cursors", "record_errors"] {
            assert_eq!(world.one::<i64>(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
        }
        assert_eq!(world.row(claimed.job.id).await, before);
    }
    world.store.commit_pages(&claimed.lease, &[good], &progress(1)).await.unwrap();
}

#[tokio::test]
async fn of_a_record_that_is_listed_twice_in_a_page_the_last_one_counts() {
    let world = World::new().await;
    let claimed = world.running().await;
    let page = deals(vec![deal("1", "10"), deal("2", "5"), deal("1", "20"), deal("1", "30")]);
    let committed = world.store.commit_pages(&claimed.lease, &[page], &progress(4)).await.unwrap();
    assert_eq!(written(&committed), [2]);
    assert!(world.one::<bool>("SELECT amount = 30 FROM deals WHERE external_id = '1'").await);
    assert!(world.one::<bool>("SELECT (listed, written, unchanged) = (4, 2, 2) FROM cursors").await);
}

#[tokio::test]
async fn one_vendor_id_is_a_row_for_each_workspace_and_connector() {
    let world = World::new().await;
    for (workspace, connector) in [("acme", "hubspot"), ("acme", "monday"), ("globex", "hubspot")] {
        let answers = world.store.accept(&[crate::fixture::new_job(workspace, connector)]).await.unwrap();
        let claimed = world.claimed(answers[0].job().unwrap().id).await;
        let page = deals(vec![deal("1", "10")]);
        let committed = world.store.commit_pages(&claimed.lease, &[page], &progress(1)).await.unwrap();
        assert_eq!(written(&committed), [1]);
    }
    assert_eq!(world.one::<i64>("SELECT count(*) FROM deals").await, 3);
    let counts = world.store.record_counts(&crate::fixture::workspace("acme")).await.unwrap();
    assert_eq!((counts.rows(Table::Deals), counts.rows(Table::Contacts)), (2, 0));
}
