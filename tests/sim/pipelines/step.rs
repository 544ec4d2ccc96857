//! One search whose answers change at an instant by a known amount: what a monitor looks at.

use tidemark_schema::{RetrievalEvent, Stored, Timestamp};

use super::corpus::{Tenant, Vector};
use super::desk::{Desk, Serving, depth_weights};
use super::dice::Dice;
use super::{StageSpec, begins, traffic};

const DAYS: usize = 7;
const OPERATIONS_A_DAY: usize = 2_000;

/// Two windows of a week, of one search with one population. From an instant on, if there is one, it no longer finds so many
/// documents that its answers are about `size` away from what they were, at most 0.7, averaged over the traffic.
pub(crate) fn step_change(
    seed: u64,
    size: f64,
    at: Option<Timestamp>,
) -> (Vec<Stored<RetrievalEvent>>, Vec<Stored<RetrievalEvent>>) {
    let mut dice = Dice::new(seed);
    let tenant = Tenant::new("acme", 800, 300, &mut dice);
    let misses = if dice.chance(0.5) { 0.0 } else { dice.between(0.01, 0.02) };
    let stage = StageSpec::search();
    let servings = vec![Serving::new(stage.top_k, misses, Vector::default())];
    let stages = [stage];
    let old = Desk::new(&tenant, &stages, servings);
    let new = old.without(removed(&old, size, &mut dice));
    let mut window = |begin: Timestamp| {
        let mut events = Vec::with_capacity(DAYS * OPERATIONS_A_DAY);
        for day in 0..DAYS {
            for _ in 0..OPERATIONS_A_DAY {
                let begun = traffic::instant(traffic::plus_days(begin, day), 1, &mut dice);
                let desk = if at.is_some_and(|at| at <= begun) { &new } else { &old };
                events.extend(traffic::operation(desk, begun, 0.2, &mut dice).0);
            }
        }
        events.sort_by_key(|row| row.event.occurred_at);
        events
    };
    let [reference, current] = begins();
    (window(reference), window(current))
}

/// Documents, as flags, without which the answers of a search change by `size`.
///
/// Where others take the place of those that went, what a document takes with it depends on its ranks alone; so the effects
/// of documents add up, and whoever would exceed the size stays.
fn removed(desk: &Desk<'_>, size: f64, dice: &mut Dice) -> Vec<bool> {
    let weights = depth_weights(desk.servings[0].top_k);
    let charge = |rank: usize| (rank..weights.len()).map(|i| weights[i] / (i + 1) as f64).sum::<f64>();
    let charges: Vec<f64> = (0..weights.len()).map(charge).collect();
    let mut effects = vec![0.0; desk.tenant.documents.len()];
    for question in 0..desk.tenant.questions.len() {
        for (hit, charge) in desk.known(question)[0].iter().zip(&charges) {
            effects[hit.0] += desk.tenant.share(question) * charge;
        }
    }
    let mut order: Vec<usize> = (0..effects.len()).collect();
    dice.shuffle(&mut order);
    let (mut removed, mut reached) = (vec![false; effects.len()], 0.0);
    for document in order {
        if reached + effects[document] <= size {
            reached += effects[document];
            removed[document] = true;
        }
        if reached > 0.99 * size {
            break;
        }
    }
    removed
}
