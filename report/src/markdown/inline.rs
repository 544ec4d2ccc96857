//! Texts inside of Markdown.
//!
//! GitHub looks for more than Markdown in a comment: mentions, references to issues and commits, addresses. In code it
//! looks for nothing, so that is where names go.

use crate::document::{Inline, Text};
use crate::escape::visible;
use crate::number::UNKNOWN;
use crate::plot;

/// The text, also inside of a table.
pub(super) fn inline(text: &Text) -> String {
    let mut shown = String::new();
    for part in &text.parts {
        let part = match part {
            Inline::Own(words) => own(words),
            Inline::Name(name) | Inline::LongName(name) | Inline::Command(name) => code(name),
            Inline::Prose(words) => prose(words),
            Inline::Bar(share) => code(&plot::filled_bar(*share, BAR)),
        };
        // Two pieces of code that touch would be one.
        if shown.ends_with('`') && part.starts_with('`') {
            shown.push(' ');
        }
        shown.push_str(&part);
    }
    shown
}

/// Blocks of a bar that shows a share of 1.
const BAR: usize = 20;

/// Our own words, in which little has another meaning: none of them begins a list or mentions anybody.
fn own(words: &str) -> String {
    let mut shown = String::with_capacity(words.len());
    for c in visible(words).chars() {
        if matches!(c, '\\' | '`' | '*' | '<' | '|') {
            shown.push('\\');
        }
        shown.push(c);
    }
    shown
}

/// A name as code.
fn code(name: &str) -> String {
    if name.is_empty() {
        return UNKNOWN.to_owned();
    }
    let name = in_cell(&visible(name));
    // A run of backticks ends the code where it began with as many, so it begins with one more than there are inside.
    let longest = name.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let touches = |c| name.starts_with(c) || name.ends_with(c);
    let pad = if touches('`') || touches(' ') { " " } else { "" };
    format!("{fence}{pad}{name}{pad}{fence}")
}

/// The bars of a table's cells. After a backslash, implementations do not agree on what `\|` is, so it is written out.
fn in_cell(name: &str) -> String {
    let mut shown = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '|' if shown.ends_with('\\') => shown.push_str("u{7c}"),
            '|' => shown.push_str("\\|"),
            c => shown.push(c),
        }
    }
    shown
}

/// A sentence of ours with names in it: every word that could mean something to Markdown or GitHub becomes code, and so
/// does what stands between backticks.
fn prose(text: &str) -> String {
    let text = visible(text);
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(' ') {
            shown.push(' ');
            rest = after;
            continue;
        }
        // Pieces of code never touch: each ends at a space or at the punctuation before one.
        let (piece, after) =
            quoted(rest).map_or_else(|| rest.split_at(rest.find(' ').unwrap_or(rest.len())), |end| rest.split_at(end));
        shown.push_str(&word(piece, shown.is_empty()));
        rest = after;
    }
    shown
}

/// Where a quotation ends that begins here: behind a backtick that only punctuation keeps from the next space.
fn quoted(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('(').unwrap_or(text).strip_prefix('`')?;
    let start = text.len() - inside.len();
    let ends = |(at, _): &(usize, &str)| {
        let after = inside.get(at + 1..).unwrap_or_default();
        *at > 0 && after.split(' ').next().is_some_and(|end| end.chars().all(|c| PUNCTUATION.contains(&c)))
    };
    let (end, _) = inside.match_indices('`').find(ends)?;
    let after = inside.get(end..)?;
    Some(start + end + after.find(' ').unwrap_or(after.len()))
}

/// What ends a name in a sentence.
const PUNCTUATION: [char; 5] = [',', ';', ')', '.', ':'];

fn word(word: &str, is_first: bool) -> String {
    if is_first && is_marker(word) {
        return code(word);
    }
    let (open, inner) = word.strip_prefix('(').map_or(("", word), |inner| ("(", inner));
    // A bracket that the name opened is part of it.
    let ends_name = |c: char| PUNCTUATION.contains(&c) && (c != ')' || !inner.contains('('));
    let name = inner.trim_end_matches(ends_name);
    let end = inner.get(name.len()..).unwrap_or_default();
    let quotation = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')).filter(|name| !name.is_empty());
    match quotation {
        Some(inside) => format!("{open}{}{end}", code(inside)),
        None if is_harmless(name) => format!("{open}{name}{end}"),
        None => format!("{open}{}{end}", code(name)),
    }
}

/// Whether a line that begins so is a list, a quotation or a rule.
fn is_marker(word: &str) -> bool {
    let number = word.trim_end_matches(['.', ')']);
    !word.is_empty()
        && (word.chars().all(|c| "-+=".contains(c))
            || (number.len() < word.len() && number.chars().all(|c| c.is_ascii_digit())))
}

/// Whether neither Markdown nor GitHub makes anything of the word.
fn is_harmless(word: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "-+'/.,%()→".contains(c);
    let address = word.to_ascii_lowercase().starts_with("www.");
    let issue = word.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("gh-"));
    let commit = word.len() >= 7 && word.chars().all(|c| c.is_ascii_hexdigit());
    word.chars().all(plain) && !address && !issue && !commit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document;

    #[test]
    fn our_own_words_stay_as_they_are_and_names_are_code() {
        let own = |words: &str| document::own(words);
        let name = |name: &str| document::name(name);
        for (text, shown) in [
            (
                own("0.281 [0.262, 0.301] beyond noise (1 = all of it)"),
                "0.281 [0.262, 0.301] beyond noise (1 = all of it)",
            ),
            (own("< 0.0001 | a*b*c"), r"\< 0.0001 \| a\*b\*c"),
            (own("version ") + name("@v2") + own(" of ") + name("a|b"), r"version `@v2` of `a\|b`"),
            (name("a") + name("b"), "`a` `b`"),
            (document::bar(0.5), "`██████████░░░░░░░░░░`"),
        ] {
            assert_eq!(inline(&text), shown);
        }
    }

    #[test]
    fn a_name_is_code_and_cannot_end_it() {
        for (name, shown) in [
            ("handbook", "`handbook`"),
            ("", "-"),
            ("`", "`` ` ``"),
            ("a``b`c", "```a``b`c```"),
            ("a|b", r"`a\|b`"),
            (r"a\|b", r"`a\u{7c}b`"),
            ("</td><script>", "`</td><script>`"),
            ("two\nlines", r"`two\nlines`"),
            (" padded ", "`  padded  `"),
        ] {
            assert_eq!(code(name), shown);
        }
    }

    #[test]
    fn a_sentence_stays_readable() {
        for text in [
            "118 of 640 queries lost documents that version v2 removed",
            "in 205 of 640 queries (order agreement 0.61), nothing was declared; 1,235 stayed.",
            "the same, although both windows declare version 2026-11-18",
        ] {
            assert_eq!(prose(text), text);
        }
    }

    #[test]
    fn what_means_something_to_github_becomes_code() {
        for (text, shown) in [
            ("version @team/all removed", "version `@team/all` removed"),
            ("version #12, GH-7 and a/b#3", "version `#12`, `GH-7` and `a/b#3`"),
            ("version [x](http://evil) removed", "version `[x](http://evil)` removed"),
            ("<img src=x>", "`<img` `src=x>`"),
            ("www.evil.example", "`www.evil.example`"),
            ("deadbeefcafe", "`deadbeefcafe`"),
            ("a|b **bold** ~~c~~ id_churn", r"`a\|b` `**bold**` `~~c~~` `id_churn`"),
            (
                "run `tidemark corpus register CORPUS v1 FILE` first",
                "run `tidemark corpus register CORPUS v1 FILE` first",
            ),
            ("an odd ` backtick", "an odd `` ` `` backtick"),
            ("1. not a list", "`1.` not a list"),
            ("- not a list", "`-` not a list"),
            ("version (`v1`), (@all)", "version (`v1`), (`@all`)"),
            ("a `b`<x>`c` d", "a ``b`<x>`c`` d"),
            ("`a``b`", "```a``b```"),
            ("$(reboot)", "`$(reboot)`"),
        ] {
            assert_eq!(prose(text), shown);
        }
    }
}
