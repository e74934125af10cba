//! Records: what a connector produces and the store writes. Not a wire format.

use time::{Date, OffsetDateTime};

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
}

impl Table {
    /// The table's name in Postgres.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deals => "deals",
            Self::Contacts => "contacts",
            Self::Accounts => "accounts",
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
}

impl Fields {
    /// Where such a record belongs.
    pub fn table(&self) -> Table {
        match self {
            Self::Deal(_) => Table::Deals,
            Self::Contact(_) => Table::Contacts,
            Self::Account(_) => Table::Accounts,
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
