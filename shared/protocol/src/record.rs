//! Records: what a connector produces and the store writes. Not a wire format.

use std::sync::Arc;

use time::{Date, OffsetDateTime};

use crate::ObjectName;

/// One row of an object at the vendor, transformed.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The vendor's id.
    pub external_id: String,
    /// Typed columns, which also say the table.
    pub fields: Fields,
    /// The vendor's fields as a JSON object, in text. Valid for `jsonb`: it has no `\u0000`.
    pub properties: String,
    /// When the vendor says it was made.
    pub source_created_at: Option<OffsetDateTime>,
    /// When the vendor says it was last changed.
    pub source_updated_at: Option<OffsetDateTime>,
    /// When the vendor says it was archived or deleted; `None` for a live record.
    pub deleted_at: Option<OffsetDateTime>,
    /// The vendor's ids of records that were merged into this one, and are no more.
    pub merged_ids: Vec<String>,
}

/// A record that could not be transformed. It is captured and the rest goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    /// The vendor's id, or an empty string if even that was missing.
    pub external_id: String,
    /// What is wrong with it, naming the field and the value.
    pub reason: String,
    /// The record as the vendor sent it.
    pub payload: String,
    /// Whether the vendor has it among its live records; not so if it is archived.
    pub is_live: bool,
}

/// All associations of a range of records with those of another object. Whatever these records were associated with
/// before and is not in here any more is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// The object of the records.
    pub from_object: ObjectName,
    /// The object of the others.
    pub to_object: ObjectName,
    /// The range: ids greater than this one, in the order of whoever keeps the records; from the start if `None`.
    pub after: Option<String>,
    /// The range: up to this id; to the end if `None`.
    pub up_to: Option<String>,
    /// The associations, each pair once.
    pub links: Vec<Link>,
}

/// One association.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The vendor's id of the record.
    pub from_id: String,
    /// The vendor's id of the other record.
    pub to_id: String,
    /// What kinds of association there are between the two, as a JSON array of objects with a `label`, which may be
    /// `null`. Each kind once, and always in the same order, so that equal ones are equal. Most associations say the same,
    /// and share it.
    pub types: Arc<str>,
}

/// The table a record goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// HubSpot deals, Salesforce opportunities.
    Deals,
    /// People.
    Contacts,
    /// HubSpot companies and Salesforce accounts alike.
    Accounts,
    /// Whom a record belongs to: users of the vendor, and queues.
    Owners,
    /// The stages of the pipelines that deals go through.
    Stages,
    /// Which record belongs to which. Holds no records but [`Link`]s.
    Associations,
}

impl Table {
    /// The table's name in Postgres.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deals => "deals",
            Self::Contacts => "contacts",
            Self::Accounts => "accounts",
            Self::Owners => "owners",
            Self::Stages => "stages",
            Self::Associations => "associations",
        }
    }
}

/// The typed columns of each table.
#[derive(Debug, Clone, PartialEq)]
pub enum Fields {
    /// For [`Table::Deals`].
    Deal(DealFields),
    /// For [`Table::Contacts`].
    Contact(ContactFields),
    /// For [`Table::Accounts`].
    Account(AccountFields),
    /// For [`Table::Owners`].
    Owner(OwnerFields),
    /// For [`Table::Stages`].
    Stage(StageFields),
}

impl Fields {
    /// Where such a record belongs.
    pub fn table(&self) -> Table {
        match self {
            Self::Deal(_) => Table::Deals,
            Self::Contact(_) => Table::Contacts,
            Self::Account(_) => Table::Accounts,
            Self::Owner(_) => Table::Owners,
            Self::Stage(_) => Table::Stages,
        }
    }
}

/// Columns of `deals`. `None` is SQL `NULL`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DealFields {
    /// The deal's name.
    pub name: Option<String>,
    /// Money as decimal text that Postgres `numeric` reads exactly; never a float.
    pub amount: Option<String>,
    /// ISO 4217 code.
    pub currency: Option<String>,
    /// The stage's id.
    pub stage: Option<String>,
    /// The pipeline's id.
    pub pipeline: Option<String>,
    /// The owner's id at the vendor.
    pub owner_id: Option<String>,
    /// When it is expected to close, or closed.
    pub close_date: Option<Date>,
    /// Whether it is closed and won; `None` if the vendor does not say.
    pub is_won: Option<bool>,
}

/// Columns of `contacts`. `None` is SQL `NULL`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContactFields {
    /// E-mail address, as the vendor has it.
    pub email: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Phone number, as typed.
    pub phone: Option<String>,
    /// Job title.
    pub job_title: Option<String>,
    /// The id of the account it belongs to, at the vendor.
    pub account_external_id: Option<String>,
    /// Where in its life it is: lead, customer.
    pub lifecycle_stage: Option<String>,
    /// The owner's id at the vendor.
    pub owner_id: Option<String>,
}

/// Columns of `accounts`. `None` is SQL `NULL`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AccountFields {
    /// The company's name.
    pub name: Option<String>,
    /// Its internet domain.
    pub domain: Option<String>,
    /// Its industry.
    pub industry: Option<String>,
    /// City.
    pub city: Option<String>,
    /// Country.
    pub country: Option<String>,
    /// How many people work there.
    pub employees: Option<i64>,
    /// Money a year as decimal text; never a float.
    pub annual_revenue: Option<String>,
    /// The owner's id at the vendor.
    pub owner_id: Option<String>,
}

/// Columns of `owners`. `None` is SQL `NULL`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OwnerFields {
    /// E-mail address.
    pub email: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// The vendor's id of the user behind it; also of one who was deactivated.
    pub user_id: Option<String>,
    /// `PERSON` or `QUEUE`.
    pub kind: Option<String>,
}

/// Columns of `stages`. `None` is SQL `NULL`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StageFields {
    /// The stage's name.
    pub name: Option<String>,
    /// Its place in the pipeline, from 0.
    pub position: Option<i64>,
    /// How probable it is that a deal in this stage is won, 0 to 1, as decimal text.
    pub probability: Option<String>,
    /// Whether deals in this stage are over.
    pub is_closed: Option<bool>,
    /// The pipeline's id.
    pub pipeline: Option<String>,
    /// The pipeline's name.
    pub pipeline_name: Option<String>,
    /// The pipeline's place among the others, from 0.
    pub pipeline_position: Option<i64>,
}
