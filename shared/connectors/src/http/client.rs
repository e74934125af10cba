//! Sends requests. Each one takes a slot of its budget first, each retry a new one.

use std::sync::Arc;

use reqwest::{Client, Request, Response, redirect};

use super::retry::{Policy, Retries};
use super::{Answer, Dialect, Failure, Unreadable, Wait};
use crate::budget::Budget;
use crate::{ErrorClass, HttpConfig, SourceError};

/// As much of a refusal's body is read; error envelopes are far shorter.
const REFUSAL_BODY_MAX: usize = 64 * 1024;

/// Sends requests for all connectors.
pub(crate) struct HttpClient {
    inner: Client,
    config: HttpConfig,
}

/// A request and the budget it is counted in.
pub(crate) struct Call<'a> {
    pub(crate) request: Request,
    pub(crate) budget: &'a Arc<Budget>,
    pub(crate) dialect: &'a dyn Dialect,
}

impl HttpClient {
    /// # Errors
    /// If TLS cannot be set up, e.g. because the machine has no CA certificates.
    pub(crate) fn new(config: HttpConfig) -> Result<Self, String> {
        // Fails if somebody in the process was faster, which is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = Client::builder()
            .connect_timeout(config.connect_timeout())
            .timeout(config.request_timeout())
            // A redirect would carry the request past its budget, and maybe to another host.
            .redirect(redirect::Policy::none())
            // Every sent request must be counted, so nobody below may send one again.
            .retry(reqwest::retry::never())
            // Proxies come from the environment, which libraries do not read here.
            .no_proxy()
            .referer(false)
            .gzip(true)
            .user_agent(concat!("syncline/", env!("CARGO_PKG_VERSION")))
            .build();
        match client {
            Ok(inner) => Ok(Self { inner, config }),
            Err(error) => Err(format!("http: the client cannot be built: {error}")),
        }
    }

    /// Sends the request until there is an answer that `read` can read, or sending again has no point.
    ///
    /// # Errors
    /// [`ErrorClass::Quota`] if the budget is held for longer than is worth sitting out; else what the last try gave.
    pub(crate) async fn call<T>(
        &self,
        call: &Call<'_>,
        read: impl Fn(&[u8]) -> Result<T, Unreadable>,
    ) -> Result<T, SourceError> {
        let mut retries = Retries::new(Policy::new(&self.config));
        loop {
            let failure = match self.send(call).await {
                Err(failure) => failure,
                Ok(answer) => match read(&answer.body) {
                    Ok(result) => return Ok(result),
                    Err(unreadable) => {
                        let title = call.dialect.title();
                        transient(format!("{title} sent an answer that is {unreadable}"))
                    }
                },
            };
            retries.wait_after(failure).await?;
        }
    }

    async fn send(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let title = call.dialect.title();
        let Some(request) = call.request.try_clone() else {
            return Err(permanent(format!("a request to {title} cannot be repeated")));
        };
        let permit = call.budget.acquire(self.config.quota_wait_max()).await.map_err(|held| {
            let class = ErrorClass::Quota { retry_after: held.wait };
            let message = format!("{title} allows no further request for {} s", held.wait.as_secs().max(1));
            Failure { error: SourceError::new(class, message), wait: Wait::Never }
        })?;
        let response = self.inner.execute(request).await.map_err(|error| self.unanswered(title, &error))?;
        permit.answered(call.dialect.reported(response.headers()));

        let answer = self.receive(title, response).await?;
        tracing::debug!(vendor = title, status = answer.status, bytes = answer.body.len(), "answered");
        let Some(failure) = call.dialect.refusal(&answer) else { return Ok(answer) };
        if let Wait::Held(wait) = failure.wait {
            call.budget.hold(wait);
        }
        Err(failure)
    }

    /// Reads the body as it comes in, so that an endless one is noticed.
    async fn receive(&self, title: &str, mut response: Response) -> Result<Answer, Failure> {
        let status = response.status();
        let max = if status.is_success() { self.config.body_max_bytes } else { REFUSAL_BODY_MAX };
        let mut body = Vec::new();
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                // What counts is the status; the rest of the explanation is lost.
                Err(_) if !status.is_success() => break,
                Err(error) => return Err(self.unanswered(title, &error)),
            };
            if body.len() + chunk.len() > max {
                if status.is_success() {
                    return Err(permanent(format!("{title} sent an answer of more than {max} bytes")));
                }
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status: status.as_u16(), headers: std::mem::take(response.headers_mut()), body })
    }

    /// Names what happened; reqwest's own text has the address in it.
    fn unanswered(&self, title: &str, error: &reqwest::Error) -> Failure {
        let config = &self.config;
        transient(if error.is_connect() && error.is_timeout() {
            format!("{title} could not be reached within {} ms", config.connect_timeout_ms)
        } else if error.is_timeout() {
            format!("{title} did not answer within {} ms", config.request_timeout_ms)
        } else if error.is_connect() {
            format!("{title} could not be reached")
        } else if error.is_body() || error.is_decode() {
            format!("the answer of {title} was cut off")
        } else {
            format!("the connection to {title} broke")
        })
    }
}

fn transient(message: String) -> Failure {
    let wait = Wait::Backoff { at_least: std::time::Duration::ZERO };
    Failure { error: SourceError::new(ErrorClass::Transient, message), wait }
}

fn permanent(message: String) -> Failure {
    Failure { error: SourceError::new(ErrorClass::Permanent, message), wait: Wait::Never }
}
