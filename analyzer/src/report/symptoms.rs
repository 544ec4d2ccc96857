use serde::Serialize;

/// What a user of the service would notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SymptomKind {
    /// More or fewer answers hold no document.
    EmptyAnswers,
    /// Answers hold fewer documents.
    ShorterAnswers,
    /// Answers hold more documents.
    LongerAnswers,
    /// Answers hold other documents.
    DocumentsDiffer,
    /// Common documents stand in another order.
    OrderDiffers,
    /// Retrieval takes longer.
    Slower,
    /// Retrieval costs more.
    Costlier,
}

/// One of them, over the questions that both windows asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SymptomReport {
    /// Which.
    pub kind: SymptomKind,
    /// In the reference: a share between 0 and 1, a number of documents, milliseconds or US dollars. Of documents and order:
    /// the share that differs between repeats.
    pub reference: f64,
    /// The same in the current window, or between the windows.
    pub current: f64,
    /// The interval of the difference, over questions.
    pub interval: [f64; 2],
    /// In plain words.
    pub text: String,
}
