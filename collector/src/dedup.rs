//! Which events of a batch are new: a function of the batch and the window, so that it can be tried out.

use std::collections::HashSet;

use tidemark_schema::{EventId, Ingest, Stored, Timestamp};

use crate::collector::Verdict;
use crate::decode::Event;
use crate::recent::RecentIds;

/// Splits events into a verdict each and the rows that are new. `group` holds the ids that are about to be written with
/// the same fsync; they count as known, but enter the window only once they are durable.
pub(crate) fn admit(
    events: Vec<Event>,
    now: Timestamp,
    ahead_s: i64,
    window: &RecentIds,
    group: &mut HashSet<EventId>,
) -> (Vec<Verdict>, Vec<Stored<Event>>) {
    let mut rows = Vec::with_capacity(events.len());
    let verdicts = events.into_iter().map(|event| {
        let id = event.event_id();
        if window.contains(&id) || !group.insert(id) {
            return Verdict::Duplicate;
        }
        let live = window.reaches_back_to(event.occurred_at(), ahead_s);
        let ingest = if live { Ingest::Live } else { Ingest::Late };
        rows.push(Stored { received_at: now, ingest, event });
        Verdict::Accepted
    });
    let verdicts = verdicts.collect();
    (verdicts, rows)
}
