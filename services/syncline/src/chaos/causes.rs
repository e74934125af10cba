//! Jobs that failed or were cancelled: whether there was a cause that is not ours.

use protocol::AttemptErrorClass;
use store::JobFacts;
use time::OffsetDateTime;

use super::check::Check;
use super::checker::Facts;

pub(super) fn without_cause(facts: &Facts, find: &mut impl FnMut(Check, String)) {
    for job in &facts.jobs {
        let JobFacts { id, attempts, max_attempts, .. } = job;
        if attempts > max_attempts {
            find(Check::Failed, format!("job {id} ran {attempts} times, and {max_attempts} are allowed"));
        }
        if job.status == "cancelled" && !facts.notes.cancels.contains(id) {
            find(Check::Failed, format!("job {id} was cancelled, and nobody asked for that"));
        }
        if facts.notes.told_cancelled.contains(id) && job.status != "cancelled" {
            find(Check::Failed, format!("job {id} is {}, and was said to be cancelled", job.status));
        }
        if job.status == "failed"
            && let Some(why_not) = unjustified(job, &facts.vendor_failed)
        {
            let error = job.last_error.as_deref().unwrap_or("no error");
            find(Check::Failed, format!("job {id} failed after {attempts} attempts: {error} ({why_not})"));
        }
    }
}

/// What Syncline itself says when it is not the vendor that failed.
const OWN_TROUBLES: [&str; 3] = ["What is stored", "A page could not be written", "Internal error"];

/// Only a vendor that fails again and again may cost a job; no death of a process, and no outage of Postgres or NATS,
/// counts as an attempt. `None` if each attempt failed by the vendor's fault.
fn unjustified(job: &JobFacts, vendor_failed: &[(OffsetDateTime, OffsetDateTime)]) -> Option<String> {
    if job.attempts < job.max_attempts || job.attempt_errors.len() < job.attempts.unsigned_abs() as usize {
        return Some("there were attempts left".to_owned());
    }
    job.attempt_errors.iter().find_map(|error| {
        let then = || vendor_failed.iter().any(|(from, to)| (*from..=*to).contains(&error.at));
        let is_vendors = error.class == AttemptErrorClass::Transient
            && !OWN_TROUBLES.iter().any(|ours| error.message.contains(ours))
            && then();
        (!is_vendors).then(|| format!("attempt {}, {}: {}", error.attempt, error.class, error.message))
    })
}
