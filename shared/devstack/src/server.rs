//! What nats-server and Postgres have in common: start until it answers, kill, stop.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{Launch, Process};
use crate::watchdog::Watchdog;

const READY_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// A server that can be started, again and again, on the same files.
pub(crate) trait Server {
    /// For people.
    fn name(&self) -> &'static str;
    /// How it is run now.
    fn launch(&self) -> Result<Launch>;
    /// Asks it once; `Err` says why it does not answer.
    fn answers(&self) -> impl Future<Output = Result<()>> + Send;
    /// Takes another free port, if it was ours to choose.
    fn change_port(&mut self) -> Result<bool>;
    /// The running process, if any.
    fn process(&mut self) -> &mut Option<Process>;
}

/// Starts the server unless it runs, and returns when it answers.
pub(crate) async fn start<S: Server>(server: &mut S, watchdog: &Watchdog) -> Result<()> {
    let deadline = Instant::now() + READY_WITHIN;
    let mut port_is_settled = false;
    loop {
        stop(server, watchdog).await?;
        let process = Process::spawn(server.launch()?, watchdog)?;
        *server.process() = Some(process);
        let Some(log) = wait_until_ready(server, deadline).await? else { return Ok(()) };
        // Somebody took the port between our looking and the server's.
        let port_taken = log.contains("ddress already in use");
        // The killed server's children have not yet noticed that it is gone.
        let leftovers = log.contains("pre-existing shared memory block") || log.contains("lock file");
        if Instant::now() >= deadline || !(port_taken || leftovers) {
            bail!("{} ended at its start; its log says:\n{log}", server.name());
        }
        if port_taken && !port_is_settled {
            port_is_settled = !server.change_port()?;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// `None` when it answers; what it logged when it has ended instead.
async fn wait_until_ready<S: Server>(server: &mut S, deadline: Instant) -> Result<Option<String>> {
    loop {
        let name = server.name();
        let process = server.process().as_mut().context("started, but no process")?;
        if process.exited()?.is_some() {
            return Ok(Some(process.log_tail()));
        }
        let log = process.log_tail();
        let Err(error) = server.answers().await else { return Ok(None) };
        if Instant::now() >= deadline {
            let seconds = READY_WITHIN.as_secs();
            bail!("{name} does not answer within {seconds} s: {error:#}; its log says:\n{log}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Stops the server in good order; nothing happens when it does not run.
pub(crate) async fn stop<S: Server>(server: &mut S, watchdog: &Watchdog) -> Result<()> {
    let name = server.name();
    if let Some(process) = server.process().as_mut() {
        process.stop(watchdog, STOP_WITHIN).await.with_context(|| format!("stop {name}"))?;
    }
    *server.process() = None;
    Ok(())
}

/// `kill -9`; nothing happens when it does not run.
pub(crate) async fn kill<S: Server>(server: &mut S, watchdog: &Watchdog) -> Result<()> {
    let name = server.name();
    if let Some(process) = server.process().as_mut() {
        process.kill(watchdog).await.with_context(|| format!("kill {name}"))?;
    }
    *server.process() = None;
    Ok(())
}
