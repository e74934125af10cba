//! JSON text as Postgres wants it. `jsonb` refuses `\u0000` and surrogates without a partner, and one such escape
//! would fail a whole page.

use std::borrow::Cow;

use memchr::memmem;
use serde_json::value::RawValue;

/// The same JSON text without `\u0000`, and with `\ufffd` in place of surrogates without a partner.
///
/// `json` must be valid JSON otherwise. Copies nothing if there is nothing to do.
pub(crate) fn jsonb_safe(json: &str) -> Cow<'_, str> {
    // Most vendors send UTF-8 as it is and escape only quotes, backslashes and newlines.
    if memmem::find(json.as_bytes(), br"\u").is_none() { Cow::Borrowed(json) } else { repaired(json) }
}

fn repaired(json: &str) -> Cow<'_, str> {
    let mut repaired = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(backslash) = memchr::memchr(b'\\', json.as_bytes().get(at..).unwrap_or_default()) {
        let escape = at + backslash;
        let (length, replacement) = match code_unit(json, escape) {
            // Also skips the second of two backslashes: `\\u0000` is text, not an escape.
            None => (2, None),
            Some(0) => (6, Some("")),
            Some(0xD800..=0xDBFF) if matches!(code_unit(json, escape + 6), Some(0xDC00..=0xDFFF)) => {
                (12, None)
            }
            Some(0xD800..=0xDFFF) => (6, Some(r"\ufffd")),
            Some(_) => (6, None),
        };
        if let Some(replacement) = replacement {
            repaired.push_str(json.get(copied..escape).unwrap_or_default());
            repaired.push_str(replacement);
            copied = escape + length;
        }
        at = escape + length;
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    repaired.push_str(json.get(copied..).unwrap_or_default());
    Cow::Owned(repaired)
}

/// The number in the `\uXXXX` that starts at `at`, if one does.
fn code_unit(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix(r"\u")?;
    u16::from_str_radix(digits, 16).ok()
}

/// A value that is neither object nor array, as text. `None` for `null` and for the empty string, which vendors
/// use alike.
///
/// # Errors
/// If it is an object or an array.
pub(crate) fn scalar(raw: &RawValue) -> Result<Option<Cow<'_, str>>, NotScalar> {
    let json = raw.get();
    match json.as_bytes() {
        [b'n', ..] => Ok(None),
        [b'{' | b'[', ..] => Err(NotScalar),
        [b'"', inner @ .., b'"'] => {
            let text = if memchr::memchr(b'\\', inner).is_none() {
                Cow::Borrowed(json.get(1..json.len() - 1).unwrap_or_default())
            } else {
                Cow::Owned(serde_json::from_str(&jsonb_safe(json)).map_err(|_| NotScalar)?)
            };
            Ok(Some(text).filter(|text| !text.is_empty()))
        }
        // A number or a boolean, digit by digit as it was sent.
        _ => Ok(Some(Cow::Borrowed(json))),
    }
}

/// The value is an object or an array.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotScalar;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nul_is_stripped_and_everything_else_stays_as_sent() {
        for (sent, stored) in [
            (r#"{"a":"x"}"#, r#"{"a":"x"}"#),
            (r#"{"a":"x\u0000y\u0000"}"#, r#"{"a":"xy"}"#),
            (r#"{"a":"\\u0000"}"#, r#"{"a":"\\u0000"}"#),
            (r#"{"a":"\\\u0000"}"#, r#"{"a":"\\"}"#),
            (r#"{"\u0000k":"\u00e9ü\n\"\u0041"}"#, r#"{"k":"\u00e9ü\n\"\u0041"}"#),
        ] {
            assert_eq!(jsonb_safe(sent), stored);
        }
    }

    #[test]
    fn half_an_emoji_is_replaced_and_a_whole_one_kept() {
        assert_eq!(jsonb_safe(r#""\ud83d\ude00""#), r#""\ud83d\ude00""#);
        assert_eq!(jsonb_safe(r#""a\ud83d""#), r#""a\ufffd""#);
        assert_eq!(jsonb_safe(r#""\uDE00\ud83d\u0000\ude00""#), r#""\ufffd\ufffd\ufffd""#);
    }

    #[test]
    fn a_scalar_is_read_as_text_whatever_its_json_type() {
        let read = |json: &str| {
            let raw: Box<RawValue> = serde_json::from_str(json).unwrap();
            scalar(&raw).map(|text| text.map(Cow::into_owned))
        };
        for (json, text) in [
            (r#""a b""#, Some("a b")),
            (r#""a\u0000\n\"\u00e9""#, Some("a\n\"é")),
            (r#""\ud83d""#, Some("\u{fffd}")),
            (r#""""#, None),
            (r#""\u0000""#, None),
            ("null", None),
            ("1.10", Some("1.10")),
            ("true", Some("true")),
        ] {
            assert_eq!(read(json), Ok(text.map(str::to_owned)), "{json}");
        }
        assert_eq!(read("{}"), Err(NotScalar));
        assert_eq!(read("[1]"), Err(NotScalar));
    }

    proptest! {
        #[test]
        fn repaired_json_stays_json_and_loses_only_nul(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let read: String = serde_json::from_str(&jsonb_safe(&json)).unwrap();
            prop_assert_eq!(read, text.replace('\0', ""));
        }

        #[test]
        fn any_mix_of_escapes_becomes_something_that_parses(
            parts in prop::collection::vec(prop_oneof![
                Just(r"\u0000"), Just(r"\\"), Just(r"\ud83d"), Just(r"\ude00"), Just("u0000"), Just(r"\n"), Just("ä")], 0..20)
        ) {
            let json = format!("\"{}\"", parts.concat());
            let read: String = serde_json::from_str(&jsonb_safe(&json)).unwrap();
            prop_assert!(!read.contains('\0'));
        }
    }
}
