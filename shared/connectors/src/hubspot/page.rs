//! List pages: HubSpot's JSON, and our positions in it.

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::objects::Object;
use super::transform::transform;
use crate::http::Unreadable;
use crate::{ErrorClass, Next, Page, Position, SourceError};

/// A list. Each record is kept as text at first, so that one of an odd shape does not cost the others.
#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    results: Vec<&'a RawValue>,
    /// Absent on the last page. `link` is not read: behind proxies it names a wrong host.
    paging: Option<Paging>,
}

#[derive(Deserialize)]
struct Paging {
    next: Option<NextPage>,
}

#[derive(Deserialize)]
struct NextPage {
    after: String,
}

/// A search's answer, as far as it is needed.
#[derive(Deserialize)]
struct Found {
    total: u64,
}

/// Reads and transforms a page that was asked for with `asked_after`.
///
/// # Errors
/// If it is no list, or leads back to where it came from.
pub(super) fn read_list(object: &Object, asked_after: Option<&str>, body: &[u8]) -> Result<Page, Unreadable> {
    let body = std::str::from_utf8(body).map_err(|_| Unreadable("not UTF-8".to_owned()))?;
    let list: List<'_> = serde_json::from_str(body)?;
    let next = match list.paging.and_then(|paging| paging.next) {
        None => Next::Done { checkpoint: None },
        Some(NextPage { after }) if Some(after.as_str()) == asked_after => {
            return Err(Unreadable("a page whose next page is itself".to_owned()));
        }
        Some(NextPage { after }) => Next::More(position(&after)),
    };
    let mut records = Vec::with_capacity(list.results.len());
    let mut rejected = Vec::new();
    let listed = list.results.len() as u64;
    for raw in list.results {
        match transform(object, raw) {
            Ok(record) => records.push(record),
            Err(reject) => rejected.push(reject),
        }
    }
    Ok(Page { listed, records, rejected, next })
}

/// How many records a search has found.
///
/// # Errors
/// If it is no search's answer.
pub(super) fn read_total(body: &[u8]) -> Result<u64, Unreadable> {
    let found: Found = serde_json::from_slice(body)?;
    Ok(found.total)
}

fn position(after: &str) -> Position {
    Position(json!({ "after": after }))
}

/// What to send as `after`.
///
/// # Errors
/// If the position was not made by [`read_list`].
pub(super) fn after(position: Option<&Position>) -> Result<Option<&str>, SourceError> {
    let Some(Position(value)) = position else { return Ok(None) };
    let foreign =
        || SourceError::new(ErrorClass::Permanent, "the stored position is none of HubSpot's lists");
    value.get("after").and_then(serde_json::Value::as_str).map(Some).ok_or_else(foreign)
}

#[cfg(test)]
mod tests {
    use super::super::objects::DEALS;
    use super::*;

    #[test]
    fn a_page_without_paging_is_the_last() {
        let page = read_list(&DEALS, None, br#"{"results":[]}"#).unwrap();
        assert_eq!(page.next, Next::Done { checkpoint: None });
        assert_eq!(page.listed, 0);
    }

    #[test]
    fn the_position_leads_to_the_next_page() {
        let body = br#"{"results":[],"paging":{"next":{"after":"9100124","link":"https://wrong.example/?after=1"}}}"#;
        let Next::More(position) = read_list(&DEALS, Some("1"), body).unwrap().next else { panic!() };
        assert_eq!(after(Some(&position)), Ok(Some("9100124")));
    }

    #[test]
    fn a_page_that_leads_to_itself_is_refused_rather_than_read_forever() {
        let body = br#"{"results":[],"paging":{"next":{"after":"7"}}}"#;
        assert!(read_list(&DEALS, Some("7"), body).is_err());
        assert!(read_list(&DEALS, Some("6"), body).is_ok());
    }

    #[test]
    fn an_error_about_an_answer_quotes_nothing_of_it() {
        for body in
            [&b"<html>secret</html>"[..], br#"{"results":"secret"}"#, br#"{"results":[{"secret":"#, b"\xff"]
        {
            let unreadable = read_list(&DEALS, None, body).unwrap_err();
            assert!(!unreadable.to_string().contains("secret"), "{unreadable}");
        }
    }

    #[test]
    fn one_bad_record_does_not_cost_the_others() {
        let body =
            br#"{"results":[null,{"id":"1","properties":{}},7,{"id":"2","properties":{"amount":"N/A"}}]}"#;
        let page = read_list(&DEALS, None, body).unwrap();
        assert_eq!((page.listed, page.records.len(), page.rejected.len()), (4, 1, 3));
        assert_eq!(page.records[0].external_id, "1");
    }

    #[test]
    fn a_position_of_somebody_else_is_refused() {
        let foreign = Position(json!({"cursor": "x"}));
        assert_eq!(after(Some(&foreign)).unwrap_err().class, ErrorClass::Permanent);
    }

    #[test]
    #[ignore = "a measurement: cargo test --release -p connectors --lib -- --ignored --nocapture"]
    fn a_page_of_100_deals_is_transformed_within_two_milliseconds() {
        let values =
            DEALS.properties.split(',').filter(|name| !matches!(*name, "hs_is_closed_won" | "closedate"));
        let typical =
            values.filter(|name| !name.contains("date")).map(|name| format!(r#""{name}":"15000.25""#));
        let dates = r#""closedate":"2026-04-30T15:00:00Z","createdate":"2026-01-02T08:00:00.123Z","hs_lastmodifieddate":"2026-03-09T20:29:45.981Z""#;
        let properties = format!("{{{},{dates}}}", typical.collect::<Vec<_>>().join(","));
        let record = format!(
            r#"{{"id":"9100123","properties":{properties},"createdAt":"2026-01-02T08:00:00.000Z","updatedAt":"2026-03-09T20:29:45.981Z","archived":false}}"#
        );
        let body = format!(r#"{{"results":[{}]}}"#, vec![record; 100].join(","));
        const PAGES: u32 = 2_000;
        let started = std::time::Instant::now();
        for _ in 0..PAGES {
            assert_eq!(read_list(&DEALS, None, body.as_bytes()).unwrap().records.len(), 100);
        }
        let per_page = started.elapsed() / PAGES;
        println!(
            "{} bytes and 100 records in {per_page:?}: {:.0} records/s",
            body.len(),
            100.0 / per_page.as_secs_f64()
        );
        assert!(per_page < std::time::Duration::from_millis(2));
    }
}
