//! A first load of an account that answers slowly: from both ends, until they meet.

use std::collections::HashSet;

use connectors::{Next, Page, Position, Registry, Session};
use lab::{FaultRule, LabConfig, Object, RunningLab};
use serde_json::json;

use crate::conformance::list;
use crate::hubspot::{PORTAL, config, contacts, generous, impatient, open, small_lab};

/// Pages of the list alone.
const PAGES: usize = 42;

async fn slow_account() -> (RunningLab, Registry) {
    let lab = RunningLab::start(LabConfig { contacts: 4_200, ..small_lab() }).await.unwrap();
    let mut settings = generous();
    settings["slow_ms"] = json!(0);
    settings["page_size"] = json!(100);
    let registry = Registry::new(&config(&lab.url, settings), impatient()).unwrap();
    (lab, registry)
}

/// Every record once, whatever page it came with.
fn assert_whole(lab: &RunningLab, pages: &[Page]) {
    let expected = lab.expect(Object::Contacts);
    let (mut seen, mut rejected) = (HashSet::new(), HashSet::new());
    for page in pages {
        for record in page.records.iter().filter(|record| record.deleted_at.is_none()) {
            assert!(seen.insert(record.external_id.clone()), "{} came twice", record.external_id);
        }
        for one in page.rejected.iter().filter(|one| one.is_live) {
            assert!(rejected.insert(one.external_id.clone()), "{} came twice", one.external_id);
        }
    }
    assert_eq!((seen.len() + rejected.len()) as u64, expected.records);
    assert_eq!(rejected, expected.untransformable_ids.into_iter().collect());
}

async fn listed(session: &dyn Session) -> Vec<Page> {
    list(session, &contacts()).await.into_iter().map(|(_, page)| page).collect()
}

#[tokio::test]
async fn both_ends_meet_and_every_record_is_read_once() {
    let (lab, registry) = slow_account().await;
    let pages = listed(&*open(&registry, PORTAL).await).await;
    assert_whole(&lab, &pages);
    assert!(pages.len() < PAGES / 2, "{} steps for {PAGES} pages", pages.len());
}

#[tokio::test]
async fn another_process_goes_on_from_any_step() {
    let (lab, registry) = slow_account().await;
    let mut pages = Vec::new();
    let mut position: Option<Position> = None;
    loop {
        let page = open(&registry, PORTAL).await.page(&contacts(), position.as_ref()).await.unwrap();
        let next = page.next.clone();
        pages.push(page);
        match next {
            Next::More(more) => position = Some(more),
            _ => break,
        }
    }
    assert_whole(&lab, &pages);
}

#[tokio::test]
async fn an_account_without_search_is_listed_from_one_end() {
    let (lab, registry) = slow_account().await;
    let forbidden = FaultRule { path: Some("/search".into()), ..FaultRule::status(403, 1_000) };
    lab.set_faults(vec![forbidden]).unwrap();
    let pages = listed(&*open(&registry, PORTAL).await).await;
    assert_whole(&lab, &pages);
    assert!(pages.len() >= PAGES);
}
