//! Writing records. One statement for a page, whatever its size; one file for a table.

mod accounts;
mod contacts;
mod deals;
mod hash;

use std::collections::HashMap;

use protocol::{Record, Table};
use sqlx::PgConnection;

use crate::StoreError;
use crate::jobs::Lease;

pub(crate) use hash::error_id;

/// Inserts what is new and rewrites what differs, and answers how many rows that was.
pub(crate) async fn upsert(
    conn: &mut PgConnection,
    lease: &Lease,
    table: Table,
    records: &[Record],
) -> Result<u64, StoreError> {
    if records.is_empty() {
        return Ok(0);
    }
    if let Some(stray) = records.iter().find(|r| r.fields.table() != table) {
        return Err(StoreError::Corrupt(format!(
            "record {} does not belong into {}",
            stray.external_id,
            table.as_str()
        )));
    }
    let page = Columns::of(&last_of_each(records));
    match table {
        Table::Deals => deals::upsert(conn, lease, &page).await,
        Table::Contacts => contacts::upsert(conn, lease, &page).await,
        Table::Accounts => accounts::upsert(conn, lease, &page).await,
    }
}

/// A vendor may list a record twice on its pages; the later one counts. In key order, so that two
/// transactions lock rows in the same order.
fn last_of_each(records: &[Record]) -> Vec<&Record> {
    let mut last: HashMap<&str, &Record> = HashMap::with_capacity(records.len());
    for record in records {
        last.insert(&record.external_id, record);
    }
    let mut unique: Vec<&Record> = last.into_values().collect();
    unique.sort_unstable_by(|a, b| a.external_id.cmp(&b.external_id));
    unique
}

/// The columns that every table has, column by column, as `unnest` wants them.
struct Columns<'a> {
    records: Vec<&'a Record>,
    external_id: Vec<&'a str>,
    properties: Vec<&'a str>,
    created_at: Vec<Option<time::OffsetDateTime>>,
    updated_at: Vec<Option<time::OffsetDateTime>>,
    deleted_at: Vec<Option<time::OffsetDateTime>>,
    content_hash: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn of(records: &[&'a Record]) -> Self {
        Self {
            records: records.to_vec(),
            external_id: records.iter().map(|r| r.external_id.as_str()).collect(),
            properties: records.iter().map(|r| r.properties.as_str()).collect(),
            created_at: records.iter().map(|r| r.source_created_at).collect(),
            updated_at: records.iter().map(|r| r.source_updated_at).collect(),
            deleted_at: records.iter().map(|r| r.deleted_at).collect(),
            content_hash: records.iter().map(|r| hash::content_hash(r)).collect(),
        }
    }
}

/// One typed column of a page: `column!(page, Deal, amount)` is a `Vec<Option<&str>>`.
macro_rules! column {
    ($page:expr, $variant:ident, $field:ident) => {
        $page
            .records
            .iter()
            .map(|r| match &r.fields {
                protocol::Fields::$variant(fields) => fields.$field.as_deref(),
                _ => None,
            })
            .collect::<Vec<Option<&str>>>()
    };
    ($page:expr, $variant:ident, $field:ident, copy) => {
        $page
            .records
            .iter()
            .map(|r| match &r.fields {
                protocol::Fields::$variant(fields) => fields.$field,
                _ => None,
            })
            .collect::<Vec<_>>()
    };
}
use column;
