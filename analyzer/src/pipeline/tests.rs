use super::*;
use crate::observe::{Attempt, Unit};
use crate::operations::Part;
use crate::stage::Stage;
use crate::vocabulary::{Limits, State};
use tidemark_schema::ScoreKind;

/// A retrieval of an operation: its stage, when it answered, and its documents.
type Told<'a> = (&'a str, i64, &'a [&'a str]);

fn window(operations: &[&[Told<'_>]], vocabulary: &mut Vocabulary) -> Observations {
    let mut window = Observations::default();
    let limits = vocabulary.limit(Limits::default());
    for (at, parts) in operations.iter().enumerate() {
        for (name, time, documents) in *parts {
            let stage = Stage { retriever: Some((*name).into()), kind: None, score_kind: ScoreKind::Other };
            let unit = Unit { query: vocabulary.queries.number("q"), stage: vocabulary.stage(stage), limits };
            let states: Vec<u32> = documents
                .iter()
                .map(|document| {
                    let document = vocabulary.document(document);
                    vocabulary.state(State { document, content: None, scope: None, tokens: None, updated_at: None })
                })
                .collect();
            let attempt = Attempt::of(&format!("op-{at}"), 1, &[]);
            let part = Part::new((unit, attempt), (0, 0), (*time, 0), std::iter::empty());
            window.operations.insert(attempt.operation, part, states.into_iter());
            window.units.entry(unit).or_default();
        }
    }
    window
}

/// The stages in their order, those that the model saw in brackets.
#[track_caller]
fn check(before: &[&[Told<'_>]], after: &[&[Told<'_>]], expected: &str) {
    let mut vocabulary = Vocabulary::default();
    let (before, after) = (window(before, &mut vocabulary), window(after, &mut vocabulary));
    let pipeline = Pipeline::of(&before, &after, &vocabulary);
    let shown: Vec<String> = pipeline
        .reported()
        .map(|placed| {
            let name = vocabulary.stage_of(placed.stage).name();
            let replaced = pipeline.replacement_of(placed.stage);
            let name =
                replaced.map_or_else(|| name.to_owned(), |new| format!("{name}={}", vocabulary.stage_of(new).name()));
            if pipeline.is_judged(placed.stage) { format!("[{name}]") } else { name }
        })
        .collect();
    assert_eq!(shown.join(" "), expected);
}

const SEARCH: Told<'static> = ("a", 1, &["1", "2", "3", "4"]);
const KEYWORDS: Told<'static> = ("b", 2, &["3", "5", "6", "7"]);
const FUSED: Told<'static> = ("c", 3, &["3", "1", "5", "2"]);
const CHOSEN: Told<'static> = ("d", 4, &["5", "3"]);

#[test]
fn a_fusion_follows_its_searches_and_a_choice_follows_the_fusion() {
    let operation: &[Told<'_>] = &[SEARCH, KEYWORDS, FUSED, CHOSEN];
    check(&[operation], &[operation], "a b c [d]");
}

#[test]
fn a_parent_that_begins_before_its_children_still_follows_them() {
    let operation: &[Told<'_>] = &[SEARCH, KEYWORDS, ("c", 0, FUSED.2)];
    check(&[operation], &[operation], "a b [c]");
}

#[test]
fn two_searches_beside_each_other_are_both_seen() {
    let operation: &[Told<'_>] = &[SEARCH, KEYWORDS];
    check(&[operation], &[operation], "[a] [b]");
}

#[test]
fn a_stage_that_only_one_window_records_judges_nothing() {
    check(&[&[SEARCH]], &[&[SEARCH, ("reranker", 2, &["2", "1"])]], "[a] reranker");
}

#[test]
fn a_stage_that_took_the_place_of_another_is_compared_with_it() {
    check(&[&[SEARCH]], &[&[("new", 1, &["1", "2", "3", "9"])]], "[a=new]");
}
