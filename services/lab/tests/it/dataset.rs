use std::collections::BTreeSet;

use lab::{LabConfig, Object};

use crate::vendor::{Vendor, small};

#[tokio::test]
async fn the_default_dataset_has_the_promised_number_of_untransformable_records() {
    let vendor = Vendor::start(LabConfig::default()).await;
    for (object, records, untransformable) in
        [(Object::Contacts, 46_000, 23), (Object::Companies, 17_000, 9), (Object::Deals, 691, 2)]
    {
        let expected = vendor.lab.expect(object);
        assert_eq!((expected.records, expected.untransformable), (records, untransformable), "{object:?}");
        assert_eq!(expected.untransformable_ids.len() as u64, untransformable);
    }
}

#[tokio::test]
async fn equal_seeds_give_equal_records_and_others_do_not() {
    let vendor = Vendor::start(small()).await;
    let twin = Vendor::start(small()).await;
    let other = Vendor::start(LabConfig { seed: 8, ..small() }).await;
    for object in Object::ALL {
        let records = vendor.lab.records(object).unwrap();
        assert_eq!(records, twin.lab.records(object).unwrap());
        assert_ne!(records, other.lab.records(object).unwrap());
    }
}

#[tokio::test]
async fn the_untransformable_records_are_exactly_those_that_break_a_rule() {
    let vendor = Vendor::start(LabConfig { contacts: 3_000, companies: 2_500, deals: 691, ..small() }).await;
    for object in Object::ALL {
        let mut broken = Vec::new();
        for record in vendor.lab.records(object).unwrap() {
            let number = |name: &str| {
                let value = record["properties"].get(name).and_then(|value| value.as_str()).unwrap_or("");
                value.is_empty()
                    || value.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'))
            };
            let created = record["properties"]["createdate"] == record["createdAt"];
            if !number("amount") || !number("annualrevenue") || !created {
                broken.push(record["id"].as_str().unwrap().to_owned());
            }
            assert_eq!(record["properties"][object.cursor_property()], record["updatedAt"]);
        }
        assert!(!broken.is_empty());
        assert_eq!(broken, vendor.lab.expect(object).untransformable_ids, "{object:?}");
    }
}

#[tokio::test]
async fn values_that_trip_careless_clients_are_there() {
    let vendor = Vendor::start(LabConfig { contacts: 33_000, companies: 0, deals: 691, ..small() }).await;
    let contacts = vendor.lab.records(Object::Contacts).unwrap();
    let of = |name: &str| -> Vec<&str> {
        contacts.iter().filter_map(|record| record["properties"][name].as_str()).collect()
    };
    assert_eq!(of("jobtitle").iter().filter(|title| title.contains('\0')).count(), 3);
    assert!(of("notes_on_customer").iter().any(|note| note.len() > 30_000));
    assert!(of("notes_on_customer").iter().any(|note| note.contains('🎉')));
    assert!(of("notes_on_customer").iter().any(|note| note.contains('"') && note.contains('\\')));
    assert!(of("loyalty_points").contains(&"N/A"));
    assert!(of("favourite_colours").iter().any(|colours| colours.starts_with(';')));
    assert!(of("createdate").iter().any(|date| !date.contains('.')));

    let deals = vendor.lab.records(Object::Deals).unwrap();
    let amounts: BTreeSet<Option<&str>> =
        deals.iter().map(|deal| deal["properties"]["amount"].as_str()).collect();
    for amount in [None, Some(""), Some("0"), Some("1500.00"), Some("12k EUR")] {
        assert!(amounts.contains(&amount), "{amount:?}");
    }
    assert!(amounts.iter().flatten().any(|amount| amount.starts_with('-')));
    assert!(
        deals
            .iter()
            .filter_map(|deal| deal["properties"]["closedate"].as_str())
            .any(|date| { !date.is_empty() && date.bytes().all(|byte| byte.is_ascii_digit()) })
    );
}
