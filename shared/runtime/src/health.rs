//! Health: `/healthz` says the process is up, `/readyz` says whether it can do its work.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::future::join_all;
use serde::Serialize;

use crate::extract::Json;

/// How long one check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

type Run = dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync;

/// One thing a service cannot work without.
#[derive(Clone)]
pub struct Check {
    name: &'static str,
    run: Arc<Run>,
}

impl Check {
    /// A check by a name. The text of an error is shown to everybody who may ask: no secrets.
    pub fn new<F, Fut>(name: &'static str, run: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self { name, run: Arc::new(move || Box::pin(run())) }
    }

    async fn result(&self) -> CheckResult {
        match tokio::time::timeout(CHECK_TIMEOUT, (self.run)()).await {
            Ok(Ok(())) => CheckResult { status: "ok", error: None },
            Ok(Err(error)) => CheckResult { status: "failed", error: Some(error) },
            Err(_) => {
                let error = format!("no answer within {} ms", CHECK_TIMEOUT.as_millis());
                CheckResult { status: "failed", error: Some(error) }
            }
        }
    }
}

#[derive(Serialize)]
struct CheckResult {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    checks: BTreeMap<&'static str, CheckResult>,
}

/// `GET /healthz`: 200 as long as the process answers. `GET /readyz`: runs all checks at once, each for at
/// most a second; 200 when all are well, else 503, with every check by name.
///
/// Merge it into a service's routes before [`http::shell`](crate::http::shell).
pub fn router(checks: Vec<Check>) -> Router {
    let checks: Arc<[Check]> = checks.into();
    let ready = move || {
        let checks = checks.clone();
        async move { readiness(&checks).await }
    };
    Router::new().route("/healthz", get(async || "ok")).route("/readyz", get(ready))
}

async fn readiness(checks: &[Check]) -> Response {
    let results = join_all(checks.iter().map(Check::result)).await;
    let checks: BTreeMap<_, _> = checks.iter().map(|check| check.name).zip(results).collect();
    if checks.values().all(|result| result.status == "ok") {
        Json(Readiness { status: "ready", checks }).into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(Readiness { status: "not ready", checks })).into_response()
    }
}
