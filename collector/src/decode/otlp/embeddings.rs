//! What was embedded a moment ago. Instrumentors give the embedding of a query a span of its own, which ends before that of
//! the retrieval and may be exported before it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Traces that are remembered, and embeddings of each: about 12 MB with 1,536 components, 100 MB at the very most.
const TRACES: usize = 250;
const OF_A_TRACE: usize = 8;
/// Larger embeddings, and those of longer texts, are not those of questions.
const COMPONENTS: usize = 8_192;
const TEXT_BYTES: usize = 16 * 1_024;

/// The newest embeddings of texts, by trace. Forgotten when the process ends: a retrieval whose embedding is not known has
/// none.
#[derive(Debug, Default)]
pub struct Embeddings(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    traces: HashMap<Vec<u8>, VecDeque<Embedded>>,
    order: VecDeque<Vec<u8>>,
}

#[derive(Debug, Clone)]
pub(super) struct Embedded {
    pub(super) text: String,
    pub(super) model: Option<String>,
    pub(super) vector: Option<Arc<[f32]>>,
}

impl Embeddings {
    pub(super) fn remember(&self, trace: &[u8], mut embedded: Embedded) {
        if embedded.text.len() > TEXT_BYTES {
            return;
        }
        embedded.vector = embedded.vector.filter(|vector| vector.len() <= COMPONENTS);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remember(trace, embedded);
    }

    /// The embedding of this text in this trace.
    pub(super) fn of(&self, trace: &[u8], text: &str) -> Option<Embedded> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.traces.get(trace)?.iter().find(|embedded| embedded.text == text).cloned()
    }
}

impl Remembered {
    fn remember(&mut self, trace: &[u8], embedded: Embedded) {
        if !self.traces.contains_key(trace) {
            if self.order.len() >= TRACES
                && let Some(oldest) = self.order.pop_front()
            {
                self.traces.remove(&oldest);
            }
            self.order.push_back(trace.to_vec());
        }
        let of_trace = self.traces.entry(trace.to_vec()).or_default();
        if let Some(known) = of_trace.iter_mut().find(|known| known.text == embedded.text) {
            // A span that comes again, or one of the same text by another instrumentor that hides the vector.
            if embedded.vector.is_some() || known.vector.is_none() {
                *known = embedded;
            }
            return;
        }
        if of_trace.len() >= OF_A_TRACE {
            of_trace.pop_front();
        }
        of_trace.push_back(embedded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedded(text: &str, vector: Option<f32>) -> Embedded {
        Embedded { text: text.to_owned(), model: None, vector: vector.map(|component| [component].into()) }
    }

    #[test]
    fn only_the_newest_traces_are_remembered() {
        let embeddings = Embeddings::default();
        for trace in 0..=TRACES {
            embeddings.remember(&trace.to_be_bytes(), embedded("q", Some(1.0)));
        }
        assert!(embeddings.of(&0_usize.to_be_bytes(), "q").is_none());
        assert!(embeddings.of(&TRACES.to_be_bytes(), "q").is_some());
        assert!(embeddings.of(&TRACES.to_be_bytes(), "other").is_none());
        let remembered = embeddings.0.into_inner().unwrap();
        assert_eq!((remembered.traces.len(), remembered.order.len()), (TRACES, TRACES));
    }

    #[test]
    fn of_a_trace_the_newest_texts_are_remembered_and_each_once() {
        let embeddings = Embeddings::default();
        embeddings.remember(b"t", embedded("q", Some(1.0)));
        embeddings.remember(b"t", embedded("q", None));
        assert_eq!(embeddings.of(b"t", "q").unwrap().vector.as_deref(), Some(&[1.0][..]));
        for number in 0..OF_A_TRACE {
            embeddings.remember(b"t", embedded(&number.to_string(), None));
        }
        assert!(embeddings.of(b"t", "q").is_none());
        assert!(embeddings.of(b"t", "0").is_some());
    }
}
