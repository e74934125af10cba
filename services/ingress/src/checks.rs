//! What a request may say: names that are known, values in their limits.

use std::collections::BTreeSet;

use connectors::{ConnectorSpec, Registry};
use protocol::{ConnectorName, ObjectName, ProblemKind, TIMEOUT_SECONDS_MAX};
use runtime::ApiError;
use serde_json::Value;

/// The longest credential field, in bytes: service account keys have about 2,300.
const CREDENTIAL_MAX: usize = 16 * 1024;

/// What is known of a connector that [`known_connector`] let through, or that is connected.
pub(crate) fn spec(connector: &ConnectorName) -> Result<&'static ConnectorSpec, ApiError> {
    Registry::spec(connector).ok_or_else(|| ApiError::internal("a known connector without a spec"))
}

/// A connector's name, if there is such a connector.
pub(crate) fn known_connector(name: &str) -> Result<ConnectorName, ApiError> {
    let known = Registry::specs().iter().map(|spec| spec.name);
    if known.clone().any(|known| known == name) {
        return name.parse().map_err(ApiError::internal);
    }
    let known: Vec<_> = known.map(|known| format!("`{known}`")).collect();
    let shown: String = name.chars().take(64).collect();
    let detail = format!("There is no connector {shown:?}. There is: {}.", known.join(", "));
    Err(ApiError::new(ProblemKind::UnknownConnector, detail))
}

/// The objects asked for, if every connector asked has them.
pub(crate) fn known_objects(
    names: Option<Vec<String>>,
    connectors: &[ConnectorName],
) -> Result<Vec<ObjectName>, ApiError> {
    let Some(names) = names else { return Ok(Vec::new()) };
    let refuse = |detail: String| Err(ApiError::new(ProblemKind::InvalidField, detail));
    if names.is_empty() {
        return refuse("`objects` is empty; leave it out for all of them.".to_owned());
    }
    for connector in connectors {
        let known = spec(connector)?.objects;
        if let Some(name) = names.iter().find(|name| !known.iter().any(|object| object.name == name.as_str()))
        {
            let shown: String = name.chars().take(64).collect();
            let known: Vec<_> = known.iter().map(|object| format!("`{}`", object.name)).collect();
            return refuse(format!("`objects`: {connector} has no {shown:?}; it has {}.", known.join(", ")));
        }
    }
    // In whatever order, and however often, they are named: it is the same wish.
    let objects: Result<BTreeSet<ObjectName>, _> = names.iter().map(|name| name.parse()).collect();
    Ok(objects.map_err(ApiError::internal)?.into_iter().collect())
}

/// The time for an attempt, if it is within its limits.
pub(crate) fn known_timeout(seconds: Option<u32>) -> Result<Option<u32>, ApiError> {
    if seconds.is_some_and(|seconds| !(1..=TIMEOUT_SECONDS_MAX).contains(&seconds)) {
        let detail = format!("`timeoutSeconds` must be 1 to {TIMEOUT_SECONDS_MAX}.");
        return Err(ApiError::new(ProblemKind::InvalidField, detail));
    }
    Ok(seconds)
}

/// Names what is wrong and never repeats a value: it may be a secret in the wrong field.
pub(crate) fn check_credentials(spec: &ConnectorSpec, credentials: &Value) -> Result<(), ApiError> {
    let refuse = |detail: String| Err(ApiError::new(ProblemKind::InvalidField, detail));
    let Some(credentials) = credentials.as_object() else {
        return refuse("`credentials` must be an object with a text for each field.".to_owned());
    };
    let fields = || spec.credentials.iter().map(|f| format!("`{}`", f.name)).collect::<Vec<_>>().join(", ");
    for (name, value) in credentials {
        if !spec.credentials.iter().any(|field| field.name == name) {
            let shown: String = name.chars().take(64).collect();
            return refuse(format!(
                "`credentials` has an unknown field {shown:?}; {} takes {}.",
                spec.name,
                fields()
            ));
        }
        match value.as_str() {
            None => return refuse(format!("`credentials.{name}` must be text.")),
            Some(text) if text.len() > CREDENTIAL_MAX => {
                return refuse(format!("`credentials.{name}` must have at most {CREDENTIAL_MAX} bytes."));
            }
            Some(_) => {}
        }
    }
    let given =
        |name: &str| credentials.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    spec.missing_credentials(given).map_or(Ok(()), refuse)
}
