use serde_json::json;

use super::*;

fn expected(name: &str, amount: &str) -> Expected {
    let properties = json!({"name": name, "amount": amount, "closed": "1777507200000", "empty": null});
    let column = |column, kind, property: &str| (column, kind, properties[property].clone());
    let columns = vec![
        column("name", Kind::Text, "name"),
        column("amount", Kind::Number, "amount"),
        column("close_date", Kind::Day, "closed"),
        column("owner_id", Kind::Text, "empty"),
        ("source_created_at", Kind::Time, json!("2026-03-09T20:29:45.981Z")),
        ("is_won", Kind::Flag, json!("true")),
        ("merged_into", Kind::Text, Value::Null),
    ];
    Expected { properties, columns }
}

/// 1 and 2 are live, 3 is archived, 4 was merged into 1, and 5 is purged.
fn records() -> Records {
    let archived =
        Expected { columns: vec![("deleted_at", Kind::Time, json!(DELETED))], ..expected("c", "3") };
    Records {
        live: [("1", expected("a", "12.50")), ("2", expected("b\0", ""))]
            .map(|(id, of)| (id.to_owned(), of))
            .into(),
        archived: [("3".to_owned(), archived)].into(),
        merged: [("4".to_owned(), "1".to_owned())].into(),
    }
}

const DELETED: &str = "2026-01-01T00:00:00Z";

fn row(name: &str, amount: &str, typed: Value) -> Value {
    json!({
        "properties": {"name": name, "amount": amount, "closed": "1777507200000"}, "name": name, "amount": typed,
        "close_date": "2026-04-30", "owner_id": null, "source_created_at": "2026-03-09T21:29:45.981+01:00",
        "is_won": true, "merged_into": null, "deleted_at": null,
    })
}

fn rows() -> BTreeMap<String, Value> {
    let mut gone = row("c", "3", json!(3));
    gone["deleted_at"] = json!("2026-01-01T00:00:00+00:00");
    let mut merged = gone.clone();
    merged["merged_into"] = json!("1");
    let all = [
        ("1", row("a", "12.50", json!(12.5))),
        ("2", row("b", "", Value::Null)),
        ("3", gone.clone()),
        ("4", merged),
        ("5", gone),
    ];
    all.map(|(id, row)| (id.to_owned(), row)).into()
}

fn tampered(id: &str, column: &str, value: Value) -> Vec<String> {
    let mut rows = rows();
    rows.get_mut(id).unwrap()[column] = value;
    differences(&records(), &rows)
}

#[test]
fn equal_sides_have_no_difference() {
    assert_eq!(differences(&records(), &rows()), Vec::<String>::new());
}

#[test]
fn a_tampered_a_missing_and_an_extra_row_are_found() {
    let mut changed = rows();
    changed.get_mut("1").unwrap()["properties"]["name"] = json!("x");
    assert_eq!(differences(&records(), &changed), ["1: name is \"x\" and should be \"a\""]);
    let mut missing = rows();
    missing.remove("2");
    assert_eq!(differences(&records(), &missing), ["2: is missing"]);
    let mut extra = rows();
    extra.insert("9".to_owned(), json!({"properties": {}}));
    assert_eq!(differences(&records(), &extra), ["9: is not at the source"]);
    assert_eq!(tampered("1", "deleted_at", json!(DELETED)), ["1: is missing"]);
}

#[test]
fn a_typed_column_that_is_not_what_the_property_says_is_found() {
    for (column, wrong) in [
        ("name", json!("A")),
        ("amount", json!(12.51)),
        ("amount", Value::Null),
        ("close_date", json!("2026-04-29")),
        ("close_date", Value::Null),
        ("owner_id", json!("77001")),
        ("source_created_at", json!("2026-03-09T20:29:45.98+00:00")),
        ("is_won", json!(false)),
        ("merged_into", json!("2")),
    ] {
        let found = tampered("1", column, wrong.clone());
        assert!(
            found.len() == 1 && found[0].starts_with(&format!("1: column {column} is")),
            "{wrong}: {found:?}"
        );
    }
    assert_eq!(tampered("2", "amount", json!(0)).len(), 1, "nothing is not zero");
}

#[test]
fn a_row_that_does_not_say_what_became_of_its_record_is_found() {
    assert_eq!(
        tampered("3", "deleted_at", json!("2026-01-02T00:00:00Z")).len(),
        1,
        "archived at another time"
    );
    assert_eq!(tampered("3", "deleted_at", Value::Null), ["3: is not at the source"]);
    assert_eq!(tampered("4", "merged_into", json!("2")).len(), 1, "into another one");
    assert_eq!(tampered("4", "merged_into", Value::Null).len(), 1, "into none");
    assert_eq!(tampered("5", "merged_into", json!("2")).len(), 1, "it was purged");
}
