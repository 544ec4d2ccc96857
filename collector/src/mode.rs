//! How much the collector can do at the moment, decided by a function of what is seen.
//!
//! | mode | it holds while | submissions | reads, health, flushes |
//! |---|---|---|---|
//! | `recovering` | the log is read back into the table, or is opened again after a failed fsync | all refused | work |
//! | `read_only` | the log cannot be written, or less than the reserve is free on its disk | all refused | work |
//! | `shedding` | a bound is near, the queue overflowed lately, or the table takes nothing and half a bound is used | taken while they fit | work |
//! | `normal` | otherwise | taken | work |
//!
//! The first row that holds counts. A mode is left only once what caused it is better by a margin, so that it does not
//! come and go with every event: [`DISK_MARGIN_PERCENT`] more free space than the reserve, and a quarter below each level
//! of shedding. Near a bound, submissions that come in as bytes are refused before they are read
//! ([`crate::Collector::ready`]); what has been read by then is taken while it fits.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use tidemark_schema::Timestamp;

/// How much the collector can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Everything.
    #[default]
    Normal,
    /// It takes what still fits and refuses the rest.
    Shedding,
    /// It takes nothing until the disk is well again.
    ReadOnly,
    /// It takes nothing until the log is read back or opened again.
    Recovering,
}

impl Mode {
    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Shedding => "shedding",
            Self::ReadOnly => "read_only",
            Self::Recovering => "recovering",
        }
    }

    /// Whether submissions are taken, as far as they fit.
    pub const fn takes_events(self) -> bool {
        matches!(self, Self::Normal | Self::Shedding)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A change of mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Transition {
    /// When it was noticed.
    pub at: Timestamp,
    /// The mode before.
    pub from: Mode,
    /// The mode from now on.
    pub to: Mode,
    /// Why, in words.
    pub reason: String,
}

/// How much more than the reserve must be free before events are taken again.
pub(crate) const DISK_MARGIN_PERCENT: u64 = 25;
/// A bound is near, and shedding begins, when this much of it is used …
const SHED_PERMILLE: u64 = 900;
/// … or already here while the table takes nothing.
const SHED_STALLED_PERMILLE: u64 = 500;
/// How long a refusal for a full queue counts as shedding.
pub(crate) const QUEUE_REFUSAL_LASTS: Duration = Duration::from_secs(5);
/// How long a flush may run before the table counts as taking nothing.
pub(crate) const FLUSH_STALLED_AFTER: Duration = Duration::from_secs(30);

/// How much of a bound is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Level {
    pub(crate) used: u64,
    pub(crate) limit: u64,
}

impl Level {
    fn permille(self) -> u64 {
        u64::try_from(u128::from(self.used) * 1000 / u128::from(self.limit.max(1))).unwrap_or(u64::MAX)
    }

    /// Whether the bound is nearly reached.
    pub(crate) fn is_near(self) -> bool {
        self.permille() >= SHED_PERMILLE
    }
}

/// What the mode depends on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Observations<'a> {
    /// Why the log is not back yet.
    pub(crate) recovering: Option<&'a str>,
    /// Why the last write to the log failed, until a trial works.
    pub(crate) unwritable: Option<&'a str>,
    /// Free bytes of the log's disk; `None` if nobody can tell.
    pub(crate) free_bytes: Option<u64>,
    /// Free bytes below which events are no longer taken.
    pub(crate) reserve_bytes: u64,
    /// Events that wait for the table.
    pub(crate) pending: Level,
    /// Bytes of the events that wait for the table.
    pub(crate) pending_bytes: Level,
    /// Bytes of the log.
    pub(crate) log_bytes: Level,
    /// Whether the last flush failed, or the present one has been running for too long.
    pub(crate) table_stalled: bool,
    /// Whether a submission was refused lately because too many were on their way.
    pub(crate) queue_overflowed: bool,
}

/// The mode, and why, given the mode so far.
pub(crate) fn decide(previous: Mode, seen: &Observations<'_>) -> (Mode, String) {
    if let Some(reason) = seen.recovering {
        return (Mode::Recovering, reason.to_owned());
    }
    if let Some(reason) = seen.unwritable {
        return (Mode::ReadOnly, format!("the log cannot be written: {reason}"));
    }
    let margin = if previous == Mode::ReadOnly { seen.reserve_bytes / 100 * DISK_MARGIN_PERCENT } else { 0 };
    let needed = seen.reserve_bytes.saturating_add(margin);
    if let Some(free) = seen.free_bytes.filter(|free| *free < needed) {
        return (Mode::ReadOnly, format!("the disk of the log has {free} bytes free, and {needed} are needed"));
    }
    match overload(previous == Mode::Shedding, seen) {
        Some(reason) => (Mode::Shedding, reason),
        None => (Mode::Normal, "nothing is wrong".to_owned()),
    }
}

fn overload(shedding: bool, seen: &Observations<'_>) -> Option<String> {
    if seen.queue_overflowed {
        return Some("more submissions arrive than the log can write".to_owned());
    }
    let bar = if seen.table_stalled { SHED_STALLED_PERMILLE } else { SHED_PERMILLE };
    let bar = if shedding { bar / 4 * 3 } else { bar };
    let levels = [
        ("events that wait for the table", seen.pending),
        ("bytes of events that wait for the table", seen.pending_bytes),
        ("bytes of the log", seen.log_bytes),
    ];
    let (what, level) = levels.into_iter().max_by_key(|(_, level)| level.permille())?;
    let because = if seen.table_stalled { ", and the table takes nothing" } else { "" };
    (level.permille() >= bar).then(|| format!("{} of {} {what}{because}", level.used, level.limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> Observations<'static> {
        let level = Level { used: 0, limit: 100 };
        Observations {
            free_bytes: Some(1000),
            reserve_bytes: 400,
            pending: level,
            pending_bytes: level,
            log_bytes: level,
            ..Observations::default()
        }
    }

    #[track_caller]
    fn check(previous: Mode, seen: &Observations<'_>, expected: Mode) {
        let (mode, reason) = decide(previous, seen);
        assert_eq!(mode, expected, "{reason}");
        assert!(!reason.is_empty());
    }

    #[test]
    fn the_gravest_mode_that_holds_counts() {
        let mut seen = quiet();
        check(Mode::Normal, &seen, Mode::Normal);
        seen.pending.used = 95;
        check(Mode::Normal, &seen, Mode::Shedding);
        seen.unwritable = Some("no space");
        check(Mode::Normal, &seen, Mode::ReadOnly);
        seen.recovering = Some("a failed fsync");
        check(Mode::Normal, &seen, Mode::Recovering);
    }

    #[test]
    fn a_disk_must_gain_a_margin_before_it_is_written_again() {
        let with = |free| Observations { free_bytes: Some(free), ..quiet() };
        check(Mode::Normal, &with(400), Mode::Normal);
        check(Mode::Normal, &with(399), Mode::ReadOnly);
        check(Mode::ReadOnly, &with(499), Mode::ReadOnly);
        check(Mode::ReadOnly, &with(500), Mode::Normal);
        check(Mode::ReadOnly, &Observations { free_bytes: None, ..quiet() }, Mode::Normal);
    }

    #[test]
    fn shedding_begins_near_a_bound_and_ends_well_below_it() {
        let with = |used| Observations { log_bytes: Level { used, limit: 100 }, ..quiet() };
        check(Mode::Normal, &with(89), Mode::Normal);
        check(Mode::Normal, &with(90), Mode::Shedding);
        check(Mode::Shedding, &with(68), Mode::Shedding);
        check(Mode::Shedding, &with(67), Mode::Normal);
    }

    #[test]
    fn a_table_that_takes_nothing_is_told_when_half_a_bound_is_used() {
        let with = |used| Observations { pending_bytes: Level { used, limit: 100 }, table_stalled: true, ..quiet() };
        check(Mode::Normal, &with(49), Mode::Normal);
        check(Mode::Normal, &with(50), Mode::Shedding);
        check(Mode::Shedding, &with(38), Mode::Shedding);
        check(Mode::Shedding, &with(37), Mode::Normal);
    }

    #[test]
    fn limits_of_any_size_are_compared_without_overflow() {
        let huge = Level { used: u64::MAX, limit: u64::MAX };
        check(Mode::Normal, &Observations { pending: huge, reserve_bytes: 0, ..quiet() }, Mode::Shedding);
        check(Mode::ReadOnly, &Observations { reserve_bytes: u64::MAX, ..quiet() }, Mode::ReadOnly);
        check(Mode::Normal, &Observations { pending: Level { used: 1, limit: 0 }, ..quiet() }, Mode::Shedding);
    }
}
