use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tidemark_schema::Label;

use super::bounds::Bounds;
use super::retention::RetentionSource;
use super::{PolicyError, ServiceBounds};
use crate::redact::{Detector, Pattern, TextPolicy};
use crate::yaml::{self, Unusable};

/// A policy as it is written.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Source {
    pub(super) text: TextPolicy,
    pub(super) redact: RedactSource,
    pub(super) bounds: Bounds,
    pub(super) services: BTreeMap<Label, ServiceSource>,
    pub(super) principals: BTreeMap<Label, PrincipalSource>,
    pub(super) retention: RetentionSource,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RedactSource {
    detectors: Option<BTreeSet<Detector>>,
    patterns: Vec<PatternSource>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PatternSource {
    name: String,
    pattern: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServiceSource {
    bounds: Bounds,
    principals: BTreeMap<Label, PrincipalSource>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PrincipalSource {
    bounds: Bounds,
}

/// Each pattern reads each text once more.
const MOST_PATTERNS: usize = 100;

impl Source {
    pub(super) fn read(text: &str) -> Result<Self, PolicyError> {
        yaml::read(text, "a policy").map_err(|unusable| match unusable {
            Unusable::Yaml(reason) => PolicyError::Yaml(reason),
            Unusable::Key { path, reason } => PolicyError::field(path, reason),
        })
    }

    /// The same for policies that say the same.
    pub(super) fn version(&self) -> Option<Label> {
        // Maps and sets are sorted and quantities are in their base units, so the text is canonical.
        let canonical = serde_json::to_vec(self).ok()?;
        let hash = blake3::hash(&canonical).to_hex();
        Label::from_owned(format!("p:{}", hash.get(..16)?)).ok()
    }

    /// The bounds of the tenant, of its services and of its principals, each within those above it.
    #[expect(clippy::type_complexity, reason = "the three are taken apart at once")]
    pub(super) fn bounds(
        &self,
    ) -> Result<(Bounds, BTreeMap<Label, ServiceBounds>, BTreeMap<Label, Bounds>), PolicyError> {
        const TENANT: &str = "bounds";
        self.bounds.check_values(TENANT)?;
        let tenant = self.bounds.filled();
        let mut services = BTreeMap::new();
        for (name, service) in &self.services {
            let path = format!("services.{name}.bounds");
            service.bounds.check_values(&path)?;
            service.bounds.check_within(&path, &self.bounds, TENANT)?;
            let bounds = tenant.within(&service.bounds.filled());
            let mut principals = BTreeMap::new();
            for (principal, own) in &service.principals {
                let own_path = format!("services.{name}.principals.{principal}.bounds");
                own.bounds.check_values(&own_path)?;
                own.bounds.check_within(&own_path, &service.bounds, &path)?;
                own.bounds.check_within(&own_path, &self.bounds, TENANT)?;
                principals.insert(principal.clone(), bounds.within(&own.bounds.filled()));
            }
            services.insert(name.clone(), ServiceBounds { bounds, principals });
        }
        let mut principals = BTreeMap::new();
        for (principal, own) in &self.principals {
            let path = format!("principals.{principal}.bounds");
            own.bounds.check_values(&path)?;
            own.bounds.check_within(&path, &self.bounds, TENANT)?;
            principals.insert(principal.clone(), tenant.within(&own.bounds.filled()));
        }
        Ok((tenant, services, principals))
    }
}

impl RedactSource {
    /// Those that are named; all when none are.
    pub(super) fn detectors(&self) -> BTreeSet<Detector> {
        self.detectors.clone().unwrap_or_else(|| Detector::ALL.into())
    }

    pub(super) fn parse(&self) -> Result<Vec<Pattern>, PolicyError> {
        if self.patterns.len() > MOST_PATTERNS {
            let reason = format!("are {}, the limit is {MOST_PATTERNS}; join them with `|`", self.patterns.len());
            return Err(PolicyError::field("redact.patterns", reason));
        }
        let mut names = BTreeSet::new();
        for pattern in &self.patterns {
            if !names.insert(&pattern.name) {
                let reason = format!("have the name {:?} twice; give each pattern a name of its own", pattern.name);
                return Err(PolicyError::field("redact.patterns", reason));
            }
        }
        let compiled = self.patterns.iter().map(|source| Pattern::new(&source.name, &source.pattern));
        compiled.collect::<Result<_, _>>().map_err(PolicyError::Pattern)
    }
}
