//! Watching a job: a progress bar on a terminal, plain lines when piped.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use protocol::{JobStatus, JobView};
use tokio::time::Instant;

use crate::client::Client;

/// The pause between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// The least time between two lines when piped.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Polls until the job is over.
pub(crate) async fn watch(client: &Client, workspace: &str, job_id: &str) -> anyhow::Result<JobView> {
    let mut shown = if std::io::stdout().is_terminal() { Shown::bar()? } else { Shown::Lines(None) };
    loop {
        let job = client.job(workspace, job_id).await?;
        shown.show(&job);
        if job.status.is_over() {
            shown.end();
            return Ok(job);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

enum Shown {
    Bar(ProgressBar),
    Lines(Option<Instant>),
}

impl Shown {
    fn bar() -> anyhow::Result<Self> {
        let style =
            ProgressStyle::with_template("  {bar:30} {human_pos}/{human_len}  {elapsed}  {wide_msg}")?
                .progress_chars("━╸─");
        let bar = ProgressBar::new(0).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(250));
        Ok(Self::Bar(bar))
    }

    fn show(&mut self, job: &JobView) {
        match self {
            Self::Bar(bar) => {
                bar.set_length(job.progress.total.max(job.progress.current));
                bar.set_position(job.progress.current);
                bar.set_message(line(job));
            }
            Self::Lines(last) => {
                if job.status.is_over() || last.is_none_or(|last| last.elapsed() >= LINE_INTERVAL) {
                    *last = Some(Instant::now());
                    let total = match job.progress.total {
                        0 => String::new(),
                        total => format!(" of {}", HumanCount(total)),
                    };
                    println!("  {:>9}{total}  {}", HumanCount(job.progress.current).to_string(), line(job));
                }
            }
        }
    }

    fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn line(job: &JobView) -> String {
    match (job.status, job.waiting_reason) {
        (JobStatus::Queued, Some(reason)) => {
            format!("waiting ({reason}): {}", job.error.as_deref().unwrap_or("goes on soon"))
        }
        _ => job.progress.message.clone(),
    }
}
