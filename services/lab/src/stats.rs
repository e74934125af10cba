use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Class;

/// What the lab saw since it started or was last reset. Times are Unix microseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Requests received on the vendor side, whatever became of them.
    pub requests: u64,
    /// Received requests that name an object.
    pub by_object: BTreeMap<String, u64>,
    /// The same by portal, for requests with a valid token.
    pub by_portal: BTreeMap<String, PortalStats>,
    /// Access tokens issued for a refresh token.
    pub token_refreshes: u64,
    /// Answers by status.
    pub answers: BTreeMap<u16, u64>,
    /// Answers with status 429, storms included.
    pub answers429: u64,
    /// Those of them that a fault rule gave: no client could have avoided them.
    #[serde(default)]
    pub answers429_by_fault: u64,
    /// The most non-search requests accepted in any rolling 10 s of any portal.
    pub max_in_window: u64,
    /// The most searches accepted in any rolling second of any portal.
    pub max_search_in_second: u64,
    /// How many different seconds saw a 429.
    pub limited_seconds: u64,
    /// List pages served whole.
    pub pages_served: u64,
    /// Records on those pages, by object.
    pub listed_records: BTreeMap<String, u64>,
    /// List pages that a portal was served more than once.
    pub pages_fetched_twice: PagesFetchedTwice,
}

/// One portal's share.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortalStats {
    /// Requests with a valid token of this portal.
    pub requests: u64,
    /// Non-search requests that the limiter accepted.
    pub accepted: u64,
    /// Searches that the limiter accepted.
    pub accepted_searches: u64,
    /// Answers with status 429.
    pub answers429: u64,
    /// The most non-search requests accepted in any rolling 10 s.
    pub max_in_window: u64,
    /// The most searches accepted in any rolling second.
    pub max_search_in_second: u64,
    /// When the first request came.
    pub first_request_at: u64,
    /// When the last request came.
    pub last_request_at: u64,
    /// From the first to the last accepted non-search request.
    pub elapsed_us: u64,
    /// `(accepted - 1) / (limit * elapsed / 10 s)`: the rate between the first and the last accepted request as a share
    /// of the allowed one. The minus one is for the fence post: n requests span n - 1 gaps. An initial burst can lift
    /// it above 1 on short runs. Absent with fewer than two requests or no limit.
    pub utilisation: Option<f64>,
    /// The most that any client could have had accepted in `elapsed_us`: `limit * (1 + floor(elapsed / 10 s))`.
    pub possible: Option<u64>,
}

/// List pages served successfully more than once to the same portal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PagesFetchedTwice {
    /// How many different pages.
    pub count: u64,
    /// The first 20 of them.
    pub list: Vec<PageFetchedTwice>,
}

/// One such page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PageFetchedTwice {
    /// Whose.
    pub portal: u64,
    /// Of what.
    pub object: String,
    /// Of the archived records.
    pub archived: bool,
    /// The `after` of the request; 0 is the first page.
    pub after: u64,
    /// The `limit` of the request.
    pub limit: u64,
    /// How often.
    pub times: u64,
}

/// A request that the limits refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// When it came, in Unix microseconds.
    pub at_us: u64,
    /// Whose.
    pub portal: u64,
    /// Which limit it counts against, besides the daily one.
    pub class: Class,
}
