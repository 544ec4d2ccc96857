//! What is kept of whom.

use tidemark_collector::policy::Effective;
use tidemark_schema::Label;

use super::{Action, Caller, Error, Operations, permit};

impl Operations {
    /// What the policy says of a service and a principal.
    pub fn effective_policy(
        &self,
        caller: &Caller,
        service: Option<&Label>,
        principal: Option<&Label>,
    ) -> Result<Effective, Error> {
        permit(caller, Action::ShowPolicy)?;
        Ok(self.policy.describe(service, principal))
    }
}
