//! Clients of the two servers, as the services configure theirs.

use std::time::Duration;

use async_nats::jetstream;
use devstack::NatsUser;
use sqlx::{Connection, PgConnection};

/// Long enough for a busy machine, short enough to wait for in a test of what is denied.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Options for this URL; async-nats takes no user from a URL by itself.
pub(crate) fn options(url: &str) -> async_nats::ConnectOptions {
    let addr: async_nats::ServerAddr = url.parse().unwrap();
    let (user, password) = (addr.username().unwrap().to_owned(), addr.password().unwrap().to_owned());
    async_nats::ConnectOptions::with_user_and_password(user, password).request_timeout(Some(REQUEST_TIMEOUT))
}

pub(crate) async fn nats(url: &str, user: NatsUser) -> async_nats::Client {
    options(url).custom_inbox_prefix(user.inbox_prefix()).connect(url).await.unwrap()
}

/// Returns when the server has seen what this client said so far; `flush` returns when it is sent.
pub(crate) async fn round_trip(client: &async_nats::Client) {
    jetstream::new(client.clone()).query_account().await.unwrap();
}

pub(crate) async fn jetstream(url: &str, user: NatsUser) -> jetstream::Context {
    let mut context = jetstream::new(nats(url, user).await);
    context.set_timeout(REQUEST_TIMEOUT);
    context
}

pub(crate) async fn postgres(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// The stream that holds the tickets, in the form that matters for permissions.
pub(crate) fn tickets() -> jetstream::stream::Config {
    jetstream::stream::Config {
        name: "SYNC_JOBS".to_owned(),
        subjects: vec!["sync.jobs.>".to_owned()],
        retention: jetstream::stream::RetentionPolicy::WorkQueue,
        ..Default::default()
    }
}

/// The stream behind the progress bucket: made like any other stream, as the provision step does.
pub(crate) fn progress() -> jetstream::stream::Config {
    jetstream::stream::Config {
        name: "KV_sync_progress".to_owned(),
        subjects: vec!["$KV.sync_progress.>".to_owned()],
        max_messages_per_subject: 1,
        discard: jetstream::stream::DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        republish: Some(jetstream::stream::Republish {
            source: "$KV.sync_progress.>".to_owned(),
            destination: "sync.progress.>".to_owned(),
            headers_only: false,
        }),
        ..Default::default()
    }
}
