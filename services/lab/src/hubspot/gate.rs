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
    let id = CorrelationId(lab.correlation_id());
    let portal = portal_of(request.headers());
    {
        let mut ledger = lab.ledger();
        ledger.received(lab.clock.now_us(), portal, object_of(request.uri().path()));
    }
    lab.count_received();
    let mut response = match portal {
        _ if target(&request).len() > TARGET_LENGTH_MAX => problem::html(StatusCode::URI_TOO_LONG),
        None => problem::unauthorized(&id),
        Some(portal) => authorized(&lab, Call { id: id.clone(), portal }, request, next).await,
    };
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
        return at_the_door(&call, &rule);
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
    // Before the rule is taken: whoever replaces the rules after that must be noticed by a request that hangs.
    let replaced = lab.faults_replaced();
    let fault = lab.faults().take(Stage::Inside, &target, call.portal);
    let mut response = match fault {
        Some(rule) => inside(lab, call, Fault { rule, replaced }, request, next).await,
        None => run(call, request, next).await,
    };
    if class == Class::Objects {
        set_rate_headers(lab, response.headers_mut(), budget);
    }
    response
}

async fn run(call: Call, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(call);
    next.run(request).await
}

fn at_the_door(call: &Call, rule: &FaultRule) -> Response {
    if rule.kind == FaultKind::Unauthorized {
        return problem::unauthorized(&call.id);
    }
    problem::rate_limited(&call.id, Refusal::TenSecondly { wait_us: 0 }, rule.retry_after)
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
            problem::envelope(status, &call.id, category_of(status), "A fault was asked for in the lab.")
        }
        FaultKind::Latency | FaultKind::Unauthorized | FaultKind::RateLimitStorm => {
            run(call, request, next).await
        }
    };
    problem::set_retry_after(&mut response, rule.retry_after);
    response
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

/// `Bearer pat-lab-<digits>`, optionally followed by `-` and anything.
fn portal_of(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let token = value.strip_prefix("Bearer ")?.strip_prefix("pat-lab-")?;
    let digits = token.split_once('-').map_or(token, |(digits, _)| digits);
    // `parse` alone would take a plus sign.
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}
