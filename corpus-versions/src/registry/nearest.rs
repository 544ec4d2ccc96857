/// How many names an error shows.
const SHOWN: usize = 5;

/// The names most like the wanted one, the most similar first.
pub(super) fn nearest(names: Vec<String>, wanted: &str) -> Vec<String> {
    let wanted = folded(wanted);
    let mut by_distance: Vec<_> = names.into_iter().map(|name| (distance(&folded(&name), &wanted), name)).collect();
    by_distance.sort_unstable();
    by_distance.into_iter().take(SHOWN).map(|(_, name)| name).collect()
}

fn folded(name: &str) -> Vec<char> {
    name.chars().flat_map(char::to_lowercase).collect()
}

/// Levenshtein's: how many characters to insert, delete or replace. Kept as one row of the table, which suffices for the
/// number alone.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b) {
            let replaced = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = replaced.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(names: &str, wanted: &str, expected: &str) {
        let names = names.split_whitespace().map(str::to_owned).collect();
        assert_eq!(nearest(names, wanted).join(" "), expected);
    }

    #[test]
    fn the_most_similar_names_come_first_and_there_are_at_most_five() {
        check("support handbook cran", "hnadbook", "handbook cran support");
        check("v1 v2 v3 v10 x", "V2", "v2 v1 v3 v10 x");
        check("a b c d e f", "f", "f a b c d");
        check("", "v1", "");
    }

    #[test]
    fn distances_are_those_of_the_textbook() {
        for (a, b, expected) in [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("flaw", "lawn", 2)] {
            assert_eq!(distance(&folded(a), &folded(b)), expected, "{a} {b}");
        }
    }
}
