//! The documents of a result: best first, each with an id of its own, and no more than are kept.

use std::collections::{BTreeSet, HashMap, HashSet};

use tidemark_schema::{ContentHash, DocumentId, Label, RetrievedDocument};

use super::{finite, instant};
use crate::bound;
use crate::decode::Rejection;
use crate::decode::draft::ResultDraft;

/// Several documents had one id, as chunks of one source have: they are told apart by the hashes of what they say,
/// `<id>#<hash>`, or where that is not known by their order, `<id>#2` and so on.
pub const ID_REPEATED: &str = "doc_id.repeated";

/// The results best first, cut to the limit; and how many there were, if they were cut.
pub(super) fn results(
    mut drafts: Vec<ResultDraft>,
    limit: usize,
    marks: &mut BTreeSet<Label>,
) -> Result<(Vec<RetrievedDocument>, Option<u32>), Rejection> {
    by_rank(&mut drafts)?;
    let total = drafts.len();
    let cut = (total > limit).then(|| u32::try_from(total).unwrap_or(u32::MAX));
    drafts.truncate(limit);
    let identified: Vec<_> = drafts.iter().map(|draft| (draft.doc_id.as_str(), draft.content_hash.as_ref())).collect();
    if let Some(ids) = tell_apart(&identified) {
        bound::mark(marks, ID_REPEATED);
        for (place, (draft, id)) in drafts.iter_mut().zip(ids).enumerate() {
            let named = |error: tidemark_schema::InvalidId| {
                Rejection::field(format!("results[{place}].doc_id"), error.to_string())
            };
            draft.doc_id = DocumentId::from_owned(id).map_err(named)?;
        }
    }
    let kept = drafts.into_iter().map(|draft| RetrievedDocument {
        doc_id: draft.doc_id,
        score: finite(draft.score, marks),
        content_hash: draft.content_hash,
        tokens: draft.tokens,
        updated_at: draft.updated_at.map(|moment| instant(moment, marks)),
        scope: draft.scope,
    });
    Ok((kept.collect(), cut))
}

/// Puts results in the order of their ranks, if they have ranks.
fn by_rank(drafts: &mut [ResultDraft]) -> Result<(), Rejection> {
    if drafts.iter().all(|draft| draft.rank.is_none()) {
        return Ok(());
    }
    if let Some(place) = drafts.iter().position(|draft| draft.rank.is_none_or(|rank| rank == 0)) {
        let reason = "is missing or 0; either every result has a rank counted from 1, or none has";
        return Err(Rejection::field(format!("results[{place}].rank"), reason));
    }
    drafts.sort_by_key(|draft| draft.rank);
    let twice = drafts.windows(2).find_map(|pair| match pair {
        [a, b] if a.rank == b.rank => a.rank,
        _ => None,
    });
    twice.map_or(Ok(()), |rank| Err(Rejection::field("results", format!("have the rank {rank} twice"))))
}

/// One id for each of some documents with the hashes of what they say, if any id is there more than once. What a document says
/// tells it from the others wherever it ranks; only where that is not known does its place.
pub(crate) fn tell_apart(identified: &[(&str, Option<&ContentHash>)]) -> Option<Vec<String>> {
    let mut times: HashMap<&str, usize> = HashMap::with_capacity(identified.len());
    for (id, _) in identified {
        *times.entry(id).or_default() += 1;
    }
    if times.len() == identified.len() {
        return None;
    }
    let once = times.iter().filter(|(_, times)| **times == 1);
    let mut taken: HashSet<String> = once.map(|(id, _)| (*id).to_owned()).collect();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut apart = |id: &str, hash: Option<&ContentHash>| {
        let hash = hash.map(|hash| hash.as_str().trim_start_matches("b3:"));
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
    let ids = identified.iter().map(|(id, hash)| match times.get(id) {
        Some(1) => (*id).to_owned(),
        _ => apart(id, *hash),
    });
    Some(ids.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(identified: &[(&str, Option<&str>)], expected: &[&str]) {
        let hashes: Vec<_> = identified.iter().map(|(_, text)| text.map(ContentHash::of_text)).collect();
        let identified: Vec<_> = identified.iter().zip(&hashes).map(|((id, _), hash)| (*id, hash.as_ref())).collect();
        let told = tell_apart(&identified);
        let ids = told.unwrap_or_else(|| identified.iter().map(|(id, _)| (*id).to_owned()).collect());
        assert_eq!(ids, expected);
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
        check(&[("a", None), ("b", None)], &["a", "b"]);
    }
}
