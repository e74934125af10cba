use time::macros::{date, datetime};

use super::super::objects::{COMPANIES, CONTACTS, DEALS};
use super::*;

fn run(object: &Object, json: &str) -> Result<Record, Rejected> {
    let raw: &RawValue = serde_json::from_str(json).unwrap();
    transform(object, raw)
}

fn reason(object: &Object, properties: &str) -> String {
    run(object, &format!(r#"{{"id":"1","properties":{properties}}}"#)).unwrap_err().reason
}

#[test]
fn a_deal_becomes_a_row() {
    let properties = r#"{"amount":"1500.00","closedate":"2026-04-30T15:00:00Z","dealname":"Acme \"renewal\"","dealstage":"contractsent",
        "deal_currency_code":"EUR","createdate":"2026-01-02T08:00:00Z","hs_lastmodifieddate":"2026-03-09T20:29:45.981Z",
        "hs_object_id":"9100123","hs_is_closed_won":"false","hubspot_owner_id":null,"pipeline":""}"#;
    let json = format!(
        r#"{{"id":"9100123","properties":{properties},"createdAt":"2025-01-01T00:00:00Z","archived":false,"url":"https://x"}}"#
    );
    let expected = Record {
        external_id: "9100123".into(),
        fields: Fields::Deal(DealFields {
            name: Some("Acme \"renewal\"".into()),
            amount: Some("1500.00".into()),
            currency: Some("EUR".into()),
            stage: Some("contractsent".into()),
            pipeline: None,
            owner_id: None,
            close_date: Some(date!(2026 - 04 - 30)),
            is_won: Some(false),
        }),
        properties: properties.into(),
        source_created_at: Some(datetime!(2026-01-02 8:00 UTC)),
        source_updated_at: Some(datetime!(2026-03-09 20:29:45.981 UTC)),
        deleted_at: None,
        merged_ids: vec![],
    };
    assert_eq!(run(&DEALS, &json), Ok(expected));
}

#[test]
fn a_contact_takes_its_dates_from_the_top_level_if_they_were_not_listed_as_properties() {
    let json = r#"{"id":"7","properties":{"email":"a@b.test","associatedcompanyid":"501"},
        "createdAt":"2026-01-02T08:00:00.000Z","updatedAt":"2026-01-03T08:00:00.000Z","archivedAt":"2026-01-04T08:00:00Z"}"#;
    let record = run(&CONTACTS, json).unwrap();
    assert_eq!(record.source_created_at, Some(datetime!(2026-01-02 8:00 UTC)));
    assert_eq!(record.source_updated_at, Some(datetime!(2026-01-03 8:00 UTC)));
    assert_eq!(record.deleted_at, Some(datetime!(2026-01-04 8:00 UTC)));
    let Fields::Contact(contact) = record.fields else { panic!() };
    assert_eq!(contact.email.as_deref(), Some("a@b.test"));
    assert_eq!(contact.account_external_id.as_deref(), Some("501"));
}

#[test]
fn a_contact_was_modified_when_lastmodifieddate_says_and_a_company_when_hs_lastmodifieddate_says() {
    let json = r#"{"id":"7","properties":{"lastmodifieddate":"2026-01-01T00:00:00Z","hs_lastmodifieddate":"2026-02-02T00:00:00Z"}}"#;
    assert_eq!(run(&CONTACTS, json).unwrap().source_updated_at, Some(datetime!(2026-01-01 0:00 UTC)));
    assert_eq!(run(&COMPANIES, json).unwrap().source_updated_at, Some(datetime!(2026-02-02 0:00 UTC)));
}

#[test]
fn a_company_has_a_whole_number_of_employees_and_exact_revenue() {
    let json = r#"{"id":"7","properties":{"name":"Acme","numberofemployees":"250.0","annualrevenue":"12345678901234567.89"}}"#;
    let Fields::Account(account) = run(&COMPANIES, json).unwrap().fields else { panic!() };
    assert_eq!(account.employees, Some(250));
    assert_eq!(account.annual_revenue.as_deref(), Some("12345678901234567.89"));
}

#[test]
fn nul_reaches_neither_columns_nor_properties_nor_a_rejections_payload() {
    let json = r#"{"id":"7","properties":{"email":"a\u0000@b","x":"\u0000"}}"#;
    let record = run(&CONTACTS, json).unwrap();
    assert_eq!(record.properties, r#"{"email":"a@b","x":""}"#);
    let Fields::Contact(contact) = record.fields else { panic!() };
    assert_eq!(contact.email.as_deref(), Some("a@b"));

    let rejected = run(&DEALS, r#"{"id":"7","properties":{"amount":"\u0000x"}}"#).unwrap_err();
    assert_eq!(rejected.payload, r#"{"id":"7","properties":{"amount":"x"}}"#);
}

#[test]
fn a_rejection_names_the_field_and_quotes_the_value() {
    assert_eq!(reason(&DEALS, r#"{"amount":"N/A"}"#), "`amount` is not a number: \"N/A\"");
    assert_eq!(reason(&DEALS, r#"{"closedate":"soon"}"#), "`closedate` is not a date: \"soon\"");
    assert_eq!(reason(&DEALS, r#"{"createdate":"never"}"#), "`createdate` is not a date: \"never\"");
    let employees = reason(&COMPANIES, r#"{"numberofemployees":"51-200"}"#);
    assert_eq!(employees, "`numberofemployees` is not a whole number: \"51-200\"");
    assert_eq!(
        reason(&COMPANIES, r#"{"annualrevenue":"lots"}"#),
        "`annualrevenue` is not a number: \"lots\""
    );
    assert_eq!(
        reason(&DEALS, r#"{"hs_is_closed_won":"yes"}"#),
        "`hs_is_closed_won` is not true or false: \"yes\""
    );
}

#[test]
fn a_long_bad_value_is_cut() {
    let shown = reason(&DEALS, &format!(r#"{{"amount":"{}"}}"#, "x".repeat(500)));
    assert!(shown.len() < 150, "{shown}");
    let rejected = run(&DEALS, &format!(r#"{{"id":"1","properties":{{"amount":"{}"}}}}"#, "x".repeat(500)));
    assert!(rejected.unwrap_err().payload.len() > 500, "the payload is whole");
}

#[test]
fn what_jsonb_could_refuse_costs_only_its_record() {
    for properties in [r#"{"a":[[[]]]}"#, r#"{"a":{"b":1}}"#, r#"{"a":1e400000}"#, "[]", "7"] {
        assert!(reason(&DEALS, properties).contains("is not"), "{properties}");
    }
}

#[test]
fn a_record_without_an_id_is_captured_with_an_empty_one() {
    let endless = format!(r#"{{"id":"{}"}}"#, "9".repeat(1_000));
    for json in ["null", "[]", "{}", r#"{"id":null}"#, r#"{"id":""}"#, r#"{"id":{}}"#, &endless] {
        let rejected = run(&DEALS, json).unwrap_err();
        assert_eq!(rejected.external_id, "", "{json}");
        assert_eq!(rejected.payload, json);
    }
}

#[test]
fn a_record_without_properties_is_an_empty_row() {
    let record = run(&DEALS, r#"{"id":5}"#).unwrap();
    assert_eq!((record.external_id.as_str(), record.properties.as_str()), ("5", "{}"));
}
