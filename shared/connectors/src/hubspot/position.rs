//! Where a load goes on, as it is stored between pages, jobs and processes.
//!
//! ```text
//! nothing ──▶ list ──▶ archived ──▶ checkpoint     a first load
//! checkpoint ──▶ search ──▶ archived ──▶ checkpoint     an increment
//! ```
//!
//! An increment starts [`LOOK_BACK_MS`] before the start of the load before it, never at "the newest seen": the
//! search index is behind by seconds to minutes, clocks differ, and records change while they are listed.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::Position;

/// Changed when an old position would be misread. A position of another version is not read at all.
const VERSION: u32 = 1;

/// An increment starts this long before the load before it did. It covers how far HubSpot's index is behind, and
/// how far our clock is ahead. The window itself reaches up to the present, so nothing is late because of it.
pub(super) const LOOK_BACK_MS: i64 = 5 * 60 * 1_000;

/// Milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Millis(pub(super) i64);

impl Millis {
    /// Now, by the clock on the wall.
    pub(super) fn now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn look_back(self) -> Self {
        Self(self.0.saturating_sub(LOOK_BACK_MS))
    }
}

impl From<OffsetDateTime> for Millis {
    /// The rest of the millisecond is cut off.
    fn from(time: OffsetDateTime) -> Self {
        let millis = time.unix_timestamp_nanos().div_euclid(1_000_000);
        // A time of 9999 has 15 digits.
        Self(i64::try_from(millis).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an increment searches. The upper end is fixed when it starts: a record that is changed after that leaves the
/// window, and belongs to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Window {
    pub(super) since: Millis,
    pub(super) to: Millis,
}

/// A place in a first load's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ListPlace {
    pub(super) started: Millis,
    pub(super) after: Option<String>,
    /// The greatest id that was listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_id: Option<u64>,
    /// Records with this id and greater ones are read already, from the other end: see `wide`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) below: Option<u64>,
}

/// A place in a load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub(super) enum Place {
    /// A first load lists the live records. It began at `started`.
    List(ListPlace),
    /// An increment searches what was changed, in order of id. Every search starts anew after the last id: paging
    /// ends at 10,000 records, and a bulk edit gives more than that the same moment.
    Search {
        #[serde(flatten)]
        window: Window,
        after_id: Option<u64>,
    },
    /// Either one lists the archived records; those archived before `since` are known. Archiving changes no date
    /// that could be searched.
    Archived { since: Option<Millis>, checkpoint: Millis, after: Option<String> },
}

/// Where the increment after a load starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    pub(super) since: Millis,
}

/// A place or a checkpoint as it is stored; a place has a `phase`.
#[derive(Serialize, Deserialize)]
struct Stored<T> {
    v: u32,
    #[serde(flatten)]
    what: T,
}

impl<T: Serialize + DeserializeOwned> Stored<T> {
    fn position(what: T) -> Position {
        // It is made of numbers and texts alone, so it always is JSON; a null would start over.
        Position(serde_json::to_value(Self { v: VERSION, what }).unwrap_or_default())
    }

    fn read(stored: &Value) -> Result<T, String> {
        match Self::deserialize(stored) {
            Ok(Self { v: VERSION, what }) => Ok(what),
            Ok(Self { v, .. }) => Err(format!("it is of version {v}")),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// A place of another kind of load, as it is stored.
pub(super) fn store<T: Serialize + DeserializeOwned>(place: T) -> Position {
    Stored::position(place)
}

/// The same, read. `None` starts over.
pub(super) fn read<T: Serialize + DeserializeOwned>(Position(stored): &Position) -> Option<T> {
    let place = Stored::read(stored);
    place.inspect_err(|error| tracing::warn!(error, "the stored position cannot be read, starting over")).ok()
}

impl Place {
    /// Where to go on. A checkpoint begins an increment that ends `now`.
    ///
    /// A position that cannot be read starts over. That costs requests; refusing it would stop the connection for
    /// good, and going on from a guess would lose records.
    pub(super) fn resume(position: Option<&Position>, now: Millis) -> Self {
        let first_load = Self::first_load(now);
        let Some(Position(stored)) = position else { return first_load };
        let place = match stored.get("phase") {
            Some(_) => Stored::<Self>::read(stored),
            None => Stored::<Checkpoint>::read(stored).map(|checkpoint| Self::increment(checkpoint, now)),
        };
        place.unwrap_or_else(|error| {
            tracing::warn!(error, "the stored position cannot be read, starting over");
            first_load
        })
    }

    fn first_load(started: Millis) -> Self {
        Self::List(ListPlace { started, after: None, last_id: None, below: None })
    }

    fn increment(Checkpoint { since }: Checkpoint, now: Millis) -> Self {
        // A clock that was set back must not turn the window around.
        Self::Search { window: Window { since, to: now.max(since) }, after_id: None }
    }

    /// The archived records, when a first load is through with the live ones.
    pub(super) fn archived_after_list(started: Millis) -> Self {
        Self::Archived { since: None, checkpoint: started.look_back(), after: None }
    }

    /// The archived records, when an increment is through with the changed ones.
    pub(super) fn archived_after_search(window: Window) -> Self {
        Self::Archived { since: Some(window.since), checkpoint: window.to.look_back(), after: None }
    }

    /// As it is stored.
    pub(super) fn store(self) -> Position {
        Stored::position(self)
    }
}

impl Checkpoint {
    /// As it is stored.
    pub(super) fn store(self) -> Position {
        Stored::position(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);

    fn resume(stored: serde_json::Value) -> Place {
        Place::resume(Some(&Position(stored)), NOW)
    }

    #[test]
    fn stored_positions_look_like_this_for_as_long_as_their_version_is_1() {
        let window = Window { since: Millis(1), to: Millis(2) };
        let list = Place::List(ListPlace {
            started: Millis(1),
            after: Some("7".into()),
            last_id: None,
            below: None,
        });
        let wide = Place::List(ListPlace {
            started: Millis(1),
            after: Some("7".into()),
            last_id: Some(6),
            below: Some(9),
        });
        let search = Place::Search { window, after_id: Some(9_100_123) };
        let archived = Place::Archived { since: None, checkpoint: Millis(3), after: None };
        for (place, stored) in [
            (list, json!({"v": 1, "phase": "list", "started": 1, "after": "7"})),
            (wide, json!({"v": 1, "phase": "list", "started": 1, "after": "7", "last_id": 6, "below": 9})),
            (search, json!({"v": 1, "phase": "search", "since": 1, "to": 2, "after_id": 9_100_123})),
            (archived, json!({"v": 1, "phase": "archived", "since": null, "checkpoint": 3, "after": null})),
        ] {
            assert_eq!(place.clone().store(), Position(stored.clone()));
            assert_eq!(resume(stored), place);
        }
        assert_eq!(Checkpoint { since: Millis(1) }.store(), Position(json!({"v": 1, "since": 1})));
    }

    #[test]
    fn nothing_is_a_first_load_and_a_checkpoint_an_increment_up_to_now() {
        assert_eq!(Place::resume(None, NOW), Place::first_load(NOW));
        let window = Window { since: Millis(5), to: NOW };
        assert_eq!(resume(json!({"v": 1, "since": 5})), Place::Search { window, after_id: None });
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_turn_the_window_around() {
        let since = Millis(NOW.0 + 1);
        let window = Window { since, to: since };
        let stored = Checkpoint { since }.store();
        assert_eq!(Place::resume(Some(&stored), NOW), Place::Search { window, after_id: None });
    }

    #[test]
    fn a_position_that_cannot_be_read_starts_over() {
        for garbled in [
            json!(null),
            json!("x"),
            json!({"after": "7"}),
            json!({"v": 1, "phase": "search", "since": 1}),
            json!({"v": 1, "phase": "dance", "since": 1}),
            json!({"v": 2, "since": 1}),
            json!({"since": 1}),
            json!({"v": 1, "phase": "list", "started": "soon", "after": "7"}),
        ] {
            assert_eq!(resume(garbled), Place::first_load(NOW));
        }
    }

    #[test]
    fn the_next_load_looks_back_before_the_start_of_this_one() {
        let window = Window { since: Millis(5), to: NOW };
        for archived in [Place::archived_after_list(NOW), Place::archived_after_search(window)] {
            let Place::Archived { checkpoint, .. } = archived else { panic!() };
            assert_eq!(checkpoint, Millis(NOW.0 - LOOK_BACK_MS));
        }
    }
}
