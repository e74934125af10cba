//! The one layer of the shell, written by hand: as six layers it would box six futures a request.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::Method;
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use protocol::ProblemKind;
use tower::{Layer, Service, ServiceExt};
use tracing::{Instrument, Span};

use super::ShellConfig;
use super::patience::Patience;
use crate::extract::{BodyLimit, discard};
use crate::problem::{self, ApiError};
use crate::request_id::{self, RequestId};

/// Puts a [`Shell`] around every route.
#[derive(Clone)]
pub(super) struct ShellLayer {
    config: Arc<ShellConfig>,
}

impl ShellLayer {
    pub(super) fn new(config: Arc<ShellConfig>) -> Self {
        Self { config }
    }
}

impl<S> Layer<S> for ShellLayer {
    type Service = Shell<S>;

    fn layer(&self, inner: S) -> Shell<S> {
        Shell { inner, config: self.config.clone() }
    }
}

/// A route with the shell around it.
#[derive(Clone)]
pub(super) struct Shell<S> {
    inner: S,
    config: Arc<ShellConfig>,
}

impl<S> Service<Request> for Shell<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(())) // `oneshot` below waits for the route
    }

    fn call(&mut self, request: Request) -> Self::Future {
        Box::pin(answer(self.inner.clone(), request, self.config.clone()).map(Ok))
    }
}

async fn answer<S>(inner: S, mut request: Request, config: Arc<ShellConfig>) -> Response
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    let started = Instant::now();
    let id = RequestId::of(request.headers());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("(none)", MatchedPath::as_str);
    let span = span(&id, request.method(), route);
    let patience = Patience::new(config.request_timeout);
    request.extensions_mut().insert(patience.clone());
    request.extensions_mut().insert(id.clone());
    request.extensions_mut().insert(BodyLimit(config.body_max_bytes));
    DefaultBodyLimit::max(config.body_max_bytes).apply(&mut request);

    async {
        let mut response = guarded(inner, request, config.body_max_bytes, patience).await;
        problem::fill_in(&mut response, &id);
        response.headers_mut().insert(request_id::HEADER, id.header_value());
        tracing::debug!(
            http.status = response.status().as_u16(),
            duration_us = started.elapsed().as_micros() as u64,
            "answered"
        );
        response
    }
    .instrument(span)
    .await
}

/// At info, so that the ordinary filter already ties every line of a request to its id.
fn span(id: &RequestId, method: &Method, route: &str) -> Span {
    tracing::info_span!(
        "request",
        request.id = id.as_str(),
        http.method = method.as_str(),
        http.route = route
    )
}

/// The route's answer, or a problem when it panics, takes too long, or would get too much to read.
async fn guarded<S>(inner: S, request: Request, body_max_bytes: usize, patience: Patience) -> Response
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    let route = async {
        if announced_bytes(&request).is_some_and(|bytes| bytes > body_max_bytes as u64) {
            return Ok(refuse_body(request, body_max_bytes).await.into_response());
        }
        inner.oneshot(request).await
    };
    let answered = tokio::select! {
        biased;
        answered = AssertUnwindSafe(route).catch_unwind() => answered,
        () = patience.over() => {
            let detail = format!("No answer within {} ms. Try again.", patience.granted().as_millis());
            let late = ApiError::new(ProblemKind::Unavailable, detail);
            return late.caused_by("the handler timed out").into_response();
        }
    };
    match answered {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        // The panic hook has logged what and where, inside this request's span.
        Err(_) => ApiError::internal("the handler panicked").into_response(),
    }
}

fn announced_bytes(request: &Request) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads on a little before refusing: closing on a sender makes TCP drop the answer it has not read yet.
async fn refuse_body(request: Request, body_max_bytes: usize) -> ApiError {
    if !request.headers().contains_key(EXPECT) {
        discard(&mut request.into_body(), body_max_bytes).await;
    }
    crate::extract::body_too_large(body_max_bytes)
}
