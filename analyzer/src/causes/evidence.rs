//! What was counted for a cause, as a sentence.

use std::collections::BTreeSet;

use super::{Cause, Share};
use crate::scores::Rescoring;
use crate::vocabulary::Vocabulary;

/// What the windows declare, as far as it can be said in a few words.
fn versions(names: &[String]) -> String {
    match names {
        [] => "no version".to_owned(),
        [one] => format!("version {one}"),
        many => format!("versions {}", many.join(", ")),
    }
}

/// What a sentence rests on besides the share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// How many units were looked at.
    pub(crate) units: usize,
    /// The versions that the windows declare.
    pub(crate) versions: (&'a [String], &'a [String]),
    pub(crate) rescoring: Rescoring,
    /// How many documents an answer usually holds, before and now.
    pub(crate) usual_lengths: Option<[usize; 2]>,
}

/// The sentence of one cause.
pub(crate) fn sentence(share: &Share, seen: &Seen<'_>, vocabulary: &Vocabulary) -> String {
    let n = format!("{} of {} queries", share.queries, seen.units);
    let (before, after) = seen.versions;
    let order_agreement = seen.rescoring.order_agreement;
    let after = versions(after);
    let same = format!("although both windows declare {after}");
    let differing = differences(vocabulary);
    let declared = if differing.is_empty() {
        "embedder, index and retriever are declared unchanged".to_owned()
    } else {
        format!("declared: {}", differing.join(", "))
    };
    match (share.cause, share.declared > 0.5) {
        (Cause::CorpusRemoved, true) => format!("{n} lost documents that {after} removed"),
        (Cause::CorpusRemoved, false) => format!("{n} lost documents that the corpus no longer holds, {same}"),
        (Cause::CorpusModified, true) => format!("{n} changed through documents whose content {after} changed"),
        (Cause::CorpusModified, false) => format!("{n} changed through documents whose content changed, {same}"),
        (Cause::CorpusAdded, true) => format!("{n} had documents pushed down by new ones of {after}"),
        (Cause::CorpusAdded, false) => format!("{n} had documents pushed down by new ones, {same}"),
        (Cause::Embedding, _) => format!(
            "in {n}, unchanged documents changed their scores and their order (order agreement {order_agreement:.2}); {declared}"
        ),
        (Cause::Scoring, _) if seen.rescoring.is_turned() => {
            format!("direction turned in {n}: what scored high scores low now; {declared}")
        }
        (Cause::Scoring, _) if !seen.rescoring.seen => {
            format!("{n} hold unchanged documents in another order, which no longer follows their scores; {declared}")
        }
        (Cause::Scoring, _) if !seen.rescoring.is_rescaling() => {
            format!("in {n}, unchanged documents changed their scores and their order; {declared}")
        }
        (Cause::Scoring, _) => {
            format!("in {n}, unchanged documents changed their scores and kept their order; {declared}")
        }
        (Cause::IndexRecall, _) => format!(
            "{n} lost or found documents that are unchanged and whose known score beats the last one returned; {declared}"
        ),
        (Cause::Bounds, false) => match seen.usual_lengths {
            Some([before, now]) => {
                format!("{n} hold {now} documents in place of {before}, and no bound was declared to have changed")
            }
            None => format!("{n} hold another number of documents, and no bound was declared to have changed"),
        },
        (Cause::Bounds, true) => {
            format!("{n} lost documents to a tighter bound on number, context or age of documents")
        }
        (Cause::Scope, _) => format!("{n} lost documents that lie outside of the scope or filter now requested"),
        (Cause::Nondeterminism, _) => format!("{n} show documents of equal standing in another order"),
        (Cause::QueryMix, _) => {
            format!("{n} belong to classes that are asked more or less often than in the reference")
        }
        (Cause::IdChurn, _) => format!("{n} return documents under new ids with unchanged content"),
        (Cause::Unexplained, _) => {
            let first = before.first().map_or("VERSION", String::as_str);
            format!(
                "{n} changed in ways that no rule explains; a manifest per version (`tidemark corpus register CORPUS {first} FILE`) \
                 lets removed and added documents be told from the rest"
            )
        }
    }
}

/// Which declared parts of the retrieval have more than one value over both windows.
fn differences(vocabulary: &Vocabulary) -> Vec<String> {
    let values = |of: fn(&crate::vocabulary::Context) -> Option<&String>| {
        vocabulary.contexts().iter().filter_map(of).map(String::as_str).collect::<BTreeSet<&str>>()
    };
    let parts = [
        ("embedder", values(|context| context.embedder.as_ref())),
        ("index", values(|context| context.index.as_ref())),
        ("retriever version", values(|context| context.retriever.1.as_ref())),
    ];
    let several = parts.into_iter().filter(|(_, values)| values.len() > 1);
    several.map(|(name, values)| format!("{name} {}", values.into_iter().collect::<Vec<_>>().join(" / "))).collect()
}
