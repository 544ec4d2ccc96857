//! Whether an event that is right may be sent now.

use std::sync::PoisonError;

use tidemark_collector::OverQuota as Refusal;
use tidemark_collector::decode::Event;

use super::app::App;

/// Why an event that is right is not taken now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OverQuota {
    /// In words.
    pub(crate) reason: String,
    /// Seconds until it would be; none if it never would.
    pub(crate) retry_after_s: Option<u64>,
}

/// Asks the quota of the event's principal, and takes from it.
pub(crate) fn admit(app: &App, event: &Event) -> Result<(), OverQuota> {
    let principal = event.principal();
    let bounds = app.policy.bounds_for(event.service(), principal);
    let mut quotas = app.quotas.lock().unwrap_or_else(PoisonError::into_inner);
    quotas.take(app.clock.now(), principal, &bounds, 1).map_err(|refusal| OverQuota {
        reason: refusal.to_string(),
        retry_after_s: match refusal {
            Refusal::Wait { seconds } => Some(seconds),
            Refusal::TooMany { .. } => None,
        },
    })
}
