//! What is checked, and what is promised.

/// What is checked. In the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Check {
    Lost,
    EndedTwice,
    Failed,
    Retried,
    StaleLease,
    PageTwice,
    Counts,
    Polls,
    Source,
    Limited,
    TakenOver,
    Wiped,
    Processes,
    Memory,
}

impl Check {
    pub(super) const ALL: [Self; 14] = [
        Self::Lost,
        Self::EndedTwice,
        Self::Failed,
        Self::Retried,
        Self::StaleLease,
        Self::PageTwice,
        Self::Counts,
        Self::Polls,
        Self::Source,
        Self::Limited,
        Self::TakenOver,
        Self::Wiped,
        Self::Processes,
        Self::Memory,
    ];

    /// What is promised.
    pub(super) fn promise(self) -> &'static str {
        match self {
            Self::Lost => "every job that a 202 named ended",
            Self::EndedTwice => "no job ended twice, or ran again after its end",
            Self::Failed => "no job failed or was cancelled without a cause",
            Self::Retried => "a retry goes on where its job stopped",
            Self::StaleLease => "nothing was written without the lease: no job, no cursor, no row",
            Self::PageTwice => "no page was committed twice",
            Self::Counts => "counts balance, and are those of the cursors",
            Self::Polls => "no poll went backwards, no answer was wrong",
            Self::Source => "destination equals source, field by field",
            Self::Limited => "no avoidable 429",
            Self::TakenOver => "a dead worker's job is taken over in time",
            Self::Wiped => "a deleted JetStream store costs seconds",
            Self::Processes => "every process ended when asked, none is left",
            Self::Memory => "memory is flat",
        }
    }
}
