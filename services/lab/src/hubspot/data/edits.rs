use super::Row;

/// What happened to a record since the lab started.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Edit {
    pub(crate) archived_ms: Option<i64>,
    pub(crate) modified_ms: Option<i64>,
    /// Counts touches, so that each gives the record new content and not only a new date.
    pub(crate) revision: u64,
}

impl Edit {
    pub(super) fn apply(&self, row: &mut Row) {
        // Archiving leaves the modified date alone, as at the vendor: deletions are invisible to a cursor.
        row.archived_ms = self.archived_ms;
        row.revision = self.revision;
        if let Some(modified_ms) = self.modified_ms {
            row.modified_ms = modified_ms;
        }
    }
}
