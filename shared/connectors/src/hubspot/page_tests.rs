use super::super::objects::{DEALS, Object};
use super::*;

fn after_id(after_id: Option<u64>) -> Scope {
    Scope::Ids { range: (0, None), after_id }
}

const LIVE: Asked = Asked { wanted: Wanted::Live, whole: true };

fn list(object: &Object, asked_after: Option<&str>, body: &[u8]) -> Result<Listed, Unreadable> {
    read_list(object, LIVE, asked_after, body)
}

#[test]
fn a_page_without_paging_is_the_last() {
    let page = list(&DEALS, None, br#"{"results":[]}"#).unwrap();
    assert_eq!((page.after, page.last_id, page.records), (None, None, Records::default()));
}

#[test]
fn a_page_leads_to_the_next_page() {
    let body =
        br#"{"results":[],"paging":{"next":{"after":"9100124","link":"https://wrong.example/?after=1"}}}"#;
    assert_eq!(list(&DEALS, Some("1"), body).unwrap().after.as_deref(), Some("9100124"));
}

#[test]
fn a_page_that_leads_to_itself_is_refused_rather_than_read_forever() {
    let body = br#"{"results":[],"paging":{"next":{"after":"7"}}}"#;
    assert!(list(&DEALS, Some("7"), body).is_err());
    assert!(list(&DEALS, Some("6"), body).is_ok());
}

#[test]
fn a_search_goes_on_after_the_greatest_id_by_number() {
    let body = br#"{"results":[{"id":"9"},{"id":"10"},{"id":"8"}],"paging":{"next":{"after":"200"}}}"#;
    let found = read_search(&DEALS, after_id(None), body).unwrap();
    assert_eq!((found.last_id, found.ids.len()), (Some(10), 3));
    assert!(read_search(&DEALS, after_id(Some(9)), body).is_ok());
}

#[test]
fn a_search_that_does_not_get_on_is_refused_rather_than_repeated_forever() {
    let body = br#"{"results":[{"id":"10"}],"paging":{"next":{"after":"200"}}}"#;
    assert!(read_search(&DEALS, after_id(Some(10)), body).is_err());
    let empty = br#"{"results":[],"paging":{"next":{"after":"200"}}}"#;
    assert!(read_search(&DEALS, after_id(None), empty).is_err());
    assert!(read_search(&DEALS, after_id(Some(10)), br#"{"results":[]}"#).is_ok(), "the last page");
}

#[test]
fn an_error_about_an_answer_quotes_nothing_of_it() {
    for body in
        [&b"<html>secret</html>"[..], br#"{"results":"secret"}"#, br#"{"results":[{"secret":"#, b"\xff"]
    {
        let unreadable = list(&DEALS, None, body).unwrap_err();
        assert!(!unreadable.to_string().contains("secret"), "{unreadable}");
    }
}

#[test]
fn one_bad_record_does_not_cost_the_others() {
    let body = br#"{"results":[null,{"id":"1","properties":{}},7,{"id":"2","properties":{"amount":"N/A"}}]}"#;
    let page = list(&DEALS, None, body).unwrap();
    assert_eq!((page.records.records.len(), page.records.rejected.len()), (1, 3));
    assert_eq!(page.records.records[0].external_id, "1");
}

#[test]
fn of_archived_records_those_from_before_are_left_out() {
    let body = br#"{"results":[{"id":"1","archivedAt":"2026-01-01T00:00:00.999Z"},{"id":"2","archivedAt":"2026-01-01T00:00:01Z"},
        {"id":"3"},{"id":"4","archivedAt":"soon"}]}"#;
    let read = |since, whole| {
        let asked = Asked { wanted: Wanted::Archived(since), whole };
        read_list(&DEALS, asked, None, body).unwrap()
    };
    let since = Some(Millis(1_767_225_601_000));
    let page = read(since, true);
    assert_eq!(page.last_id, Some(4));
    let ids: Vec<_> = page.records.records.iter().map(|record| record.external_id.as_str()).collect();
    assert_eq!(ids, ["2"]);
    assert!(page.records.records[0].deleted_at.is_some());
    let reasons: Vec<_> = page.records.rejected.iter().map(|rejected| rejected.reason.as_str()).collect();
    assert_eq!(
        reasons,
        ["it is archived and does not say since when", "`archivedAt` is not a date: \"soon\""]
    );
    assert_eq!(read(None, true).records.records.len(), 2);
    assert_eq!(read(since, false).ids, ["2", "3", "4"]);
}

#[test]
fn a_page_of_ids_rejects_what_has_none() {
    let asked = Asked { whole: false, ..LIVE };
    let page = read_list(&DEALS, asked, None, br#"{"results":[{"id":"1"},null,{"id":2}]}"#).unwrap();
    assert_eq!(page.ids, ["1", "2"]);
    assert_eq!((page.records.records.len(), page.records.rejected.len()), (0, 1));
}

#[test]
fn a_batch_may_miss_records_that_are_gone_but_not_lose_others() {
    let body = |category: &str| {
        format!(
            r#"{{"status":"COMPLETE","results":[{{"id":"1"}}],"numErrors":1,"errors":[{{"category":"{category}"}}]}}"#
        )
    };
    let read = |body: &str| read_batch(&DEALS, Wanted::Live, body.as_bytes());
    assert_eq!(read(&body("OBJECT_NOT_FOUND")).unwrap().records.len(), 1);
    assert_eq!(read(r#"{"results":[]}"#), Ok(Records::default()));
    assert!(read(&body("INTERNAL_ERROR")).is_err());
}

#[test]
#[ignore = "a measurement: cargo test --release -p connectors --lib -- --ignored --nocapture"]
fn a_page_of_100_deals_is_transformed_within_two_milliseconds() {
    let values =
        DEALS.properties.split(',').filter(|name| !matches!(*name, "hs_is_closed_won" | "closedate"));
    let typical = values.filter(|name| !name.contains("date")).map(|name| format!(r#""{name}":"15000.25""#));
    let dates = r#""closedate":"2026-04-30T15:00:00Z","createdate":"2026-01-02T08:00:00.123Z","hs_lastmodifieddate":"2026-03-09T20:29:45.981Z""#;
    let properties = format!("{{{},{dates}}}", typical.collect::<Vec<_>>().join(","));
    let record = format!(
        r#"{{"id":"9100123","properties":{properties},"createdAt":"2026-01-02T08:00:00.000Z","updatedAt":"2026-03-09T20:29:45.981Z","archived":false}}"#
    );
    let body = format!(r#"{{"results":[{}]}}"#, vec![record; 100].join(","));
    const PAGES: u32 = 2_000;
    let started = std::time::Instant::now();
    for _ in 0..PAGES {
        assert_eq!(list(&DEALS, None, body.as_bytes()).unwrap().records.records.len(), 100);
    }
    let per_page = started.elapsed() / PAGES;
    println!(
        "{} bytes and 100 records in {per_page:?}: {:.0} records/s",
        body.len(),
        100.0 / per_page.as_secs_f64()
    );
    assert!(per_page < std::time::Duration::from_millis(2));
}
