//! A first sync of the usual account and of one 16 times as large, by a worker that is alone in its process: its
//! memory must not grow with the account.

use std::time::Duration;

use lab::{LabConfig, Limits};
use runtime::Config;
use serde::Serialize;
use store::SecretKey;

use super::report::mark;
use super::sync::{Account, Sync};
use super::worker_process::WorkerProcess;
use crate::roles::Role;

const SCALES: [u64; 2] = [1, 16];
const PEAK_RSS_MAX_MB: f64 = 80.0;
/// The largest account's peak as a share of the smallest one's.
const GROWTH_MAX: f64 = 1.10;
/// The worker is connected and asks for tickets by then.
const START: Duration = Duration::from_secs(1);

/// The part's result.
#[derive(Debug, Serialize)]
pub(super) struct Scale {
    pub runs: Vec<Run>,
}

/// A size of account.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    /// How many times the usual account.
    pub scale: u64,
    #[serde(flatten)]
    pub sync: Sync,
}

pub(super) async fn measure(config: &Config) -> anyhow::Result<Scale> {
    let mut runs = Vec::new();
    for scale in SCALES {
        runs.push(Run { scale, sync: Box::pin(first_sync(config, scale)).await? });
    }
    Ok(Scale { runs })
}

async fn first_sync(config: &Config, scale: u64) -> anyhow::Result<Sync> {
    let lab = LabConfig { scale, limits: Limits::unlimited(), ..LabConfig::default() };
    let mut config = config.clone();
    // The worker opens what the instance sealed.
    config.secrets.encryption_key = SecretKey::generate()?.into();
    let instance = Box::pin(super::start(&config, Some(lab.clone()), vec![Role::Worker])).await?;
    let measured = async {
        let worker = WorkerProcess::start(&config, &lab, &instance)?;
        tokio::time::sleep(START).await;
        Account::of(&instance)?.worked_on_by(&worker).sync(None).await
    };
    let measured = measured.await;
    instance.stop().await?;
    measured
}

impl Scale {
    /// The peak of the largest account by that of the smallest one.
    fn growth(&self) -> Option<f64> {
        let peak = |run: &Run| run.sync.resources.worker_peak_rss_mb;
        Some(peak(self.runs.last()?)? / peak(self.runs.first()?)?)
    }

    fn is_small(&self) -> bool {
        let peaks = self.runs.iter().filter_map(|run| run.sync.resources.worker_peak_rss_mb);
        peaks.fold(0.0, f64::max) < PEAK_RSS_MAX_MB
    }

    fn is_flat(&self) -> bool {
        self.growth().is_none_or(|growth| growth <= GROWTH_MAX)
    }

    pub(super) fn is_well(&self) -> bool {
        self.is_small() && self.is_flat()
    }

    pub(super) fn table(&self) -> String {
        let mut lines = vec![
            "scale: first sync of a larger account without vendor limits, the worker alone in its process"
                .to_owned(),
            format!(
                "  {:>5}{:>10}{:>11}{:>12}{:>13}{:>12}{:>14}{:>10}{:>10}",
                "",
                "records",
                "wall time",
                "records/s",
                "worker peak",
                "worker CPU",
                "lab and rest",
                "NATS",
                "Postgres"
            ),
        ];
        let show = |n: Option<f64>, unit: &str| n.map_or("?".to_owned(), |n| format!("{n:.1} {unit}"));
        for Run { scale, sync } in &self.runs {
            let resources = &sync.resources;
            lines.push(format!(
                "  {:>5}{:>10}{:>9.2} s{:>12.0}{:>13}{:>12}{:>14}{:>10}{:>10}",
                format!("{scale}×"),
                sync.records,
                sync.seconds,
                sync.records_per_s,
                show(resources.worker_peak_rss_mb, "MB"),
                show(resources.worker_cpu_s, "s"),
                show(resources.syncline_cpu_s, "s"),
                show(resources.nats_cpu_s, "s"),
                show(resources.postgres_cpu_s, "s"),
            ));
        }
        let growth = self.growth().map_or("?".to_owned(), |growth| format!("{growth:.2}"));
        lines.push(format!("{} the worker's peak is below {PEAK_RSS_MAX_MB} MB", mark(self.is_small())));
        lines.push(format!(
            "{} the largest account takes {growth} times the memory of the smallest (at most {GROWTH_MAX:.2})",
            mark(self.is_flat())
        ));
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use protocol::SyncResult;

    use super::super::resources::Resources;
    use super::*;

    fn peaks(peaks: [f64; 2]) -> Scale {
        let run = |(scale, peak)| {
            let resources = Resources { worker_peak_rss_mb: Some(peak), ..Resources::default() };
            Run { scale, sync: Sync::new(1.0, &SyncResult::default(), 0, resources) }
        };
        Scale { runs: SCALES.into_iter().zip(peaks).map(run).collect() }
    }

    #[test]
    fn memory_that_grows_with_the_account_is_not_well() {
        assert!(peaks([30.0, 33.0]).is_well());
        assert!(!peaks([30.0, 34.0]).is_well() && !peaks([80.0, 80.0]).is_well());
    }
}
