//! What the type of a value does not say: texts that have to be read, and values that have to fit others.

use std::net::SocketAddr;

use tracing_subscriber::EnvFilter;
use url::Url;

use super::layers::Layers;
use super::sections::key_bytes;

/// The most of `scheduler.retention_days`, a hundred years: so far back Postgres still has a date.
const RETENTION_DAYS_MAX: i64 = 36_500;

/// Checks all texts and all relations, and notes in the layers what is wrong.
pub(super) fn check(layers: &mut Layers) {
    check_texts(layers);
    check_numbers(layers);
}

fn check_texts(layers: &mut Layers) {
    check_text(layers, "http.listen", "an address and a port, such as 127.0.0.1:3000", |text| {
        text.parse::<SocketAddr>().is_ok()
    });
    check_text(layers, "database.url", "postgres://user:password@host:port/database", |text| {
        text.is_empty() || has_scheme(text, &["postgres", "postgresql"])
    });
    check_text(layers, "nats.url", "nats:// or tls:// and a host, several separated by commas", |text| {
        text.is_empty() || text.split(',').all(|url| has_scheme(url.trim(), &["nats", "tls", "ws", "wss"]))
    });
    check_text(layers, "secrets.encryption_key", "64 hex digits", |text| {
        text.is_empty() || key_bytes(text).is_some()
    });
    check_text(layers, "log.format", "\"text\" or \"json\"", |text| ["text", "json"].contains(&text));
    check_text(layers, "log.filter", "a level such as info, also by crate: info,worker=debug", |text| {
        EnvFilter::try_new(text).is_ok()
    });
    for key in layers.keys_ending("connectors.", "base_url") {
        check_text(layers, &key, "https:// or http:// and a host", |text| {
            has_scheme(text, &["https", "http"])
        });
    }
}

fn check_text(layers: &mut Layers, key: &str, expected: &str, fits: impl Fn(&str) -> bool) {
    if layers.text(key).is_some_and(|text| !fits(text)) {
        layers.refuse_value(key, expected);
    }
}

fn has_scheme(text: &str, schemes: &[&str]) -> bool {
    Url::parse(text).is_ok_and(|url| url.has_host() && schemes.contains(&url.scheme()))
}

fn check_numbers(layers: &mut Layers) {
    for key in layers.keys_ending("connectors.", "quota_share") {
        if layers.share(&key).is_some_and(|share| !(1e-6..=1.0).contains(&share)) {
            layers.refuse_value(&key, "a number above 0 and at most 1");
        }
    }
    relate(layers, "worker.heartbeat_ms", "less than half of", "worker.lease_ms", |heartbeat, lease| {
        2 * heartbeat < lease
    });
    relate(layers, "http.request_timeout_ms", "less than", "shutdown.deadline_ms", |timeout, deadline| {
        timeout < deadline
    });
    relate(layers, "ingress.batch_max", "at most", "ingress.queue_max", |batch, queue| batch <= queue);
    if layers.number("scheduler.retention_days").is_some_and(|days| days > RETENTION_DAYS_MAX) {
        let expected = format!("at most {RETENTION_DAYS_MAX}, or 0 for ever");
        layers.refuse_value("scheduler.retention_days", &expected);
    }
    let slots = ["worker.slots_high", "worker.slots_normal", "worker.slots_low"];
    if slots.iter().all(|key| layers.number(key) == Some(0)) {
        layers.refuse_value(slots[1], "at least one of worker.slots_high, _normal and _low above 0");
    }
}

fn relate(layers: &mut Layers, key: &str, relation: &str, other: &str, holds: fn(i64, i64) -> bool) {
    let (Some(left), Some(right)) = (layers.number(key), layers.number(other)) else {
        return; // one of them is wrong anyway, which says enough
    };
    if !holds(left, right) {
        let expected = format!("{relation} {}", layers.cite(other));
        layers.refuse_value(key, &expected);
    }
}
