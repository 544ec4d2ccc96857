//! Who asks for something.

use std::collections::BTreeSet;

use strum::VariantArray;
use tidemark_schema::{Label, TenantName};

use super::action::Action;

/// Who asks, for which tenant, and what they may do.
///
/// Today there is one caller, the operator of the machine: whoever can reach the files, or a server that listens on
/// loopback addresses only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Under which name the audit log tells what the caller did: the server, or the command.
    pub actor: &'static str,
    /// The principal; none for the operator.
    pub principal: Option<Label>,
    /// The tenant whose data is asked for.
    pub tenant: TenantName,
    /// What the caller may do.
    pub rights: Rights,
}

impl Caller {
    /// The operator of this machine, who may do everything.
    pub fn operator(actor: &'static str, tenant: TenantName) -> Self {
        Self { actor, principal: None, tenant, rights: Rights::all() }
    }

    /// The same caller for another tenant.
    #[must_use]
    pub fn of_tenant(&self, tenant: TenantName) -> Self {
        Self { tenant, ..self.clone() }
    }
}

/// What a caller may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights(BTreeSet<Action>);

impl Rights {
    /// Everything.
    pub fn all() -> Self {
        Self(Action::VARIANTS.iter().copied().collect())
    }

    /// Nothing but these.
    pub fn only(actions: impl IntoIterator<Item = Action>) -> Self {
        Self(actions.into_iter().collect())
    }

    /// Whether an action is one of them.
    pub fn allow(&self, action: Action) -> bool {
        self.0.contains(&action)
    }
}
