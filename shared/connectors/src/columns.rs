//! Typed columns out of a vendor's text. Every reader takes what vendors really send and says no to the rest; the
//! caller adds which field it was.

use std::str::FromStr;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{Date, OffsetDateTime, UtcOffset};

/// The longest number, in bytes. More digits than any money has.
const DECIMAL_LEN_MAX: usize = 64;

/// Money, or any exact number: the vendor's own text, which Postgres `numeric` reads exactly.
pub(crate) fn decimal(text: &str) -> Option<String> {
    let text = text.trim();
    parse_decimal(text).map(|_| text.to_owned())
}

/// A whole number; `250.0` is one, because spreadsheets make that of it.
pub(crate) fn integer(text: &str) -> Option<i64> {
    let number = parse_decimal(text.trim())?;
    if number.fract().is_zero() { number.to_i64() } else { None }
}

/// `true` or `false`.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text.trim() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// RFC 3339, a date (its midnight in UTC), or milliseconds since 1970.
pub(crate) fn timestamp(text: &str) -> Option<OffsetDateTime> {
    let text = text.trim();
    if let Ok(timestamp) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(timestamp.to_offset(UtcOffset::UTC));
    }
    if let Some(date) = plain_date(text) {
        return Some(date.midnight().assume_utc());
    }
    let millis: i64 = text.parse().ok()?;
    let timestamp = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()?;
    // Before that Postgres has no dates, and no record either.
    (timestamp.year() >= 1).then_some(timestamp)
}

/// A date, or the day in UTC of anything that [`timestamp`] reads.
pub(crate) fn date(text: &str) -> Option<Date> {
    plain_date(text.trim()).or_else(|| timestamp(text).map(OffsetDateTime::date))
}

fn plain_date(text: &str) -> Option<Date> {
    if text.len() == 10 { Date::parse(text, &Iso8601::DATE).ok() } else { None }
}

fn parse_decimal(text: &str) -> Option<Decimal> {
    // Stricter than rust_decimal, which takes things that Postgres refuses: `1_000` (before version 16), `1e-+5`, and
    // any number of digits, which it rounds.
    let is_sign = |byte: u8| matches!(byte, b'+' | b'-');
    let bytes = text.as_bytes();
    let well_formed = bytes.iter().enumerate().all(|(at, byte)| match *byte {
        b'0'..=b'9' | b'.' | b'e' | b'E' => true,
        byte => is_sign(byte) && (at == 0 || matches!(bytes[at - 1], b'e' | b'E')),
    });
    if bytes.len() > DECIMAL_LEN_MAX || !well_formed {
        return None;
    }
    Decimal::from_str(text).or_else(|_| Decimal::from_scientific(text)).ok()
}

#[cfg(test)]
mod tests {
    use time::macros::{date, datetime};

    use super::*;

    #[test]
    fn money_keeps_the_vendors_text() {
        for good in ["3000", "5000.00", "0", "-12.5", "0.10", "1.5E7", "79228162514264337593543950335"] {
            assert_eq!(decimal(good).as_deref(), Some(good));
        }
        assert_eq!(decimal(" 12.50 ").as_deref(), Some("12.50"));
    }

    #[test]
    fn what_is_no_number_is_no_money() {
        for bad in [
            "N/A", "", "12,50", "1 000", "€5", "NaN", "Infinity", "0x10", "1_000", "1e", "1e-+5", "--1", "1-",
        ] {
            assert_eq!(decimal(bad), None, "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_number_may_have_64_characters_and_no_more() {
        let long = |len: usize| format!("0.{}", "1".repeat(len - 2));
        assert!(decimal(&long(64)).is_some());
        assert!(decimal(&long(65)).is_none());
    }

    #[test]
    fn a_time_before_the_year_1_is_none() {
        assert!(timestamp("-62135596800000").is_some());
        assert!(timestamp("-62135596800001").is_none());
    }

    #[test]
    fn a_whole_number_may_be_written_like_a_decimal() {
        assert_eq!(integer("250"), Some(250));
        assert_eq!(integer(" 250.0 "), Some(250));
        assert_eq!(integer("2.5E2"), Some(250));
        for bad in ["250.5", "51-200", "many", "99999999999999999999"] {
            assert_eq!(integer(bad), None, "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_time_is_read_in_every_form_that_hubspot_sends() {
        let expected = datetime!(2026-03-09 20:29:45.981 UTC);
        assert_eq!(timestamp("2026-03-09T20:29:45.981Z"), Some(expected));
        assert_eq!(timestamp("2026-03-09T21:29:45.981+01:00"), Some(expected));
        assert_eq!(timestamp("1773088185981"), Some(expected));
        assert_eq!(timestamp("2026-04-30T15:00:00Z"), Some(datetime!(2026-04-30 15:00 UTC)));
        assert_eq!(timestamp("2026-04-30"), Some(datetime!(2026-04-30 0:00 UTC)));
        for bad in ["soon", "2026-13-01", "2026-02-30T00:00:00Z", "", "99999999999999999"] {
            assert_eq!(timestamp(bad), None, "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_date_is_the_day_in_utc() {
        for text in ["2026-04-30", "2026-04-30T23:30:00Z", "2026-05-01T00:30:00+02:00", "1777507200000"] {
            assert_eq!(date(text), Some(date!(2026 - 04 - 30)), "{text}");
        }
        assert_eq!(date("next month"), None);
    }
}
