//! What is printed.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::accept::Accept;
use super::budget::Budgets;
use super::first_sync::Syncs;
use super::pickup::Pickup;
use super::resources::Resources;
use super::scale::Scale;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// For people: the machine and the build.
    pub machine: String,
    pub accept: Option<Accept>,
    pub pickup: Option<Pickup>,
    pub sync: Option<Syncs>,
    pub scale: Option<Scale>,
    pub budget: Option<Budgets>,
}

/// Of many samples, in milliseconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Latency {
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

impl Latency {
    /// Of microseconds.
    pub(super) fn of(us: &Histogram<u64>) -> Self {
        let ms = |us: u64| us as f64 / 1e3;
        Self {
            p50_ms: ms(us.value_at_quantile(0.50)),
            p99_ms: ms(us.value_at_quantile(0.99)),
            max_ms: ms(us.max()),
        }
    }

    pub(super) fn p50(&self) -> String {
        show(self.p50_ms)
    }

    pub(super) fn p99(&self) -> String {
        show(self.p99_ms)
    }

    pub(super) fn max(&self) -> String {
        show(self.max_ms)
    }
}

fn show(ms: f64) -> String {
    format!("{ms:.2} ms")
}

/// Before a line that says whether something holds.
pub(super) fn mark(well: bool) -> char {
    if well { '✓' } else { '✗' }
}

impl Resources {
    /// One line, with what it was for.
    pub(super) fn line(&self, of: &str) -> String {
        let show = |n: Option<f64>, unit: &str| n.map_or("?".to_owned(), |n| format!("{n:.1} {unit}"));
        format!(
            "  resources, {of}: this process {} CPU, peak {}; NATS {} CPU, peak {}; Postgres {} CPU, {}",
            show(self.syncline_cpu_s, "s"),
            show(self.syncline_peak_rss_mb, "MB"),
            show(self.nats_cpu_s, "s"),
            show(self.nats_peak_rss_mb, "MB"),
            show(self.postgres_cpu_s, "s"),
            show(self.postgres_pss_mb, "MB"),
        )
    }
}

impl Report {
    /// Nothing measured yet.
    pub(super) fn of_this_machine() -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let build =
            if cfg!(debug_assertions) { "DEBUG BUILD: figures mean nothing" } else { "release build" };
        let others = super::resources::load_average()
            .map(|load| format!(" Load average before the start: {load}; best near 0."))
            .unwrap_or_default();
        let machine = format!(
            "Everything on one machine with {cores} cores: load, lab, services, nats-server, Postgres with fsync; {build}.{others}"
        );
        Self { machine, accept: None, pickup: None, sync: None, scale: None, budget: None }
    }

    /// Whether everything that was promised was found done.
    pub(super) fn is_well(&self) -> bool {
        self.accept.as_ref().is_none_or(Accept::is_well)
            && self.pickup.as_ref().is_none_or(Pickup::is_well)
            && self.sync.as_ref().is_none_or(Syncs::is_well)
            && self.scale.as_ref().is_none_or(Scale::is_well)
            && self.budget.as_ref().is_none_or(Budgets::is_well)
    }

    pub(super) fn print_end(&self) {
        if self.is_well() {
            println!("Everything is stopped and removed.");
        } else {
            println!("Something does not add up: see the lines marked ✗.");
        }
    }
}
