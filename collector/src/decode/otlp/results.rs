//! The documents of a span as the results of an event, and what identifies each.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value, json};
use tidemark_schema::{ContentHash, DocumentId};

use super::documents::{Document, simple};
use crate::decode::Rejection;

/// The id is that of the same document in `output.value`.
pub(super) const ID_OF_OUTPUT: &str = "doc_id.output_value";
/// The id is a value of the document's metadata.
pub(super) const ID_OF_METADATA: &str = "doc_id.metadata";
/// The id is the hash of what the document says.
pub(super) const ID_OF_CONTENT: &str = "doc_id.content_hash";
/// Several documents had one id, as chunks of one source have: they are told apart by the hashes of what they say,
/// `<id>#<hash>`, or where that is not known by their order, `<id>#2` and so on.
pub(super) const ID_REPEATED: &str = "doc_id.repeated";

/// The list of documents of a span.
pub(super) struct Listed<'a> {
    /// The attribute that holds it.
    pub(super) name: &'a str,
    pub(super) documents: Vec<Document>,
    /// What `output.value` lists, if it does.
    pub(super) in_output: Option<Vec<Document>>,
    /// Whether the sender dropped attributes, so that the end may be missing.
    pub(super) truncated: bool,
    /// Keys of the metadata that identify a document, the best first.
    pub(super) keys: &'a [String],
}

/// What identifies a document, and the mark that says where that was found.
type Identity = (String, Option<&'static str>);

impl Listed<'_> {
    /// The results of an event, and the marks that tell where their ids come from.
    pub(super) fn results(mut self) -> Result<(Vec<Value>, BTreeSet<&'static str>), Rejection> {
        self.complete();
        let mut marks = BTreeSet::new();
        let identities = self.identities()?;
        marks.extend(identities.iter().filter_map(|(_, mark)| *mark));
        let contents = (0..identities.len()).map(|place| self.content(place));
        let (ids, repeated) = told_apart(identities.iter().map(|(id, _)| id.as_str()).zip(contents).collect());
        if repeated {
            marks.insert(ID_REPEATED);
        }
        let each = ids.into_iter().zip(&self.documents).enumerate().map(|(place, (id, document))| {
            let mut result = Map::from_iter([("doc_id".to_owned(), Value::String(id))]);
            let score =
                score(document).map_err(|reason| Rejection::field(format!("{}.{place}.score", self.name), reason))?;
            result.extend(score.map(|score| ("score".to_owned(), score)));
            if let Some(content) = self.content(place) {
                result.insert("content_hash".to_owned(), json!(ContentHash::of_text(content)));
            }
            Ok(Value::Object(result))
        });
        Ok((each.collect::<Result<_, _>>()?, marks))
    }

    /// Only lists of the same documents say something about each other. A list that the sender cut short is completed from
    /// the one in `output.value` that begins with the same documents.
    fn complete(&mut self) {
        let Some(output) = &self.in_output else { return };
        let longer = output.get(self.documents.len()..).filter(|rest| !rest.is_empty());
        let agrees =
            |(document, there): (&Document, &Document)| document.content.is_some() && document.content == there.content;
        match longer {
            Some(rest) if self.truncated && self.documents.iter().zip(output).all(agrees) => {
                let rest = rest.iter().map(|document| Document { id: None, ..document.clone() });
                let rest: Vec<_> = rest.collect();
                self.documents.extend(rest);
            }
            None if output.len() == self.documents.len() => {}
            _ => self.in_output = None,
        }
    }

    fn there(&self, place: usize) -> Option<&Document> {
        self.in_output.as_ref()?.get(place)
    }

    fn content(&self, place: usize) -> Option<&str> {
        let here = self.documents.get(place).and_then(|document| document.content.as_deref());
        here.or_else(|| self.there(place)?.content.as_deref())
    }

    /// One for each document, up to the first that lost its own with dropped attributes.
    fn identities(&mut self) -> Result<Vec<Identity>, Rejection> {
        let each = self.documents.iter().enumerate();
        let found: Vec<_> =
            each.map_while(|(place, document)| identify(document, self.there(place), self.keys)).collect();
        let place = found.len();
        if place == self.documents.len() {
            return Ok(found);
        }
        if self.truncated && place > 0 {
            self.documents.truncate(place);
            return Ok(found);
        }
        let reason = format!(
            "has neither id nor content, and its metadata none of {}; name a key that identifies it in `document_id`",
            self.keys.join(", ")
        );
        Err(Rejection::field(format!("{}.{place}", self.name), reason))
    }
}

/// A score that is missing stays missing.
fn score(document: &Document) -> Result<Option<Value>, String> {
    match &document.score {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => Ok(Some(Value::Number(number.clone()))),
        Some(Value::String(text)) => match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(json!(number))),
            _ => Err("is no finite number; leave it out when it is not known".to_owned()),
        },
        Some(_) => Err("is no number; leave it out when it is not known".to_owned()),
    }
}

fn identify(document: &Document, there: Option<&Document>, keys: &[String]) -> Option<Identity> {
    if let Some(id) = &document.id {
        return Some((id.clone(), None));
    }
    let same = there
        .filter(|there| document.content.is_none() || there.content.is_none() || there.content == document.content);
    if let Some(id) = same.and_then(|there| there.id.clone()) {
        return Some((id, Some(ID_OF_OUTPUT)));
    }
    let fits = |id: &String| id.parse::<DocumentId>().is_ok();
    let of_metadata = keys.iter().find_map(|key| document.metadata.get(key).and_then(simple).filter(fits));
    if let Some(id) = of_metadata {
        return Some((id, Some(ID_OF_METADATA)));
    }
    let content = document.content.as_deref()?;
    Some((ContentHash::of_text(content).as_str().to_owned(), Some(ID_OF_CONTENT)))
}

/// Each id once, and whether one occurred more often. What a document says tells it from the others wherever it ranks; only
/// where that is not known does its place.
fn told_apart(identified: Vec<(&str, Option<&str>)>) -> (Vec<String>, bool) {
    let mut times: HashMap<&str, usize> = HashMap::new();
    for (id, _) in &identified {
        *times.entry(id).or_default() += 1;
    }
    let once = times.iter().filter(|(_, times)| **times == 1);
    let mut taken: HashSet<String> = once.map(|(id, _)| (*id).to_owned()).collect();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut apart = |id: &str, content: Option<&str>| {
        let hash = content.map(|content| ContentHash::of_text(content).as_str().trim_start_matches("b3:").to_owned());
        let own = hash.map_or_else(|| id.to_owned(), |hash| format!("{id}#{hash}"));
        if taken.insert(own.clone()) {
            return own;
        }
        let number = numbers.entry(own.clone()).or_insert(1);
        loop {
            *number += 1;
            let numbered = format!("{own}#{number}");
            if taken.insert(numbered.clone()) {
                return numbered;
            }
        }
    };
    let repeated = times.len() < identified.len();
    let ids = identified.into_iter().map(|(id, content)| match times.get(id) {
        Some(1) => id.to_owned(),
        _ => apart(id, content),
    });
    (ids.collect(), repeated)
}

/// The ids alone, for documents that were candidates and no results.
pub(super) fn ids(documents: &[Document], keys: &[String]) -> Vec<String> {
    let identified = documents.iter().filter_map(|document| {
        let (id, _) = identify(document, None, keys)?;
        Some((id, document.content.as_deref()))
    });
    let identified: Vec<(String, Option<&str>)> = identified.collect();
    told_apart(identified.iter().map(|(id, content)| (id.as_str(), *content)).collect()).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(identified: &[(&str, Option<&str>)], expected: &[&str]) {
        assert_eq!(told_apart(identified.to_vec()).0, expected);
    }

    #[test]
    fn chunks_with_one_id_are_told_apart_by_what_they_say_wherever_they_rank() {
        let hash = |text: &str| format!("s#{}", ContentHash::of_text(text).as_str().trim_start_matches("b3:"));
        let (x, y) = (hash("x"), hash("y"));
        check(&[("s", Some("x")), ("s", Some("y")), ("t", Some("z"))], &[&x, &y, "t"]);
        check(&[("s", Some("y")), ("t", Some("z")), ("s", Some("x"))], &[&y, "t", &x]);
        check(&[("s", Some("x")), ("s", Some("x"))], &[&x, &format!("{x}#2")]);
    }

    #[test]
    fn a_number_that_tells_ids_apart_is_never_one_that_is_there() {
        check(&[("s", None), ("s#2", None), ("s", None)], &["s", "s#2", "s#3"]);
        check(&[("s", None), ("s", None), ("s", None)], &["s", "s#2", "s#3"]);
        check(&[("s", None), ("s", None), ("s#2", None), ("s#2", None)], &["s", "s#2", "s#2#2", "s#2#3"]);
    }
}
