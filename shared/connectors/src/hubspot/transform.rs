//! A HubSpot record becomes a row.

use std::borrow::Cow;

use protocol::{AccountFields, ContactFields, DealFields, Fields, Record, Rejected, Table};
use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::objects::Object;
use super::position::Millis;
use crate::columns;
use crate::jsonb::{jsonb_safe, scalar};
use crate::properties::{BadField, Properties};

/// The longest id that is believed; real ones have up to 20 digits. The column is part of an index, whose entries
/// Postgres limits.
const ID_LEN_MAX: usize = 128;

/// A record, borrowed from the page's text. Everything is optional: what is missing is said in the rejection.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRecord<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
    #[serde(borrow)]
    created_at: Option<&'a RawValue>,
    #[serde(borrow)]
    updated_at: Option<&'a RawValue>,
    #[serde(borrow)]
    archived_at: Option<&'a RawValue>,
}

/// Its id and when it was archived, as far as it says so.
pub(super) fn head(raw: &RawValue) -> (Option<String>, Option<Millis>) {
    let Some(wire) = read(raw) else { return (None, None) };
    let archived_at = top_level_time("archivedAt", wire.archived_at).ok().flatten();
    (wire.id().map(Cow::into_owned), archived_at.map(Millis::from))
}

/// One record.
///
/// # Errors
/// What is wrong with it.
pub(super) fn transform(object: &Object, raw: &RawValue) -> Result<Record, Rejected> {
    let reject = |external_id: &str, reason: String| Rejected {
        external_id: external_id.to_owned(),
        reason,
        payload: jsonb_safe(raw.get()).into_owned(),
        is_live: true,
    };
    let Some(wire) = read(raw) else {
        return Err(reject("", "it is not a JSON object with the fields of a record".to_owned()));
    };
    let Some(id) = wire.id() else {
        return Err(reject("", format!("it has no id of at most {ID_LEN_MAX} characters")));
    };
    record(object, &id, &wire).map_err(|bad| reject(&id, bad.to_string()))
}

/// An id, if it is one.
pub(super) fn id(raw: &RawValue) -> Option<Cow<'_, str>> {
    scalar(raw).ok().flatten().filter(|id| id.len() <= ID_LEN_MAX)
}

fn read(raw: &RawValue) -> Option<WireRecord<'_>> {
    serde_json::from_str(raw.get()).ok()
}

impl<'a> WireRecord<'a> {
    fn id(&self) -> Option<Cow<'a, str>> {
        self.id.and_then(id)
    }
}

fn record(object: &Object, id: &str, wire: &WireRecord<'_>) -> Result<Record, BadField> {
    let text = wire.properties.map_or("{}", RawValue::get);
    let properties = Properties::read(text)?;
    let fields = match object.spec.table {
        Table::Contacts => Fields::Contact(contact(&properties)?),
        Table::Accounts => Fields::Account(account(&properties)?),
        Table::Deals => Fields::Deal(deal(&properties)?),
        Table::Owners | Table::Stages | Table::Associations => {
            return Err(BadField::new("object", object.spec.name, "an object of the CRM"));
        }
    };
    let time =
        |name: &'static str, top_level_name: &'static str, top_level: Option<&RawValue>| match properties
            .parsed(name, "a date", columns::timestamp)?
        {
            Some(time) => Ok(Some(time)),
            None => top_level_time(top_level_name, top_level),
        };
    Ok(Record {
        external_id: id.to_owned(),
        fields,
        source_created_at: time("createdate", "createdAt", wire.created_at)?,
        source_updated_at: time(object.modified, "updatedAt", wire.updated_at)?,
        deleted_at: top_level_time("archivedAt", wire.archived_at)?,
        merged_ids: merged_ids(&properties)?,
        properties: jsonb_safe(text).into_owned(),
    })
}

/// The records that were merged into this one.
fn merged_ids(properties: &Properties<'_>) -> Result<Vec<String>, BadField> {
    let Some(ids) = properties.text("hs_merged_object_ids")? else { return Ok(Vec::new()) };
    let ids = ids.split(';').map(str::trim).filter(|id| !id.is_empty() && id.len() <= ID_LEN_MAX);
    Ok(ids.map(str::to_owned).collect())
}

fn top_level_time(name: &str, raw: Option<&RawValue>) -> Result<Option<OffsetDateTime>, BadField> {
    let Some(raw) = raw else { return Ok(None) };
    let bad = |value: &str| BadField::new(name, value, "a date");
    let Some(text) = scalar(raw).map_err(|_| bad(raw.get()))? else { return Ok(None) };
    columns::timestamp(&text).map(Some).ok_or_else(|| bad(&text))
}

fn contact(properties: &Properties<'_>) -> Result<ContactFields, BadField> {
    let text = |name| properties.text(name).map(|text| text.map(Cow::into_owned));
    Ok(ContactFields {
        email: text("email")?,
        first_name: text("firstname")?,
        last_name: text("lastname")?,
        phone: text("phone")?,
        job_title: text("jobtitle")?,
        account_external_id: text("associatedcompanyid")?,
        lifecycle_stage: text("lifecyclestage")?,
        owner_id: text("hubspot_owner_id")?,
    })
}

fn account(properties: &Properties<'_>) -> Result<AccountFields, BadField> {
    let text = |name| properties.text(name).map(|text| text.map(Cow::into_owned));
    Ok(AccountFields {
        name: text("name")?,
        domain: text("domain")?,
        industry: text("industry")?,
        city: text("city")?,
        country: text("country")?,
        employees: properties.parsed("numberofemployees", "a whole number", columns::integer)?,
        annual_revenue: properties.parsed("annualrevenue", "a number", columns::decimal)?,
        owner_id: text("hubspot_owner_id")?,
    })
}

fn deal(properties: &Properties<'_>) -> Result<DealFields, BadField> {
    let text = |name| properties.text(name).map(|text| text.map(Cow::into_owned));
    Ok(DealFields {
        name: text("dealname")?,
        amount: properties.parsed("amount", "a number", columns::decimal)?,
        currency: text("deal_currency_code")?,
        stage: text("dealstage")?,
        pipeline: text("pipeline")?,
        owner_id: text("hubspot_owner_id")?,
        close_date: properties.parsed("closedate", "a date", columns::date)?,
        is_won: properties.parsed("hs_is_closed_won", "true or false", columns::boolean)?,
    })
}

#[cfg(test)]
#[path = "transform_tests.rs"]
mod tests;
