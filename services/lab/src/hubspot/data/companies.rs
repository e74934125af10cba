//! Companies.
//!
//! Untransformable: index % 1889 == 500, 9 of 17,000. In turn `annualrevenue` is text (`approx. 2 million`) or
//! `createdate` is not a date (`2025-13-45T99:00:00Z`). The top-level `createdAt` stays right.

use super::Kind::{Bool, DateTime, LongText, MultiSelect, Number, Phone, Select, Text};
use super::Row;
use super::property::{
    self, Property, property, push_bool, push_money, push_number, push_revision, push_several, sparse,
    sparse_until_edited,
};
use super::words::{self, phone, push_note, push_owner};

const PRODUCT_LINES: &[&str] = &["hardware", "software", "services", "training & docs"];

pub(super) const PROPERTIES: &[Property] = &[
    property("annualrevenue", "Annual Revenue", Number, annualrevenue),
    property("city", "City", Text, |r, o| {
        sparse(r, o, 20, (25, 2), |o| o.push_str(r.pick(21, words::PLACES).0))
    }),
    property("country", "Country/Region", Text, |r, o| {
        sparse(r, o, 20, (25, 2), |o| o.push_str(r.pick(21, words::PLACES).3))
    }),
    property("createdate", "Create Date", DateTime, createdate).by_default(),
    property("credit_limit", "Credit limit", Number, |r, o| {
        sparse_until_edited(r, o, 22, (50, 4), |o| {
            if r.percent(23, 5) { o.push_str("N/A") } else { push_money(r, o, r.revised(24), 250_000) }
        })
    })
    .custom(),
    property("description", "Description", LongText, |r, o| {
        let rare = if r.index % 997 == 601 { (0, 0) } else { (40, 5) };
        sparse_until_edited(r, o, 25, rare, |o| push_note(r, o, 26))
    }),
    property("domain", "Company Domain Name", Text, |r, o| sparse(r, o, 27, (8, 2), |o| push_domain(r, o)))
        .by_default(),
    property("hs_lastmodifieddate", "Last Modified Date", DateTime, property::modified).by_default(),
    property("hs_merged_object_ids", "Merged record IDs", MultiSelect, |r, o| {
        property::merged_ids(r, o, |_| false)
    }),
    property("hs_object_id", "Record ID", Number, property::object_id).by_default(),
    property("hs_parent_company_id", "Parent Company ID", Number, |r, o| {
        sparse(r, o, 28, (92, 0), |o| push_number(o, 61_000_000 + r.below(29, 600_000)))
    }),
    property("hubspot_owner_id", "Company owner", Select, |r, o| {
        sparse(r, o, 30, (20, 3), |o| push_owner(r, o, 31))
    }),
    property("industry", "Industry", Select, |r, o| {
        sparse(r, o, 32, (20, 2), |o| o.push_str(r.pick(33, words::INDUSTRIES)))
    })
    .options(words::INDUSTRIES),
    property("is_partner", "Partner", Bool, |r, o| {
        sparse(r, o, 34, (30, 3), |o| push_bool(o, r.percent(35, 20)))
    })
    .custom(),
    property("lifecyclestage", "Lifecycle Stage", Select, |r, o| {
        sparse(r, o, 36, (3, 0), |o| o.push_str(r.pick(37, words::LIFECYCLE_STAGES)))
    })
    .options(words::LIFECYCLE_STAGES),
    property("name", "Company name", Text, |r, o| {
        sparse_until_edited(r, o, 38, (1, 1), |o| {
            o.push_str(r.pick(10, words::COMPANY_STEMS).0);
            o.push(' ');
            push_number(o, r.index);
            o.push(' ');
            o.push_str(r.pick(11, words::COMPANY_ENDINGS));
            push_revision(r, o);
        })
    })
    .by_default(),
    property("numberofemployees", "Number of Employees", Number, |r, o| {
        sparse(r, o, 39, (30, 3), |o| push_number(o, r.below(40, 20_000)))
    }),
    property("phone", "Phone Number", Phone, |r, o| phone(r, o, 41, (25, 3))),
    property("product_lines", "Product lines", MultiSelect, |r, o| {
        sparse(r, o, 44, (35, 5), |o| push_several(r, o, 45, PRODUCT_LINES))
    })
    .custom()
    .options(PRODUCT_LINES),
    property("state", "State/Region", Text, |r, o| {
        sparse(r, o, 20, (25, 2), |o| o.push_str(r.pick(21, words::PLACES).1))
    }),
    property("website", "Website URL", Text, |r, o| {
        sparse(r, o, 46, (20, 2), |o| {
            o.push_str("https://www.");
            push_domain(r, o);
            o.push_str("/?utm=a&b=\"c\"");
        })
    }),
    property("zip", "Postal Code", Text, |r, o| {
        sparse(r, o, 20, (25, 2), |o| o.push_str(r.pick(21, words::PLACES).2))
    }),
];

pub(super) fn untransformable(row: &Row) -> bool {
    row.index % 1_889 == 500
}

/// The bad ones take turns: first a revenue, then a date.
fn bad_date(row: &Row) -> bool {
    row.index / 1_889 % 2 == 1
}

fn annualrevenue(row: &Row, out: &mut String) -> bool {
    if untransformable(row) && !bad_date(row) {
        out.push_str("approx. 2 million");
        return true;
    }
    sparse(row, out, 47, (30, 5), |out| push_money(row, out, 48, 90_000_000))
}

fn createdate(row: &Row, out: &mut String) -> bool {
    if untransformable(row) && bad_date(row) {
        out.push_str("2025-13-45T99:00:00Z");
        return true;
    }
    property::created(row, out)
}

fn push_domain(row: &Row, out: &mut String) {
    out.push_str(row.pick(10, words::COMPANY_STEMS).1);
    push_number(out, row.index);
    out.push_str(".test");
}
