//! What a sync reads: which objects, and each from where.

use connectors::{ConnectorSpec, Position};
use protocol::{ObjectName, SyncMode, SyncOptions, Table};
use store::CursorState;

/// One object of a sync.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Planned {
    pub object: ObjectName,
    pub table: Table,
    pub mode: SyncMode,
    /// Where its next page is; `None` at the start of a full read.
    pub position: Option<Position>,
    /// Whether its last page is in already.
    pub done: bool,
    /// Whether it was compared with the vendor after that.
    pub compared: bool,
}

/// Plans a sync. The same options and checkpoints give the same plan, so that an attempt after a takeover goes on
/// with what the one before began: a checkpoint only changes when the object is done.
pub(crate) fn plan(spec: &ConnectorSpec, options: &SyncOptions, cursors: &[CursorState]) -> Vec<Planned> {
    let wanted = |object: &ObjectName| options.objects.is_empty() || options.objects.contains(object);
    let planned = |object: ObjectName| {
        let table = spec.table(&object)?;
        let cursor = cursors.iter().find(|cursor| cursor.object == object);
        let checkpoint = cursor.and_then(|cursor| cursor.checkpoint.clone()).map(Position);
        let mode = match (cursor.and_then(|cursor| cursor.mode), options.mode, &checkpoint) {
            (Some(begun), ..) => begun,
            (_, Some(SyncMode::Full), _) | (.., None) => SyncMode::Full,
            (_, Some(SyncMode::Incremental) | None, Some(_)) => SyncMode::Incremental,
        };
        let begun = cursor.and_then(|cursor| cursor.position.clone()).map(Position);
        let start = if mode == SyncMode::Incremental { checkpoint } else { None };
        let done = cursor.is_some_and(|cursor| cursor.done);
        let compared = cursor.is_some_and(|cursor| cursor.compared);
        Some(Planned { object, table, mode, position: begun.or(start), done, compared })
    };
    spec.object_names().into_iter().filter(wanted).filter_map(planned).collect()
}

#[cfg(test)]
mod tests {
    use connectors::ObjectSpec;
    use serde_json::json;

    use super::*;

    static SPEC: ConnectorSpec = ConnectorSpec {
        name: "x",
        title: "X",
        objects: &[
            ObjectSpec { name: "contacts", table: Table::Contacts },
            ObjectSpec { name: "deals", table: Table::Deals },
        ],
        credentials: &[],
    };

    fn cursor(position: Option<i32>, checkpoint: Option<i32>, done: bool) -> CursorState {
        CursorState {
            object: "contacts".parse().unwrap(),
            position: position.map(|p| json!(p)),
            done,
            listed: 0,
            written: 0,
            unchanged: 0,
            captured: 0,
            pages: 0,
            deleted: 0,
            compared: false,
            needs_review: 0,
            mode: None,
            checkpoint: checkpoint.map(|c| json!(c)),
        }
    }

    fn contacts(mode: Option<SyncMode>, cursor: CursorState) -> (SyncMode, Option<Position>, bool) {
        let plan = plan(&SPEC, &SyncOptions { mode, ..SyncOptions::default() }, &[cursor]);
        (plan[0].mode, plan[0].position.clone(), plan[0].done)
    }

    #[test]
    fn an_object_with_a_checkpoint_is_read_by_what_changed_unless_all_is_asked_for() {
        use SyncMode::{Full, Incremental};
        let at = |n: i32| Some(Position(json!(n)));
        assert_eq!(contacts(None, cursor(None, None, false)), (Full, None, false));
        assert_eq!(contacts(None, cursor(None, Some(7), false)), (Incremental, at(7), false));
        assert_eq!(contacts(Some(Incremental), cursor(None, Some(7), false)), (Incremental, at(7), false));
        assert_eq!(contacts(Some(Incremental), cursor(None, None, false)), (Full, None, false));
        assert_eq!(contacts(Some(Full), cursor(None, Some(7), false)), (Full, None, false));
    }

    #[test]
    fn what_was_begun_goes_on_where_it_was() {
        use SyncMode::{Full, Incremental};
        let at = |n: i32| Some(Position(json!(n)));
        assert_eq!(contacts(None, cursor(Some(3), Some(7), false)), (Incremental, at(3), false));
        assert_eq!(contacts(Some(Full), cursor(Some(3), Some(7), false)), (Full, at(3), false));
        assert!(contacts(None, cursor(None, Some(7), true)).2);
        // Read as a whole by this job before it was taken over; the checkpoint is its own.
        let done = CursorState { mode: Some(Full), ..cursor(None, Some(7), true) };
        assert_eq!(contacts(None, done).0, Full);
    }

    #[test]
    fn only_the_objects_asked_for_are_read() {
        let options = SyncOptions { objects: vec!["deals".parse().unwrap()], ..SyncOptions::default() };
        let plan = plan(&SPEC, &options, &[]);
        assert_eq!(plan.iter().map(|p| p.object.as_str()).collect::<Vec<_>>(), ["deals"]);
    }
}
