//! The exact log of who asked for what and when.

use std::collections::{BTreeMap, HashMap};

use crate::hubspot::Object;
use crate::limiter::{Budget, Class, OBJECTS_SPAN_US, PortalLimiter, Refusal};
use crate::{Limits, PageFetchedTwice, PagesFetchedTwice, PortalStats, Refused, Stats};

/// Pages beyond this many different ones are counted but not compared.
const PAGES_TRACKED_MAX: usize = 1_000_000;
const PAGES_LISTED_MAX: usize = 20;
/// Refused requests that are remembered, the first ones.
const REFUSED_MAX: usize = 10_000;

/// A list page that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Page {
    pub(crate) portal: u64,
    pub(crate) object: Object,
    pub(crate) archived: bool,
    pub(crate) after: u64,
    pub(crate) limit: u64,
}

#[derive(Debug)]
struct Portal {
    limiter: PortalLimiter,
    seen: PortalStats,
    first_accepted_us: u64,
    last_accepted_us: u64,
}

/// Everything counted. Whoever holds it also orders the requests, so that arrival times never run backwards.
#[derive(Debug)]
pub(crate) struct Ledger {
    limits: Limits,
    portals: BTreeMap<u64, Portal>,
    /// Of the portals whose days do not begin at midnight UTC.
    utc_offsets_us: BTreeMap<u64, i64>,
    totals: Stats,
    last_limited_second: u64,
    pages: HashMap<Page, u64>,
    refused: Vec<Refused>,
}

impl Ledger {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            portals: BTreeMap::new(),
            utc_offsets_us: BTreeMap::new(),
            totals: Stats::default(),
            last_limited_second: 0,
            pages: HashMap::new(),
            refused: Vec::new(),
        }
    }

    pub(crate) fn received(&mut self, now_us: u64, portal: Option<u64>, object: Option<Object>) {
        self.totals.requests += 1;
        if let Some(object) = object {
            *self.totals.by_object.entry(object.name().to_owned()).or_default() += 1;
        }
        if let Some(portal) = portal {
            let seen = &mut self.portal(portal).seen;
            seen.requests += 1;
            if seen.first_request_at == 0 {
                seen.first_request_at = now_us;
            }
            seen.last_request_at = now_us;
        }
    }

    pub(crate) fn admit(&mut self, now_us: u64, portal: u64, class: Class) -> Result<Budget, Refusal> {
        let admitted = self.portal(portal).limiter.admit(class, now_us);
        if admitted.is_err() && self.refused.len() < REFUSED_MAX {
            self.refused.push(Refused { at_us: now_us, portal, class });
        }
        let (budget, portal) = (admitted?, self.portal(portal));
        match class {
            Class::Search => portal.seen.accepted_searches += 1,
            Class::Objects => {
                if portal.seen.accepted == 0 {
                    portal.first_accepted_us = now_us;
                }
                portal.seen.accepted += 1;
                portal.last_accepted_us = now_us;
            }
        }
        Ok(budget)
    }

    /// A rule answered with 429.
    pub(crate) fn limited_by_fault(&mut self) {
        self.totals.answers429_by_fault += 1;
    }

    /// A refresh token was accepted.
    pub(crate) fn refreshed(&mut self) {
        self.totals.token_refreshes += 1;
    }

    /// When the days of a portal begin.
    pub(crate) fn set_utc_offset_us(&mut self, portal: u64, utc_offset_us: i64) {
        self.utc_offsets_us.insert(portal, utc_offset_us);
        if let Some(known) = self.portals.get_mut(&portal) {
            known.limiter.set_utc_offset_us(utc_offset_us);
        }
    }

    pub(crate) fn answered(&mut self, now_us: u64, portal: Option<u64>, status: u16) {
        *self.totals.answers.entry(status).or_default() += 1;
        if status != 429 {
            return;
        }
        self.totals.answers429 += 1;
        let second = now_us / 1_000_000;
        if second != self.last_limited_second {
            self.last_limited_second = second;
            self.totals.limited_seconds += 1;
        }
        if let Some(portal) = portal {
            self.portal(portal).seen.answers429 += 1;
        }
    }

    pub(crate) fn served(&mut self, page: Page, records: u64) {
        self.totals.pages_served += 1;
        *self.totals.listed_records.entry(page.object.name().to_owned()).or_default() += records;
        if self.pages.len() < PAGES_TRACKED_MAX || self.pages.contains_key(&page) {
            *self.pages.entry(page).or_default() += 1;
        }
    }

    /// Forgets the statistics; the windows stay, because the vendor would not forget them, unless asked for.
    pub(crate) fn reset(&mut self, windows_too: bool) {
        self.totals = Stats::default();
        self.last_limited_second = 0;
        self.pages.clear();
        self.refused.clear();
        if windows_too {
            self.portals.clear();
        }
        for portal in self.portals.values_mut() {
            portal.seen = PortalStats::default();
            portal.limiter.forget_most();
        }
    }

    /// Requests that the limits refused, in order.
    pub(crate) fn refused(&self) -> &[Refused] {
        &self.refused
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.totals.clone();
        for (id, portal) in &self.portals {
            let seen = portal.stats(self.limits.objects_per_10s);
            stats.max_in_window = stats.max_in_window.max(seen.max_in_window);
            stats.max_search_in_second = stats.max_search_in_second.max(seen.max_search_in_second);
            if seen.requests > 0 {
                stats.by_portal.insert(id.to_string(), seen);
            }
        }
        stats.pages_fetched_twice = self.pages_fetched_twice();
        stats
    }

    fn pages_fetched_twice(&self) -> PagesFetchedTwice {
        let mut twice: Vec<_> = self.pages.iter().filter(|(_, times)| **times > 1).collect();
        twice.sort_unstable();
        let list = twice.iter().take(PAGES_LISTED_MAX).map(|(page, times)| PageFetchedTwice {
            portal: page.portal,
            object: page.object.name().to_owned(),
            archived: page.archived,
            after: page.after,
            limit: page.limit,
            times: **times,
        });
        PagesFetchedTwice { count: twice.len() as u64, list: list.collect() }
    }

    fn portal(&mut self, id: u64) -> &mut Portal {
        let limits = self.limits;
        let utc_offset_us = self.utc_offsets_us.get(&id).copied().unwrap_or(0);
        self.portals.entry(id).or_insert_with(|| {
            let mut limiter = PortalLimiter::new(limits);
            limiter.set_utc_offset_us(utc_offset_us);
            Portal { limiter, seen: PortalStats::default(), first_accepted_us: 0, last_accepted_us: 0 }
        })
    }
}

impl Portal {
    fn stats(&self, limit: u32) -> PortalStats {
        let mut stats = self.seen.clone();
        stats.max_in_window = self.limiter.most_objects() as u64;
        stats.max_search_in_second = self.limiter.most_searches() as u64;
        if stats.accepted == 0 || limit == 0 {
            return stats;
        }
        stats.elapsed_us = self.last_accepted_us - self.first_accepted_us;
        stats.possible = Some(u64::from(limit) * (1 + stats.elapsed_us / OBJECTS_SPAN_US));
        if stats.accepted > 1 && stats.elapsed_us > 0 {
            let allowed = f64::from(limit) * stats.elapsed_us as f64 / OBJECTS_SPAN_US as f64;
            stats.utilisation = Some((stats.accepted - 1) as f64 / allowed);
        }
        stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats_after(arrivals: impl Iterator<Item = u64>) -> PortalStats {
        let mut ledger = Ledger::new(Limits::strict());
        for now_us in arrivals {
            ledger.received(now_us, Some(1), Some(Object::Deals));
            ledger.admit(now_us, 1, Class::Objects).unwrap();
        }
        ledger.stats().by_portal["1"].clone()
    }

    #[test]
    fn a_client_at_the_allowed_rate_uses_all_of_it() {
        // Nine a second for 100 s and the one at the far fence post.
        let stats = stats_after((0..=900).map(|n| 1 + n * 1_000_000 / 9));
        assert!((stats.utilisation.unwrap() - 1.0).abs() < 1e-6, "{stats:?}");
        assert_eq!((stats.accepted, stats.max_in_window, stats.possible), (901, 90, Some(990)));
    }

    #[test]
    fn a_refused_request_is_remembered_with_its_time_and_its_limit() {
        let mut ledger = Ledger::new(Limits { objects_per_10s: 1, ..Limits::strict() });
        ledger.admit(5, 7, Class::Objects).unwrap();
        ledger.admit(6, 8, Class::Objects).unwrap();
        ledger.admit(9, 7, Class::Objects).unwrap_err();
        assert_eq!(ledger.refused(), [Refused { at_us: 9, portal: 7, class: Class::Objects }]);
        ledger.reset(false);
        assert_eq!(ledger.refused(), []);
    }

    #[test]
    fn a_client_at_half_the_rate_uses_half_of_it() {
        let stats = stats_after((0..=450).map(|n| 1 + n * 2_000_000 / 9));
        assert!((stats.utilisation.unwrap() - 0.5).abs() < 1e-6, "{stats:?}");
        assert_eq!(stats_after([5].into_iter()).utilisation, None);
    }
}
