//! Which records belong together: like the records a pure function of (seed, object, index), plus how often a record's
//! associations were changed since.
//!
//! Deals and contacts choose: a deal its companies and contacts, a contact its companies. What a company or a contact
//! sees is the same from the other side, found by looking at all who may have chosen it.

use std::collections::{BTreeMap, BTreeSet};

use super::{AsOf, Dataset, Object, Row, Standing};

/// One record as another one sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) to_id: u64,
    pub(crate) kind: LinkKind,
}

/// What is said about two records besides that they belong together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LinkKind {
    /// The first company of a deal or a contact.
    pub(crate) primary: bool,
    /// With a label that the customer made.
    pub(crate) labelled: bool,
}

/// A few deals have very many contacts, so that one page does not hold them.
const MANY: u64 = 1_200;

/// How many records another one chooses; `None` if it does not choose among these.
fn count(row: &Row, to: Object) -> Option<u64> {
    let share = row.below(700 + to as u64, 100);
    let count = match (row.object, to) {
        (Object::Deals, Object::Companies) => [0, 1, 2][usize::from(share >= 10) + usize::from(share >= 85)],
        (Object::Contacts, Object::Companies) => {
            [0, 1, 2][usize::from(share >= 30) + usize::from(share >= 95)]
        }
        (Object::Deals, Object::Contacts) if row.index % 97 == 13 => MANY,
        // The same draw as in `num_associated_contacts`.
        (Object::Deals, Object::Contacts) => row.below(51, 6),
        _ => return None,
    };
    // Whoever gets other associations gets at least one.
    Some(if row.relinked > 0 { count.max(1) } else { count })
}

impl Dataset {
    /// What is associated with the live records among these, in order of id. Who has nothing is not in it. `None` if
    /// the lab has no associations between such objects.
    pub(crate) fn links(
        &self,
        from: Object,
        to: Object,
        ids: &BTreeSet<u64>,
    ) -> Option<BTreeMap<u64, Vec<Link>>> {
        let mut links = BTreeMap::new();
        if self.chooses(from, to) {
            for id in ids {
                let Some(index) = self.index_of(from, *id) else { continue };
                let chosen = self.chosen_by(&self.row(from, index, AsOf::Now), to);
                if !chosen.is_empty() {
                    let seen = chosen.into_iter().map(|(to_id, kind)| Link { to_id, kind });
                    links.insert(*id, seen.collect());
                }
            }
            return Some(links);
        }
        if !self.chooses(to, from) {
            return None;
        }
        for row in self.rows_from(to, 0, false, AsOf::Now) {
            for (chosen_id, kind) in self.chosen_by(&row, from) {
                if ids.contains(&chosen_id) {
                    links.entry(chosen_id).or_insert_with(Vec::new).push(Link { to_id: row.id, kind });
                }
            }
        }
        Some(links)
    }

    fn chooses(&self, from: Object, to: Object) -> bool {
        count(&Row::new(self.seed, from, 0), to).is_some()
    }

    /// The live records that a live one chose, by id, with what those chose that were merged into it. A record that was
    /// merged away, archived or purged has no associations.
    fn chosen_by(&self, row: &Row, to: Object) -> BTreeMap<u64, LinkKind> {
        let mut chosen = BTreeMap::new();
        if row.standing != Standing::Live {
            return chosen;
        }
        self.add_chosen(row, to, true, &mut chosen);
        for id in row.merged_ids.as_deref().unwrap_or_default() {
            if let Some(index) = self.index_of(row.object, *id) {
                self.add_chosen(&self.row(row.object, index, AsOf::Now), to, false, &mut chosen);
            }
        }
        chosen
    }

    fn add_chosen(
        &self,
        row: &Row,
        to: Object,
        first_is_primary: bool,
        chosen: &mut BTreeMap<u64, LinkKind>,
    ) {
        let there = self.counts[to as usize];
        // At most half, so that moving on by one is always a change.
        let wanted = count(row, to).unwrap_or(0).min(there.div_ceil(2));
        let start = row.below(710 + to as u64, there) + u64::from(row.relinked);
        for place in 0..wanted {
            let index = (start + place) % there;
            let Some(target) = self.resolve(to, self.id_of(to, index), false) else { continue };
            let kind = LinkKind {
                primary: first_is_primary && place == 0 && to == Object::Companies,
                labelled: row.percent(720 + place, 25),
            };
            chosen.entry(target.id).or_insert(kind);
        }
    }
}
