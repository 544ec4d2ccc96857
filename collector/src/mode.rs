//! In which mode the collector is, and when it changes: a function of what is observed and of the mode before.
//!
//! | mode | events | entered | left |
//! | --- | --- | --- | --- |
//! | `normal` | taken | | |
//! | `shedding` | taken as far as they fit | 90 % of the events, of their bytes, or of the log's bytes that may wait | below 70 % of all |
//! | `read_only` | refused | the log cannot be written for lack of space, or its disk has less free than the reserve | a quarter more than the reserve is free |
//! | `recovering` | refused | at the start, and when the log has to be opened again after a failed fsync | when that is done |
//!
//! Reads and health work in every mode. The distance between entering and leaving keeps the mode from flapping.

use std::fmt;

use serde::{Deserialize, Serialize};
use tidemark_schema::Timestamp;

/// How the collector takes events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It takes them.
    Normal,
    /// It takes what fits and refuses the rest.
    Shedding,
    /// It takes none for lack of space.
    ReadOnly,
    /// It takes none until the log is read, or open again.
    #[default]
    Recovering,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Normal, Self::Shedding, Self::ReadOnly, Self::Recovering];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Shedding => "shedding",
            Self::ReadOnly => "read_only",
            Self::Recovering => "recovering",
        }
    }

    /// Whether events are refused without a look at them.
    pub fn refuses(self) -> bool {
        matches!(self, Self::ReadOnly | Self::Recovering)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A change of the mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Transition {
    /// When.
    pub at: Timestamp,
    /// The mode before.
    pub from: Mode,
    /// The mode since.
    pub to: Mode,
    /// Why, in words.
    pub reason: String,
}

/// What fills, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) name: &'static str,
    pub(crate) used: u64,
    pub(crate) limit: u64,
}

impl Level {
    fn at_least(&self, percent: u64) -> bool {
        u128::from(self.used) * 100 >= u128::from(self.limit) * u128::from(percent)
    }
}

/// What the mode is decided by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observed {
    /// What has to be done before events can be taken; none if nothing.
    pub(crate) recovering: Option<&'static str>,
    /// Whether the last write failed for lack of space on the disk.
    pub(crate) full: bool,
    /// Bytes that are free on the disk of the log, if that is known.
    pub(crate) free_bytes: Option<u64>,
    /// Bytes of it that stay free.
    pub(crate) reserve_bytes: u64,
    /// What waits.
    pub(crate) levels: [Level; 3],
}

const ENTER_PERCENT: u64 = 90;
const LEAVE_PERCENT: u64 = 70;

/// The mode, and why.
pub(crate) fn decide(before: Mode, seen: &Observed) -> (Mode, String) {
    if let Some(reason) = seen.recovering {
        return (Mode::Recovering, reason.to_owned());
    }
    let reserve = seen.reserve_bytes;
    let wanted = if before == Mode::ReadOnly { reserve.saturating_add(reserve / 4) } else { reserve };
    match seen.free_bytes {
        Some(free) if free < wanted => {
            return (Mode::ReadOnly, format!("{free} bytes are free on the disk of the log, {wanted} are wanted"));
        }
        // Without a number the next write has to show it.
        _ if seen.full => return (Mode::ReadOnly, "the disk of the log is full".to_owned()),
        _ => {}
    }
    let percent = if before == Mode::Shedding { LEAVE_PERCENT } else { ENTER_PERCENT };
    match seen.levels.iter().find(|level| level.at_least(percent)) {
        Some(Level { name, used, limit }) => (Mode::Shedding, format!("{used} {name} of at most {limit}")),
        None => (Mode::Normal, "events are taken".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calm() -> Observed {
        let level = Level { name: "events wait for the tables", used: 0, limit: 100 };
        Observed { recovering: None, full: false, free_bytes: Some(1_000), reserve_bytes: 100, levels: [level; 3] }
    }

    #[track_caller]
    fn check(before: Mode, seen: &Observed, expected: Mode) {
        let (mode, reason) = decide(before, seen);
        assert_eq!(mode, expected, "{seen:?}: {reason}");
        assert!(!reason.is_empty());
    }

    fn waiting(used: u64) -> Observed {
        let mut seen = calm();
        seen.levels[1].used = used;
        seen
    }

    #[test]
    fn what_is_calm_is_normal_whatever_was_before() {
        for before in Mode::ALL {
            check(before, &calm(), Mode::Normal);
        }
    }

    #[test]
    fn shedding_begins_at_90_percent_and_ends_below_70() {
        check(Mode::Normal, &waiting(89), Mode::Normal);
        check(Mode::Normal, &waiting(90), Mode::Shedding);
        check(Mode::Shedding, &waiting(70), Mode::Shedding);
        check(Mode::Shedding, &waiting(69), Mode::Normal);
    }

    #[test]
    fn a_disk_below_its_reserve_is_read_only_until_there_is_a_quarter_more() {
        let free = |bytes| Observed { free_bytes: Some(bytes), ..calm() };
        check(Mode::Normal, &free(100), Mode::Normal);
        check(Mode::Normal, &free(99), Mode::ReadOnly);
        check(Mode::ReadOnly, &free(124), Mode::ReadOnly);
        check(Mode::ReadOnly, &free(125), Mode::Normal);
    }

    #[test]
    fn a_write_that_found_no_room_is_believed_where_the_disk_cannot_be_asked() {
        check(Mode::Normal, &Observed { full: true, free_bytes: None, ..calm() }, Mode::ReadOnly);
    }

    #[test]
    fn recovery_comes_before_everything_else() {
        let seen = Observed { recovering: Some("the log is being read"), free_bytes: Some(0), ..waiting(100) };
        check(Mode::Normal, &seen, Mode::Recovering);
    }

    #[test]
    fn names_are_those_on_the_wire() {
        for mode in Mode::ALL {
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.as_str());
        }
    }
}
