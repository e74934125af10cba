use super::dates::push_datetime;
use super::property::push_number;
use super::{Property, Row, Standing};

/// A record as the list and search endpoints show it. `scratch` is reused from record to record.
pub(crate) fn push_record(
    out: &mut String,
    scratch: &mut String,
    row: &Row,
    properties: &[&'static Property],
    portal: u64,
) {
    out.push_str("{\"id\":\"");
    push_number(out, row.id);
    out.push_str("\",\"properties\":{");
    let mut first = true;
    for property in properties {
        if !first {
            out.push(',');
        }
        first = false;
        out.push('"');
        out.push_str(property.name);
        out.push_str("\":");
        scratch.clear();
        if (property.make)(row, scratch) {
            push_json_string(out, scratch);
        } else {
            out.push_str("null");
        }
    }
    out.push_str("},\"createdAt\":\"");
    push_datetime(out, row.created_ms);
    out.push_str("\",\"updatedAt\":\"");
    push_datetime(out, row.modified_ms);
    if let Standing::Archived { at_ms } = row.standing {
        out.push_str("\",\"archived\":true,\"archivedAt\":\"");
        push_datetime(out, at_ms);
        out.push_str("\",\"url\":\"https://app-eu1.hubspot.com/contacts/");
    } else {
        out.push_str("\",\"archived\":false,\"url\":\"https://app-eu1.hubspot.com/contacts/");
    }
    push_number(out, portal);
    out.push_str("/record/");
    out.push_str(row.object.type_id());
    out.push('/');
    push_number(out, row.id);
    out.push_str("\"}");
}

/// Text as a JSON string, quotes included.
fn push_json_string(out: &mut String, text: &str) {
    out.push('"');
    let mut plain_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[plain_from..at]);
        plain_from = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            other => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.push_str("\\u00");
                out.push(char::from(HEX[usize::from(other >> 4)]));
                out.push(char::from(HEX[usize::from(other & 15)]));
            }
        }
    }
    out.push_str(&text[plain_from..]);
    out.push('"');
}
