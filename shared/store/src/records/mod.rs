//! Writing records. One statement for a page, whatever its size; one file for a table.

mod accounts;
mod associations;
mod contacts;
mod deals;
pub(crate) mod gone;
mod hash;
mod owners;
mod stages;

use std::collections::HashMap;

use protocol::{Record, Table};
use sqlx::PgConnection;

use crate::StoreError;
use crate::jobs::{Lease, PageBatch};

pub(crate) use hash::error_id;

/// What a page did to a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Rows inserted or changed because the vendor listed them.
    pub(crate) written: u64,
    /// Rows marked as deleted because the vendor did not.
    pub(crate) deleted: u64,
}

/// A statement with the name of the table between its parts: text that the compiler puts together.
macro_rules! for_table {
    ($table:expr, $($part:expr),+ $(,)?) => {
        match $table {
            protocol::Table::Deals => $crate::records::joined!("deals", $($part),+),
            protocol::Table::Contacts => $crate::records::joined!("contacts", $($part),+),
            protocol::Table::Accounts => $crate::records::joined!("accounts", $($part),+),
            protocol::Table::Owners => $crate::records::joined!("owners", $($part),+),
            protocol::Table::Stages => $crate::records::joined!("stages", $($part),+),
            protocol::Table::Associations => $crate::records::joined!("associations", $($part),+),
        }
    };
}
pub(crate) use for_table;

/// `joined!("deals", "SELECT FROM ", " WHERE …")`
macro_rules! joined {
    ($name:literal, $first:expr) => {
        $first
    };
    ($name:literal, $first:expr, $second:expr) => {
        concat!($first, $name, $second)
    };
    ($name:literal, $first:expr, $second:expr, $third:expr) => {
        concat!($first, $name, $second, $name, $third)
    };
}
pub(crate) use joined;

/// Writes one batch of pages.
pub(crate) async fn write(
    conn: &mut PgConnection,
    lease: &Lease,
    batch: &PageBatch,
) -> Result<Changes, StoreError> {
    let written = upsert(conn, lease, batch.table, &batch.records).await?;
    let mut changes = Changes { written, deleted: 0 };
    changes.deleted += gone::point_to_survivors(conn, lease, batch.table, &batch.records).await?;
    if batch.whole {
        let listed = (batch.records.as_slice(), batch.rejected.as_slice());
        changes.deleted += gone::mark_others(conn, lease, batch.table, listed).await?;
    }
    for sweep in &batch.sweeps {
        let swept = associations::commit(conn, lease, sweep).await?;
        changes.written += swept.written;
        changes.deleted += swept.deleted;
    }
    Ok(changes)
}

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
        Table::Owners => owners::upsert(conn, lease, &page).await,
        Table::Stages => stages::upsert(conn, lease, &page).await,
        Table::Associations => Err(StoreError::Corrupt("associations are no records".to_owned())),
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
