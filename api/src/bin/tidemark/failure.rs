//! What is said when a command fails: what failed, why, and what to do next.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use tidemark_api::wire::StoreError;
use tidemark_api::{export, fingerprint_key, import, verification};

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    error: Box<dyn Error + Send + Sync>,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    /// A failure without a next step.
    pub(crate) fn of(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { error: error.into(), hint: None, code: 1 }
    }

    /// Something was typed that cannot be meant.
    pub(crate) fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { error: error.into(), hint: None, code: 2 }
    }

    /// The same with a next step.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn maybe_hint(mut self, hint: Option<impl Into<String>>) -> Self {
        self.hint = hint.map(Into::into);
        self
    }

    /// Says it on standard error, the causes from the outermost in.
    pub(crate) fn report(&self) -> ExitCode {
        let mut text = format!("error: {}\n", self.error);
        let mut said = self.error.to_string();
        let mut cause = self.error.source();
        while let Some(error) = cause {
            // Some libraries repeat the text of their cause in their own.
            let this = error.to_string();
            if !said.contains(&this) {
                text.push_str(&format_cause(&this));
            }
            said = this;
            cause = error.source();
        }
        if let Some(hint) = &self.hint {
            text.push_str("hint: ");
            text.push_str(hint);
            text.push('\n');
        }
        // Standard error may be closed; then nobody can be told, and the exit code says it.
        if std::io::stderr().write_all(text.as_bytes()).is_err() {
            return ExitCode::from(self.code);
        }
        ExitCode::from(self.code)
    }
}

fn format_cause(cause: &str) -> String {
    format!("  because: {cause}\n")
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let hint = error.hint();
        Self::of(error).maybe_hint(hint)
    }
}

impl From<tidemark_lake::Error> for Failure {
    fn from(error: tidemark_lake::Error) -> Self {
        let hint = error.hint();
        Self::of(error).maybe_hint(hint)
    }
}

impl From<import::Error> for Failure {
    fn from(error: import::Error) -> Self {
        let hint = error.hint();
        Self::of(error).maybe_hint(hint)
    }
}

impl From<export::Error> for Failure {
    fn from(error: export::Error) -> Self {
        match error {
            export::Error::Lake(error) => error.into(),
            export::Error::Unsuited(unsuited) => {
                let (hint, is_usage) = (unsuited.hint(), unsuited.is_usage());
                if is_usage { Self::usage(unsuited).hint(hint) } else { Self::of(unsuited).hint(hint) }
            }
            export::Error::NoRankings => Self::of(error).hint("leave --kind out, or choose another --format"),
            error => Self::of(error),
        }
    }
}

impl From<tidemark_analyzer::Error> for Failure {
    fn from(error: tidemark_analyzer::Error) -> Self {
        let hint = error.hint();
        let code =
            if matches!(error, tidemark_analyzer::Error::Selector { .. } | tidemark_analyzer::Error::Overlap { .. }) {
                2
            } else {
                1
            };
        Self { code, ..Self::of(error).maybe_hint(hint) }
    }
}

impl From<tidemark_corpus::Error> for Failure {
    fn from(error: tidemark_corpus::Error) -> Self {
        let hint = error.hint();
        Self::of(error).maybe_hint(hint)
    }
}

impl From<tidemark_collector::Error> for Failure {
    fn from(error: tidemark_collector::Error) -> Self {
        let hint = error.hint();
        Self::of(error).hint(hint)
    }
}

impl From<fingerprint_key::Error> for Failure {
    fn from(error: fingerprint_key::Error) -> Self {
        let hint = error.hint();
        Self::of(error).hint(hint)
    }
}

impl From<verification::Error> for Failure {
    fn from(error: verification::Error) -> Self {
        match error {
            verification::Error::Lake(error) => error.into(),
            verification::Error::Registry(error) => error.into(),
            error @ verification::Error::Audit(_) => Self::of(error),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::of(error)
    }
}
