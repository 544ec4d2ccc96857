//! The list of everything that can be done with a store.

use strum::{Display, VariantArray};

/// One thing that can be done. Rights are given, and what is done is recorded, in these terms. Its text stands behind
/// "may not".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Display, VariantArray)]
pub enum Action {
    /// Store retrievals, outputs and spans.
    #[strum(to_string = "send events")]
    IngestEvents,
    /// Store the events of a file.
    #[strum(to_string = "import events")]
    ImportEvents,
    /// Write events into a file.
    #[strum(to_string = "export events")]
    ExportEvents,
    /// Show a trace or an operation.
    #[strum(to_string = "show traces")]
    ShowTrace,
    /// Compare a trace with another, or with what its query got before.
    #[strum(to_string = "compare traces")]
    DiffTrace,
    /// Compare two windows.
    #[strum(to_string = "compare windows")]
    CompareWindows,
    /// Ask the tables in SQL.
    #[strum(to_string = "query the tables")]
    QueryTables,
    /// Count the events of a principal.
    #[strum(to_string = "count events")]
    CountEvents,
    /// Take the events of a principal out of the store.
    #[strum(to_string = "erase events")]
    EraseEvents,
    /// List the versions of a corpus.
    #[strum(to_string = "list versions")]
    ListVersions,
    /// Show one version of a corpus.
    #[strum(to_string = "show versions")]
    ShowVersion,
    /// Say what changed from one version of a corpus to another.
    #[strum(to_string = "compare versions")]
    DiffVersions,
    /// Put a version of a corpus on record.
    #[strum(to_string = "register versions")]
    RegisterVersion,
    /// Put the relevance judgements of a corpus on record.
    #[strum(to_string = "store judgements")]
    PutQrels,
    /// Say what the store takes on disk.
    #[strum(to_string = "show the storage")]
    ShowStorage,
    /// Say what is in the store, and what about it deserves attention.
    #[strum(to_string = "examine the store")]
    ExamineStore,
    /// Drop, merge and sweep what is due.
    #[strum(to_string = "maintain the store")]
    MaintainStore,
    /// Check the store against its chains of evidence.
    #[strum(to_string = "verify the store")]
    VerifyStore,
    /// Take damaged files out of the tables.
    #[strum(to_string = "quarantine files")]
    QuarantineFiles,
    /// Show what the policy says of a service and a principal.
    #[strum(to_string = "show the policy")]
    ShowPolicy,
    /// Read the audit log.
    #[strum(to_string = "read the audit log")]
    ReadAudit,
    /// Show the names of the fingerprint keys.
    #[strum(to_string = "show the keys")]
    ShowKeys,
    /// Make a new fingerprint key.
    #[strum(to_string = "rotate the keys")]
    RotateKeys,
    /// Forget the previous fingerprint key.
    #[strum(to_string = "forget a key")]
    ForgetKey,
}

/// What an action does to the thing that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Makes something new.
    Create,
    /// Shows one thing.
    Read,
    /// Shows which things there are.
    List,
    /// Changes something that is there.
    Update,
    /// Takes something away for good.
    Delete,
    /// Computes something, at a cost.
    Execute,
}

impl Action {
    /// What it does to the thing that it is about.
    pub fn verb(self) -> Verb {
        match self {
            Self::IngestEvents | Self::ImportEvents | Self::RegisterVersion => Verb::Create,
            Self::ExportEvents | Self::CountEvents | Self::ListVersions => Verb::List,
            Self::ShowTrace
            | Self::ShowVersion
            | Self::ShowStorage
            | Self::ExamineStore
            | Self::ShowPolicy
            | Self::ReadAudit
            | Self::ShowKeys => Verb::Read,
            Self::DiffTrace | Self::CompareWindows | Self::QueryTables | Self::DiffVersions | Self::VerifyStore => {
                Verb::Execute
            }
            Self::EraseEvents | Self::ForgetKey => Verb::Delete,
            Self::PutQrels | Self::MaintainStore | Self::QuarantineFiles | Self::RotateKeys => Verb::Update,
        }
    }
}
