//! Dates on the wire. Written by hand because a page holds hundreds of them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub(super) const DAY_MS: i64 = 86_400_000;

/// `2026-03-09T20:29:45.981Z`, without the milliseconds if they are zero.
pub(crate) fn push_datetime(out: &mut String, unix_ms: i64) {
    push_date(out, unix_ms);
    let of_day = unix_ms.rem_euclid(DAY_MS);
    out.push('T');
    push_two(out, of_day / 3_600_000);
    out.push(':');
    push_two(out, of_day / 60_000 % 60);
    out.push(':');
    push_two(out, of_day / 1_000 % 60);
    let ms = of_day % 1_000;
    if ms != 0 {
        out.push('.');
        out.push(digit(ms / 100));
        push_two(out, ms % 100);
    }
    out.push('Z');
}

/// `2026-03-09`.
pub(super) fn push_date(out: &mut String, unix_ms: i64) {
    let (year, month, day) = civil(unix_ms.div_euclid(DAY_MS));
    push_two(out, year / 100);
    push_two(out, year % 100);
    out.push('-');
    push_two(out, month);
    out.push('-');
    push_two(out, day);
}

/// `09/03/2026`, which is how a spreadsheet import spoils a date.
pub(super) fn push_slashed_date(out: &mut String, unix_ms: i64) {
    let (year, _, day) = civil(unix_ms.div_euclid(DAY_MS));
    // The month is out of range for the American reading too, so no client may guess.
    push_two(out, day % 19 + 13);
    out.push_str("/12/");
    push_two(out, year / 100);
    push_two(out, year % 100);
}

/// Epoch milliseconds or ISO 8601, as HubSpot accepts both in filters.
pub(crate) fn parse_ms(text: &str) -> Option<i64> {
    if let Ok(ms) = text.parse() {
        return Some(ms);
    }
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let at = OffsetDateTime::parse(&whole, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

/// Days since 1970-01-01 to (year, month, day), after Howard Hinnant.
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn push_two(out: &mut String, number: i64) {
    out.push(digit(number / 10));
    out.push(digit(number % 10));
}

fn digit(number: i64) -> char {
    char::from(b'0' + u8::try_from(number % 10).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_dates_are_read_back() {
        for ms in
            [0, 951_782_400_000, 1_709_164_800_000, 1_773_088_185_981, 1_793_491_200_000, 1_735_689_599_007]
        {
            let mut text = String::new();
            push_datetime(&mut text, ms);
            assert_eq!(parse_ms(&text), Some(ms), "{text}");
        }
        assert_eq!(parse_ms("1772323200000"), Some(1_772_323_200_000));
        assert_eq!(parse_ms("1970-01-02"), Some(DAY_MS));
        assert_eq!(parse_ms("31/12/2025"), None);
    }
}
