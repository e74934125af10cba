//! A vendor's words, fit to be shown and stored.

/// The longest piece of a vendor's text that goes into a message, in characters.
const VENDOR_TEXT_MAX: usize = 300;

/// A vendor's text on one line, cut, and without what must not be shown: vendors echo tokens and addresses.
pub(crate) fn public_text(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "[redacted]");
    }
    let mut line = String::with_capacity(text.len().min(4 * VENDOR_TEXT_MAX));
    for (length, c) in text.trim().chars().enumerate() {
        if length == VENDOR_TEXT_MAX {
            line.push('…');
            break;
        }
        line.push(if c.is_control() { ' ' } else { c });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_the_vendor_echoes_is_not_shown() {
        assert_eq!(public_text("bad token pat-1!", &["pat-1", ""]), "bad token [redacted]!");
    }

    #[test]
    fn a_text_is_cut_to_300_characters_and_put_on_one_line() {
        let shown = public_text(&format!("a\n\0{}", "ä".repeat(400)), &[]);
        assert_eq!(shown.chars().count(), 301);
        assert!(shown.starts_with("a  ä") && shown.ends_with("ä…"));
    }
}
