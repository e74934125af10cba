//! Whom records belong to. Two lists: those who are there, and those who were deactivated.

use std::borrow::Cow;
use std::sync::Arc;

use protocol::{Fields, OwnerFields, Record, Rejected};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::api::Api;
use super::objects::VERSION;
use super::page::Records;
use super::position;
use super::small::{self, Page as Listed};
use super::transform;
use crate::budget::Budget;
use crate::{Next, Page, Position, SourceError};

/// The name of the object.
pub(super) const NAME: &str = "owners";
/// The most owners that a page may have.
const PAGE_SIZE: u32 = 500;

/// A place in the lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    archived: bool,
    after: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    email: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    /// Null for one who was deactivated; the other one is not.
    user_id: Option<u64>,
    user_id_including_inactive: Option<u64>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

impl Api {
    /// A page of the owners.
    pub(super) async fn owners(
        &self,
        budget: &Arc<Budget>,
        position: Option<&Position>,
    ) -> Result<Page, SourceError> {
        let Place { archived, after } = position.and_then(position::read).unwrap_or_default();
        let mut request = self.request(Method::GET, &format!("/crm/{VERSION}/owners"));
        {
            let mut query = request.url_mut().query_pairs_mut();
            query.append_pair("limit", &PAGE_SIZE.to_string()).append_pair("archived", &archived.to_string());
            query.extend_pairs(after.as_ref().map(|after| ("after", after)));
        }
        let listed: Listed = self
            .call(request, budget, |body| small::read(body, after.as_deref(), |raw| record(raw, archived)))
            .await?;
        // Who is gone without having been deactivated is known only if all the others are seen at once.
        let whole = !archived && after.is_none() && listed.after.is_none();
        let next = match (listed.after, archived) {
            (Some(after), _) => Next::More(position::store(Place { archived, after: Some(after) })),
            (None, false) => Next::More(position::store(Place { archived: true, after: None })),
            (None, true) => Next::Done { checkpoint: None },
        };
        let Records { records, rejected } = listed.records;
        Ok(small::page(records, rejected, whole, next))
    }
}

fn record(raw: &RawValue, archived: bool) -> Result<Record, Rejected> {
    let reject = |id: &str, reason: &str| small::rejected(raw, id, reason, !archived);
    let Ok(wire) = serde_json::from_str::<Wire<'_>>(raw.get()) else {
        return Err(reject("", "it is not a JSON object with the fields of an owner"));
    };
    let Some(id) = wire.id.and_then(transform::id).map(Cow::into_owned) else {
        return Err(reject("", "it has no id"));
    };
    let Ok(source_created_at) = small::time(wire.created_at.as_deref()) else {
        return Err(reject(&id, "`createdAt` is not a date"));
    };
    let Ok(source_updated_at) = small::time(wire.updated_at.as_deref()) else {
        return Err(reject(&id, "`updatedAt` is not a date"));
    };
    if archived && source_updated_at.is_none() {
        return Err(reject(&id, "it is deactivated and does not say since when"));
    }
    let user_id = wire.user_id.or(wire.user_id_including_inactive);
    let fields = OwnerFields {
        email: small::text(wire.email),
        first_name: small::text(wire.first_name),
        last_name: small::text(wire.last_name),
        user_id: user_id.map(|id| id.to_string()),
        kind: small::text(wire.kind),
    };
    Ok(Record {
        external_id: id,
        fields: Fields::Owner(fields),
        properties: small::properties(raw),
        source_created_at,
        source_updated_at,
        // HubSpot does not say when; deactivating changes the owner, so it was not later than that.
        deleted_at: source_updated_at.filter(|_| archived),
        merged_ids: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(json: &str, archived: bool) -> Result<Record, Rejected> {
        record(&serde_json::from_str::<Box<RawValue>>(json).unwrap(), archived)
    }

    #[test]
    fn a_deactivated_owner_is_deleted_and_keeps_the_user() {
        let json = r#"{"id":"77","email":"a@x.test","type":"PERSON","firstName":"Ann","lastName":"","userId":null,
            "userIdIncludingInactive":4411,"updatedAt":"2026-01-02T03:04:05.006Z","teams":[{"id":"5"}]}"#;
        let record = owner(json, true).unwrap();
        assert_eq!(record.external_id, "77");
        assert_eq!(record.deleted_at, record.source_updated_at);
        let Fields::Owner(fields) = record.fields else { panic!() };
        assert_eq!((fields.user_id.as_deref(), fields.last_name), (Some("4411"), None));
        assert!(owner(json, false).unwrap().deleted_at.is_none());
    }

    #[test]
    fn an_owner_that_cannot_be_stored_is_rejected_with_the_reason() {
        for (json, reason) in [
            ("7", "it is not a JSON object with the fields of an owner"),
            ("{}", "it has no id"),
            (r#"{"id":"1","createdAt":"soon"}"#, "`createdAt` is not a date"),
            (r#"{"id":"1"}"#, "it is deactivated and does not say since when"),
        ] {
            assert_eq!(owner(json, true).unwrap_err().reason, reason);
        }
    }
}
