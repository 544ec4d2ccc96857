//! One search that is asked nothing twice: every operation phrases one of the usual questions anew.

use tidemark_schema::{RetrievalEvent, Stored, Timestamp};

use super::corpus::{Tenant, Vector};
use super::desk::{self, Desk, Serving};
use super::dice::Dice;
use super::{ChangeKind, StageSpec, begins, traffic};

/// What changes between the windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// 5 to 30 % of the documents are gone.
    Removed,
    /// 5 to 30 % of the documents are new.
    Added,
    /// Questions and documents are embedded in another way.
    Reembedded,
    /// Each call misses 10 to 25 % of the documents.
    LostRecall,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Removed, Self::Added, Self::Reembedded, Self::LostRecall];
}

/// Two windows of a week each, and what is true of them.
#[derive(Debug)]
pub(crate) struct Chat {
    pub(crate) before: Vec<Stored<RetrievalEvent>>,
    pub(crate) after: Vec<Stored<RetrievalEvent>>,
    /// By how much answers to equal questions changed beyond noise, averaged over the traffic.
    pub(crate) true_effect: f64,
}

/// Two windows of so many operations, between which something changed or nothing did.
pub(crate) fn chat(seed: u64, operations: usize, kind: Option<Kind>) -> Chat {
    let mut dice = Dice::new(seed);
    let (documents, questions) = (dice.count(800..=1_600), dice.count(100..=300));
    let tenant = Tenant::new("acme", documents, questions, &mut dice);
    let misses = if dice.chance(0.5) { 0.0 } else { dice.between(0.01, 0.03) };
    let stage = StageSpec::search();
    let servings = vec![Serving::new(stage.top_k, misses, Vector::default())];
    let stages = [stage];
    let whole = Desk::new(&tenant, &stages, servings);
    let (old, new) = match kind {
        None => (whole.clone(), whole),
        Some(Kind::Added) => {
            let share = dice.between(0.05, 0.3);
            (whole.without((0..documents).map(|_| dice.chance(share)).collect()), whole)
        }
        Some(kind) => {
            let change = match kind {
                Kind::Removed | Kind::Added => ChangeKind::RemoveDocuments(dice.between(0.05, 0.3)),
                Kind::Reembedded => ChangeKind::Reembed(dice.between(0.15, 0.8)),
                Kind::LostRecall => ChangeKind::LoseRecall(dice.between(0.1, 0.25)),
            };
            let new = whole.changed(0, change, &mut dice);
            (whole, new)
        }
    };
    let mut window = |desk: &Desk<'_>, begin: Timestamp| {
        let mut events = Vec::with_capacity(operations);
        for _ in 0..operations {
            let begun = traffic::instant(begin, 7, &mut dice);
            events.extend(traffic::operation(desk, begun, 1.0, &mut dice).0);
        }
        events.sort_by_key(|row: &Stored<RetrievalEvent>| row.event.occurred_at);
        events
    };
    let [reference, current] = begins();
    let (before, after) = (window(&old, reference), window(&new, current));
    let effect = |question| tenant.share(question) * desk::effect(&old, &new, question, &mut dice);
    Chat { before, after, true_effect: (0..questions).map(effect).sum() }
}
