//! Deals.
//!
//! Untransformable: index % 345 == 100, 2 of 691, whose `amount` is text: in turn `12k EUR` and `to be agreed`.
//!
//! Awkward but fine: amounts that are null, `""`, `0` or negative; a `closedate` in epoch milliseconds; a stage that
//! no pipeline lists any more.

use super::Kind::{Bool, DateTime, LongText, MultiSelect, Number, Select, Text};
use super::property::{
    self, Property, property, push_bool, push_money, push_number, push_revision, push_several, sparse,
    sparse_until_edited,
};
use super::words::{self, push_note, push_owner};
use super::{Row, dates};

/// Stage id, label, probability; a probability of 1 or 0 is closed.
type Stage = (&'static str, &'static str, &'static str);

/// Pipeline id, label, stages.
pub(crate) const PIPELINES: &[(&str, &str, &[Stage])] = &[
    (
        "default",
        "Sales Pipeline",
        &[
            ("appointmentscheduled", "Appointment Scheduled", "0.2"),
            ("qualifiedtobuy", "Qualified To Buy", "0.4"),
            ("presentationscheduled", "Presentation Scheduled", "0.6"),
            ("decisionmakerboughtin", "Decision Maker Bought-In", "0.8"),
            ("contractsent", "Contract Sent", "0.9"),
            ("closedwon", "Closed Won", "1.0"),
            ("closedlost", "Closed Lost", "0.0"),
        ],
    ),
    (
        "7755001",
        "Renewals / Verlängerungen",
        &[("118820001", "Due", "0.5"), ("118820002", "Renewed", "1.0"), ("118820003", "Churned", "0.0")],
    ),
];

const RETIRED_STAGE: Stage = ("990017", "", "0.3");
const CURRENCIES: &[&str] = &["EUR", "USD", "CHF", "JPY", "GBP"];
const SOURCES: &[&str] = &["ORGANIC_SEARCH", "DIRECT_TRAFFIC", "OFFLINE", "PAID_SEARCH", "REFERRALS"];
const FORECASTS: &[&str] = &["OMIT", "PIPELINE", "BEST_CASE", "COMMIT", "CLOSED"];
const TYPES: &[&str] = &["newbusiness", "existingbusiness"];
const PRIORITIES: &[&str] = &["low", "medium", "high"];
const TAGS: &[&str] = &["public", "energy", "health", "edu & research"];

pub(super) const PROPERTIES: &[Property] = &[
    property("amount", "Amount", Number, amount).by_default(),
    property("amount_in_home_currency", "Amount in company currency", Number, home_amount),
    property("closedate", "Close Date", DateTime, closedate).by_default(),
    property("createdate", "Create Date", DateTime, property::created).by_default(),
    property("deal_currency_code", "Currency", Select, |r, o| {
        sparse(r, o, 20, (20, 0), |o| o.push_str(r.pick(21, CURRENCIES)))
    })
    .options(CURRENCIES),
    property("dealname", "Deal Name", Text, |r, o| {
        sparse_until_edited(r, o, 22, (1, 1), |o| {
            o.push_str(r.pick(10, words::COMPANY_STEMS).0);
            o.push_str(if r.percent(23, 50) { " renewal #" } else { " – new business " });
            push_number(o, r.index);
            push_revision(r, o);
        })
    })
    .by_default(),
    property("dealstage", "Deal Stage", Select, |r, o| {
        o.push_str(stage(r).0);
        true
    })
    .by_default(),
    property("dealtype", "Deal Type", Select, |r, o| {
        sparse(r, o, 24, (25, 5), |o| o.push_str(r.pick(25, TYPES)))
    })
    .options(TYPES),
    property("discount_percent", "Discount", Number, |r, o| {
        sparse_until_edited(r, o, 26, (50, 3), |o| {
            if r.percent(27, 6) { o.push_str("N/A") } else { push_money(r, o, r.revised(28), 40) }
        })
    })
    .custom(),
    property("hs_acv", "Annual contract value", Number, |r, o| {
        sparse(r, o, 29, (60, 0), |o| push_money(r, o, 30, 90_000))
    }),
    property("hs_analytics_source", "Original Source Type", Select, |r, o| {
        sparse(r, o, 31, (20, 0), |o| o.push_str(r.pick(32, SOURCES)))
    })
    .options(SOURCES),
    property("hs_arr", "Annual recurring revenue", Number, |r, o| {
        sparse(r, o, 29, (60, 0), |o| push_money(r, o, 33, 90_000))
    }),
    property("hs_deal_stage_probability", "Deal probability", Number, |r, o| {
        o.push_str(stage(r).2);
        true
    }),
    property("hs_forecast_amount", "Forecast amount", Number, home_amount),
    property("hs_forecast_probability", "Forecast probability", Number, |r, o| {
        sparse(r, o, 34, (40, 0), |o| o.push_str(stage(r).2))
    }),
    property("hs_is_closed", "Is Closed", Bool, |r, o| {
        push_bool(o, matches!(stage(r).2, "1.0" | "0.0"));
        true
    }),
    property("hs_is_closed_won", "Is Closed Won", Bool, |r, o| {
        push_bool(o, stage(r).2 == "1.0");
        true
    }),
    property("hs_lastmodifieddate", "Last Modified Date", DateTime, property::modified).by_default(),
    property("hs_manual_forecast_category", "Forecast category", Select, |r, o| {
        sparse(r, o, 35, (50, 5), |o| o.push_str(r.pick(36, FORECASTS)))
    })
    .options(FORECASTS),
    property("hs_merged_object_ids", "Merged record IDs", MultiSelect, |r, o| {
        property::merged_ids(r, o, |o| {
            sparse(r, o, 37, (97, 0), |o| {
                push_number(o, 9_000_000 + r.below(38, 99_999));
                o.push(';');
                push_number(o, 8_000_000 + r.below(39, 99_999));
            })
        })
    }),
    property("hs_mrr", "Monthly recurring revenue", Number, |r, o| {
        sparse(r, o, 29, (60, 0), |o| push_money(r, o, 40, 9_000))
    }),
    property("hs_next_step", "Next step", Text, |r, o| {
        let rare = if r.index % 997 == 601 { (0, 0) } else { (50, 6) };
        sparse_until_edited(r, o, 41, rare, |o| push_note(r, o, 42))
    }),
    property("hs_object_id", "Record ID", Number, property::object_id).by_default(),
    property("hs_priority", "Priority", Select, |r, o| {
        sparse(r, o, 43, (40, 4), |o| o.push_str(r.pick(44, PRIORITIES)))
    })
    .options(PRIORITIES),
    property("hs_tcv", "Total contract value", Number, |r, o| {
        sparse(r, o, 29, (60, 0), |o| push_money(r, o, 45, 190_000))
    }),
    property("hubspot_owner_id", "Deal owner", Select, |r, o| {
        sparse(r, o, 46, (15, 3), |o| push_owner(r, o, 47))
    }),
    property("industry_tags", "Tags", MultiSelect, |r, o| {
        sparse(r, o, 48, (40, 4), |o| push_several(r, o, 49, TAGS))
    })
    .custom()
    .options(TAGS),
    property("num_associated_contacts", "Number of Associated Contacts", Number, |r, o| {
        push_number(o, r.below(51, 6));
        true
    }),
    property("pipeline", "Pipeline", Select, |r, o| {
        o.push_str(pipeline(r).0);
        true
    })
    .by_default(),
    property("renewal_notes", "Renewal notes", LongText, |r, o| {
        sparse(r, o, 52, (60, 5), |o| push_note(r, o, 53))
    })
    .custom(),
];

pub(super) fn untransformable(row: &Row) -> bool {
    row.index % 345 == 100
}

fn amount(row: &Row, out: &mut String) -> bool {
    if untransformable(row) {
        out.push_str(if (row.index / 345).is_multiple_of(2) { "12k EUR" } else { "to be agreed" });
        return true;
    }
    sparse_until_edited(row, out, 54, (6, 5), |out| push_amount(row, out))
}

/// What HubSpot computes from the amount: null where it could not.
fn home_amount(row: &Row, out: &mut String) -> bool {
    !untransformable(row) && (row.revision > 0 || row.below(54, 100) >= 11) && {
        push_amount(row, out);
        true
    }
}

fn push_amount(row: &Row, out: &mut String) {
    match row.below(55, 100) {
        _ if row.revision > 0 => push_money(row, out, row.revised(56), 250_000),
        0..3 => out.push('0'),
        3..6 => {
            out.push('-');
            push_money(row, out, 56, 900);
        }
        6..10 => out.push_str("1500.00"),
        _ => push_money(row, out, 56, 250_000),
    }
}

fn closedate(row: &Row, out: &mut String) -> bool {
    sparse(row, out, 57, (6, 3), |out| {
        let at = row.moment(58, row.created_ms, row.created_ms + 400 * dates::DAY_MS);
        if row.percent(59, 3) { out.push_str(&at.to_string()) } else { dates::push_datetime(out, at) }
    })
}

fn pipeline(row: &Row) -> &'static (&'static str, &'static str, &'static [Stage]) {
    &PIPELINES[usize::from(row.percent(60, 25))]
}

fn stage(row: &Row) -> Stage {
    if row.percent(61, 1) { RETIRED_STAGE } else { row.pick(62, pipeline(row).2) }
}
