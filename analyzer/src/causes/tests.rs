use std::collections::BTreeMap;

use proptest::prelude::*;
use tidemark_corpus::{Manifest, ManifestEntry};
use tidemark_schema::ScoreKind;
use tidemark_stats::{Persistence, Ranking};

use super::{Cause, Classifier, UnitAccount, proofs};
use crate::answer::{Answer, distance};
use crate::presence::{Contents, Presence};
use crate::scores::Rescoring;
use crate::units::Matched;
use crate::vocabulary::{Context, State, Vocabulary};

/// One retrieved document: its name, its score, its content, its scope.
#[derive(Debug, Clone)]
struct Document(u32, f64, u32, &'static str);

/// One retrieval: what it declares and what it returned.
#[derive(Debug, Clone)]
struct Retrieval {
    version: &'static str,
    embedder: &'static str,
    top_k: u32,
    scope: &'static [&'static str],
    documents: Vec<Document>,
}

fn retrieval(documents: &[(u32, f64)]) -> Retrieval {
    let documents =
        documents.iter().map(|(document, score)| Document(*document, *score, *document, "public")).collect();
    Retrieval { version: "v1", embedder: "e1", top_k: 4, scope: &[], documents }
}

fn answer(retrieval: &Retrieval, vocabulary: &mut Vocabulary) -> Answer {
    let scores: Vec<Option<f64>> = retrieval.documents.iter().map(|document| Some(document.1)).collect();
    let mut documents = Vec::new();
    let mut states = Vec::new();
    for Document(document, _, content, scope) in &retrieval.documents {
        let document = vocabulary.document(&document.to_string());
        let content = Some(vocabulary.contents.number(&format!("b3:{content}")));
        let scope = Some(vocabulary.scopes.number(scope));
        documents.push(document);
        states.push(vocabulary.state(State { document, content, scope, tokens: None, updated_at: None }));
    }
    let key = format!("{} {} {} {:?}", retrieval.version, retrieval.embedder, retrieval.top_k, retrieval.scope);
    let context = vocabulary.context(&key, |scopes| Context {
        corpus_version: Some(retrieval.version.to_owned()),
        embedder: Some(retrieval.embedder.to_owned()),
        top_k: Some(retrieval.top_k),
        score_kind: ScoreKind::Cosine,
        scope: retrieval.scope.iter().map(|scope| scopes.number(scope)).collect(),
        ..Context::default()
    });
    Answer { ranking: Ranking::with_scores(documents, &scores).unwrap(), states, scores, context }
}

/// The manifests of both versions, each a list of documents and contents.
type Listed<'a> = &'a [(&'a str, &'a [(u32, u32)])];

fn manifests(versions: Listed<'_>) -> BTreeMap<String, Manifest> {
    let entry = |(document, content): &(u32, u32)| ManifestEntry {
        doc_id: document.to_string().parse().unwrap(),
        content_hash: format!("b3:{content}").parse().unwrap(),
        vector_hash: None,
        tokens: None,
        updated_at: None,
        scope: None,
    };
    let manifest = |entries: &[(u32, u32)]| Manifest::from_entries(entries.iter().map(entry).collect()).unwrap();
    versions.iter().map(|(version, entries)| ((*version).to_owned(), manifest(entries))).collect()
}

/// The account of one pair: each cause with its part of the distance and whether it was declared; and the distance.
fn account(
    before: &Retrieval,
    after: &Retrieval,
    versions: Listed<'_>,
    order_agreement: f64,
) -> (Vec<(Cause, f64, bool)>, f64, f64) {
    let mut vocabulary = Vocabulary::default();
    let (a, b) = (answer(before, &mut vocabulary), answer(after, &mut vocabulary));
    let presence = Presence::new(&manifests(versions), &mut vocabulary);
    let seen = |answer: &Answer| -> Contents {
        let states = answer.states.iter().map(|state| vocabulary.state_of(*state));
        states.map(|state| (state.document, state.content.into_iter().collect())).collect()
    };
    let (reference, current) = (seen(&a), seen(&b));
    let rescoring =
        Rescoring { tolerance: 1e-6, rounding: 0.0, best: [1.0; 2], seen: order_agreement < 1.0, order_agreement };
    let classifier = Classifier {
        vocabulary: &vocabulary,
        presence: &presence,
        rescoring,
        reference: &reference,
        current: &current,
        usual_lengths: None,
        kept: crate::causes::Kept::default(),
        searches: true,
        embedder_moved: false,
    };
    let p = Persistence::default();
    let account = classifier.between(p).account(&a, &b);
    let causes = Cause::ALL.into_iter().filter(|cause| account.of(*cause) > 0.0);
    let causes = causes.map(|cause| (cause, account.of(cause), account.declared_share(cause) > 0.5)).collect();
    (causes, account.total(), distance(&a, &b, p))
}

/// A change with one cause: which, and whether it was declared.
#[track_caller]
fn check(
    before: &Retrieval,
    after: &Retrieval,
    versions: Listed<'_>,
    order_agreement: f64,
    cause: Cause,
    declared: bool,
) {
    let (causes, total, distance) = account(before, after, versions, order_agreement);
    assert!((total - distance).abs() < 1e-12, "{total} is charged of {distance}");
    let found: Vec<(Cause, bool)> = causes.iter().map(|(cause, _, declared)| (*cause, *declared)).collect();
    assert_eq!(found, [(cause, declared)]);
}

const BEFORE: [(u32, f64); 4] = [(1, 0.9), (2, 0.8), (3, 0.7), (4, 0.6)];
const ALL: &[(u32, u32)] = &[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)];

#[test]
fn a_document_that_the_new_version_no_longer_lists_was_removed() {
    let after = Retrieval { version: "v2", ..retrieval(&[(1, 0.9), (3, 0.7), (4, 0.6), (5, 0.5)]) };
    let versions: Listed<'_> = &[("v1", ALL), ("v2", &[(1, 1), (3, 3), (4, 4), (5, 5)])];
    check(&retrieval(&BEFORE), &after, versions, 1.0, Cause::CorpusRemoved, true);
}

#[test]
fn new_documents_are_charged_with_what_they_push_down() {
    let after = Retrieval { version: "v2", ..retrieval(&[(5, 0.95), (1, 0.9), (2, 0.8), (3, 0.7)]) };
    let versions: Listed<'_> = &[("v1", &[(1, 1), (2, 2), (3, 3), (4, 4)]), ("v2", ALL)];
    check(&retrieval(&BEFORE), &after, versions, 1.0, Cause::CorpusAdded, true);
}

#[test]
fn a_document_that_no_manifest_lists_came_in_silently() {
    let after = retrieval(&[(9, 0.95), (1, 0.9), (2, 0.8), (3, 0.7)]);
    check(&retrieval(&BEFORE), &after, &[("v1", ALL)], 1.0, Cause::CorpusAdded, false);
}

#[test]
fn other_content_under_the_same_version_is_a_silent_change() {
    let mut after = retrieval(&[(2, 0.8), (3, 0.7), (1, 0.65), (4, 0.6)]);
    after.documents[2].2 = 77;
    check(&retrieval(&BEFORE), &after, &[("v1", ALL)], 1.0, Cause::CorpusModified, false);
}

#[test]
fn a_document_whose_score_beats_the_last_one_was_not_found() {
    let after = retrieval(&[(1, 0.9), (3, 0.7), (4, 0.6), (5, 0.5)]);
    check(&retrieval(&BEFORE), &after, &[("v1", ALL)], 1.0, Cause::IndexRecall, false);
}

#[test]
fn other_scores_and_order_of_unchanged_documents_are_another_embedding() {
    let after = retrieval(&[(3, 0.66), (1, 0.61), (5, 0.6), (2, 0.4)]);
    check(&retrieval(&BEFORE), &after, &[("v1", ALL)], 0.2, Cause::Embedding, false);
    let declared = Retrieval { embedder: "e2", ..after };
    check(&retrieval(&BEFORE), &declared, &[("v1", ALL)], 0.2, Cause::Embedding, true);
}

#[test]
fn a_tighter_bound_and_a_tighter_scope_are_declared_by_the_requests() {
    let shorter = Retrieval { top_k: 2, ..retrieval(&BEFORE[..2]) };
    check(&retrieval(&BEFORE), &shorter, &[("v1", ALL)], 1.0, Cause::Bounds, true);
    check(&shorter, &retrieval(&BEFORE), &[("v1", ALL)], 1.0, Cause::Bounds, true);
    let mut before = retrieval(&BEFORE);
    before.documents[1].3 = "internal";
    let after = Retrieval { scope: &["public"], ..retrieval(&[(1, 0.9), (3, 0.7), (4, 0.6), (5, 0.5)]) };
    check(&before, &after, &[("v1", ALL)], 1.0, Cause::Scope, true);
}

#[test]
fn equal_answers_are_charged_to_nobody() {
    let (causes, total, _) = account(&retrieval(&BEFORE), &retrieval(&BEFORE), &[("v1", ALL)], 1.0);
    assert_eq!((causes, total), (Vec::new(), 0.0));
}

fn any_retrieval() -> impl Strategy<Value = Retrieval> {
    let documents = prop::sample::subsequence((1..12_u32).collect::<Vec<_>>(), 0..8).prop_shuffle();
    let scores = prop::collection::vec(0..20_u32, 8);
    let contents = prop::collection::vec(0..2_u32, 8);
    (documents, scores, contents, any::<bool>(), 1..6_u32).prop_map(
        |(documents, mut scores, contents, second, top_k)| {
            scores.sort_unstable_by(|a, b| b.cmp(a));
            let documents = documents.iter().zip(scores).zip(contents).map(|((document, score), content)| {
                Document(*document, f64::from(score) / 20.0, document * 10 + content, "public")
            });
            let version = if second { "v2" } else { "v1" };
            Retrieval { version, embedder: "e1", top_k, scope: &[], documents: documents.collect() }
        },
    )
}

proptest! {
    /// INV-09, for one pair: whatever the answers, the charges add up to the distance.
    #[test]
    fn the_charges_of_any_pair_add_up_to_its_distance(before in any_retrieval(), after in any_retrieval(), agreement in 0.0..1.0) {
        let versions: Listed<'_> = &[("v1", &[(1, 10), (2, 20), (3, 30), (4, 40)]), ("v2", &[(1, 11), (2, 20), (5, 50)])];
        let (_, total, distance) = account(&before, &after, versions, agreement);
        prop_assert!((total - distance).abs() < 1e-9, "{} is charged of {}", total, distance);
    }
}

type Charges<'a> = &'a [(Cause, f64)];

/// Units of one stage, each with what is charged between the windows and, if it repeats, inside of the reference.
#[track_caller]
fn check_proofs(units: &[(Charges<'_>, Option<Charges<'_>>)], expected: &[f64]) {
    let entries = |charges: Charges<'_>| charges.iter().map(|(cause, charged)| (*cause, *charged, 0.0)).collect();
    let accounts: Vec<UnitAccount> = units
        .iter()
        .map(|(between, within)| UnitAccount { between: entries(between), within: within.map(entries) })
        .collect();
    let matched = Matched { units: Vec::new(), populations: Vec::new(), operations: Vec::new(), extrapolation: None };
    let found = proofs(&(0..units.len()).collect::<Vec<_>>(), &accounts, &matched);
    let close = |(found, expected): (&f64, &f64)| (found - expected).abs() < 1e-12;
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(close), "{found:?}");
}

#[test]
fn what_repeats_are_charged_with_as_well_proves_nothing() {
    use Cause::{Bounds, Embedding, IndexRecall, Scoring};
    // A bound cannot come from replicas that miss documents; what they miss can.
    check_proofs(&[(&[(Bounds, 0.1), (IndexRecall, 0.2)], None)], &[0.1]);
    // Where repeats are scored anew as often, scores prove nothing, neither of the unit nor of one that was asked once.
    let noisy: (Charges<'_>, Option<Charges<'_>>) = (&[(Scoring, 0.3), (Bounds, 0.1)], Some(&[(Scoring, 0.3)]));
    check_proofs(&[noisy, (&[(Scoring, 0.3), (Bounds, 0.1)], None)], &[0.1, 0.1]);
    // Cached questions repeat and stayed; what was asked once moved all the same.
    let cached: (Charges<'_>, Option<Charges<'_>>) = (&[(Scoring, 0.02)], Some(&[(Scoring, 0.02)]));
    check_proofs(&[cached, cached, (&[(Scoring, 0.4)], None)], &[0.0, 0.0, 0.38]);
    // A second embedder that grew: as much as it was there before is subtracted.
    let grown: (Charges<'_>, Option<Charges<'_>>) = (&[(Embedding, 0.5)], Some(&[(Embedding, 0.2)]));
    check_proofs(&[grown, (&[(Embedding, 0.4)], None)], &[0.3, 0.2]);
}
