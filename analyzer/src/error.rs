use tidemark_schema::ErrorKind;

/// Why a question about windows or traces has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text selects no window.
    #[error("{text:?} selects no window: {reason}")]
    Selector {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The text names no segment.
    #[error("{text:?} names no segment: {reason}")]
    Segment {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The windows share events.
    #[error("the windows {reference} and {current} overlap: events in both make them look more alike than they are")]
    Overlap {
        /// The reference's selector.
        reference: String,
        /// The current window's.
        current: String,
        /// What was probably meant.
        meant: String,
    },
    /// The trace to compare with belongs to another tenant.
    #[error(
        "trace {other} was answered for another tenant than trace {trace}; answers of two tenants are never compared"
    )]
    OtherTenant {
        /// The trace that is looked at.
        trace: String,
        /// The one it was to be compared with.
        other: String,
    },
    /// The server stops.
    #[error("the comparison was stopped before it was done")]
    Stopped,
    /// A window holds no event at all.
    #[error("the {side} window {selector} holds no retrieval of corpus {corpus}{}", if segment.is_empty() { String::new() } else { format!(" in segment {segment}") })]
    EmptyWindow {
        /// `reference` or `current`.
        side: &'static str,
        /// Which window.
        selector: String,
        /// Which corpus.
        corpus: String,
        /// Which part of the traffic; empty for all of it.
        segment: String,
    },
    /// There is no such trace.
    #[error("no retrieval of trace {0} is stored")]
    NoTrace(String),
    /// The query of a trace was never asked before.
    #[error(
        "the query of trace {0} was never asked before, nor anything like it, so there is nothing to compare it with"
    )]
    NoReference(String),
    /// The query was asked before, and never within the same limits.
    #[error(
        "the query of trace {0} was never asked before within the same scope and filter, so there is nothing to compare it with"
    )]
    OtherLimits(String),
    /// The tables could not be read.
    #[error("the recorded events could not be read")]
    Lake(#[from] tidemark_lake::Error),
    /// A row of a table is not what its schema says.
    #[error("a stored event could not be read")]
    Column(#[from] tidemark_schema::columns::ColumnError),
    /// The registry of corpus versions could not be read.
    #[error("the registry of corpus versions could not be read")]
    Corpus(#[from] tidemark_corpus::Error),
    /// A statistic refused its input: a defect.
    #[error("a statistic refused its input")]
    Statistics(#[from] tidemark_stats::Error),
}

impl Error {
    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Selector { .. } | Self::Segment { .. } | Self::Overlap { .. } | Self::OtherTenant { .. } => {
                ErrorKind::Invalid
            }
            Self::Stopped => ErrorKind::Unavailable,
            Self::EmptyWindow { .. } | Self::NoTrace(_) | Self::NoReference(_) | Self::OtherLimits(_) => {
                ErrorKind::NotFound
            }
            Self::Lake(error) => error.kind(),
            Self::Column(_) => ErrorKind::Corrupt,
            Self::Corpus(error) => error.kind(),
            Self::Statistics(_) => ErrorKind::Internal,
        }
    }

    /// The next step.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Selector { .. } => {
                "use version:NAME, FROM..TO (dates or RFC 3339 times, TO excluded), last:7d (s, m, h, d, w), or before:7d for the \
                 7 days before the other window"
            }
            Self::Segment { .. } => "use KEY=VALUE with a key that events declare, for instance locale=de",
            Self::Overlap { meant, .. } => {
                return Some(meant.clone());
            }
            Self::OtherTenant { .. } => {
                "leave the second trace out: then it is compared with what its own tenant got before"
            }
            Self::Stopped => "ask again",
            Self::EmptyWindow { .. } => "`tidemark doctor` shows which corpora, versions and days are stored",
            Self::NoTrace(_) => "an event is visible a few seconds after it was acknowledged; check the id and --data",
            Self::NoReference(_) | Self::OtherLimits(_) => {
                "name another trace to compare with: `tidemark diff TRACE OTHER`"
            }
            Self::Lake(error) => return error.hint().map(str::to_owned),
            Self::Corpus(error) => return error.hint(),
            Self::Column(_) => "run `tidemark doctor`",
            Self::Statistics(_) => return None,
        };
        Some(text.to_owned())
    }
}
