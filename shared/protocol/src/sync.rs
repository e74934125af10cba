//! What a sync is asked for, and what it did.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ConnectorName, JobView, ObjectName, ObjectStatus, SyncMode, SyncOutcome};

/// What a client asked for besides the connector: the column `jobs.payload`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncOptions {
    /// `None`: incremental for each object that has a checkpoint, full for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<SyncMode>,
    /// Only these objects; all if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<ObjectName>,
    /// How many records of an object may be marked as deleted although it is suspiciously many: somebody looked at
    /// a job that said `needsReview`, and approved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub approved: BTreeMap<ObjectName, u64>,
    /// How long an attempt may take, in seconds; what the worker is configured with if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
}

impl SyncOptions {
    /// Whether nothing was asked for.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The longest time an attempt may be given, in seconds: a day.
pub const TIMEOUT_SECONDS_MAX: u32 = 86_400;

/// What became of one object of a sync.
///
/// `listed` = `written` + `unchanged` + `captured`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectResult {
    /// The connector it was read through.
    pub connector_type: ConnectorName,
    /// Contacts, companies, deals.
    pub object: ObjectName,
    /// What was read of it.
    #[serde(default = "full")]
    pub mode: SyncMode,
    /// What became of it.
    #[serde(default = "object_completed")]
    pub status: ObjectStatus,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Records the vendor listed.
    pub listed: u64,
    /// Rows inserted or changed.
    pub written: u64,
    /// Rows that were already equal, and not touched.
    pub unchanged: u64,
    /// Records that could not be transformed; they are in `record_errors`.
    pub captured: u64,
    /// Vendor responses committed.
    pub pages: u64,
    /// Rows marked as deleted because the vendor has no such record any more, and no archived one. None of them was
    /// listed.
    #[serde(default)]
    pub deleted: u64,
    /// Rows that the vendor has no record of, and that were left as they are: they are suspiciously many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub needs_review: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn full() -> SyncMode {
    SyncMode::Full
}

fn object_completed() -> ObjectStatus {
    ObjectStatus::Completed
}

fn complete() -> SyncOutcome {
    SyncOutcome::Complete
}

/// A record, or an object, that a sync could not bring over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncError {
    /// The object.
    pub object: ObjectName,
    /// The vendor's id of the record.
    pub external_id: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What a completed sync did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncResult {
    /// Whether every object was brought over.
    #[serde(default = "complete")]
    pub outcome: SyncOutcome,
    /// One entry an object.
    pub results: Vec<ObjectResult>,
    /// Whether so many records are gone at the vendor that nobody but a person should believe it. They were not
    /// marked as deleted; `POST …/sync/jobs/{jobId}/approve` does that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_review: bool,
    /// Records in Postgres now because of this sync: written plus unchanged. Associations are no records.
    pub total_records: u64,
    /// The first 100 captured records; all of them are in the table `record_errors`.
    pub errors: Vec<SyncError>,
}

impl Default for SyncResult {
    fn default() -> Self {
        Self {
            outcome: SyncOutcome::Complete,
            results: Vec::new(),
            needs_review: false,
            total_records: 0,
            errors: Vec::new(),
        }
    }
}

impl SyncResult {
    /// What several jobs did, added up.
    pub(crate) fn merged(jobs: &[JobView]) -> Self {
        let results = jobs.iter().filter_map(|job| job.result.as_ref());
        let complete =
            jobs.iter().all(|job| job.result.as_ref().is_some_and(|r| r.outcome == SyncOutcome::Complete));
        Self {
            outcome: if complete { SyncOutcome::Complete } else { SyncOutcome::Partial },
            results: results.clone().flat_map(|result| result.results.clone()).collect(),
            needs_review: results.clone().any(|result| result.needs_review),
            total_records: results.clone().map(|result| result.total_records).sum(),
            errors: results.flat_map(|result| result.errors.clone()).collect(),
        }
    }
}
