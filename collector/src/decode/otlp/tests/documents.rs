//! Lists of documents, in all their forms.

use serde_json::{Value, json};

use super::*;
use crate::accept::NOT_FINITE;

#[test]
fn the_id_of_a_document_comes_from_where_it_is_and_the_event_says_from_where() {
    let documents = json!({ "retrieval.documents.0.document.content": "x",
        "retrieval.documents.0.document.metadata": "{\"source\":\"s.md\",\"page\":3}" });
    let event = |documents: &Value, more: &Value, sources: &str| {
        let asked = json!({ "openinference.span.kind": "RETRIEVER", "input.value": "q" });
        retrieval_of(&service(), &with(&with(&asked, documents), more), sources)
    };
    let output = |content: &str| {
        let value = json!({ "documents": [{ "id": "lc1", "metadata": {}, "page_content": content }] });
        json!({ "output.value": value.to_string() })
    };
    let given = event(&documents, &json!({ "retrieval.documents.0.document.id": "own" }), "");
    assert_eq!((ids(&given), marks(&given)), (vec!["own"], vec![CORPUS_ASSUMED]));
    let in_output = event(&documents, &output("x"), "");
    assert_eq!((ids(&in_output), marks(&in_output)), (vec!["lc1"], vec![CORPUS_ASSUMED, "doc_id.output_value"]));
    let of_another = event(&documents, &output("y"), "");
    assert_eq!(ids(&of_another), ["s.md"], "another document in the output says nothing about this one");
    let in_metadata = event(&documents, &json!({}), "");
    assert_eq!((ids(&in_metadata), marks(&in_metadata)), (vec!["s.md"], vec![CORPUS_ASSUMED, "doc_id.metadata"]));
    assert_eq!(ids(&event(&documents, &json!({}), "document_id: [page]")), ["3"]);
    let of_content = event(&documents, &json!({}), "document_id: [sku]");
    let hash = tidemark_schema::ContentHash::of_text("x");
    assert_eq!(
        (ids(&of_content), marks(&of_content)),
        (vec![hash.as_str()], vec![CORPUS_ASSUMED, "doc_id.content_hash"])
    );
    let only_in_output = event(&json!({}), &output("z"), "");
    assert_eq!(ids(&only_in_output), ["lc1"]);
}

#[test]
fn ids_of_every_simple_type_are_texts_and_those_that_are_none_are_passed_over() {
    let id = |id: Value| ids(&retriever(&json!({ "retrieval.documents.0.document.id": id }))).join(",");
    assert_eq!(id(json!(7)), "7");
    assert_eq!(id(json!(1.5)), "1.5");
    assert_eq!(id(json!(true)), "true");
    let with_metadata = |metadata: &str| {
        let document = json!({ "openinference.span.kind": "RETRIEVER", "input.value": "q",
            "retrieval.documents.0.document.content": "x", "retrieval.documents.0.document.metadata": metadata });
        retrieval_of(&service(), &document, "").results[0].doc_id.to_string()
    };
    let python = "{'source': 's.md', 'page': 3, 'draft': None}";
    assert_eq!(with_metadata(python), "s.md", "some instrumentors write what Python prints");
    let of_content = tidemark_schema::ContentHash::of_text("x").as_str().to_owned();
    assert_eq!(
        with_metadata(&format!("{{\"source\": \"{}\"}}", "s".repeat(2_000))),
        of_content,
        "no id has 2,000 bytes"
    );
    assert_eq!(with_metadata("{'a"), of_content);
}

#[test]
fn chunks_with_the_id_of_their_source_are_told_apart_in_their_order() {
    let chunks = json!({ "retrieval.documents.0.document.id": "s", "retrieval.documents.1.document.id": "t",
        "retrieval.documents.2.document.id": "s" });
    let event = retriever(&chunks);
    assert_eq!(ids(&event), ["s", "t", "s#2"]);
    assert!(marks(&event).contains(&"doc_id.repeated"));
}

#[test]
fn documents_may_be_one_text_of_json() {
    let blob = json!({ "openinference.span.kind": "RETRIEVER", "input.value": "q",
        "retrieval.documents": "[{\"document.id\":\"a\",\"document.score\":0.5},{\"id\":7}]" });
    let event = retrieval_of(&service(), &blob, "");
    assert_eq!((ids(&event), scores(&event)), (vec!["a", "7"], vec![Some(0.5), None]));
    let of_texts = json!({ "openinference.span.kind": "RETRIEVER", "input.value": "q",
        "retrieval.documents": ["{\"id\":\"a\"}", "{\"id\":\"b\"}"] });
    assert_eq!(ids(&retrieval_of(&service(), &of_texts, "")), ["a", "b"]);
}

#[test]
fn a_score_that_is_no_number_is_not_known_and_its_retrieval_is_kept() {
    let attribute = with(&basic(), &json!({ "retrieval.documents.0.document.score": "NaN" }));
    let blob = json!({ "gen_ai.operation.name": "retrieval", "gen_ai.retrieval.query.text": "q",
        "gen_ai.retrieval.documents": "[{\"id\":\"a\",\"score\":NaN}]" });
    let of_output = json!({ "openinference.span.kind": "RETRIEVER", "input.value": "q",
        "output.value": "[{\"id\":\"a\",\"score\":-Infinity}]" });
    for span_attributes in [attribute, blob, of_output] {
        let event = retrieval_of(&service(), &span_attributes, "");
        assert_eq!((ids(&event), scores(&event)), (vec!["a"], vec![None]));
        assert!(marks(&event).contains(&NOT_FINITE));
    }
}

#[test]
fn documents_that_cannot_be_read_are_told_and_not_taken_for_none() {
    for documents in ["[{\"id\":\"a\",\"score\":nan}]", "[{\"id\":\"a\"", "[null]", "7"] {
        let span_attributes = json!({ "gen_ai.operation.name": "retrieval", "gen_ai.retrieval.documents": documents });
        check_rejection(&service(), span(1, &span_attributes), "gen_ai.retrieval.documents");
    }
    let empty = json!({ "gen_ai.operation.name": "retrieval", "gen_ai.retrieval.query.text": "q",
        "gen_ai.retrieval.documents": [] });
    assert_eq!(ids(&retrieval_of(&service(), &empty, "")), Vec::<&str>::new());
}

#[test]
fn dropped_attributes_and_gaps_mark_the_event_truncated() {
    let mut dropped = span(1, &basic());
    dropped["droppedAttributesCount"] = json!(3);
    let spans = spans_of(&service(), &[dropped]);
    assert!(spans.events[0].marks().iter().any(|mark| mark.as_str() == ATTRIBUTES_DROPPED));
    let gap = retriever(&json!({ "retrieval.documents.2.document.id": "c" }));
    assert_eq!(ids(&gap), ["a"], "what stands behind a gap has lost its rank");
    assert!(marks(&gap).contains(&ATTRIBUTES_DROPPED));
}

#[test]
fn a_list_that_the_sender_cut_is_completed_from_the_output_or_ends_where_it_was_cut() {
    let asked = json!({ "openinference.span.kind": "RETRIEVER", "input.value": "q" });
    let output = json!({ "documents": [{ "id": "a", "page_content": "x" }, { "id": "b", "page_content": "y" }] });
    let output = json!({ "output.value": output.to_string() });
    let first = json!({ "retrieval.documents.0.document.content": "x" });
    let last = json!({ "retrieval.documents.1.document.content": "y" });
    let cut = |of: &Value| {
        let mut span = span(1, of);
        span["droppedAttributesCount"] = json!(3);
        span
    };
    let event_of = |of: &Value| match spans_of(&service(), &[cut(of)]).events.pop() {
        Some(Event::Retrieval(event)) => event,
        other => panic!("{other:?}"),
    };
    for documents in [&first, &last] {
        let event = event_of(&with(&with(&asked, documents), &output));
        assert_eq!(ids(&event), ["a", "b"]);
        assert!(marks(&event).contains(&ATTRIBUTES_DROPPED) && marks(&event).contains(&"doc_id.output_value"));
    }
    // The first documents are lost: their ranks are not known, and nothing found would be another event.
    check_rejection(&service(), cut(&with(&asked, &last)), "retrieval.documents");
    // Of the second document only the score is left.
    let half = with(&first, &json!({ "retrieval.documents.1.document.score": 0.5 }));
    assert_eq!(event_of(&with(&asked, &half)).results.len(), 1);
}
