//! POST until 202: the row is committed, the ticket is acked. Each request is for another workspace, so that
//! nothing is deduplicated. Nobody works on the jobs, and they are counted at the end.

use std::time::Duration;

use anyhow::Context;
use bus::{Bus, BusOptions};
use runtime::Config;
use serde::Serialize;
use serde_json::json;

use super::load::{self, Load, Plan};
use super::report::{Latency, mark};
use super::resources::{Meter, Resources};
use crate::instance::Instance;
use crate::roles::Role;

const WARM_UP: Duration = Duration::from_secs(1);
/// How long each run counts, if nothing is said.
pub(super) const SECONDS: u32 = 5;
/// Each run: its connections, and the requests a second for which workspaces are made. A faster machine is
/// through with them early.
const RUNS: [(usize, usize); 2] = [(1, 2_500), (64, 15_000)];

/// The part's result.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Accept {
    pub runs: Vec<Run>,
    /// Answers with 202, the warm-up's too.
    pub answers: u64,
    /// Rows in Postgres at the end.
    pub rows: u64,
    /// Tickets in the stream at the end.
    pub tickets: u64,
}

/// One number of connections.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Run {
    pub connections: usize,
    pub requests: u64,
    pub seconds: f64,
    pub requests_per_s: f64,
    pub latency: Latency,
    /// CPU time of the load itself, which is also in `resources`.
    pub load_cpu_s: Option<f64>,
    pub resources: Resources,
    /// All answers: what the CPU seconds are for.
    pub answers: u64,
}

pub(super) async fn measure(config: &Config, seconds: u32) -> anyhow::Result<Accept> {
    let without = vec![Role::Worker, Role::Scheduler, Role::Status];
    let instance = Box::pin(super::start(config, None, without)).await?;
    let measured = measure_on(&instance, config, seconds).await;
    instance.stop().await?;
    measured
}

async fn measure_on(instance: &Instance, config: &Config, seconds: u32) -> anyhow::Result<Accept> {
    let mut runs = Vec::new();
    for (connections, requests_per_s) in RUNS {
        let prefix = format!("load{connections}");
        let workspaces = requests_per_s * (usize::try_from(seconds)? + 1);
        let credentials = |n| json!({"accessToken": format!("pat-lab-{n}")});
        instance.store.seed_workspaces(&prefix, workspaces, &"hubspot".parse()?, credentials).await?;
        let plan = Plan {
            address: super::address(&instance.base_url).to_owned(),
            connections,
            warm_up: WARM_UP,
            duration: Duration::from_secs(seconds.into()),
            prefix,
            workspaces,
        };
        let meter = Meter::begin(None);
        let load = load::run(plan).await?;
        runs.push(Run::new(connections, &load, meter.end()));
    }
    Ok(Accept {
        answers: runs.iter().map(|run| run.answers).sum(),
        runs,
        rows: instance.store.job_count().await?,
        tickets: tickets(&instance.nats_url, config).await?,
    })
}

async fn tickets(nats_url: &str, config: &Config) -> anyhow::Result<u64> {
    let options = BusOptions {
        url: nats_url.to_owned(),
        name: "syncline-bench".to_owned(),
        request_timeout: config.nats.publish_timeout,
    };
    let bus = Bus::connect(&options).await?;
    let connected = async {
        while !bus.is_connected() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), connected).await.context("NATS is away")?;
    let tickets = bus.tickets_queued().await?;
    bus.close().await;
    Ok(tickets)
}

impl Run {
    fn new(connections: usize, load: &Load, resources: Resources) -> Self {
        let Load { answers, latency, elapsed, cpu } = load;
        let seconds = elapsed.as_secs_f64();
        Self {
            connections,
            requests: latency.len(),
            seconds,
            requests_per_s: latency.len() as f64 / seconds,
            latency: Latency::of(latency),
            load_cpu_s: cpu.map(|cpu| cpu.as_secs_f64()),
            resources,
            answers: *answers,
        }
    }

    /// Microseconds of CPU time an answer costs: the load, the ingress, NATS, Postgres.
    fn cpu_us(&self) -> [Option<f64>; 4] {
        let each = |seconds: Option<f64>| seconds.map(|s| s * 1e6 / self.answers.max(1) as f64);
        let Resources { syncline_cpu_s, nats_cpu_s, postgres_cpu_s, .. } = self.resources;
        let ingress = syncline_cpu_s.zip(self.load_cpu_s).map(|(all, load)| all - load);
        [each(self.load_cpu_s), each(ingress), each(nats_cpu_s), each(postgres_cpu_s)]
    }
}

impl Accept {
    pub(super) fn is_well(&self) -> bool {
        self.answers == self.rows && self.answers == self.tickets && self.answers > 0
    }

    pub(super) fn table(&self) -> String {
        let mut lines = vec![
            "accept: POST …/sync → 202, each for another workspace; the row is committed, the ticket acked"
                .to_owned(),
            format!(
                "  {:>11}{:>12}{:>10}{:>10}{:>10}{:>36}",
                "connections", "requests/s", "p50", "p99", "max", "CPU µs a request"
            ),
        ];
        for run in &self.runs {
            let [load, ingress, nats, postgres] =
                run.cpu_us().map(|us| us.map_or("?".to_owned(), |us| format!("{us:.0}")));
            lines.push(format!(
                "  {:>11}{:>12.0}{:>10}{:>10}{:>10}    load {load}, ingress {ingress}, NATS {nats}, Postgres {postgres}",
                run.connections,
                run.requests_per_s,
                run.latency.p50(),
                run.latency.p99(),
                run.latency.max(),
            ));
        }
        lines.push(format!(
            "{} {} answers, {} rows in Postgres, {} tickets in the stream",
            mark(self.is_well()),
            self.answers,
            self.rows,
            self.tickets
        ));
        lines.extend(self.runs.iter().map(|run| run.resources.line(&format!("at {}", run.connections))));
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

    use super::*;

    #[test]
    fn an_answer_without_a_row_or_a_ticket_is_not_well() {
        let accept = |rows, tickets| Accept { runs: Vec::new(), answers: 7, rows, tickets };
        assert!(accept(7, 7).is_well());
        assert!(!accept(6, 7).is_well() && !accept(7, 6).is_well());
    }

    #[test]
    fn the_rate_counts_what_was_answered_after_the_warm_up() {
        let mut latency = Histogram::new_with_max(1_000_000, 3).unwrap();
        latency.record_n(800, 10).unwrap();
        let load = Load { answers: 12, latency, elapsed: Duration::from_secs(2), cpu: None };
        let run = Run::new(1, &load, Resources::default());
        assert_eq!((run.requests, run.requests_per_s), (10, 5.0));
    }
}
