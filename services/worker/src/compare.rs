//! Comparing both sides: records that are gone without a trace. So that a vendor's bad day, or a token that sees less
//! than before, does not empty a table, suspiciously many are left alone until somebody approves.

use std::collections::BTreeMap;
use std::sync::Arc;

use connectors::{Difference, ErrorClass, SourceError};
use protocol::{ObjectName, Table};
use store::{Compared, Fenced, StoreError};
use tokio::task::JoinSet;

use crate::fetch::halted;
use crate::live::Live;
use crate::pipeline::{Pipeline, Stopped, panic_message};
use crate::plan::Planned;
use crate::tally::Tally;

/// How many rows may be marked as deleted without anybody looking.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeleteGuard {
    /// So many in any case.
    pub rows_max: u64,
    /// Or this share of an object's live rows, in percent.
    pub percent_max: u64,
    /// What somebody approved, by object.
    pub approved: BTreeMap<ObjectName, u64>,
}

impl DeleteGuard {
    /// Whether so many of the known records may be marked.
    fn allows(&self, object: &ObjectName, gone: u64, known: u64) -> bool {
        let approved = self.approved.get(object).copied().unwrap_or(0);
        gone <= self.rows_max
            || gone.saturating_mul(100) <= known.saturating_mul(self.percent_max)
            || gone <= approved
    }
}

type Answer = (Planned, Result<Difference, SourceError>);

impl Pipeline<'_> {
    /// Compares every object whose records are there, answer by answer.
    pub(crate) async fn compare(&self, tally: &mut Tally, live: &mut Live) -> Result<(), Stopped> {
        let mut asking: JoinSet<Answer> = JoinSet::new();
        let ask = |asking: &mut JoinSet<Answer>, planned: Planned| {
            let session = Arc::clone(&self.session);
            asking.spawn(async move {
                // The pages are done: the position is the comparison's.
                let place = planned.position.as_ref().filter(|_| planned.done);
                let difference = session.compare(&planned.object, place).await;
                (planned, difference)
            });
        };
        for planned in self.planned.iter().filter(|planned| is_compared(planned, tally)) {
            ask(&mut asking, planned.clone());
        }
        let halted = halted(&self.stop);
        tokio::pin!(halted);
        loop {
            let answer = tokio::select! {
                answer = asking.join_next() => answer,
                () = &mut halted => return Err(Stopped::Interrupted),
            };
            let Some(answer) = answer else { return Ok(()) };
            let (mut planned, difference) =
                answer.map_err(|error| Stopped::Panicked(panic_message(error)))?;
            match difference {
                Ok(difference) => {
                    let next = difference.next.clone();
                    let fenced = self.commit_difference(&planned, difference, tally, live).await;
                    if fenced.map_err(Stopped::Store)?.cancel_requested {
                        return Err(Stopped::Cancelled);
                    }
                    if next.is_some() {
                        (planned.position, planned.done) = (next, true);
                        ask(&mut asking, planned);
                    }
                }
                Err(error) if error.class == ErrorClass::Forbidden => {
                    tally.set_failed(&planned.object, error.message);
                }
                Err(error) => return Err(Stopped::Source(planned.object, error)),
            }
        }
    }

    /// Commits what an answer says. Gone records are marked unless they are, or seem to be, suspiciously many: those of
    /// this answer, those before, and what the vendor's own count makes one expect.
    async fn commit_difference(
        &self,
        planned: &Planned,
        difference: Difference,
        tally: &mut Tally,
        live: &mut Live,
    ) -> Result<Fenced, StoreError> {
        let Planned { object, table, .. } = planned;
        let Difference { records, rejected, gone, known, fewer, next } = difference;
        let so_far = tally.deleted(object) + tally.needs_review(object) + gone.len() as u64;
        let allowed = self.guard.allows(object, so_far.max(fewer), known);
        if !allowed && !gone.is_empty() {
            tracing::warn!(object = %object, gone = so_far, known, "so many are gone that somebody has to approve");
        }
        let held_back = if allowed { 0 } else { gone.len() as u64 };
        let mut compared = Compared {
            object: object.clone(),
            table: *table,
            records,
            rejected,
            needs_review: tally.needs_review(object) + held_back,
            gone: if allowed { gone } else { Vec::new() },
            next: next.map(|next| next.0),
        };
        let mut at = tokio::time::Instant::now();
        let progress = tally.progress(object);
        let mut committed = self.store.commit_comparison(self.lease, &compared, &progress).await;
        if committed.as_ref().is_err_and(StoreError::is_about_data) {
            let Compared { records, rejected, .. } = &mut compared;
            self.set_aside(object, *table, records, rejected).await?;
            at = tokio::time::Instant::now();
            committed = self.store.commit_comparison(self.lease, &compared, &progress).await;
        }
        let (fenced, done) = committed?;
        self.renewed.send_replace(at);
        tally.add_compared(&compared, done);
        live.progress(progress, fenced);
        Ok(fenced)
    }
}

fn is_compared(planned: &Planned, tally: &Tally) -> bool {
    planned.table != Table::Associations && !planned.compared && !tally.has_failed(&planned.object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_marked_only_if_they_are_few_of_all_or_somebody_approved() {
        let object: ObjectName = "contacts".parse().unwrap();
        let other = DeleteGuard {
            rows_max: 100,
            percent_max: 20,
            approved: BTreeMap::from([("deals".parse().unwrap(), 9_999)]),
        };
        let approved = DeleteGuard { approved: BTreeMap::from([(object.clone(), 300)]), ..other.clone() };
        for (guard, gone, known, allowed) in [
            // Up to 100, whatever share that is.
            (&other, 100, 100, true),
            (&other, 101, 101, false),
            // Up to 20 percent.
            (&other, 200, 1_000, true),
            (&other, 201, 1_000, false),
            // As many as were approved, and no more.
            (&approved, 300, 1_000, true),
            (&approved, 301, 1_000, false),
        ] {
            assert_eq!(guard.allows(&object, gone, known), allowed, "{gone} of {known}");
        }
    }
}
