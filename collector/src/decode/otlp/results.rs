//! The documents of a span as the results of an event, and what identifies each.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use tidemark_schema::{ContentHash, DocumentId};

use super::documents::{Document, simple};
use crate::accept::tell_apart;
use crate::decode::Rejection;

/// The id is that of the same document in `output.value`.
pub(super) const ID_OF_OUTPUT: &str = "doc_id.output_value";
/// The id is a value of the document's metadata.
pub(super) const ID_OF_METADATA: &str = "doc_id.metadata";
/// The id is the hash of what the document says.
pub(super) const ID_OF_CONTENT: &str = "doc_id.content_hash";
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
        let each = identities.into_iter().zip(&self.documents).enumerate().map(|(place, ((id, _), document))| {
            let mut result = Map::from_iter([("doc_id".to_owned(), Value::String(id))]);
            result.extend(score(document).map(|score| ("score".to_owned(), score)));
            if let Some(content) = self.content(place) {
                result.insert("content_hash".to_owned(), json!(ContentHash::of_text(content)));
            }
            Value::Object(result)
        });
        Ok((each.collect(), marks))
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

/// A score that is missing stays missing; whether it is a number is judged with those of all other events.
fn score(document: &Document) -> Option<Value> {
    document.score.clone().filter(|score| !score.is_null())
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

/// The ids alone, for documents that were candidates and no results.
pub(super) fn ids(documents: &[Document], keys: &[String]) -> Vec<String> {
    let identified = documents.iter().filter_map(|document| {
        let (id, _) = identify(document, None, keys)?;
        Some((id, document.content.as_deref().map(ContentHash::of_text)))
    });
    let identified: Vec<(String, Option<ContentHash>)> = identified.collect();
    let borrowed: Vec<_> = identified.iter().map(|(id, hash)| (id.as_str(), hash.as_ref())).collect();
    tell_apart(&borrowed).unwrap_or_else(|| identified.into_iter().map(|(id, _)| id).collect())
}
