//! The connection.

use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream;
use async_nats::{ConnectOptions, Event, HeaderMap, ServerAddr};

use protocol::PROGRESS_BUCKET;

use crate::BusError;

/// How to reach NATS.
#[derive(Debug, Clone)]
pub struct BusOptions {
    /// `nats://user:password@host:port`; several servers of a cluster separated by commas. The user name also names the inbox prefix, `_INBOX_<user>`, since
    /// each user may subscribe to its own inbox only.
    pub url: String,
    /// Shown by `nats server report connections`.
    pub name: String,
    /// A publish or request that is not answered in this time has failed, with its effect unknown.
    pub request_timeout: Duration,
}

/// A handle to NATS. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bus {
    pub(crate) client: async_nats::Client,
    pub(crate) jetstream: jetstream::Context,
    pub(crate) request_timeout: Duration,
}

/// The longest wait between two attempts to reconnect.
const RECONNECT_WAIT_MAX: Duration = Duration::from_millis(500);

/// How long a message that nobody answers may wait for a place in the client's queue.
const PLACE_WAIT: Duration = Duration::from_millis(20);

/// How often [`Bus::connected`] looks.
const CONNECTED_LOOK: Duration = Duration::from_millis(10);

impl Bus {
    /// A bus that connects in the background and for ever, so that a process can start while NATS is away.
    ///
    /// # Errors
    /// If the URL is malformed.
    pub async fn connect(options: &BusOptions) -> Result<Self, BusError> {
        let parse = |url: &str| url.trim().parse().map_err(|_| BusError::Config("not a NATS URL".to_owned()));
        let servers: Vec<ServerAddr> = options.url.split(',').map(parse).collect::<Result<_, _>>()?;
        let mut connect = ConnectOptions::new()
            .name(&options.name)
            .retry_on_initial_connect()
            .request_timeout(Some(options.request_timeout))
            .ping_interval(Duration::from_secs(5))
            .reconnect_delay_callback(|attempt| {
                RECONNECT_WAIT_MAX.min(Duration::from_millis(10 * u64::try_from(attempt).unwrap_or(50)))
            })
            .event_callback(|event| async move { log(&event) });
        if let Some(first) = servers.first()
            && let (Some(user), Some(password)) = (first.username(), first.password())
        {
            // The client does not take them from the URL by itself. A prefix up to `-` tells apart users of
            // several accounts on one server; the inbox is the account's own, so it goes without.
            let inbox = user.rsplit('-').next().unwrap_or(user);
            connect = connect
                .custom_inbox_prefix(format!("_INBOX_{inbox}"))
                .user_and_password(user.to_owned(), password.to_owned());
        }
        let client = connect.connect(servers.as_slice()).await.map_err(BusError::unavailable)?;
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(options.request_timeout);
        Ok(Self { client, jetstream, request_timeout: options.request_timeout })
    }

    /// Whether the connection is up now.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Resolves when the connection is up; for ever if it never is.
    pub async fn connected(&self) {
        // The client has an event for it, but not one that tells somebody who asks too late.
        while !self.is_connected() {
            tokio::time::sleep(CONNECTED_LOOK).await;
        }
    }

    /// One round trip to the server.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn ping(&self) -> Result<(), BusError> {
        self.require_connection()?;
        // A flush only reaches the socket. This every user may ask, and that there is no such stream is an answer.
        let subject = format!("STREAM.INFO.KV_{PROGRESS_BUCKET}");
        let answer: Result<serde_json::Value, _> = self.jetstream.request(subject, &()).await;
        answer.map(drop).map_err(BusError::unavailable)
    }

    /// Sends what is buffered, if there is a connection: naks, which nobody waits for.
    pub async fn flush(&self) {
        if !self.is_connected() {
            return;
        }
        if !matches!(tokio::time::timeout(self.request_timeout, self.client.flush()).await, Ok(Ok(()))) {
            tracing::debug!("what was buffered for NATS may not have been sent");
        }
    }

    /// Sends what is buffered and closes the connection.
    pub async fn close(&self) {
        if let Err(error) = self.client.drain().await {
            tracing::debug!(error = %error, "the NATS connection was closed already");
        }
    }

    /// Sends a message that nobody answers. A place in the client's queue is waited for, but not for long: on a connection
    /// that stalls the queue fills up, and a committed post must not wait behind it.
    pub(crate) async fn send_unanswered(
        &self,
        subject: String,
        headers: Option<HeaderMap>,
        payload: Vec<u8>,
    ) -> Result<(), BusError> {
        self.require_connection()?;
        let payload = payload.into();
        let sent = async {
            match headers {
                Some(headers) => self.client.publish_with_headers(subject, headers, payload).await,
                None => self.client.publish(subject, payload).await,
            }
        };
        let sent = tokio::time::timeout(PLACE_WAIT, sent).await.map_err(BusError::unavailable)?;
        sent.map_err(BusError::unavailable)
    }

    /// Fails at once while the connection is down, instead of waiting for a timeout.
    pub(crate) fn require_connection(&self) -> Result<(), BusError> {
        if self.is_connected() { Ok(()) } else { Err(BusError::Unavailable("not connected".to_owned())) }
    }
}

fn log(event: &Event) {
    match event {
        // A denied publish or request looks like a timeout to the caller; only this tells.
        Event::ServerError(error) => tracing::error!(error = %error, "NATS refused something"),
        Event::SlowConsumer(_) | Event::ClientError(_) => tracing::warn!(event = %event, "NATS"),
        Event::Connected => tracing::debug!("connected to NATS"),
        Event::Disconnected => tracing::warn!("disconnected from NATS; reconnecting"),
        Event::LameDuckMode | Event::Draining | Event::Closed => tracing::debug!(event = %event, "NATS"),
    }
}
