//! What a session that is being recorded does when another policy has become active and its file rolls over.

use super::Action;

/// What happens at the rollover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AtRollover {
    /// Nothing changes; the new policy is for the user's next session.
    Unchanged,
    /// The recording ends.
    Stops,
    /// The recording goes on as the new policy says.
    Continues {
        /// The user is told now; otherwise no message is shown, not even at the next sign-in where the new policy has none.
        notify: bool,
    },
}

/// What happens to a session that was begun under `before` when the active policy says `now`.
///
/// A session that was not recorded stays so: a recording without its beginning would be taken for a whole one. Changes between
/// screen and events alone are followed, as the new policy may have been made because of what the screen shows.
pub fn at_rollover(before: Action, now: Action) -> AtRollover {
    match (before.records(), now.records()) {
        (false, _) => AtRollover::Unchanged,
        (true, false) => AtRollover::Stops,
        (true, true) => AtRollover::Continues { notify: now.notifies() && !before.notifies() },
    }
}

#[cfg(test)]
mod tests {
    use super::{Action::*, AtRollover::*, *};

    #[test]
    fn the_table_holds_row_by_row() {
        // Do not record, and any other policy.
        for now in [Record, RecordWithNotice, Events, EventsWithNotice] {
            assert_eq!(at_rollover(Disable, now), Unchanged);
        }
        // Record without notification, and do not record.
        assert_eq!(at_rollover(Record, Disable), Stops);
        // Record without notification, and with it.
        assert_eq!(at_rollover(Record, RecordWithNotice), Continues { notify: true });
        // Record with notification, and do not record.
        assert_eq!(at_rollover(RecordWithNotice, Disable), Stops);
        // Record with notification, and without it.
        assert_eq!(at_rollover(RecordWithNotice, Record), Continues { notify: false });
    }

    #[test]
    fn what_the_table_leaves_open_follows_it() {
        assert_eq!(at_rollover(Disable, Disable), Unchanged);
        for same in [Record, RecordWithNotice, Events, EventsWithNotice] {
            assert_eq!(at_rollover(same, same), Continues { notify: false });
        }
        assert_eq!(at_rollover(Events, Disable), Stops);
        assert_eq!(at_rollover(EventsWithNotice, Disable), Stops);
        assert_eq!(at_rollover(Events, RecordWithNotice), Continues { notify: true });
        assert_eq!(at_rollover(EventsWithNotice, RecordWithNotice), Continues { notify: false });
        assert_eq!(at_rollover(Record, EventsWithNotice), Continues { notify: true });
    }
}
