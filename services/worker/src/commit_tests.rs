use connectors::{Page, Position};
use protocol::{SyncMode, Table};
use serde_json::json;

use super::*;

/// A page whose next one is `n`.
fn page(object: &str, whole: bool, n: u64) -> Fetched {
    Fetched {
        object: object.parse().unwrap(),
        table: Table::Owners,
        mode: SyncMode::Full,
        page: Page {
            listed: n,
            records: Vec::new(),
            rejected: Vec::new(),
            sweeps: Vec::new(),
            whole,
            next: Next::More(Position(json!(n))),
        },
        room: None,
    }
}

#[test]
fn pages_of_an_object_that_wait_together_become_one_batch_but_for_one_with_everything() {
    let pages = [
        page("owners", true, 1),
        page("contacts", false, 10),
        page("owners", false, 2),
        page("contacts", false, 20),
        page("owners", false, 3),
    ];
    let made = batches(pages.into_iter());
    let made: Vec<_> = made
        .iter()
        .map(|batch| (batch.object.as_str(), batch.whole, batch.pages, batch.listed, batch.position.clone()))
        .collect();
    assert_eq!(
        made,
        [
            ("owners", true, 1, 1, Some(json!(1))),
            ("contacts", false, 2, 30, Some(json!(20))),
            ("owners", false, 2, 5, Some(json!(3))),
        ]
    );
}
