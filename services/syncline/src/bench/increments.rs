//! Increments: nothing, a hundredth and all of the records changed.

use lab::LabConfig;
use serde::Serialize;

use super::report::mark;
use super::sync::{Account, Sync};

/// So many times faster than a first sync is an increment with nothing new.
const SPEEDUP_MIN: f64 = 3.0;

/// One after another, after a first sync.
#[derive(Debug, Serialize)]
pub(super) struct Increments {
    pub nothing: Increment,
    pub hundredth: Increment,
    pub everything: Increment,
}

/// One of them.
#[derive(Debug, Serialize)]
pub(super) struct Increment {
    /// Records with new values since the sync before.
    pub changed: u64,
    #[serde(flatten)]
    pub sync: Sync,
}

pub(super) async fn measure(account: &Account<'_>, lab: &LabConfig) -> anyhow::Result<Increments> {
    Ok(Increments {
        nothing: Increment { changed: 0, sync: account.sync(None).await? },
        hundredth: Increment { changed: account.change(lab, 100).await?, sync: account.sync(None).await? },
        everything: Increment { changed: account.change(lab, 1).await?, sync: account.sync(None).await? },
    })
}

impl Increment {
    /// Whatever changed arrived, and nothing else was written.
    fn is_well(&self) -> bool {
        let Sync { written, captured, .. } = self.sync;
        written <= self.changed && written + captured >= self.changed
    }
}

impl Increments {
    /// How much faster than a first sync.
    fn speedup(&self, first: &Sync) -> f64 {
        first.seconds / self.nothing.sync.seconds
    }

    pub(super) fn is_well(&self, first: &Sync) -> bool {
        self.are_complete() && self.speedup(first) >= SPEEDUP_MIN
    }

    fn are_complete(&self) -> bool {
        self.nothing.is_well()
            && self.hundredth.is_well()
            && self.everything.is_well()
            && self.hundredth.changed > 0
    }

    pub(super) fn lines(&self) -> Vec<String> {
        [
            ("increment, no change", &self.nothing),
            ("increment, 1 %", &self.hundredth),
            ("increment, 100 %", &self.everything),
        ]
        .map(|(name, increment)| increment.sync.line(name))
        .into()
    }

    /// What has to hold, with the best first sync.
    pub(super) fn verdicts(&self, first: &Sync) -> Vec<String> {
        let speedup = self.speedup(first);
        vec![
            format!(
                "{} the increments wrote what changed: {}, {} and {} records",
                mark(self.are_complete()),
                self.nothing.changed,
                self.hundredth.changed,
                self.everything.changed
            ),
            format!(
                "{} an increment with no change is {speedup:.1} times faster than the first sync (at least {SPEEDUP_MIN})",
                mark(speedup >= SPEEDUP_MIN)
            ),
        ]
    }
}
