//! Group commit: posts that arrive while a commit is under way go into the next one together. One statement
//! and one commit for all of them is what makes a post cheap; nobody waits for a timer.

use std::time::Duration;

use bus::{Bus, Published};
use futures_util::future::join;
use protocol::{JobId, JobView, TICKET_VERSION, Ticket, WorkspaceId};
use serde_json::Value;
use store::{Accepted, NewJob, Once, RequestAccepted, Store, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

/// A commit that takes longer has failed, with its effect unknown: a connection that swallows everything must
/// not hold up the posts behind it until TCP gives up. Below the default of `http.request_timeout_ms`.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Posts in one commit.
    pub batch_max: usize,
    /// Posts that wait for a commit; more are refused with 503.
    pub queue_max: usize,
}

/// Why a post was not accepted.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum NotAccepted {
    /// Too many posts wait already.
    #[error("too many posts are waiting")]
    Busy,
    /// Postgres did not take it.
    #[error("the job could not be stored: {0}")]
    Store(String),
    /// A bug: Postgres refused the statement.
    #[error("the job could not be stored: {0}")]
    Refused(String),
}

struct Waiting {
    job: NewJob,
    answer: oneshot::Sender<Result<Accepted, NotAccepted>>,
}

/// Accepts jobs. Cheap to clone; the last clone to go ends its task.
#[derive(Debug, Clone)]
pub struct Acceptor {
    store: Store,
    bus: Bus,
    queue: mpsc::Sender<Waiting>,
    tracker: TaskTracker,
}

impl Acceptor {
    /// Starts accepting. `tracker` is told of everything that must end before the process does.
    pub fn start(store: Store, bus: Bus, limits: Limits, tracker: &TaskTracker) -> Self {
        let (queue, waiting) = mpsc::channel(limits.queue_max);
        let acceptor = Self { store: store.clone(), bus: bus.clone(), queue, tracker: tracker.clone() };
        tracker.spawn(commit_batches(store, bus, waiting, limits.batch_max, tracker.clone()));
        acceptor
    }

    /// Accepts one job. Returns when its row is committed and its ticket acked or failed.
    pub(crate) async fn accept(&self, job: NewJob) -> Result<Accepted, NotAccepted> {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Waiting { job, answer }).map_err(|_| NotAccepted::Busy)?;
        answered.await.unwrap_or(Err(NotAccepted::Busy))
    }

    /// Accepts the jobs of one request in a transaction of their own. See [`Store::accept_request`].
    pub(crate) async fn accept_request(
        &self,
        id: JobId,
        jobs: &[NewJob],
        key: Option<(&WorkspaceId, &Once)>,
        verdict: impl FnOnce(&[Accepted]) -> Option<Value>,
    ) -> Result<RequestAccepted, NotAccepted> {
        let accepted = in_time(self.store.accept_request(id, jobs, key, verdict)).await?;
        if let RequestAccepted::Jobs(accepted) = &accepted {
            // In a task of its own: they are committed, and are to run also if the client does not wait for the answer.
            let (acceptor, accepted) = (self.clone(), accepted.clone());
            let publishing = async move {
                publish(&acceptor.store, &acceptor.bus, &accepted, &acceptor.tracker).await;
            };
            if let Err(error) = self.tracker.spawn(publishing).await {
                tracing::error!(error = %error, "publishing tickets failed; the relay makes them");
            }
        }
        Ok(accepted)
    }

    /// Cancels a job and shows that, also if the client does not wait for the answer. See [`Store::cancel`].
    pub(crate) async fn cancel(
        &self,
        workspace_id: &WorkspaceId,
        id: JobId,
    ) -> Result<Vec<JobView>, StoreError> {
        let (acceptor, workspace_id) = (self.clone(), workspace_id.clone());
        let cancelling = async move {
            let jobs = acceptor.store.cancel(&workspace_id, id).await?;
            acceptor.show_over(&jobs).await;
            Ok(jobs)
        };
        self.tracker
            .spawn(cancelling)
            .await
            .unwrap_or_else(|error| Err(StoreError::Corrupt(error.to_string())))
    }

    /// Shows everybody who watches which of these jobs are over. If NATS is away, polls find it in Postgres.
    pub(crate) async fn show_over(&self, jobs: &[JobView]) {
        for job in jobs.iter().filter(|job| job.status.is_over()) {
            if let Err(error) = self.bus.post_over(job).await {
                tracing::debug!(job.id = %job.id, error = %error, "the end of a job is not on the board");
            }
        }
    }
}

async fn commit_batches(
    store: Store,
    bus: Bus,
    mut waiting: mpsc::Receiver<Waiting>,
    batch_max: usize,
    tracker: TaskTracker,
) {
    let mut batch = Vec::with_capacity(batch_max);
    let mut accepting = store.accepting();
    while waiting.recv_many(&mut batch, batch_max).await > 0 {
        let (jobs, answers): (Vec<NewJob>, Vec<_>) = batch.drain(..).map(|w| (w.job, w.answer)).unzip();
        let committed = in_time(accepting.accept(&jobs)).await;
        if waiting.is_empty() {
            accepting.rest();
        }
        match committed {
            // The next batch commits while this one's tickets are published.
            Ok(accepted) => {
                tracker.spawn(publish_and_answer(
                    store.clone(),
                    bus.clone(),
                    accepted,
                    answers,
                    tracker.clone(),
                ));
            }
            Err(error) => {
                tracing::warn!(posts = answers.len(), error = %error, "posts were not stored");
                for answer in answers {
                    // A client that went away needs no answer.
                    drop(answer.send(Err(error.clone())));
                }
            }
        }
    }
}

async fn publish_and_answer(
    store: Store,
    bus: Bus,
    accepted: Vec<Accepted>,
    answers: Vec<oneshot::Sender<Result<Accepted, NotAccepted>>>,
    tracker: TaskTracker,
) {
    publish(&store, &bus, &accepted, &tracker).await;
    for (answer, accepted) in answers.into_iter().zip(accepted) {
        drop(answer.send(Ok(accepted)));
    }
}

/// Announces and publishes what is new. What could not be published is left to the scheduler's relay.
async fn publish(store: &Store, bus: &Bus, accepted: &[Accepted], tracker: &TaskTracker) {
    let created =
        || accepted.iter().filter_map(|a| if let Accepted::Created(job) = a { Some(&**job) } else { None });
    // The board first: on one connection it is sent before the ticket, so the worker finds the entry.
    for job in created() {
        bus.announce(job).await;
    }
    let tickets: Vec<Ticket> = created().filter_map(first_ticket).collect();
    if tickets.is_empty() {
        return;
    }
    // In one write with the tickets and behind them. Who takes a job of which it hears here does not need the ticket.
    let hints = async {
        for ticket in &tickets {
            bus.hint(ticket).await;
        }
    };
    let (published, ()) = join(bus.publish_tickets(&tickets), hints).await;
    let lost: Vec<JobId> = tickets
        .iter()
        .zip(published)
        .filter(|(_, published)| *published != Published::Stored)
        .map(|(ticket, _)| ticket.job_id)
        .collect();
    if lost.is_empty() {
        return;
    }
    tracing::warn!(jobs = lost.len(), "tickets were not published; the scheduler relays them");
    let store = store.clone();
    // The answer does not wait for this: the relay finds the rows by age, too, only later.
    tracker.spawn(async move {
        if let Err(error) = store.mark_unticketed(&lost).await {
            tracing::warn!(error = %error, "the relay will find them by age");
        }
    });
}

fn first_ticket(job: &JobView) -> Option<Ticket> {
    Some(Ticket {
        v: TICKET_VERSION,
        job_id: job.id,
        ticket_no: 1,
        workspace_id: job.workspace_id.clone(),
        job_type: job.job_type.clone(),
        scope: job.connector_type.clone()?,
        priority: job.priority,
    })
}

/// Nobody may wait for Postgres for ever. A statement given up on may still be carried out: then its rows wait
/// without a ticket, and the relay finds them by age.
async fn in_time<T>(accepting: impl Future<Output = Result<T, StoreError>>) -> Result<T, NotAccepted> {
    match tokio::time::timeout(COMMIT_TIMEOUT, accepting).await {
        Ok(Ok(accepted)) => Ok(accepted),
        Ok(Err(error)) if error.is_transient() => Err(NotAccepted::Store(with_source(&error))),
        Ok(Err(error)) => Err(NotAccepted::Refused(with_source(&error))),
        Err(_) => Err(NotAccepted::Store(format!("no answer within {} ms", COMMIT_TIMEOUT.as_millis()))),
    }
}

/// For the log.
fn with_source(error: &StoreError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
