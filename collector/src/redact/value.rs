use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Number, Value};
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
        let mut redacted = Self::new();
        for (mut key, mut value) in std::mem::take(self) {
            key.redact(redactor, found);
            value.redact(redactor, found);
            redacted.insert(free(key, |key| redacted.contains_key(key)), value);
        }
        *self = redacted;
    }
}

/// Texts, keys, and whole numbers by their digits: a card number is one without quotes too. Fractions hold too many digits
/// by chance.
impl Texts for Value {
    fn redact(&mut self, redactor: &Redactor, found: &mut BTreeSet<Label>) {
        match self {
            Self::Null | Self::Bool(_) => {}
            Self::Number(number) => {
                if let Some(digits) = redacted_number(number, redactor, found) {
                    *self = Self::String(digits);
                }
            }
            Self::String(text) => text.redact(redactor, found),
            Self::Array(values) => values.iter_mut().for_each(|value| value.redact(redactor, found)),
            Self::Object(entries) => {
                let mut redacted = Map::new();
                for (mut key, mut value) in std::mem::take(entries) {
                    key.redact(redactor, found);
                    value.redact(redactor, found);
                    redacted.insert(free(key, |key| redacted.contains_key(key)), value);
                }
                *entries = redacted;
            }
        }
    }
}

fn redacted_number(number: &Number, redactor: &Redactor, found: &mut BTreeSet<Label>) -> Option<String> {
    if number.is_f64() {
        return None;
    }
    let digits = number.to_string();
    let mut redacted = digits.clone();
    redactor.redact(&mut redacted, found);
    (redacted != digits).then_some(redacted)
}

/// Two keys can be redacted to the same; the second then carries a number, so that no value is lost.
fn free(key: String, taken: impl Fn(&str) -> bool) -> String {
    if !taken(&key) {
        return key;
    }
    let mut number = 2_u32;
    loop {
        let numbered = format!("{key}#{number}");
        if !taken(&numbered) {
            return numbered;
        }
        number += 1;
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
    fn a_card_is_found_in_a_whole_number_and_not_in_a_fraction() {
        check(
            "[4111111111111111, 0.4111111111111111, 12, true]",
            r#"["[card]", 0.4111111111111111, 12, true]"#,
            &["redacted.card"],
        );
    }
}
