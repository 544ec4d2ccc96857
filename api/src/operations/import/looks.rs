//! What a text that holds no events looks like, so that its owner learns more than that it is no JSON.

/// So many lines tell.
const LINES: usize = 2;

/// Says what the first bytes of a file look like, if they are neither JSON nor anything else that is read.
pub(super) fn looks_like(first: &[u8]) -> Option<String> {
    let lines: Vec<&str> = first
        .split(|byte| *byte == b'\n')
        .map(|line| std::str::from_utf8(line).unwrap_or_default().trim_end())
        .filter(|line| !line.is_empty())
        .take(LINES)
        .collect();
    if lines.iter().any(|line| line.trim_start().starts_with(['{', '['])) {
        return None;
    }
    let words = |line: &str| line.split_ascii_whitespace().count();
    let ranked = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        matches!(words.as_slice(), [_, _, _, rank, score] if rank.parse::<u64>().is_ok() && score.parse::<f64>().is_ok())
    };
    let first = lines.first()?;
    if lines.iter().all(|line| ranked(line)) {
        return Some(
            "a run of TREC in which the sixth column, the name of the run, is missing: `query Q0 document rank score tag`; \
             --format trec reads it once it is there"
                .to_owned(),
        );
    }
    let columns = |separator: char| {
        let of = |line: &str| line.split(separator).count();
        let count = of(first);
        (count > 1 && lines.iter().all(|line| of(line) == count)).then_some(count)
    };
    for (separator, name) in [('\t', "tabs"), (';', "semicolons"), (',', "commas")] {
        if let Some(count) = columns(separator) {
            return Some(format!(
                "a table of text with {count} columns between {name}, which says nothing about the types of its columns; write it \
                 as Parquet (--format parquet) or NDJSON (--format json)"
            ));
        }
    }
    (lines.len() == LINES && lines.iter().all(|line| words(line) > 1)).then(|| {
        "plain text; events are NDJSON (--format json), Parquet (--format parquet), Arrow IPC (--format arrow) or a run of TREC \
         (--format trec)"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let looks = looks_like(text.as_bytes());
        match expected {
            Some(begin) => assert!(looks.as_deref().is_some_and(|looks| looks.starts_with(begin)), "{looks:?}"),
            None => assert_eq!(looks, None),
        }
    }

    #[test]
    fn a_text_is_recognised_by_its_first_lines() {
        check("q0 Q0 d 1 8.9\nq0 Q0 e 2 6.5\n", Some("a run of TREC in which the sixth column"));
        check("time\tcorpus\tquery\n1\twiki\twhy\n", Some("a table of text with 3 columns between tabs"));
        check("time,corpus\n1,wiki\n", Some("a table of text with 2 columns between commas"));
        check("dear sir,\nwhere are my events\n", Some("plain text"));
    }

    #[test]
    fn json_with_a_broken_line_is_left_to_its_own_errors() {
        check("{\"a\":1}\n", None);
        check("oops, this\n{\"a\":1}\n", None);
        check("\n[1]", None);
        check("", None);
    }
}
