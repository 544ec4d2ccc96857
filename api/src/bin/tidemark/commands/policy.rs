//! `tidemark policy`, and the policy that other commands use.

use std::path::Path;
use std::process::ExitCode;

use tidemark_collector::decode::TextPolicy;
use tidemark_collector::policy::Policy;
use tidemark_schema::Label;

use super::{print, print_json};
use crate::arguments::{Format, Policy as Arguments, PolicyChoice, PolicyCommand, TextStored};
use crate::failure::Failure;

/// The largest policy file that is read.
const FILE_BYTES: u64 = 1024 * 1024;

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.command {
        PolicyCommand::Check { file } => {
            let policy = load(Some(file))?;
            let version = policy.version().map_or_else(String::new, ToString::to_string);
            print(&format!("{} can be used; its version is {version}\n", file.display()))?;
        }
        PolicyCommand::Show { file, service, principal, format } => {
            let policy = load(Some(file))?;
            let effective = policy.describe(label(service.as_deref())?.as_ref(), label(principal.as_deref())?.as_ref());
            match format {
                Format::Json => print_json(&effective)?,
                Format::Text => {
                    let value = serde_json::to_value(&effective).map_err(Failure::of)?;
                    print(&lines(&value, ""))?;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn label(text: Option<&str>) -> Result<Option<Label>, Failure> {
    text.map(|text| text.parse().map_err(|error| Failure::usage(format!("{text:?} {error}")))).transpose()
}

/// Nested values as lines of `path: value`.
fn lines(value: &serde_json::Value, path: &str) -> String {
    match value {
        serde_json::Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| lines(value, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") }))
            .collect(),
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => format!("{path}: {text}\n"),
        other => format!("{path}: {other}\n"),
    }
}

/// The policy in a file, or the default one.
pub(crate) fn load(file: Option<&Path>) -> Result<Policy, Failure> {
    load_storing(file, None)
}

fn load_storing(file: Option<&Path>, stored: Option<TextPolicy>) -> Result<Policy, Failure> {
    let Some(file) = file else { return Ok(Policy::with_text(stored.unwrap_or_default())) };
    let failed = |error: std::io::Error| {
        Failure::of(format!("the policy {} cannot be read: {error}", file.display())).hint("correct --policy")
    };
    let size = std::fs::metadata(file).map_err(failed)?.len();
    if size > FILE_BYTES {
        let reason = format!("the policy {} has {size} bytes, the limit is {FILE_BYTES}", file.display());
        return Err(Failure::of(reason).hint("is it the right file?"));
    }
    let text = std::fs::read_to_string(file).map_err(failed)?;
    Policy::parse_storing(&text, stored).map_err(|error| {
        Failure::of(format!("the policy {} cannot be used: {error}", file.display()))
            .hint("`tidemark policy --help` shows one; nothing was started")
    })
}

/// The policy that was chosen on the command line.
pub(crate) fn chosen(choice: &PolicyChoice) -> Result<Policy, Failure> {
    let stored = choice.text.map(|text| match text {
        TextStored::None => TextPolicy::None,
        TextStored::Redacted => TextPolicy::Redacted,
        TextStored::Full => TextPolicy::Full,
    });
    load_storing(choice.policy.as_deref(), stored)
}
