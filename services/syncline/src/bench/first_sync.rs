//! Whole first syncs without vendor limits, each beside `COPY` and merge of the same rows; and after the last one,
//! everything again with nothing changed, and increments.

use lab::{LabConfig, Limits};
use runtime::Config;
use serde::Serialize;
use store::CopyAndMerge;

use super::increments::{self, Increments};
use super::report::mark;
use super::sync::{Account, Sync};
use crate::instance::Instance;

/// First syncs, each in a fresh instance: a busy moment of the machine spoils one of them.
const ROUNDS: usize = 3;
/// The least speed of a first sync as a share of that of `COPY` and merge.
const RATIO_MIN: f64 = 0.6;

/// The part's result.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Syncs {
    pub first_best: Sync,
    /// By wall time.
    pub first_median: Sync,
    pub copy_and_merge: Yardstick,
    /// The speed of the best first sync as a share of that of the best `COPY` and merge of its rows.
    pub ratio: f64,
    /// The same of the median first sync.
    pub ratio_median: f64,
    /// Everything listed again, nothing changed.
    pub unchanged: Sync,
    pub increments: Increments,
}

/// The rows of a first sync, by `COPY` into a temporary table and one merge of each table. The best of all rounds.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Yardstick {
    pub rows: u64,
    pub seconds: f64,
    pub rows_per_s: f64,
}

/// What follows the last first sync.
struct Later {
    unchanged: Sync,
    increments: Increments,
}

pub(super) async fn measure(config: &Config) -> anyhow::Result<Syncs> {
    let lab = LabConfig { limits: Limits::unlimited(), ..LabConfig::default() };
    let (mut firsts, mut yardsticks, mut later) = (Vec::new(), Vec::new(), None);
    while later.is_none() {
        let instance = Box::pin(super::start(config, Some(lab.clone()), Vec::new())).await?;
        let measured = async {
            firsts.push(Account::of(&instance)?.sync(None).await?);
            yardsticks.push(copy_and_merge(&instance).await?);
            if firsts.len() == ROUNDS {
                later = Some(measure_later(&instance, &lab).await?);
            }
            anyhow::Ok(())
        };
        let measured = measured.await;
        instance.stop().await?;
        measured?;
    }
    let Some(Later { unchanged, increments }) = later else { anyhow::bail!("nothing was measured") };
    firsts.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    yardsticks.sort_by(|a: &Yardstick, b| a.seconds.total_cmp(&b.seconds));
    Ok(Syncs::new([firsts[0].clone(), firsts[ROUNDS / 2].clone()], yardsticks[0], unchanged, increments))
}

async fn copy_and_merge(instance: &Instance) -> anyhow::Result<Yardstick> {
    let workspace = instance.workspace_id.as_ref();
    let workspace = workspace.ok_or_else(|| anyhow::anyhow!("the lab has a workspace"))?;
    let CopyAndMerge { rows, duration } = instance.store.copy_and_merge(workspace).await?;
    let seconds = duration.as_secs_f64();
    Ok(Yardstick { rows, seconds, rows_per_s: rows as f64 / seconds })
}

async fn measure_later(instance: &Instance, lab: &LabConfig) -> anyhow::Result<Later> {
    let account = Account::of(instance)?;
    Ok(Later {
        unchanged: account.sync(Some("full")).await?,
        increments: increments::measure(&account, lab).await?,
    })
}

impl Syncs {
    fn new(
        [first_best, first_median]: [Sync; 2],
        copy_and_merge: Yardstick,
        unchanged: Sync,
        increments: Increments,
    ) -> Self {
        // The same rows, so the speeds are as the times. What a sync does besides counts against it.
        let ratio = |sync: &Sync| copy_and_merge.seconds / sync.seconds;
        Self {
            ratio: ratio(&first_best),
            ratio_median: ratio(&first_median),
            first_best,
            first_median,
            copy_and_merge,
            unchanged,
            increments,
        }
    }

    /// Everything was listed twice, and the second time nothing was written.
    fn is_complete(&self) -> bool {
        let Self { first_best: first, copy_and_merge, unchanged, .. } = self;
        first.records == unchanged.records
            && first.records > 0
            && first.unchanged == 0
            && (1..=first.written).contains(&copy_and_merge.rows)
            && unchanged.written == 0
            && first.captured == unchanged.captured
    }

    pub(super) fn is_well(&self) -> bool {
        self.is_complete() && self.ratio >= RATIO_MIN && self.increments.is_well(&self.first_best)
    }

    pub(super) fn table(&self) -> String {
        let Yardstick { rows, seconds, rows_per_s } = self.copy_and_merge;
        let mut lines = vec![
            format!(
                "sync: one HubSpot account without vendor limits; first syncs and COPY in {ROUNDS} fresh instances"
            ),
            Sync::headings(),
            self.first_best.line("first, best"),
            self.first_median.line("first, median"),
            format!("  {:<22}{rows:>10}{seconds:>9.2} s{rows_per_s:>12.0}", "COPY and merge, best"),
            self.unchanged.line("full, unchanged"),
        ];
        lines.extend(self.increments.lines());
        lines.push(format!(
            "{} the full sync with nothing changed listed everything and wrote nothing",
            mark(self.is_complete())
        ));
        lines.push(format!(
            "{} the first sync has {:.2} of the speed of COPY and merge (at least {RATIO_MIN}); the median one {:.2}",
            mark(self.ratio >= RATIO_MIN),
            self.ratio,
            self.ratio_median
        ));
        lines.extend(self.increments.verdicts(&self.first_best));
        lines.push(self.first_best.resources.line("first, best"));
        lines.push(self.unchanged.resources.line("full, unchanged"));
        lines.push(self.increments.everything.sync.resources.line("increment, 100 %"));
        lines.join("\n") + "\n"
    }
}
