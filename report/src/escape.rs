//! Texts from events, made harmless, measured in columns of a terminal, and broken into lines.

/// The text with everything that is not seen written out: control characters, escape sequences, bidirectional overrides,
/// zero-width and unassigned characters. What a reader sees is then what is there.
///
/// Joiners are written out too, which spells a composed emoji as its parts.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_visible(c) && !(shown.is_empty() && combines(c)) {
            shown.push(c);
        } else {
            shown.extend(c.escape_debug());
        }
    }
    shown
}

/// Whether [`visible`] leaves the text as it is.
pub(crate) fn is_all_visible(text: &str) -> bool {
    visible(text) == text
}

fn is_visible(c: char) -> bool {
    // The standard library writes out what is not printable, and besides these, which are.
    matches!(c, '\'' | '"' | '\\') || c.escape_debug().len() == 1 || combines(c)
}

/// Whether the character is printed over the one before it, such as an accent.
fn combines(c: char) -> bool {
    // The standard library writes an accent out where it stands alone, and not after a letter.
    !c.is_ascii() && c.escape_debug().len() > 1 && {
        let after_a_letter = String::from_iter(['a', c]);
        after_a_letter.escape_debug().count() == 2
    }
}

/// The columns that a visible text takes in a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

fn columns(c: char) -> usize {
    match c {
        ' '..='~' => 1,
        c if WIDE.iter().any(|(from, to)| (*from..=*to).contains(&c)) => 2,
        c if combines(c) => 0,
        _ => 1,
    }
}

/// Scripts and symbols of double width (East Asian Width W and F, Unicode 16), neighbouring ranges joined.
const WIDE: [(char, char); 31] = [
    ('\u{1100}', '\u{115f}'),
    ('\u{231a}', '\u{231b}'),
    ('\u{23e9}', '\u{23ec}'),
    ('\u{25fd}', '\u{25fe}'),
    ('\u{2614}', '\u{2615}'),
    ('\u{2648}', '\u{2653}'),
    ('\u{267f}', '\u{267f}'),
    ('\u{2693}', '\u{2693}'),
    ('\u{26a1}', '\u{26a1}'),
    ('\u{26bd}', '\u{26be}'),
    ('\u{26d4}', '\u{26d4}'),
    ('\u{2705}', '\u{2705}'),
    ('\u{270a}', '\u{270b}'),
    ('\u{2728}', '\u{2728}'),
    ('\u{274c}', '\u{274c}'),
    ('\u{2753}', '\u{2757}'),
    ('\u{2795}', '\u{2797}'),
    ('\u{2b1b}', '\u{2b1c}'),
    ('\u{2b50}', '\u{2b50}'),
    ('\u{2e80}', '\u{303e}'),
    ('\u{3041}', '\u{4dbf}'),
    ('\u{4e00}', '\u{a4cf}'),
    ('\u{a960}', '\u{a97f}'),
    ('\u{ac00}', '\u{d7a3}'),
    ('\u{f900}', '\u{faff}'),
    ('\u{fe30}', '\u{fe6f}'),
    ('\u{ff00}', '\u{ff60}'),
    ('\u{ffe0}', '\u{ffe6}'),
    ('\u{16fe0}', '\u{1b2ff}'),
    ('\u{1f300}', '\u{1faff}'),
    ('\u{20000}', '\u{3fffd}'),
];

/// The text in lines of at most so many columns, broken between words, and inside of a word that is longer than a line.
pub(crate) fn wrap(text: &str, columns_max: usize) -> Vec<String> {
    if width(text) <= columns_max {
        return vec![text.to_owned()];
    }
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let needed = width(word) + usize::from(used > 0);
        if used > 0 && used + needed > columns_max {
            lines.push(String::new());
            used = 0;
        }
        if let Some(line) = lines.last_mut().filter(|_| used > 0) {
            line.push(' ');
            used += 1;
        }
        for c in word.chars() {
            if used > 0 && used + columns(c) > columns_max {
                lines.push(String::new());
                used = 0;
            }
            if let Some(line) = lines.last_mut() {
                line.push(c);
                used += columns(c);
            }
        }
    }
    lines
}

/// The text in at most so many columns: what does not fit is left out of its middle, because names differ at their ends.
pub(crate) fn elide(text: &str, columns_max: usize) -> String {
    if width(text) <= columns_max {
        return text.to_owned();
    }
    let kept = columns_max.saturating_sub(1);
    let tail_columns = kept / 3;
    let head = taken(text.chars(), kept - tail_columns);
    let tail: Vec<char> = taken(text.chars().rev(), tail_columns);
    head.into_iter().chain(['…']).chain(tail.into_iter().rev()).collect()
}

fn taken(chars: impl Iterator<Item = char>, columns_max: usize) -> Vec<char> {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += columns(*c);
            used <= columns_max
        })
        .collect()
}

/// The text as one word of a POSIX shell; none if it cannot be typed or a command would take it for an option.
pub(crate) fn shell_word(text: &str) -> Option<String> {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "_./:@%+=,-".contains(c);
    if text.is_empty() || text.starts_with('-') || !is_all_visible(text) {
        None
    } else if text.chars().all(harmless) {
        Some(text.to_owned())
    } else {
        Some(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_written_out() {
        for (text, shown) in [
            ("\u{1b}[31mred", r"\u{1b}[31mred"),
            ("two\nlines\r", r"two\nlines\r"),
            ("txt.\u{202e}gpj", r"txt.\u{202e}gpj"),
            ("a\u{2066}b\u{200b}c\u{feff}", r"a\u{2066}b\u{200b}c\u{feff}"),
            ("\u{9b}31m\u{7f}", r"\u{9b}31m\u{7f}"),
            ("line\u{2028}separator\u{e0041}", r"line\u{2028}separator\u{e0041}"),
            ("\u{301}alone", r"\u{301}alone"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }

    #[test]
    fn what_is_seen_stays() {
        for text in ["it's \"C:\\docs\"", "Übergrößen", "e\u{301}te\u{301}", "手册", "नमस्ते", "🚀", "3 → 5 ███ −"]
        {
            assert_eq!(visible(text), text);
        }
    }

    #[test]
    fn columns_count_what_a_terminal_shows() {
        for (text, columns) in [("", 0), ("abc", 3), ("手册", 4), ("e\u{301}", 1), ("🚀!", 3), ("█▌→", 3), ("…", 1)]
        {
            assert_eq!(width(text), columns, "{text}");
        }
    }

    #[test]
    fn lines_break_between_words_and_inside_long_ones() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrap("手册手册", 5), ["手册", "手册"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn a_long_name_keeps_both_ends() {
        assert_eq!(elide("0123456789", 10), "0123456789");
        assert_eq!(elide("hr/handbook/badges.md#3", 13), "hr/handb…md#3");
        assert_eq!(elide("手册手册手册", 8), "手册…册");
    }

    #[test]
    fn a_word_for_a_shell_does_nothing_but_be_a_word() {
        for (text, word) in [
            ("team/handbook", Some("team/handbook")),
            ("2026-11-18", Some("2026-11-18")),
            ("a b", Some("'a b'")),
            ("$(reboot)", Some("'$(reboot)'")),
            ("it's `x`", Some(r"'it'\''s `x`'")),
            ("--data", None),
            ("\u{1b}[31m", None),
            ("", None),
        ] {
            assert_eq!(shell_word(text).as_deref(), word, "{text}");
        }
    }
}
