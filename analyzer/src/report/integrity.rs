use serde::Serialize;

/// A kind of contradiction between what was declared and what was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IntegrityKind {
    /// A document was returned that the manifest of the declared version does not list.
    UnregisteredDocument,
    /// A document has another content under the same corpus version.
    SilentMutation,
    /// A document that came in is returned for extremely many different queries.
    Hub,
    /// An answer holds one content more than once, under several ids.
    DuplicateContent,
    /// No document id of the reference is returned any more.
    IdsReplaced,
    /// A document has another content, and no corpus version is declared that could say so.
    ContentChangedWithoutVersion,
    /// Content hashes are made by another function, so contents cannot be compared.
    HashSchemeChanged,
    /// A document was returned with the content of another version, or older than the request allowed.
    Stale,
    /// A document was returned from outside of the scopes that were asked for.
    Scope,
    /// More documents or tokens were returned than the request allowed.
    Bound,
    /// An output cites a document that its operation never retrieved.
    CitationNotRetrieved,
}

impl IntegrityKind {
    /// Every kind, the gravest first.
    pub const ALL: [Self; 11] = [
        Self::UnregisteredDocument,
        Self::SilentMutation,
        Self::ContentChangedWithoutVersion,
        Self::IdsReplaced,
        Self::HashSchemeChanged,
        Self::DuplicateContent,
        Self::Hub,
        Self::Scope,
        Self::Bound,
        Self::Stale,
        Self::CitationNotRetrieved,
    ];

    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnregisteredDocument => "unregistered_document",
            Self::SilentMutation => "silent_mutation",
            Self::Hub => "hub",
            Self::DuplicateContent => "duplicate_content",
            Self::IdsReplaced => "ids_replaced",
            Self::ContentChangedWithoutVersion => "content_changed_without_version",
            Self::HashSchemeChanged => "hash_scheme_changed",
            Self::Stale => "stale",
            Self::Scope => "scope",
            Self::Bound => "bound",
            Self::CitationNotRetrieved => "citation_not_retrieved",
        }
    }
}

/// What was found of one kind in the current window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IntegrityReport {
    /// Which.
    pub kind: IntegrityKind,
    /// How many, in `unit`s.
    pub count: u64,
    /// What is counted: `documents`, `retrievals` or `outputs`.
    pub unit: &'static str,
    /// How many the reference window held already.
    pub reference_count: u64,
    /// A few of them: ids of documents, or traces (operations where there is no trace).
    pub examples: Vec<String>,
    /// What was seen.
    pub evidence: String,
    /// What to do about it.
    pub advice: &'static str,
}
