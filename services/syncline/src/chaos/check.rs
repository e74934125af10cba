//! What is checked, and what is promised.

/// What is checked. In the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Check {
    Lost,
    EndedTwice,
    Failed,
    Retried,
    Cancelled,
    StaleLease,
    PageTwice,
    Counts,
    Polls,
    Reads,
    Source,
    Limited,
    TakenOver,
    Wiped,
    Processes,
    Memory,
    Proved,
}

impl Check {
    pub(super) const ALL: [Self; 17] = [
        Self::Lost,
        Self::EndedTwice,
        Self::Failed,
        Self::Retried,
        Self::Cancelled,
        Self::StaleLease,
        Self::PageTwice,
        Self::Counts,
        Self::Polls,
        Self::Reads,
        Self::Source,
        Self::Limited,
        Self::TakenOver,
        Self::Wiped,
        Self::Processes,
        Self::Memory,
        Self::Proved,
    ];

    /// What is promised.
    pub(super) fn promise(self) -> &'static str {
        match self {
            Self::Lost => "every job that a 202 named ended",
            Self::EndedTwice => "no job ended twice, or ran again after its end",
            Self::Failed => "no job failed or was cancelled without a cause",
            Self::Retried => "a retry goes on where its job stopped",
            Self::Cancelled => "a running job that is to be cancelled ends within 3 s (not optimised: 10 s)",
            Self::StaleLease => "nothing was written without the lease: no job, no cursor, no row",
            Self::PageTwice => "no page was committed twice",
            Self::Counts => "counts balance, and are those of the cursors",
            Self::Polls => "no poll went backwards, none was older than its tag, no answer was wrong",
            Self::Reads => "what a process has answered it answers while Postgres or NATS is down",
            Self::Source => "destination equals source, field by field",
            Self::Limited => "at most 3 in 10,000 requests (rounded up) were answered with an avoidable 429",
            Self::TakenOver => "a dead worker's job is taken over in time",
            Self::Wiped => "a deleted JetStream store costs seconds",
            Self::Processes => "every process ended when asked, none is left",
            Self::Memory => "memory is flat",
            Self::Proved => "half an hour or more has 200 kills and 100 takeovers",
        }
    }
}
