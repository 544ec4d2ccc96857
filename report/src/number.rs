//! Numbers as people read them.

use std::cmp::Ordering;

/// What is not known.
pub(crate) const UNKNOWN: &str = "-";

/// Three decimals, or three digits where that says more or less: 0.281, 0.0005, 12.3, 1,235.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    let decimals = if size >= 100.0 {
        0
    } else if size >= 10.0 {
        1
    } else if size >= 1.0 {
        2
    } else if size >= 0.01 || size == 0.0 {
        3
    } else {
        return tiny(value);
    };
    fixed(value, decimals)
}

/// Three digits after the zeros, without zeros at the end; a power of ten where the zeros would have to be counted.
fn tiny(value: f64) -> String {
    if !value.is_finite() {
        UNKNOWN.to_owned()
    } else if value.abs() < 1e-6 {
        format!("{value:.2e}")
    } else {
        let first = (1..=6).find(|digits| value.abs() >= 0.1_f64.powi(*digits)).unwrap_or(6);
        let decimals = usize::try_from(first).unwrap_or(6) + 2;
        format!("{value:.decimals$}").trim_end_matches('0').to_owned()
    }
}

/// A number with so many decimals, and its thousands separated.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return UNKNOWN.to_owned();
    }
    let digits = format!("{value:.decimals$}");
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |digits| ("-", digits));
    let sign = if digits.bytes().any(|digit| matches!(digit, b'1'..=b'9')) { sign } else { "" };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", separated(whole))
}

/// The number, or that it is not known.
pub(crate) fn known(value: Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), number)
}

/// A probability; one that is smaller than anybody would act on is not spelt out.
pub(crate) fn probability(value: f64) -> String {
    if value < 1e-4 { "< 0.0001".to_owned() } else { number(value) }
}

/// A number of things.
pub(crate) fn count(value: u64) -> String {
    separated(&value.to_string())
}

/// A number of things in memory.
pub(crate) fn size(value: usize) -> String {
    separated(&value.to_string())
}

fn separated(digits: &str) -> String {
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A share with one decimal; one that is too small for it is not nothing.
pub(crate) fn percent(share: f64) -> String {
    match share * 100.0 {
        small if small > 0.0 && small < 0.05 => "< 0.1 %".to_owned(),
        percent => format!("{} %", fixed(percent, 1)),
    }
}

/// A level such as 95 %.
pub(crate) fn level(share: f64) -> String {
    let percent = fixed(share * 100.0, 2);
    format!("{} %", percent.trim_end_matches('0').trim_end_matches('.'))
}

/// An estimate with its interval, as far as they are known: `0.281 [0.262, 0.301]`.
pub(crate) fn interval(value: Option<f64>, interval: Option<[f64; 2]>) -> String {
    match (value, interval) {
        (Some(value), Some([low, high])) => {
            let [value, low, high] = together([value, low, high]);
            format!("{value} [{low}, {high}]")
        }
        (value, _) => known(value),
    }
}

/// The same with the level of the interval: `0.281 [0.262, 0.301] at 95 %`.
pub(crate) fn estimate(value: Option<f64>, bounds: Option<[f64; 2]>, confidence: f64) -> String {
    let shown = interval(value, bounds);
    if value.is_some() && bounds.is_some() { format!("{shown} at {}", level(confidence)) } else { shown }
}

/// Numbers that belong together: with one number of decimals for all, where three are enough for the largest.
pub(crate) fn together<const N: usize>(values: [f64; N]) -> [String; N] {
    let largest = values.map(f64::abs).into_iter().fold(0.0, f64::max);
    values.map(|value| if (0.005..1.0).contains(&largest) { fixed(value, 3) } else { number(value) })
}

/// How many decimals let every pair be told apart that differs, and the largest be known to three digits.
pub(crate) fn decimals_for(pairs: &[(Option<f64>, Option<f64>)]) -> usize {
    let both = || pairs.iter().filter_map(|(before, now)| Some(((*before)?, (*now)?)));
    let largest = pairs.iter().flat_map(|(before, now)| [before, now]).flatten().fold(0.0, |a: f64, b| a.max(b.abs()));
    let enough = |decimals: &usize| {
        let smallest_told = 0.1_f64.powi(i32::try_from(*decimals).unwrap_or(i32::MAX));
        let told_apart = both().all(|(before, now)| {
            before.partial_cmp(&now) == Some(Ordering::Equal) || fixed(before, *decimals) != fixed(now, *decimals)
        });
        told_apart && (largest == 0.0 || largest >= 100.0 * smallest_told)
    };
    (3..DECIMALS_MAX).find(enough).unwrap_or(DECIMALS_MAX)
}

/// Scores are 32-bit floats more often than not: further digits are representation.
const DECIMALS_MAX: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits_that_mean_something() {
        for (value, shown) in [
            (0.281_34, "0.281"),
            (0.01, "0.010"),
            (0.0, "0.000"),
            (-0.0, "0.000"),
            (1.0, "1.00"),
            (-0.0123, "-0.012"),
            (0.0005, "0.0005"),
            (0.001_234_5, "0.00123"),
            (-0.004_56, "-0.00456"),
            (0.000_001_5, "0.0000015"),
            (1.234e-9, "1.23e-9"),
            (12.345, "12.3"),
            (1_234.5, "1,234"),
            (-1_234_567.0, "-1,234,567"),
            (f64::NAN, "-"),
            (f64::INFINITY, "-"),
        ] {
            assert_eq!(number(value), shown);
        }
    }

    #[test]
    fn shares_are_percentages() {
        for (share, shown) in [(0.62, "62.0 %"), (1.0, "100.0 %"), (0.0, "0.0 %"), (0.000_2, "< 0.1 %")] {
            assert_eq!(percent(share), shown);
        }
        assert_eq!([level(0.95), level(0.999), level(0.5), level(1.0)], ["95 %", "99.9 %", "50 %", "100 %"]);
    }

    #[test]
    fn an_interval_is_written_as_finely_as_its_estimate() {
        for (value, interval, shown) in [
            (Some(0.2813), Some([0.2621, 0.3009]), "0.281 [0.262, 0.301] at 95 %"),
            (Some(0.0023), Some([-0.0008, 0.0056]), "0.002 [-0.001, 0.006] at 95 %"),
            (Some(0.0013), Some([0.0008, 0.0025]), "0.0013 [0.0008, 0.0025] at 95 %"),
            (Some(1.27), Some([1.19, 1.36]), "1.27 [1.19, 1.36] at 95 %"),
            (Some(0.5), None, "0.500"),
            (None, None, "-"),
        ] {
            assert_eq!(estimate(value, interval, 0.95), shown);
        }
    }

    #[test]
    fn counts_have_their_thousands_separated() {
        for (value, shown) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(value), shown);
        }
    }

    #[test]
    fn scores_that_differ_look_different() {
        assert_eq!(decimals_for(&[(Some(0.83), Some(0.71)), (None, Some(0.5))]), 3);
        assert_eq!(decimals_for(&[(Some(0.8312), Some(0.8309))]), 4);
        assert_eq!(decimals_for(&[(Some(0.0163), Some(0.0161))]), 4);
        assert_eq!(decimals_for(&[(Some(0.5), Some(0.500_000_01))]), 6);
        assert_eq!(decimals_for(&[]), 3);
    }
}
