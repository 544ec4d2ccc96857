//! What is said when a command fails: what failed, why, and what to do next.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use tidemark_api::fingerprint_key;
use tidemark_api::operations::{self, import};

use crate::commands::visible_lines;

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
        let text = visible_lines(&text);
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

impl From<operations::Error> for Failure {
    fn from(error: operations::Error) -> Self {
        let (hint, code) = (error.hint(), if error.is_usage() { 2 } else { 1 });
        Self { error: error.into(), hint, code }
    }
}

impl From<tidemark_analyzer::Error> for Failure {
    fn from(error: tidemark_analyzer::Error) -> Self {
        operations::Error::from(error).into()
    }
}

impl From<tidemark_collector::Error> for Failure {
    fn from(error: tidemark_collector::Error) -> Self {
        operations::Error::from(error).into()
    }
}

impl From<tidemark_lake::Error> for Failure {
    fn from(error: tidemark_lake::Error) -> Self {
        operations::Error::from(error).into()
    }
}

impl From<import::Error> for Failure {
    fn from(error: import::Error) -> Self {
        operations::Error::from(error).into()
    }
}

impl From<fingerprint_key::Error> for Failure {
    fn from(error: fingerprint_key::Error) -> Self {
        operations::Error::from(error).into()
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::of(error)
    }
}
