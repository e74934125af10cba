//! What crosses a process boundary: ids, subjects, the ticket, job and progress JSON, problem kinds,
//! and the records that flow from a connector to the store. Pure: no I/O, no clock, no environment.

mod attempt;
mod budget;
mod ids;
mod job;
mod problem;
mod record;
mod subject;
mod sync;
mod ticket;
mod words;

pub use attempt::{ATTEMPT_ERRORS_MAX, ATTEMPT_MESSAGE_MAX, AttemptError};
pub use budget::{
    BUDGET_VERSION, BUDGETS_BUCKET, BudgetEntry, BudgetLimit, BudgetWindow, Turns, budget_key, budget_prefix,
};
pub use ids::{ConnectorName, InvalidName, JobId, NAME_LEN_MAX, ObjectName, WorkspaceId};
pub use job::{JobView, Progress};
pub use problem::{Problem, ProblemKind};
pub use record::{
    AccountFields, ContactFields, DealFields, Fields, Link, OwnerFields, Record, Rejected, StageFields,
    Sweep, Table,
};
pub use subject::{
    InvalidSubject, JOB_SUBJECTS, JOB_TYPE_SYNC, PROGRESS_BUCKET, PROGRESS_SUBJECT_PREFIX, TicketSubject,
    fresh_subject, progress_key, progress_subject,
};
pub use sync::{ObjectResult, SyncError, SyncOptions, SyncResult, TIMEOUT_SECONDS_MAX};
pub use ticket::{TICKET_VERSION, Ticket};
pub use words::{
    AttemptErrorClass, JobStatus, ObjectStatus, Priority, SyncMode, SyncOutcome, UnknownVariant,
    WaitingReason,
};
