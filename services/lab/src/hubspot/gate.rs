//! What every vendor request passes: the log, the token, the faults, the limits and the headers.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use tokio::sync::watch;

use super::{Object, problem};
use crate::faults::{FaultKind, FaultRule, Stage};
use crate::ledger::Page;
use crate::limiter::{Budget, Class, Refusal};
use crate::state::LabState;
use crate::tokens::Bearer;

/// Longer request lines are refused by the vendor's proxy.
const TARGET_LENGTH_MAX: usize = 16_000;
const HANG_MAX: Duration = Duration::from_secs(600);

/// Names one answer in the vendor's logs.
#[derive(Debug, Clone)]
pub(super) struct CorrelationId(pub(super) String);

/// What a handler knows about the request besides its own input.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) id: CorrelationId,
    pub(super) portal: u64,
}

/// Left by the list handler, because only the gate knows whether the page went out whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Served {
    pub(super) page: Page,
    pub(super) records: u64,
}

pub(super) async fn gate(State(lab): State<Arc<LabState>>, request: Request, next: Next) -> Response {
    let bearer = bearer_of(&lab, request.headers());
    let id = received(&lab, bearer.portal(), request.uri().path());
    let response = match bearer {
        _ if target(&request).len() > TARGET_LENGTH_MAX => problem::html(StatusCode::URI_TOO_LONG),
        Bearer::Unknown => problem::unauthorized(&id),
        Bearer::Expired { expired_ms, .. } => problem::expired(&id, expired_ms, lab.now_ms()),
        Bearer::Portal(portal) => authorized(&lab, Call { id: id.clone(), portal }, request, next).await,
    };
    answered(&lab, &id, bearer.portal(), response)
}

/// For requests without a token: only the log, and the faults that name the endpoint.
pub(super) async fn token_gate(State(lab): State<Arc<LabState>>, request: Request, next: Next) -> Response {
    let id = received(&lab, None, request.uri().path());
    // Which portal it is about is known only once the token was read; no rule for a single portal hits here.
    let call = Call { id: id.clone(), portal: 0 };
    let response = faulty(&lab, call, request, next).await;
    answered(&lab, &id, None, response)
}

fn received(lab: &LabState, portal: Option<u64>, path: &str) -> CorrelationId {
    {
        let mut ledger = lab.ledger();
        ledger.received(lab.clock.now_us(), portal, object_of(path));
    }
    lab.count_received();
    CorrelationId(lab.correlation_id())
}

fn answered(lab: &LabState, id: &CorrelationId, portal: Option<u64>, mut response: Response) -> Response {
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert("x-hubspot-correlation-id", value);
    }
    {
        let mut ledger = lab.ledger();
        ledger.answered(lab.clock.now_us(), portal, response.status().as_u16());
        if let Some(served) = response.extensions().get::<Served>() {
            ledger.served(served.page, served.records);
        }
    }
    lab.count_answered();
    response
}

async fn authorized(lab: &LabState, call: Call, request: Request, next: Next) -> Response {
    let target = target(&request).to_owned();
    let at_door = lab.faults().take(Stage::Door, &target, call.portal);
    if let Some(rule) = at_door {
        delay(rule.delay_ms.unwrap_or(0)).await;
        let response = at_the_door(&call, &rule);
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            lab.ledger().limited_by_fault();
        }
        return response;
    }
    let class = if request.uri().path().ends_with("/search") { Class::Search } else { Class::Objects };
    let admitted = {
        let mut ledger = lab.ledger();
        // Read the clock under the lock: the log of arrivals has to be in order.
        ledger.admit(lab.clock.now_us(), call.portal, class)
    };
    let budget = match admitted {
        Ok(budget) => budget,
        Err(refusal) => {
            let wait_s = wait_us(refusal).div_ceil(1_000_000).max(1);
            return problem::rate_limited(&call.id, refusal, lab.tells_retry_after().then_some(wait_s));
        }
    };
    delay(lab.config.latency_ms).await;
    let mut response = faulty(lab, call, request, next).await;
    if class == Class::Objects {
        set_rate_headers(lab, response.headers_mut(), budget);
    }
    response
}

/// Runs the request, or whatever a rule makes of it.
async fn faulty(lab: &LabState, call: Call, request: Request, next: Next) -> Response {
    // Before the rule is taken: whoever replaces the rules after that must be noticed by a request that hangs.
    let replaced = lab.faults_replaced();
    let fault = lab.faults().take(Stage::Inside, target(&request), call.portal);
    match fault {
        Some(rule) => inside(lab, call, Fault { rule, replaced }, request, next).await,
        None => run(call, request, next).await,
    }
}

async fn run(call: Call, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(call);
    next.run(request).await
}

fn at_the_door(call: &Call, rule: &FaultRule) -> Response {
    let refusal = match rule.kind {
        FaultKind::Unauthorized => return problem::unauthorized(&call.id),
        FaultKind::DailyLimit => Refusal::Daily { wait_us: 0 },
        _ => Refusal::TenSecondly { wait_us: 0 },
    };
    problem::rate_limited(&call.id, refusal, rule.retry_after)
}

/// A rule that hit a request, and how the request learns that the rules were replaced.
struct Fault {
    rule: FaultRule,
    replaced: watch::Receiver<u64>,
}

async fn inside(lab: &LabState, call: Call, fault: Fault, request: Request, next: Next) -> Response {
    let Fault { rule, mut replaced } = fault;
    delay(rule.delay_ms.unwrap_or(0)).await;
    let status = rule.status.and_then(|status| StatusCode::from_u16(status).ok());
    let mut response = match rule.kind {
        FaultKind::Truncate => truncated(run(call, request, next).await).await,
        FaultKind::Html => problem::html(status.unwrap_or(StatusCode::BAD_GATEWAY)),
        FaultKind::Hang => {
            lab.count_hung();
            tokio::select! {
                () = tokio::time::sleep(HANG_MAX) => {}
                () = lab.closing.cancelled() => {}
                _ = replaced.changed() => {}
            }
            problem::html(StatusCode::from_u16(524).unwrap_or(StatusCode::GATEWAY_TIMEOUT))
        }
        FaultKind::Status => {
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            refused(&call, status, rule.category.as_deref(), request.uri().path())
        }
        FaultKind::Latency | FaultKind::Unauthorized | FaultKind::RateLimitStorm | FaultKind::DailyLimit => {
            run(call, request, next).await
        }
    };
    problem::set_retry_after(&mut response, rule.retry_after);
    response
}

fn refused(call: &Call, status: StatusCode, category: Option<&str>, path: &str) -> Response {
    let category = category.unwrap_or_else(|| category_of(status));
    if category == "MISSING_SCOPES" {
        return problem::missing_scopes(&call.id, path);
    }
    problem::envelope(status, &call.id, category, "A fault was asked for in the lab.")
}

/// Promises the whole body, sends half of it, and breaks the connection.
async fn truncated(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    parts.extensions.remove::<Served>();
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let half = whole.slice(..whole.len() / 2);
    let stream = futures_util::stream::unfold(Some(half), |half| async move {
        match half {
            Some(half) if !half.is_empty() => Some((Ok(half), Some(Bytes::new()))),
            _ => {
                // The server flushes what it has while the body is not ready; then the error closes the connection.
                tokio::task::yield_now().await;
                Some((Err(std::io::Error::other("cut off by a fault")), None))
            }
        }
    });
    Response::from_parts(parts, Body::from_stream(stream))
}

fn set_rate_headers(lab: &LabState, headers: &mut HeaderMap, budget: Budget) {
    let limits = lab.config.limits;
    if let Some(remaining) = budget.window_remaining {
        headers.insert("x-hubspot-ratelimit-max", HeaderValue::from(limits.objects_per_10s));
        headers.insert("x-hubspot-ratelimit-remaining", HeaderValue::from(remaining));
        headers.insert("x-hubspot-ratelimit-interval-milliseconds", HeaderValue::from(10_000));
    }
    if let Some(remaining) = budget.daily_remaining {
        headers.insert("x-hubspot-ratelimit-daily", HeaderValue::from(limits.daily));
        headers.insert("x-hubspot-ratelimit-daily-remaining", HeaderValue::from(remaining));
    }
}

async fn delay(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

fn wait_us(refusal: Refusal) -> u64 {
    match refusal {
        Refusal::TenSecondly { wait_us } | Refusal::Secondly { wait_us } | Refusal::Daily { wait_us } => {
            wait_us
        }
    }
}

fn category_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "VALIDATION_ERROR",
        401 => "EXPIRED_AUTHENTICATION",
        403 => "MISSING_SCOPES",
        404 => "OBJECT_NOT_FOUND",
        423 => "RESOURCE_LOCKED",
        429 => "RATE_LIMITS",
        _ => "INTERNAL_ERROR",
    }
}

fn target(request: &Request) -> &str {
    request.uri().path_and_query().map_or("", |whole| whole.as_str())
}

fn object_of(path: &str) -> Option<Object> {
    Object::parse(path.strip_prefix("/crm/v3/objects/")?.split('/').next()?)
}

fn bearer_of(lab: &LabState, headers: &HeaderMap) -> Bearer {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match value.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(token) => lab.bearer(token),
        None => Bearer::Unknown,
    }
}
