use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};
use tidemark_schema::Label;

use super::Redactor;

/// What holds texts that can be redacted.
pub trait Texts {
    /// Redacts every text inside, and adds what was found to `found` by name.
    fn redact(&mut self, redactor: &Redactor, found: &mut BTreeSet<Label>);
}

impl Texts for String {
    fn redact(&mut self, redactor: &Redactor, found: &mut BTreeSet<Label>) {
        redactor.redact(self, found);
    }
}

impl<T: Texts> Texts for Option<T> {
    fn redact(&mut self, redactor: &Redactor, found: &mut BTreeSet<Label>) {
        if let Some(inner) = self {
            inner.redact(redactor, found);
        }
    }
}

impl Texts for BTreeMap<String, Value> {
    fn redact(&mut self, redactor: &Redactor, found: &mut BTreeSet<Label>) {
        *self = redacted_entries(std::mem::take(self), redactor, found).into_iter().collect();
    }
}

/// Texts, keys, and whole numbers by their digits: a card number is one without quotes too. Fractions hold too many digits
/// by chance.
impl Texts for Value {
    fn redact(&mut self, redactor: &Redactor, found: &mut BTreeSet<Label>) {
        match self {
            Self::Number(number) if !number.is_f64() => {
                let mut digits = number.to_string();
                digits.redact(redactor, found);
                if digits != number.to_string() {
                    *self = Self::String(digits);
                }
            }
            Self::Null | Self::Bool(_) | Self::Number(_) => {}
            Self::String(text) => text.redact(redactor, found),
            Self::Array(values) => values.iter_mut().for_each(|value| value.redact(redactor, found)),
            Self::Object(entries) => *entries = redacted_entries(std::mem::take(entries), redactor, found),
        }
    }
}

fn redacted_entries(
    entries: impl IntoIterator<Item = (String, Value)>,
    redactor: &Redactor,
    found: &mut BTreeSet<Label>,
) -> Map<String, Value> {
    let (mut redacted, mut numbers) = (Map::new(), Numbers::default());
    for (mut key, mut value) in entries {
        key.redact(redactor, found);
        value.redact(redactor, found);
        redacted.insert(numbers.free(key, |key| redacted.contains_key(key)), value);
    }
    redacted
}

/// Two keys can be redacted to the same; the second then carries a number, so that no value is lost. The next number of each
/// is remembered: a sender chooses how many there are, and counting anew for each would take the square of it.
#[derive(Default)]
struct Numbers(HashMap<String, u32>);

impl Numbers {
    fn free(&mut self, key: String, taken: impl Fn(&str) -> bool) -> String {
        if !taken(&key) {
            return key;
        }
        let next = self.0.entry(key.clone()).or_insert(2);
        loop {
            let numbered = format!("{key}#{next}");
            *next += 1;
            if !taken(&numbered) {
                return numbered;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::tests::all;

    #[track_caller]
    fn check(value: &str, expected: &str, kinds: &[&str]) {
        let mut value: Value = serde_json::from_str(value).unwrap();
        let mut found = BTreeSet::new();
        value.redact(&all(), &mut found);
        assert_eq!(value, serde_json::from_str::<Value>(expected).unwrap());
        assert_eq!(found.iter().map(Label::as_str).collect::<Vec<_>>(), kinds);
    }

    #[test]
    fn texts_are_redacted_at_every_depth_and_in_keys() {
        check(r#"{"a":["x",{"b":"to al@example.com"}]}"#, r#"{"a":["x",{"b":"to [email]"}]}"#, &["redacted.email"]);
        check(r#"{"al@example.com":1}"#, r#"{"[email]":1}"#, &["redacted.email"]);
    }

    #[test]
    fn keys_that_become_the_same_lose_no_value() {
        check(r#"{"a@b.cc":1,"c@d.ee":2}"#, r#"{"[email]":1,"[email]#2":2}"#, &["redacted.email"]);
    }

    #[test]
    fn a_number_that_was_sent_as_part_of_a_key_is_stepped_over() {
        check(
            r#"{"[email]#2":0,"a@b.cc":1,"c@d.ee":2,"e@f.gg":3}"#,
            r#"{"[email]#2":0,"[email]":1,"[email]#3":2,"[email]#4":3}"#,
            &["redacted.email"],
        );
    }

    #[test]
    fn a_hundred_thousand_keys_that_become_the_same_are_numbered_at_once() {
        // Without detectors that take time of their own: what is measured is the numbering.
        let begin = std::time::Instant::now();
        let (mut taken, mut numbers) = (BTreeSet::new(), Numbers::default());
        for _ in 0..100_000 {
            let key = numbers.free("[email]".to_owned(), |key| taken.contains(key));
            assert!(taken.insert(key), "a value would be lost");
        }
        assert!(taken.contains("[email]#100000"));
        assert!(begin.elapsed() < std::time::Duration::from_secs(10), "it took {:?}", begin.elapsed());
    }

    #[test]
    fn many_attributes_that_become_the_same_keep_their_values() {
        let sent: BTreeMap<String, Value> = (0..10_000).map(|n| (format!("{n}@b.cc"), Value::from(n))).collect();
        let (mut attributes, mut found) = (sent, BTreeSet::new());
        attributes.redact(&all(), &mut found);
        assert_eq!(attributes.len(), 10_000);
        assert!(attributes.contains_key("[email]#10000"));
    }

    #[test]
    fn a_card_is_found_in_a_whole_number_and_not_in_a_fraction() {
        check(
            "[4111111111111111, 0.4111111111111111, 12, true]",
            r#"["[card]", 0.4111111111111111, 12, true]"#,
            &["redacted.card"],
        );
    }
}
