//! What HubSpot lists: names, tables, typical properties; and what it allows.

use protocol::{ObjectName, Table};

use super::{associations, owners, stages};
use crate::budget::{ClassDefaults, WindowRule};
use crate::{ConnectorSpec, CredentialField, Need, ObjectSpec};
use std::time::Duration;

/// HubSpot, for people and for the registry.
pub(crate) static SPEC: ConnectorSpec = ConnectorSpec {
    name: "hubspot",
    title: "HubSpot",
    objects: &[OWNERS, STAGES, CONTACTS.spec, COMPANIES.spec, DEALS.spec, ASSOCIATIONS],
    credentials: &[
        CredentialField {
            name: "accessToken",
            need: Need::With("token"),
            description: "A service key or private-app token (pat-…) with the scopes crm.objects.contacts.read, \
                          crm.objects.companies.read and crm.objects.deals.read; with OAuth the last access token",
        },
        CredentialField {
            name: "refreshToken",
            need: Need::With("OAuth"),
            description: "The refresh token that your OAuth app was given for the account",
        },
        CredentialField {
            name: "clientId",
            need: Need::With("OAuth"),
            description: "The client id of the OAuth app that the refresh token was issued to",
        },
        CredentialField {
            name: "clientSecret",
            need: Need::With("OAuth"),
            description: "The client secret of the OAuth app that the refresh token was issued to",
        },
        CredentialField {
            name: "expiresAt",
            need: Need::Optional,
            description: "When the access token expires (RFC 3339); kept up to date with OAuth",
        },
    ],
};

/// The version segment of every path. v3 is supported until September 2027; bodies of `2026-03` are identical.
pub(super) const VERSION: &str = "v3";
/// Where refresh tokens are exchanged. `v1` is deprecated, `2026-03` is equal.
pub(super) const TOKEN_PATH: &str = "/oauth/v3/token";
/// The vendor's API, for accounts in the EU too.
pub(super) const BASE_URL: &str = "https://api.hubapi.com";
/// The most records a list page may have.
pub(super) const PAGE_SIZE_MAX: u32 = 100;
/// The most records a page of a search may have.
pub(super) const SEARCH_SIZE_MAX: u32 = 200;
/// The most records that may be read by id at once.
pub(super) const BATCH_SIZE_MAX: usize = 100;
/// Longer URLs are not sent. HubSpot refuses those of about 16 kB with 414.
pub(super) const URL_LEN_MAX: usize = 15_000;

/// Everything but search. HubSpot allows 100 in 10 s at least (free, starter), 110 for OAuth apps.
pub(super) const OBJECTS: ClassDefaults = ClassDefaults {
    class: "objects",
    windows: &[WindowRule { limit: 100, per: Duration::from_secs(10) }],
    spacing: Duration::ZERO,
    is_quota: true,
};

/// Search. HubSpot once allowed 4 a second, now 5, shared by all apps of the account.
pub(super) const SEARCH: ClassDefaults = ClassDefaults {
    class: "search",
    windows: &[WindowRule { limit: 4, per: Duration::from_secs(1) }],
    spacing: Duration::from_millis(300),
    is_quota: true,
};

/// Requests for tokens. HubSpot names no limit; a session needs two an hour.
pub(super) const TOKENS: ClassDefaults = ClassDefaults {
    class: "tokens",
    windows: &[WindowRule { limit: 10, per: Duration::from_secs(10) }],
    spacing: Duration::ZERO,
    is_quota: false,
};

/// An object and how it is asked for.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) spec: ObjectSpec,
    /// Comma separated: what is asked for if the account does not tell which properties it has.
    pub(super) properties: &'static str,
    /// When it was last changed. Contacts differ from the rest; the wrong name silently gives nothing.
    pub(super) modified: &'static str,
}

/// The object of that name.
pub(super) fn find(name: &ObjectName) -> Option<&'static Object> {
    [&CONTACTS, &COMPANIES, &DEALS].into_iter().find(|object| object.spec.name == name.as_str())
}

const OWNERS: ObjectSpec = ObjectSpec { name: owners::NAME, table: Table::Owners };
const STAGES: ObjectSpec = ObjectSpec { name: stages::NAME, table: Table::Stages };
const ASSOCIATIONS: ObjectSpec = ObjectSpec { name: associations::NAME, table: Table::Associations };

pub(super) const CONTACTS: Object = Object {
    spec: ObjectSpec { name: "contacts", table: Table::Contacts },
    properties: "hs_object_id,email,firstname,lastname,phone,mobilephone,jobtitle,company,lifecyclestage,\
                 hs_lead_status,hubspot_owner_id,associatedcompanyid,createdate,lastmodifieddate,address,city,state,\
                 zip,country,hs_additional_emails,hs_merged_object_ids",
    modified: "lastmodifieddate",
};

pub(super) const COMPANIES: Object = Object {
    spec: ObjectSpec { name: "companies", table: Table::Accounts },
    properties: "hs_object_id,name,domain,website,phone,industry,numberofemployees,annualrevenue,city,state,zip,\
                 country,lifecyclestage,hubspot_owner_id,hs_parent_company_id,createdate,hs_lastmodifieddate,\
                 hs_merged_object_ids",
    modified: "hs_lastmodifieddate",
};

pub(super) const DEALS: Object = Object {
    spec: ObjectSpec { name: "deals", table: Table::Deals },
    properties: "hs_object_id,dealname,amount,deal_currency_code,amount_in_home_currency,hs_mrr,hs_arr,hs_tcv,hs_acv,\
                 closedate,createdate,hs_lastmodifieddate,dealstage,pipeline,dealtype,hubspot_owner_id,hs_is_closed,\
                 hs_is_closed_won,hs_deal_stage_probability,hs_forecast_amount,hs_forecast_probability,\
                 hs_manual_forecast_category,hs_next_step,num_associated_contacts,hs_analytics_source,\
                 hs_merged_object_ids,hs_priority",
    modified: "hs_lastmodifieddate",
};
