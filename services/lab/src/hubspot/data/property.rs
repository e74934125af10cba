use super::Row;
use super::dates;

/// Writes a property's value and says `true`, or says `false` for null.
pub(super) type Make = fn(&Row, &mut String) -> bool;

/// How HubSpot describes a property's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    LongText,
    Number,
    Date,
    DateTime,
    Select,
    MultiSelect,
    Bool,
    Phone,
}

impl Kind {
    /// `type` and `fieldType`.
    pub(crate) fn wire(self) -> (&'static str, &'static str) {
        match self {
            Self::Text => ("string", "text"),
            Self::LongText => ("string", "textarea"),
            Self::Number => ("number", "number"),
            Self::Date => ("date", "date"),
            Self::DateTime => ("datetime", "date"),
            Self::Select => ("enumeration", "select"),
            Self::MultiSelect => ("enumeration", "checkbox"),
            Self::Bool => ("bool", "booleancheckbox"),
            Self::Phone => ("phone_number", "phonenumber"),
        }
    }
}

/// One property of an object.
#[derive(Debug)]
pub(crate) struct Property {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) kind: Kind,
    pub(crate) options: &'static [&'static str],
    /// Served when the client names no properties.
    pub(crate) by_default: bool,
    /// Made by the customer, not by HubSpot.
    pub(crate) custom: bool,
    pub(crate) make: Make,
}

pub(super) const fn property(name: &'static str, label: &'static str, kind: Kind, make: Make) -> Property {
    Property { name, label, kind, options: &[], by_default: false, custom: false, make }
}

impl Property {
    pub(super) const fn by_default(mut self) -> Self {
        self.by_default = true;
        self
    }

    pub(super) const fn custom(mut self) -> Self {
        self.custom = true;
        self
    }

    pub(super) const fn options(mut self, options: &'static [&'static str]) -> Self {
        self.options = options;
        self
    }

    /// Served whether asked for or not, as the live service does.
    pub(crate) fn always(&self) -> bool {
        matches!(self.name, "hs_object_id" | "createdate" | "lastmodifieddate" | "hs_lastmodifieddate")
    }
}

/// Null for the first `null` of a hundred records, cleared (`""`) for the next `empty`, else what `write` writes.
pub(super) fn sparse(
    row: &Row,
    out: &mut String,
    salt: u64,
    (null, empty): (u64, u64),
    write: impl FnOnce(&mut String),
) -> bool {
    let place = row.below(salt, 100);
    if place < null {
        return false;
    }
    if place >= null + empty {
        write(out);
    }
    true
}

/// Like [`sparse`], but an edited record always has a value: an edit must show.
pub(super) fn sparse_until_edited(
    row: &Row,
    out: &mut String,
    salt: u64,
    rare: (u64, u64),
    write: impl FnOnce(&mut String),
) -> bool {
    sparse(row, out, salt, if row.revision > 0 { (0, 0) } else { rare }, write)
}

/// ` (rev 2)` after the second edit, nothing before the first.
pub(super) fn push_revision(row: &Row, out: &mut String) {
    if row.revision > 0 {
        out.push_str(" (rev ");
        push_number(out, u64::from(row.revision));
        out.push(')');
    }
}

/// What was merged into this record: for some what the import says, then what happened in the lab.
pub(super) fn merged_ids(row: &Row, out: &mut String, imported: impl FnOnce(&mut String) -> bool) -> bool {
    let mut any = imported(out);
    for id in row.merged_ids.as_deref().unwrap_or_default() {
        if any {
            out.push(';');
        }
        push_number(out, *id);
        any = true;
    }
    any
}

/// Some of the options joined with `;`, sometimes with a leading one, as old imports leave it.
pub(super) fn push_several(row: &Row, out: &mut String, salt: u64, options: &[&str]) {
    let chosen = row.draw(salt);
    if chosen.is_multiple_of(23) {
        out.push(';');
    }
    let mut first = true;
    for (bit, option) in options.iter().enumerate() {
        if chosen >> (bit + 8) & 1 == 1 {
            if !first {
                out.push(';');
            }
            out.push_str(option);
            first = false;
        }
    }
}

/// Whole or two-decimal money; never scientific.
pub(super) fn push_money(row: &Row, out: &mut String, salt: u64, most: u64) {
    let cents = row.below(salt, most * 100);
    push_number(out, cents / 100);
    match row.below(salt + 500, 4) {
        0 => {}
        1 => out.push_str(".00"),
        _ => {
            out.push('.');
            if cents % 100 < 10 {
                out.push('0');
            }
            push_number(out, cents % 100);
        }
    }
}

pub(super) fn push_number(out: &mut String, mut number: u64) {
    let start = out.len();
    loop {
        out.insert(start, char::from(b'0' + u8::try_from(number % 10).unwrap_or(0)));
        number /= 10;
        if number == 0 {
            break;
        }
    }
}

pub(super) fn push_bool(out: &mut String, value: bool) {
    out.push_str(if value { "true" } else { "false" });
}

pub(super) fn object_id(row: &Row, out: &mut String) -> bool {
    push_number(out, row.id);
    true
}

pub(super) fn created(row: &Row, out: &mut String) -> bool {
    dates::push_datetime(out, row.created_ms);
    true
}

pub(super) fn modified(row: &Row, out: &mut String) -> bool {
    dates::push_datetime(out, row.modified_ms);
    true
}

/// A date as `YYYY-MM-DD`, or as epoch milliseconds at UTC midnight as older portals have it.
pub(super) fn push_day(row: &Row, out: &mut String, salt: u64, (from_ms, to_ms): (i64, i64)) {
    let at = row.moment(salt, from_ms, to_ms);
    let midnight = at - at.rem_euclid(dates::DAY_MS);
    if row.percent(salt + 501, 3) {
        out.push_str(&midnight.to_string());
    } else {
        dates::push_date(out, midnight);
    }
}
