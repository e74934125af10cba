//! Which record belongs to which. A sweep of its own, in every sync: no date moves when an association changes. It asks
//! for the records that the host has, a thousand with one request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::try_join_all;
use protocol::{Link, ObjectName, Sweep};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::Api;
use super::position;
use crate::budget::Budget;
use crate::http::Unreadable;
use crate::jsonb::jsonb_safe;
use crate::{ErrorClass, Host, Next, Page, Position, SourceError};

/// The name of the object.
pub(super) const NAME: &str = "associations";
/// The most records that may be asked for at once, since February 2025.
const INPUTS_MAX: usize = 1_000;
/// Requests that are made side by side for a page of an account that answers slowly. Otherwise it is one: a page of
/// records with many associations is large.
const REQUESTS_AT_ONCE: usize = 3;
/// A page should have about so many associations, and not many more in a large account than in a small one. The first
/// page of a pair asks for a few records, to see how many associations they have.
const LINKS_WANTED: usize = 4_000;
const INPUTS_AT_FIRST: usize = 200;
const INPUTS_MIN: usize = 50;
/// From which object to which. The way back holds the same pairs.
const PAIRS: [(&str, &str); 3] = [("contacts", "companies"), ("deals", "companies"), ("deals", "contacts")];
/// Pages of one record's associations. HubSpot allows 50,000 a record, and has 100 on a page at least.
const PAGES_OF_A_RECORD_MAX: usize = 1_000;

/// A place in the sweep: the pair, and the last record that was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    pair: usize,
    after: Option<String>,
    /// Records to ask for with the next request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inputs: Option<usize>,
    /// A pair that the account does not allow to read, and what it said: the others are read all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

impl Place {
    fn next_pair(&self) -> Self {
        Self { pair: self.pair + 1, after: None, inputs: None, refused: self.refused.clone() }
    }

    fn inputs(&self) -> usize {
        self.inputs.unwrap_or(INPUTS_AT_FIRST).clamp(INPUTS_MIN, INPUTS_MAX)
    }

    /// After records with so many associations.
    fn after(&self, last: String, asked: usize, links: usize) -> Self {
        let inputs = asked.saturating_mul(LINKS_WANTED) / links.max(1);
        Self { after: Some(last), inputs: Some(inputs.clamp(INPUTS_MIN, INPUTS_MAX)), ..self.clone() }
    }
}

#[derive(Serialize)]
struct Input<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

#[derive(Deserialize)]
struct Batch {
    results: Vec<OfOne>,
    /// Records without associations are errors of a 207, which is fine.
    #[serde(default)]
    errors: Vec<BatchError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchError {
    category: Option<String>,
}

#[derive(Deserialize)]
struct OfOne {
    from: From,
    to: Vec<To>,
    paging: Option<super::page::Paging>,
}

#[derive(Deserialize)]
struct From {
    id: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct To {
    /// A text in the specification, a number in life.
    to_object_id: Value,
    #[serde(default)]
    association_types: Vec<Kind>,
}

/// A kind of association. Ordered, so that equal ones are equal text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    type_id: u64,
    category: String,
    label: Option<String>,
}

/// The kinds of association of each pair of records, in order.
type Found = BTreeMap<(String, String), Vec<Kind>>;

impl Api {
    /// What the next records of the host are associated with.
    pub(super) async fn associations(
        &self,
        budget: &Arc<Budget>,
        host: &dyn Host,
        is_slow: bool,
        position: Option<&Position>,
    ) -> Result<Page, SourceError> {
        let place: Place = position.and_then(position::read).unwrap_or_default();
        let Some((from_object, to_object)) = PAIRS.get(place.pair).and_then(|(from, to)| names(from, to))
        else {
            return match place.refused {
                Some(message) => Err(SourceError::new(ErrorClass::Forbidden, message)),
                None => Ok(page(Vec::new(), Next::Done { checkpoint: None })),
            };
        };
        let inputs = place.inputs();
        let records_max = if is_slow { inputs * REQUESTS_AT_ONCE } else { inputs };
        let mut ids = host.known_after(&from_object, place.after.as_deref(), records_max as u64).await?;
        ids.truncate(records_max);
        let last = (ids.len() == records_max).then(|| ids.last().cloned()).flatten();
        let asked = ids.chunks(inputs).map(|ids| self.associations_of(budget, &from_object, &to_object, ids));
        let found = match try_join_all(asked).await {
            Ok(found) => found,
            Err(error) if error.class == ErrorClass::Forbidden => {
                let next = Place { refused: Some(error.message), ..place.next_pair() };
                return Ok(page(Vec::new(), Next::More(position::store(next))));
            }
            Err(error) => return Err(error),
        };
        let mut known = BTreeSet::new();
        let links: Vec<Link> = found.into_iter().flatten().map(|found| link(found, &mut known)).collect();
        let next = match &last {
            Some(last) => place.after(last.clone(), ids.len(), links.len()),
            None => place.next_pair(),
        };
        let sweep = Sweep { from_object, to_object, after: place.after, up_to: last, links };
        Ok(page(vec![sweep], Next::More(position::store(next))))
    }

    /// All associations of some records, however many pages one of them has.
    async fn associations_of(
        &self,
        budget: &Arc<Budget>,
        from: &ObjectName,
        to: &ObjectName,
        ids: &[String],
    ) -> Result<Found, SourceError> {
        let mut found = Found::new();
        let mut inputs: Vec<Input<'_>> = ids.iter().map(|id| Input { id, after: None }).collect();
        for _ in 0..PAGES_OF_A_RECORD_MAX {
            if inputs.is_empty() {
                return Ok(found);
            }
            let request = self
                .post(&format!("/crm/v4/associations/{from}/{to}/batch/read"), &json!({ "inputs": inputs }));
            let (page, continued) = self.call(request, budget, read).await?;
            for (pair, kinds) in page {
                found.entry(pair).or_default().extend(kinds);
            }
            inputs = ids
                .iter()
                .filter_map(|id| Some(Input { id, after: Some(continued.get(id)?.clone()) }))
                .collect();
        }
        let message = format!("HubSpot lists associations from {from} to {to} without an end");
        Err(SourceError::new(ErrorClass::Transient, message))
    }
}

fn names(from: &str, to: &str) -> Option<(ObjectName, ObjectName)> {
    Some((from.parse().ok()?, to.parse().ok()?))
}

fn page(sweeps: Vec<Sweep>, next: Next) -> Page {
    let listed = sweeps.iter().map(|sweep| sweep.links.len() as u64).sum();
    Page { listed, records: Vec::new(), rejected: Vec::new(), sweeps, whole: false, next }
}

/// The associations of an answer, and where those of a record go on that has more.
fn read(body: &[u8]) -> Result<(Found, BTreeMap<String, String>), Unreadable> {
    let answer: Batch = serde_json::from_slice(body)?;
    let is_fault = |error: &BatchError| error.category.as_deref() != Some("OBJECT_NOT_FOUND");
    if answer.errors.iter().any(is_fault) {
        return Err(Unreadable("a batch of which some could not be read".to_owned()));
    }
    let (mut found, mut continued) = (Found::new(), BTreeMap::new());
    for of_one in answer.results {
        let from = plain(&of_one.from.id)?;
        for to in of_one.to {
            // The same record may be listed once for each kind.
            found.entry((from.clone(), plain(&to.to_object_id)?)).or_default().extend(to.association_types);
        }
        if let Some(after) = of_one.paging.and_then(super::page::Paging::after) {
            continued.insert(from, after);
        }
    }
    Ok((found, continued))
}

/// `known` keeps one copy of what most associations say.
fn link(
    ((from_id, to_id), mut kinds): ((String, String), Vec<Kind>),
    known: &mut BTreeSet<Arc<str>>,
) -> Link {
    kinds.sort_unstable();
    kinds.dedup();
    // Made of texts and numbers alone, so it always is JSON.
    let types = serde_json::to_string(&kinds).unwrap_or_else(|_| "[]".to_owned());
    let types = jsonb_safe(&types);
    let types = known.get(types.as_ref()).cloned().unwrap_or_else(|| Arc::from(types));
    known.insert(Arc::clone(&types));
    Link { from_id, to_id, types }
}

fn plain(id: &Value) -> Result<String, Unreadable> {
    match id {
        Value::String(id) if !id.is_empty() => Ok(id.clone()),
        Value::Number(id) => Ok(id.to_string()),
        _ => Err(Unreadable("an association without an id".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_association_that_is_listed_twice_is_one_with_all_its_labels_in_order() {
        let body = br#"{"results":[{"from":{"id":"1"},"to":[
            {"toObjectId":501,"associationTypes":[{"category":"USER_DEFINED","typeId":71,"label":"Reseller"}]},
            {"toObjectId":"501","associationTypes":[{"category":"HUBSPOT_DEFINED","typeId":5,"label":"Primary"},
                {"category":"HUBSPOT_DEFINED","typeId":5,"label":"Primary"}]}]}],
            "numErrors":1,"errors":[{"category":"OBJECT_NOT_FOUND"}]}"#;
        let (found, continued) = read(body).unwrap();
        let links: Vec<Link> = found.into_iter().map(|found| link(found, &mut BTreeSet::new())).collect();
        let types = concat!(
            r#"[{"typeId":5,"category":"HUBSPOT_DEFINED","label":"Primary"},"#,
            r#"{"typeId":71,"category":"USER_DEFINED","label":"Reseller"}]"#
        );
        assert_eq!(links, [Link { from_id: "1".into(), to_id: "501".into(), types: types.into() }]);
        assert!(continued.is_empty());
    }

    #[test]
    fn a_page_asks_for_as_many_records_as_have_about_4000_associations() {
        let place = Place::default();
        assert_eq!(place.inputs(), 200);
        for (links, inputs) in
            [(0, 1_000), (150, 1_000), (800, 1_000), (4_000, 200), (8_000, 100), (900_000, 50)]
        {
            assert_eq!(place.after("7".into(), 200, links).inputs(), inputs, "{links}");
        }
    }

    #[test]
    fn a_record_with_more_says_where_it_goes_on_and_another_error_is_an_error() {
        let body = br#"{"results":[{"from":{"id":"1"},"to":[],"paging":{"next":{"after":"NTAw"}}}]}"#;
        assert_eq!(read(body).unwrap().1, BTreeMap::from([("1".to_owned(), "NTAw".to_owned())]));
        assert!(read(br#"{"results":[],"errors":[{"category":"INTERNAL_ERROR"}]}"#).is_err());
        assert!(read(br#"{"results":[{"from":{"id":null},"to":[]}]}"#).is_err());
    }
}
