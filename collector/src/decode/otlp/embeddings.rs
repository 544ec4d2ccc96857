//! What was embedded a moment ago. Instrumentors give the embedding of a query a span of its own, which ends before that of
//! the retrieval and may be exported before it.

use std::collections::{HashMap, VecDeque};

/// Traces that are remembered, and embeddings of each: about 12 MB with 1,536 components, 100 MB at the very most.
const TRACES: usize = 250;
const OF_A_TRACE: usize = 8;
/// Larger embeddings, and those of longer texts, are not those of questions.
const COMPONENTS: usize = 8_192;
const TEXT_BYTES: usize = 16 * 1_024;

/// The newest embeddings of texts, by trace. Forgotten when the process ends: a retrieval whose embedding is not known has
/// none.
#[derive(Debug, Default)]
pub struct Embeddings {
    traces: HashMap<Vec<u8>, Vec<Embedded>>,
    order: VecDeque<Vec<u8>>,
}

#[derive(Debug, Clone)]
pub(super) struct Embedded {
    pub(super) text: String,
    pub(super) model: Option<String>,
    pub(super) vector: Option<Vec<f32>>,
}

impl Embeddings {
    pub(super) fn remember(&mut self, trace: &[u8], mut embedded: Embedded) {
        if embedded.text.len() > TEXT_BYTES {
            return;
        }
        embedded.vector = embedded.vector.filter(|vector| vector.len() <= COMPONENTS);
        if !self.traces.contains_key(trace) {
            if self.order.len() >= TRACES
                && let Some(oldest) = self.order.pop_front()
            {
                self.traces.remove(&oldest);
            }
            self.order.push_back(trace.to_vec());
        }
        let of_trace = self.traces.entry(trace.to_vec()).or_default();
        if of_trace.len() < OF_A_TRACE {
            of_trace.push(embedded);
        }
    }

    /// The embedding of this text in this trace.
    pub(super) fn of(&self, trace: &[u8], text: &str) -> Option<&Embedded> {
        let of_trace = self.traces.get(trace)?.iter().filter(|embedded| embedded.text == text);
        of_trace.max_by_key(|embedded| embedded.vector.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_traces_are_remembered() {
        let mut embeddings = Embeddings::default();
        for trace in 0..=TRACES {
            let embedded = Embedded { text: "q".to_owned(), model: None, vector: Some(vec![1.0]) };
            embeddings.remember(&trace.to_be_bytes(), embedded);
        }
        assert!(embeddings.of(&0_usize.to_be_bytes(), "q").is_none());
        assert!(embeddings.of(&TRACES.to_be_bytes(), "q").is_some());
        assert!(embeddings.of(&TRACES.to_be_bytes(), "other").is_none());
        assert_eq!((embeddings.traces.len(), embeddings.order.len()), (TRACES, TRACES));
    }
}
