//! What may be stored, how much of it and for how long: one YAML document for a tenant, parsed once. `POLICY.md` beside
//! the sources of this crate describes each key.

mod bounds;
mod quantity;
mod retention;
mod source;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tidemark_schema::Label;

pub use bounds::Bounds;
pub use quantity::{Bytes, InvalidQuantity, Seconds};
pub use retention::{CorpusRetention, Retention};

use crate::redact::{Detector, InvalidPattern, Pattern, Redactor, TextPolicy};
use source::Source;

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No YAML, or YAML that is refused: a key twice, too many aliases, too deep.
    #[error("the policy cannot be read: {0}")]
    Yaml(String),
    /// A key that is wrong.
    #[error("{path} {reason}")]
    Field {
        /// The key with those above it, such as `services.support.bounds.results`.
        path: String,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// A part that allows more than the whole.
    #[error("{path} is {value}, but {parent} allows {allowed}: a part can only restrict")]
    Widens {
        /// The key of the part.
        path: String,
        /// What it allows.
        value: String,
        /// The key of the whole.
        parent: String,
        /// What that allows.
        allowed: String,
    },
    /// A pattern of one's own that cannot be used.
    #[error("redact.patterns: {0}")]
    Pattern(InvalidPattern),
}

impl PolicyError {
    fn field(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Field { path: path.into(), reason: reason.into() }
    }
}

/// The bounds of one service, and of principals when they use it.
#[derive(Debug, Clone)]
struct ServiceBounds {
    bounds: Bounds,
    principals: BTreeMap<Label, Bounds>,
}

/// What may be stored, how much of it and for how long.
#[derive(Debug, Clone)]
pub struct Policy {
    text: TextPolicy,
    version: Option<Label>,
    redactor: Option<Redactor>,
    retention: Retention,
    /// Each of these is within those above it.
    tenant: Bounds,
    services: BTreeMap<Label, ServiceBounds>,
    principals: BTreeMap<Label, Bounds>,
}

impl Default for Policy {
    /// No texts, all detectors, no bounds, everything kept.
    fn default() -> Self {
        Self::with_text(TextPolicy::None)
    }
}

impl Policy {
    /// Reads a policy. A text without any key is the default policy.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        Self::parse_storing(text, None)
    }

    /// The same with another answer to what may be stored of texts, if one is given.
    pub fn parse_storing(text: &str, stored: Option<TextPolicy>) -> Result<Self, PolicyError> {
        let mut source = Source::read(text)?;
        source.text = stored.unwrap_or(source.text);
        let patterns = source.redact.parse()?;
        let retention = source.retention.parse()?;
        let (tenant, services, principals) = source.bounds()?;
        let version = source.version();
        let redactor = redactor(source.text, patterns, &source.redact.detectors());
        Ok(Self { text: source.text, version, redactor, retention, tenant, services, principals })
    }

    /// A policy that changes nothing of an event, for reading back what was written under a policy.
    pub fn verbatim() -> Self {
        Self::with_text(TextPolicy::Full)
    }

    /// The default policy with another answer to what may be stored of texts.
    pub fn with_text(text: TextPolicy) -> Self {
        Self {
            text,
            version: None,
            redactor: redactor(text, Vec::new(), &Detector::ALL.into()),
            retention: Retention::default(),
            tenant: Bounds::default(),
            services: BTreeMap::new(),
            principals: BTreeMap::new(),
        }
    }

    /// How much of a query or an answer may be stored as text.
    pub fn text(&self) -> TextPolicy {
        self.text
    }

    /// What redacts texts; none where texts are stored as they were sent.
    pub fn redactor(&self) -> Option<&Redactor> {
        self.redactor.as_ref()
    }

    /// The name of what the policy says: `p:` and 64 bits of the BLAKE3 hash of its canonical form. Comments, order and the
    /// units of quantities make no difference. None where no
    /// policy was written: what the sender says of its own policy is kept then.
    pub fn version(&self) -> Option<&Label> {
        self.version.as_ref()
    }

    /// How long events are kept, and how much of them.
    pub fn retention(&self) -> &Retention {
        &self.retention
    }

    /// The bounds of an event that names this service and principal: those of the tenant, of the service, of the principal
    /// in the service, and of the principal, all of them at once.
    pub fn bounds_for(&self, service: Option<&Label>, principal: Option<&Label>) -> Cow<'_, Bounds> {
        let service = service.and_then(|service| self.services.get(service));
        let inner = service.map_or(&self.tenant, |service| {
            principal.and_then(|principal| service.principals.get(principal)).unwrap_or(&service.bounds)
        });
        match principal.and_then(|principal| self.principals.get(principal)) {
            None => Cow::Borrowed(inner),
            Some(own) if service.is_none() => Cow::Borrowed(own),
            Some(own) => Cow::Owned(inner.within(own)),
        }
    }

    /// What holds for events that name this service and principal, for people and programs to read.
    pub fn describe(&self, service: Option<&Label>, principal: Option<&Label>) -> Effective {
        let mut parts = vec!["bounds".to_owned()];
        if let Some((name, service)) = service.and_then(|name| self.services.get_key_value(name)) {
            parts.push(format!("services.{name}.bounds"));
            let own = principal.filter(|principal| service.principals.contains_key(principal));
            parts.extend(own.map(|principal| format!("services.{name}.principals.{principal}.bounds")));
        }
        let own = principal.filter(|principal| self.principals.contains_key(principal));
        parts.extend(own.map(|principal| format!("principals.{principal}.bounds")));
        Effective {
            policy_version: self.version.clone(),
            service: service.cloned(),
            principal: principal.cloned(),
            text: self.text,
            redacted: self.redactor.iter().flat_map(Redactor::names).map(str::to_owned).collect(),
            bounds: self.bounds_for(service, principal).into_owned(),
            parts,
        }
    }

    /// Every mark that this policy can set on an event. Count by these: a sender can send marks of its own.
    pub fn marks(&self) -> BTreeSet<Label> {
        let redacted = self.redactor.iter().flat_map(Redactor::names).map(|name| format!("redacted.{name}"));
        let bounds = crate::bound::MARKS.iter().map(|mark| (*mark).to_owned());
        redacted.chain(bounds).filter_map(|mark| Label::from_owned(mark).ok()).collect()
    }
}

/// What holds for the events of one service and principal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// The version of the policy.
    pub policy_version: Option<Label>,
    /// The service that was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Label>,
    /// The principal that was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<Label>,
    /// How much of a query or an answer is stored as text.
    pub text: TextPolicy,
    /// What is replaced in texts.
    pub redacted: Vec<String>,
    /// The bounds.
    pub bounds: Bounds,
    /// Where in the policy they come from.
    pub parts: Vec<String>,
}

fn redactor(text: TextPolicy, patterns: Vec<Pattern>, detectors: &BTreeSet<Detector>) -> Option<Redactor> {
    (text != TextPolicy::Full).then(|| Redactor::new(patterns, detectors))
}

#[cfg(test)]
mod tests;
