//! What processes tell each other about the budget of a vendor account: one entry in a KV bucket for each
//! (connector, account, endpoint class).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The KV bucket with the budgets of vendor accounts.
pub const BUDGETS_BUCKET: &str = "sync_budgets";
/// The version of [`BudgetEntry`].
pub const BUDGET_VERSION: u32 = 1;

/// The KV key of a budget: `<connector>.<account>.<class>`. What a key may not hold of the account's id is written as
/// `=` and two hex digits.
pub fn budget_key(connector: &str, account_id: &str, class: &str) -> String {
    format!("{}{class}", budget_prefix(connector, account_id))
}

/// What the keys of all budgets of an account begin with.
pub fn budget_prefix(connector: &str, account_id: &str) -> String {
    use std::fmt::Write as _;
    let mut key = format!("{connector}.");
    for byte in account_id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            key.push(byte.into());
        } else {
            // A `String` takes everything.
            write!(key, "={byte:02X}").ok();
        }
    }
    key.push('.');
    key
}

/// The timetable of a budget. Times are Unix milliseconds, by the clock of the NATS server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetEntry {
    /// [`BUDGET_VERSION`].
    pub v: u32,
    /// The connector.
    pub connector_type: String,
    /// The account's id at the vendor.
    pub account_id: String,
    /// The endpoint class.
    pub class: String,
    /// When this entry was first written: tells it from one that was lost.
    pub created_ms: u64,
    /// When this was written.
    pub at_ms: u64,
    /// What may be sent, and what was left when this was written.
    pub windows: Vec<BudgetWindow>,
    /// When requests may be sent, taken already; those of the past within the longest window included.
    pub turns: Turns,
    /// Requests of others that use the account, which the vendor counted.
    #[serde(default, skip_serializing_if = "Turns::is_empty")]
    pub foreign: Turns,
    /// The next paced request is due then, in microseconds.
    #[serde(default)]
    pub paced_until_us: u64,
    /// The vendor wants to be left alone until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until_ms: Option<u64>,
    /// Until then those who could not reach this take their turns off a fixed grid; all of it counts as taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid_until_ms: Option<u64>,
    /// Who took turns lately, and when.
    pub workers: BTreeMap<String, u64>,
    /// Which share of what the vendor allows each of them was told to use, in millionths: the smallest one counts for all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shares_ppm: BTreeMap<String, u32>,
    /// What the vendor itself says that it allows, if it does: those who come later need not find out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reported: Vec<BudgetLimit>,
}

/// The vendor said that it allows `limit` requests in any `per_ms` milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetLimit {
    /// Requests.
    pub limit: u32,
    /// The window's length in milliseconds.
    pub per_ms: u64,
    /// When it said so last.
    pub at_ms: u64,
}

/// At most `limit` requests in any `per_ms` milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetWindow {
    /// Requests.
    pub limit: u32,
    /// The window's length in milliseconds.
    pub per_ms: u64,
    /// Requests left, of those that may be sent in the window that ends now.
    pub remaining: u32,
}

impl BudgetEntry {
    /// What is left in each window at a moment. Turns that are taken and not yet due count as used.
    pub fn windows_at(&self, now_ms: u64) -> Vec<BudgetWindow> {
        let left = |window: &BudgetWindow| {
            let since = now_ms.saturating_sub(window.per_ms);
            let used = self.turns.after(since).saturating_add(self.foreign.after(since));
            BudgetWindow { remaining: window.limit.saturating_sub(used), ..*window }
        };
        self.windows.iter().map(left).collect()
    }
}

/// Moments in order, each with how many requests. As JSON: `{"sinceMs": …, "at": [[ms later, how many], …]}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct Turns(Vec<(u64, u32)>);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    since_ms: u64,
    at: Vec<(u64, u32)>,
}

impl From<Wire> for Turns {
    fn from(wire: Wire) -> Self {
        let mut turns = Self::default();
        for (later, count) in wire.at {
            turns.add(wire.since_ms.saturating_add(later), count);
        }
        turns
    }
}

impl From<Turns> for Wire {
    fn from(Turns(turns): Turns) -> Self {
        let since_ms = turns.first().map_or(0, |(at, _)| *at);
        Self { since_ms, at: turns.into_iter().map(|(at, count)| (at - since_ms, count)).collect() }
    }
}

impl Turns {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The moments with how many requests, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, u32)> {
        self.0.iter().copied()
    }

    /// The last moment.
    pub fn last(&self) -> Option<u64> {
        self.0.last().map(|(at, _)| *at)
    }

    /// How many there are after a moment.
    pub fn after(&self, since_ms: u64) -> u32 {
        let later = self.0.iter().rev().take_while(|(at, _)| *at > since_ms);
        later.fold(0, |sum: u32, (_, count)| sum.saturating_add(*count))
    }

    /// How many there are after a moment, up to and with another.
    pub fn between(&self, since_ms: u64, until_ms: u64) -> u32 {
        self.after(since_ms).saturating_sub(self.after(until_ms))
    }

    /// Adds some at a moment.
    pub fn add(&mut self, at: u64, count: u32) {
        if count == 0 {
            return;
        }
        let place = self.0.partition_point(|(other, _)| *other < at);
        match self.0.get_mut(place) {
            Some((other, there)) if *other == at => *there = there.saturating_add(count),
            _ => self.0.insert(place, (at, count)),
        }
    }

    /// Takes one at a moment away; whether there was one.
    pub fn remove(&mut self, at: u64) -> bool {
        let Ok(place) = self.0.binary_search_by_key(&at, |(other, _)| *other) else { return false };
        match self.0.get_mut(place) {
            Some((_, count)) if *count > 1 => *count -= 1,
            _ => drop(self.0.remove(place)),
        }
        true
    }

    /// Forgets those up to and with a moment, and those after another.
    pub fn keep_between(&mut self, since_ms: u64, until_ms: u64) {
        self.0.retain(|(at, _)| *at > since_ms && *at <= until_ms);
    }

    /// At each moment as many as the larger of both has.
    pub fn merge(&mut self, other: &Self) {
        for (at, count) in other.iter() {
            let there = self.between(at.saturating_sub(1), at);
            self.add(at, count.saturating_sub(there));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_holds_only_what_a_key_may_hold() {
        assert_eq!(budget_key("hubspot", "4711", "search"), "hubspot.4711.search");
        assert_eq!(budget_key("google-drive", "a.b@c", "files"), "google-drive.a=2Eb=40c.files");
        assert!(budget_key("hubspot", "4711", "x").starts_with(&budget_prefix("hubspot", "4711")));
        assert!(!budget_key("hubspot", "47111", "x").starts_with(&budget_prefix("hubspot", "4711")));
        assert_ne!(budget_key("a", "=2E", "x"), budget_key("a", ".", "x"));
    }

    /// Frozen: workers of two versions share a timetable while they are replaced.
    #[test]
    fn the_json_stays_as_it_is() {
        let json = json!({"v": 1, "connectorType": "hubspot", "accountId": "4711", "class": "objects",
            "createdMs": 1_000_000, "atMs": 1_009_000,
            "windows": [{"limit": 90, "perMs": 10_000, "remaining": 55}],
            "turns": {"sinceMs": 1_000_000, "at": [[0, 30], [8_500, 1], [9_100, 2]]},
            "foreign": {"sinceMs": 1_004_000, "at": [[0, 2]]},
            "pacedUntilUs": 1_009_200_000, "heldUntilMs": 1_020_000, "gridUntilMs": 1_003_000,
            "workers": {"worker-1": 1_009_000}});
        let entry: BudgetEntry = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&entry).unwrap(), json);
        assert_eq!(entry.windows_at(1_009_000), entry.windows);
        assert_eq!(entry.windows_at(1_010_000)[0].remaining, 85, "the thirty are out of the window");
    }

    /// As above; who does not know them yet leaves them out when it writes.
    #[test]
    fn shares_and_reported_limits_are_optional() {
        let mut json = serde_json::to_value(BudgetEntry::default()).unwrap();
        assert_eq!((json.get("sharesPpm"), json.get("reported")), (None, None));
        json["sharesPpm"] = json!({"worker-1": 500_000});
        json["reported"] = json!([{"limit": 80, "perMs": 10_000, "atMs": 1_009_000}]);
        let entry: BudgetEntry = serde_json::from_value(json.clone()).unwrap();
        assert_eq!((entry.shares_ppm["worker-1"], entry.reported[0].limit), (500_000, 80));
        assert_eq!(serde_json::to_value(&entry).unwrap(), json);
    }

    proptest! {
        #[test]
        fn turns_survive_the_round_trip_and_are_counted_right(
            moments in proptest::collection::vec((0_u64..200, 1_u32..4), 0..40), since in 0_u64..200, until in 0_u64..200
        ) {
            let mut turns = Turns::default();
            for (at, count) in &moments {
                turns.add(*at, *count);
            }
            let json = serde_json::to_string(&turns).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Turns>(&json).unwrap(), &turns);
            let expected: u32 = moments.iter().filter(|(at, _)| *at > since && *at <= until).map(|(_, n)| n).sum();
            prop_assert_eq!(turns.between(since, until), expected);
            for (at, count) in &moments {
                for _ in 0..*count {
                    prop_assert!(turns.remove(*at));
                }
            }
            prop_assert!(turns.is_empty() && !turns.remove(since));
        }
    }
}
