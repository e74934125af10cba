//! Words: enums with one word for each variant, the same in JSON, in SQL and in subjects.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A word that is none of the enum's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is none of {allowed}")]
pub struct UnknownVariant {
    word: String,
    allowed: &'static str,
}

/// An enum with one word for each variant, the same in JSON, in SQL and in subjects.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every variant.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownVariant;
            fn from_str(s: &str) -> Result<Self, UnknownVariant> {
                match s {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownVariant { word: s.to_owned(), allowed: concat!($("`", $word, "` "),+) }),
                }
            }
        }
    };
}

words! {
    /// Where a job stands. `queued` is what the table `jobs` calls `pending`.
    JobStatus {
        /// Waits: for a worker, or for the time in `nextAttemptAt`.
        Queued = "queued",
        /// A worker has its lease.
        Running = "running",
        /// Over; the data is there.
        Completed = "completed",
        /// Over; `error` says why.
        Failed = "failed",
        /// Over; somebody stopped it. Committed pages stay.
        Cancelled = "cancelled",
    }
}

impl JobStatus {
    /// Whether the job never runs again.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// The word in the column `jobs.status`.
    pub fn as_sql(self) -> &'static str {
        if self == Self::Queued { "pending" } else { self.as_str() }
    }

    /// From the column `jobs.status`.
    ///
    /// # Errors
    /// If the word is none of the five.
    pub fn from_sql(s: &str) -> Result<Self, UnknownVariant> {
        if s == "pending" { Ok(Self::Queued) } else { s.parse() }
    }
}

words! {
    /// Why a queued job waits. None of these: it waits for a free worker.
    WaitingReason {
        /// An attempt failed; the next one is at `nextAttemptAt`.
        RetryBackoff = "retry_backoff",
        /// The vendor said: come back later.
        SourceQuota = "source_quota",
        /// Its worker put it back, because it shut down or others wanted the place; it goes on with the next free worker.
        Interrupted = "interrupted",
    }
}

words! {
    /// What kind of error ended an attempt.
    AttemptErrorClass {
        /// It may go away by itself.
        Transient = "transient",
        /// It will not: refused credentials, bad configuration.
        Permanent = "permanent",
        /// The vendor said: come back later.
        SourceQuota = "source_quota",
        /// The attempt took too long.
        TimedOut = "timed_out",
        /// A bug in Syncline.
        Panic = "panic",
        /// The job was taken over from dead workers too often.
        Poison = "poison",
    }
}

words! {
    /// The lane a job's ticket waits in. Each lane has its own slots in every worker.
    Priority {
        /// Somebody waits for it.
        High = "high",
        /// The default.
        Normal = "normal",
        /// Nightly batches.
        Low = "low",
    }
}

words! {
    /// What a sync reads of an object.
    SyncMode {
        /// Everything.
        Full = "full",
        /// What changed since the last sync of it that ended.
        Incremental = "incremental",
    }
}

words! {
    /// Whether a completed sync brought every object over.
    SyncOutcome {
        /// It did.
        Complete = "complete",
        /// Some objects could not be read; `results` says which and why.
        Partial = "partial",
    }
}

words! {
    /// What became of an object.
    ObjectStatus {
        /// Its last page is in.
        Completed = "completed",
        /// The account does not allow to read it.
        Failed = "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pending_has_another_word_in_sql() {
        for status in JobStatus::ALL {
            assert_eq!(JobStatus::from_sql(status.as_sql()), Ok(*status));
            assert_eq!(status.as_sql() == status.as_str(), *status != JobStatus::Queued);
        }
    }
}
