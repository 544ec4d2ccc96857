//! The rows of an Arrow IPC stream, with the memory that they become reserved before they are read.

use super::{Intake, ReadError, Room};
use crate::accept::accept;
use crate::decode::tabular::{self, RowLimits};
use crate::decode::{Context, Event, Kind, Rejection};

/// What the rows may take when they are read, whatever limits there are besides.
const TABLE_BYTES: u64 = 64 * 1024 * 1024;

/// What a table holds.
pub(super) struct TableRows {
    pub(super) events: Vec<Result<Event, Rejection>>,
    /// Columns that were passed over.
    pub(super) ignored_columns: Vec<String>,
}

/// The rows as events. A stream that breaks off is refused as a whole: unlike lines of
/// text, its rows say nothing before their batch is complete.
pub(super) fn read(
    intake: &Intake,
    content: &[u8],
    kind: Kind,
    context: &Context<'_>,
    room: &mut Room,
) -> Result<TableRows, ReadError> {
    let row = context.limits.event_bytes;
    let most = intake.memory.bytes();
    let mut rows = tabular::ipc_stream(content, 0)?.rows(kind, RowLimits { row, table: TABLE_BYTES })?;
    let (mut events, mut reserved) = (Vec::new(), 0);
    loop {
        let written = usize::try_from(rows.spent()).unwrap_or(usize::MAX);
        // Room for the largest row there may be, before it is read.
        if written.saturating_add(row) > reserved {
            reserved += row;
            if content.len() + reserved > most {
                let reason = format!("the rows of the table and what they become take more than {most} bytes");
                return Err(ReadError::TooLarge(reason));
            }
            room.merge(intake.memory.reserve(row)?);
        }
        let Some(draft) = rows.next().transpose()? else {
            room.shrink(content.len() + written);
            return Ok(TableRows { events, ignored_columns: rows.ignored().to_vec() });
        };
        if events.len() >= intake.limits.batch_events {
            return Err(intake.too_many());
        }
        events.push(draft.and_then(|draft| accept(draft, context)));
    }
}
