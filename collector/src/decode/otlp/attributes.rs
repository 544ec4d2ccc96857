//! The attributes of a span and of the resource that emitted it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use serde_json::{Map, Number};

use crate::decode::json::without_unknown_numbers;
use crate::yaml;

/// One attribute by its name. Of two with the same name the last counts, as OpenTelemetry's SDKs have it.
pub(super) type Named<'a> = HashMap<&'a str, &'a Value>;

pub(super) fn by_name(attributes: &[KeyValue]) -> Named<'_> {
    let named = attributes.iter().map(|attribute| (attribute.key.as_str(), value(attribute)));
    named.filter_map(|(name, value)| Some((name, value?))).collect()
}

fn value(attribute: &KeyValue) -> Option<&Value> {
    attribute.value.as_ref().and_then(|any| any.value.as_ref())
}

/// What a span says, and what its resource says of all of its spans.
#[derive(Clone, Copy)]
pub(super) struct Attributes<'a> {
    pub(super) span: &'a Named<'a>,
    pub(super) resource: &'a Named<'a>,
}

impl<'a> Attributes<'a> {
    /// Of the span alone.
    pub(super) fn value(&self, name: &str) -> Option<&'a Value> {
        self.span.get(name).copied()
    }

    /// Of the span, else of the resource, as a text that is not blank.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        let of = |named: &Named<'a>| named.get(name).copied().and_then(text);
        of(self.span).or_else(|| of(self.resource))
    }

    /// The first of several names that says something.
    pub(super) fn first_text(&self, names: &[&str]) -> Option<Cow<'a, str>> {
        names.iter().find_map(|name| self.text(name))
    }

    /// A whole number that is not negative, also when it was sent as a float or a text.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        let number = match self.value(name).or_else(|| self.resource.get(name).copied())? {
            Value::IntValue(number) => return u64::try_from(*number).ok(),
            Value::DoubleValue(number) => *number,
            Value::StringValue(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        let whole = number.fract() == 0.0 && (0.0..=9e15).contains(&number);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and in range")]
        whole.then_some(number as u64)
    }

    /// The entries of a flattened list, `<list>.<index>.<entry>.<field>`, from index 0 up to the first that is missing; and
    /// whether there are more behind a gap.
    pub(super) fn list(&self, list: &str, entry: &str) -> (Vec<BTreeMap<&'a str, &'a Value>>, bool) {
        let mut entries: BTreeMap<u64, BTreeMap<&str, &Value>> = BTreeMap::new();
        for (name, value) in self.span {
            let Some(rest) = name.strip_prefix(list).and_then(|rest| rest.strip_prefix('.')) else { continue };
            let Some((index, field)) = rest.split_once('.') else { continue };
            let field = field.strip_prefix(entry).and_then(|field| field.strip_prefix('.'));
            if let (Some(index), Some(field)) = (place(index), field) {
                entries.entry(index).or_default().insert(field, value);
            }
        }
        let all = entries.len();
        let whole: Vec<_> = (0..).zip(entries).take_while(|(place, (index, _))| place == index).collect();
        let gap = whole.len() < all;
        (whole.into_iter().map(|(_, (_, fields))| fields).collect(), gap)
    }
}

/// An index as the conventions write it: digits, without a sign and without leading zeros.
pub(super) fn place(index: &str) -> Option<u64> {
    let plain = index == "0" || index.starts_with(|first: char| ('1'..='9').contains(&first));
    index.parse().ok().filter(|_| plain)
}

/// What `OpenInference` writes in place of what its sender hides. It says nothing: taken for a text, it would make all hidden
/// questions one question.
const HIDDEN: &str = "__REDACTED__";

/// Whether a value says anything.
pub(super) fn says_something(value: &Value) -> bool {
    !matches!(value, Value::StringValue(text) if text.trim().is_empty() || text == HIDDEN)
}

/// As a text; none for what is blank, hidden, or no single value.
pub(super) fn text(value: &Value) -> Option<Cow<'_, str>> {
    let text = match value {
        Value::StringValue(text) => Cow::Borrowed(text.as_str()),
        Value::IntValue(number) => Cow::Owned(number.to_string()),
        Value::BoolValue(truth) => Cow::Owned(truth.to_string()),
        Value::DoubleValue(number) => Cow::Owned(number.to_string()),
        _ => return None,
    };
    says_something(value).then_some(text)
}

/// As an object, also when it is written as a text.
pub(super) fn object(value: &Value) -> Option<Map<String, serde_json::Value>> {
    match value {
        Value::StringValue(text) => embedded_object(text),
        other => match plain(other) {
            serde_json::Value::Object(object) => Some(object),
            _ => None,
        },
    }
}

/// As JSON. A text that holds a JSON array or object is that; a number that JSON has not, such as NaN, is a text.
pub(super) fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::StringValue(text) => embedded(text).unwrap_or_else(|| text.as_str().into()),
        other => plain(other),
    }
}

/// The array or object that a text holds.
pub(super) fn embedded(text: &str) -> Option<serde_json::Value> {
    let begins = text.trim_start().starts_with(['{', '[']);
    read(text).ok().filter(|_| begins)
}

/// JSON in which Python may have written NaN: a score that is not known, and null anywhere else.
fn read(text: &str) -> Result<serde_json::Value, serde_json::Error> {
    serde_json::from_str(text).or_else(|error| {
        let mut value = serde_json::from_slice(&without_unknown_numbers(text.as_bytes()).ok_or(error)?)?;
        name_unknown_scores(&mut value);
        Ok(value)
    })
}

/// A score that is null in JSON that holds NaN was NaN, as far as anybody can tell.
fn name_unknown_scores(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Array(values) => values.iter_mut().for_each(name_unknown_scores),
        serde_json::Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    serde_json::Value::Null if name.ends_with("score") => *field = "NaN".into(),
                    _ => name_unknown_scores(field),
                }
            }
        }
        _ => {}
    }
}

/// The object that a text holds, also in Python's notation, in which some instrumentors write metadata: `{'page': 3}`. That
/// is YAML as well, but for escapes within quotes.
pub(super) fn embedded_object(text: &str) -> Option<Map<String, serde_json::Value>> {
    match read(text) {
        Ok(serde_json::Value::Object(object)) => Some(object),
        Err(_) if text.trim_start().starts_with('{') => yaml::object(text),
        Ok(_) | Err(_) => None,
    }
}

fn plain(value: &Value) -> serde_json::Value {
    let inner = |any: &AnyValue| any.value.as_ref().map_or(serde_json::Value::Null, plain);
    match value {
        Value::StringValue(text) => text.as_str().into(),
        Value::BoolValue(truth) => (*truth).into(),
        Value::IntValue(number) => (*number).into(),
        Value::DoubleValue(number) => {
            Number::from_f64(*number).map_or_else(|| number.to_string().into(), serde_json::Value::Number)
        }
        Value::ArrayValue(array) => array.values.iter().map(inner).collect(),
        Value::KvlistValue(list) => {
            let entries = list
                .values
                .iter()
                .map(|entry| (entry.key.clone(), entry.value.as_ref().map_or(serde_json::Value::Null, inner)));
            serde_json::Value::Object(entries.collect::<Map<_, _>>())
        }
        // Neither carries anything that is read here.
        Value::BytesValue(_) | Value::StringValueStrindex(_) => serde_json::Value::Null,
    }
}

/// A vector of numbers; none if it is redacted or holds anything else.
pub(super) fn vector(value: &Value) -> Option<Vec<f32>> {
    let Value::ArrayValue(array) = value else { return None };
    let numbers = array.values.iter().map(|any| match any.value.as_ref()? {
        Value::DoubleValue(number) => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "what is too large becomes infinite, and is no component"
            )]
            let component = *number as f32;
            component.is_finite().then_some(component)
        }
        #[expect(clippy::cast_precision_loss, reason = "components of embeddings are small")]
        Value::IntValue(number) => Some(*number as f32),
        _ => None,
    });
    numbers.collect::<Option<Vec<f32>>>().filter(|numbers| !numbers.is_empty())
}
