//! Records that Postgres refuses though they could be transformed: a number too large for `numeric`, JSON nested too deep.
//! One of them must not keep the rest of its page from going in, and with it the job from ever ending well.

use protocol::{Record, Rejected, Table};

use super::claim::Lease;
use crate::{Store, StoreError, records};

/// If Postgres refuses more records at once, it is not the records that are bad.
const REFUSED_MAX: usize = 100;

impl Store {
    /// Moves those of the records that Postgres refuses to the rejected ones, with what it says, and answers how many that
    /// was. Writes nothing. To be asked after a commit that failed with [`StoreError::is_about_data`].
    ///
    /// Costs: a transaction, rolled back, for each part that is tried; parts are halved, so about twice log2 of all
    /// records for each that is refused.
    ///
    /// # Errors
    /// What Postgres says if it refuses more than 100. If Postgres is not available.
    pub async fn set_aside(
        &self,
        lease: &Lease,
        table: Table,
        records: &mut Vec<Record>,
        rejected: &mut Vec<Rejected>,
    ) -> Result<usize, StoreError> {
        let before = rejected.len();
        let mut parts = vec![std::mem::take(records)];
        while let Some(mut part) = parts.pop() {
            match self.refusal(lease, table, &part).await? {
                None => records.append(&mut part),
                Some(error) if rejected.len() - before == REFUSED_MAX => return Err(error),
                Some(_) if part.len() > 1 => {
                    let second = part.split_off(part.len() / 2);
                    // The first one is the next: they stay in their order.
                    parts.extend([second, part]);
                }
                Some(error) => {
                    let reason = error.data_message().unwrap_or_default();
                    rejected.extend(part.into_iter().map(|record| refused(record, reason)));
                }
            }
        }
        Ok(rejected.len() - before)
    }

    /// What Postgres says against some of these records.
    async fn refusal(
        &self,
        lease: &Lease,
        table: Table,
        part: &[Record],
    ) -> Result<Option<StoreError>, StoreError> {
        let mut tx = self.begin_within(lease.duration).await?;
        let tried = records::upsert(&mut tx, lease, table, part).await;
        tx.rollback().await?;
        match tried {
            Ok(_) => Ok(None),
            Err(error) if error.is_about_data() => Ok(Some(error)),
            Err(error) => Err(error),
        }
    }
}

fn refused(record: Record, reason: &str) -> Rejected {
    Rejected {
        external_id: record.external_id,
        reason: format!("Postgres refuses it: {reason}"),
        payload: record.properties,
        is_live: record.deleted_at.is_none(),
    }
}
