//! Pictures in characters.

/// A bar for a share between 0 and 1, exact to an eighth of a column; what is not nothing is seen.
pub(crate) fn bar(share: f64, columns: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let least = usize::from(share > 0.0);
    let eighths = cell(share, columns * 8).max(least);
    let part = PARTS.get(eighths % 8).copied().unwrap_or_default();
    format!("{}{part}", "█".repeat(eighths / 8))
}

/// The same with the rest of it shown, for fonts that do not keep columns.
pub(crate) fn filled_bar(share: f64, columns: usize) -> String {
    let filled = cell(share, columns).max(usize::from(share > 0.0)).min(columns);
    format!("{}{}", "█".repeat(filled), "░".repeat(columns - filled))
}

/// An axis from 0 to 1 with an interval and its estimate on it, and below it where a threshold lies.
pub(crate) fn interval(
    estimate: f64,
    [low, high]: [f64; 2],
    threshold: f64,
    label: &str,
    columns: usize,
) -> [String; 2] {
    let last = columns.saturating_sub(1);
    let mut axis = vec!['─'; columns];
    let mut put = |at: usize, c: char| {
        if let Some(place) = axis.get_mut(at) {
            *place = c;
        }
    };
    put(0, '├');
    put(last, '┤');
    let (from, to, limit) = (cell(low, last), cell(high, last), cell(threshold, last));
    (from..=to).for_each(|at| put(at, '━'));
    put(limit, if (from..=to).contains(&limit) { '╋' } else { '┊' });
    put(cell(estimate, last), '●');
    [axis.into_iter().collect(), scale(limit, label, columns)]
}

/// `0  ▲ matters above 0.020          1`; the words stand where there is room for them.
fn scale(threshold: usize, label: &str, columns: usize) -> String {
    let length = label.chars().count();
    let right = threshold + 2 + length < columns.saturating_sub(1);
    let (start, words) = if right {
        (threshold, format!("▲ {label}"))
    } else {
        (threshold.saturating_sub(length + 1), format!("{label} ▲"))
    };
    let zero = if start >= 1 { "0" } else { "" };
    let end = start + words.chars().count();
    let one = if end < columns.saturating_sub(1) { format!("{:>1$}", "1", columns - end) } else { String::new() };
    format!("{zero}{}{words}{one}", " ".repeat(start - zero.len()))
}

/// Which of `last + 1` cells a number between 0 and 1 falls into.
fn cell(value: f64, last: usize) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and `last`; NaN becomes 0")]
    let cell = (value.clamp(0.0, 1.0) * last as f64).round() as usize;
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        for (share, shown) in [(0.0, ""), (1.0, "████"), (0.5, "██"), (0.53, "██▏"), (0.0001, "▏"), (7.0, "████")]
        {
            assert_eq!(bar(share, 4), shown);
        }
        assert_eq!([filled_bar(0.5, 4), filled_bar(0.0, 4), filled_bar(0.001, 4)], ["██░░", "░░░░", "█░░░"]);
        assert_eq!(bar(f64::NAN, 4), "");
    }

    #[test]
    fn an_interval_lies_where_its_numbers_say() {
        assert_eq!(interval(0.5, [0.4, 0.6], 0.2, "matters", 21), ["├───┊───━━●━━───────┤", "0   ▲ matters       1"]);
        assert_eq!(
            interval(-0.3, [-0.4, 0.05], 0.0, "matters", 21),
            ["●━──────────────────┤", "▲ matters           1"],
        );
        assert_eq!(interval(0.3, [0.1, 0.5], 0.2, "matters", 21), ["├─━━╋━●━━━━─────────┤", "0   ▲ matters       1"]);
        assert_eq!(interval(1.0, [0.9, 1.0], 0.9, "matters", 21), ["├─────────────────╋━●", "0         matters ▲ 1"]);
    }
}
