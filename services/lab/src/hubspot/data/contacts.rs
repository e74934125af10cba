//! Contacts.
//!
//! Untransformable: index % 2000 == 777, whose `createdate` is a date in a form that no client may guess
//! (`31/12/2025`). 23 of 46,000. The top-level `createdAt` stays right.
//!
//! Awkward but fine: index % 16000 == 34 has U+0000 in `jobtitle`. 3 of 46,000.

use super::Kind::{Bool, Date, DateTime, LongText, MultiSelect, Number, Phone, Select, Text};
use super::property::{
    self, Property, property, push_bool, push_day, push_money, push_number, push_revision, push_several,
    sparse, sparse_until_edited,
};
use super::words::{self, phone, push_note, push_owner};
use super::{Row, dates};

const LEAD_STATUSES: &[&str] = &["NEW", "OPEN", "IN_PROGRESS", "UNQUALIFIED", "BAD_TIMING"];
const COLOURS: &[&str] = &["red", "green", "light blue", "schwarz/weiß"];

pub(super) const PROPERTIES: &[Property] = &[
    property("address", "Street Address", Text, |r, o| {
        sparse(r, o, 20, (40, 3), |o| o.push_str(r.pick(21, words::STREETS)))
    }),
    property("associatedcompanyid", "Primary Company ID", Number, |r, o| {
        sparse(r, o, 22, (30, 1), |o| push_number(o, 501 + r.below(23, 9_000_000)))
    }),
    property("city", "City", Text, |r, o| {
        sparse(r, o, 24, (30, 2), |o| o.push_str(r.pick(25, words::PLACES).0))
    }),
    property("company", "Company Name", Text, |r, o| {
        sparse(r, o, 26, (20, 2), |o| {
            o.push_str(r.pick(27, words::COMPANY_STEMS).0);
            o.push(' ');
            o.push_str(r.pick(28, words::COMPANY_ENDINGS));
        })
    }),
    property("country", "Country/Region", Text, |r, o| {
        sparse(r, o, 24, (30, 2), |o| o.push_str(r.pick(25, words::PLACES).3))
    }),
    property("createdate", "Create Date", DateTime, createdate).by_default(),
    property("date_of_birth", "Date of birth", Date, |r, o| {
        sparse(r, o, 29, (60, 5), |o| push_day(r, o, 30, (-631_152_000_000, 1_104_537_600_000)))
    }),
    property("email", "Email", Text, |r, o| sparse(r, o, 31, (2, 1), |o| push_email(r, o, "example.test")))
        .by_default(),
    property("favourite_colours", "Favourite colours", MultiSelect, |r, o| {
        sparse(r, o, 32, (50, 4), |o| push_several(r, o, 33, COLOURS))
    })
    .custom()
    .options(COLOURS),
    property("firstname", "First Name", Text, |r, o| {
        sparse(r, o, 34, (3, 1), |o| o.push_str(r.pick(10, words::FIRST_NAMES).0))
    })
    .by_default(),
    property("hs_additional_emails", "Additional email addresses", MultiSelect, |r, o| {
        sparse(r, o, 35, (90, 1), |o| {
            push_email(r, o, "home.test");
            o.push(';');
            push_email(r, o, "old.test");
        })
    }),
    property("hs_lead_status", "Lead Status", Select, |r, o| {
        sparse(r, o, 36, (30, 5), |o| o.push_str(r.pick(37, LEAD_STATUSES)))
    })
    .options(LEAD_STATUSES),
    property("hs_merged_object_ids", "Merged record IDs", MultiSelect, |r, o| {
        property::merged_ids(r, o, |o| {
            sparse(r, o, 38, (98, 0), |o| push_number(o, 3_000_000 + r.below(39, 999_999)))
        })
    }),
    property("hs_object_id", "Record ID", Number, property::object_id).by_default(),
    property("hubspot_owner_id", "Contact owner", Select, |r, o| {
        sparse(r, o, 40, (25, 3), |o| push_owner(r, o, 41))
    }),
    property("jobtitle", "Job Title", Text, jobtitle),
    property("lastmodifieddate", "Last Modified Date", DateTime, property::modified).by_default(),
    property("lastname", "Last Name", Text, |r, o| {
        sparse_until_edited(r, o, 42, (4, 1), |o| {
            o.push_str(r.pick(11, words::LAST_NAMES).0);
            push_revision(r, o);
        })
    })
    .by_default(),
    property("lifecyclestage", "Lifecycle Stage", Select, |r, o| {
        sparse(r, o, 43, (2, 0), |o| o.push_str(r.pick(44, words::LIFECYCLE_STAGES)))
    })
    .options(words::LIFECYCLE_STAGES),
    property("loyalty_points", "Loyalty points", Number, |r, o| {
        sparse_until_edited(r, o, 45, (50, 3), |o| {
            if r.percent(46, 4) { o.push_str("N/A") } else { push_money(r, o, r.revised(47), 5_000) }
        })
    })
    .custom(),
    property("mobilephone", "Mobile Phone Number", Phone, |r, o| phone(r, o, 48, (60, 2))),
    property("newsletter_opt_in", "Newsletter", Bool, |r, o| {
        sparse(r, o, 51, (20, 5), |o| push_bool(o, r.percent(52, 50)))
    })
    .custom(),
    property("notes_on_customer", "Notes", LongText, |r, o| {
        let rare = if r.index % 997 == 601 { (0, 0) } else { (45, 5) };
        sparse_until_edited(r, o, 53, rare, |o| push_note(r, o, 54))
    })
    .custom(),
    property("phone", "Phone Number", Phone, |r, o| phone(r, o, 55, (30, 4))),
    property("state", "State/Region", Text, |r, o| {
        sparse(r, o, 24, (30, 2), |o| o.push_str(r.pick(25, words::PLACES).1))
    }),
    property("zip", "Postal Code", Text, |r, o| {
        sparse(r, o, 24, (30, 2), |o| o.push_str(r.pick(25, words::PLACES).2))
    }),
];

pub(super) fn untransformable(row: &Row) -> bool {
    row.index % 2_000 == 777
}

fn createdate(row: &Row, out: &mut String) -> bool {
    if untransformable(row) {
        dates::push_slashed_date(out, row.created_ms);
        return true;
    }
    property::created(row, out)
}

fn jobtitle(row: &Row, out: &mut String) -> bool {
    if row.index % 16_000 == 34 {
        out.push_str("Chief\u{0}Officer\u{0}");
        return true;
    }
    sparse(row, out, 57, (25, 4), |out| out.push_str(row.pick(58, words::JOB_TITLES)))
}

fn push_email(row: &Row, out: &mut String, domain: &str) {
    out.push_str(row.pick(10, words::FIRST_NAMES).1);
    out.push('.');
    out.push_str(row.pick(11, words::LAST_NAMES).1);
    out.push('+');
    push_number(out, row.index);
    out.push('@');
    out.push_str(domain);
}
