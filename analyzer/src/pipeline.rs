//! The pipeline that the events of one operation form: which stages there are, in which order, and which one the model saw.
//!
//! Nothing has to be configured. A stage stands below the stages whose documents it returns: what it declares of itself
//! comes first (a reranker follows a search), then the documents (all of a fusion's come from other stages of the same
//! operation, while a search returns some that the fusion dropped), then the time.

use std::collections::{BTreeMap, BTreeSet};

use crate::intern::FastSet;
use crate::observe::Observations;
use crate::vocabulary::Vocabulary;

/// A stage all of whose documents but a few come from other stages works on what those found.
const DERIVED: f64 = 0.98;
/// A stage after which at least this share of its operations asks no other one is seen by the model, too.
const SEEN: f64 = 0.1;
/// A stage that is new takes another one's place where this share of its operations asks none that was there before.
const REPLACES: f64 = 0.5;

/// The stages of both windows in their order.
#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    /// In the order in which documents pass through them; stages of different pipelines follow each other.
    pub(crate) stages: Vec<Placed>,
    /// A stage of the current window that took the place of one of the reference.
    pub(crate) replaced: BTreeMap<u32, u32>,
}

/// One stage in its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placed {
    /// Its number.
    pub(crate) stage: u32,
    /// From 1, within its pipeline.
    pub(crate) position: usize,
    /// Whether each window recorded it.
    pub(crate) recorded: [bool; 2],
    /// Whether the model saw its answers, as far as both windows recorded it.
    pub(crate) last: bool,
    /// The stages whose documents it works on.
    pub(crate) follows: BTreeSet<u32>,
    /// Which part of the operations of its pipeline asks it, in each window.
    pub(crate) asked: [f64; 2],
    /// Which part of its operations ends with it.
    seen: f64,
    /// Which pipeline it belongs to.
    pipeline: usize,
}

/// What is counted of a pair of stages in the same operations.
#[derive(Debug, Clone, Copy, Default)]
struct Together {
    operations: u32,
    /// Documents of the first, and those of them that the second returned as well.
    documents: u64,
    common: u64,
    /// Documents of the first that a third stage returned as well.
    third: u64,
    /// Operations in which the first answered before the second.
    before: u32,
}

/// What is counted of one stage.
#[derive(Debug, Clone, Copy, Default)]
struct Alone {
    /// Its retrievals, and the operations that asked it.
    retrievals: u64,
    operations: u64,
    /// Documents in operations with other stages, and those of them that any of the others returned as well.
    documents: u64,
    elsewhere: u64,
}

#[derive(Default)]
struct Counts {
    alone: BTreeMap<u32, Alone>,
    together: BTreeMap<(u32, u32), Together>,
}

impl Counts {
    fn take(&mut self, window: &Observations, vocabulary: &Vocabulary) {
        for (parts, documented) in window.operations.documented() {
            let mut stages: BTreeMap<u32, (FastSet<u32>, i64)> = BTreeMap::new();
            for documents in documented {
                self.alone.entry(documents.unit.stage).or_default().retrievals += 1;
                let at = parts.iter().find(|part| part.unit == documents.unit).map_or(0, |part| part.occurred_at);
                let (known, first) = stages.entry(documents.unit.stage).or_insert_with(|| (FastSet::default(), at));
                *first = (*first).min(at);
                known.extend(documents.states.iter().map(|state| {
                    use crate::intern::Number;
                    vocabulary.state_of(*state).document.place()
                }));
            }
            for (stage, (documents, at)) in &stages {
                let alone = self.alone.entry(*stage).or_default();
                alone.operations += 1;
                if stages.len() > 1 {
                    let others = || stages.iter().filter(|(other, _)| *other != stage);
                    let elsewhere =
                        documents.iter().filter(|document| others().any(|(_, (known, _))| known.contains(*document)));
                    alone.documents += documents.len() as u64;
                    alone.elsewhere += elsewhere.count() as u64;
                    for (other, (known, other_at)) in others() {
                        let together = self.together.entry((*stage, *other)).or_default();
                        together.operations += 1;
                        together.documents += documents.len() as u64;
                        together.common += documents.intersection(known).count() as u64;
                        let thirds = || others().filter(|(third, _)| *third != other);
                        let in_third = |document: &&u32| thirds().any(|(_, (known, _))| known.contains(*document));
                        together.third += documents.iter().filter(in_third).count() as u64;
                        together.before += u32::from(at < other_at);
                    }
                }
            }
        }
    }

    fn is_derived(&self, stage: u32) -> bool {
        let alone = self.alone.get(&stage).copied().unwrap_or_default();
        alone.documents > 0 && alone.elsewhere as f64 >= DERIVED * alone.documents as f64
    }

    /// The share of a stage's documents that another one returned in the same operations.
    fn within(&self, stage: u32, other: u32) -> f64 {
        let together = self.together.get(&(stage, other)).copied().unwrap_or_default();
        if together.documents > 0 { together.common as f64 / together.documents as f64 } else { 0.0 }
    }

    /// Whether a stage's documents come from others than a second one as well: then it does not need that one.
    fn does_without(&self, stage: u32, other: u32) -> bool {
        let together = self.together.get(&(stage, other)).copied().unwrap_or_default();
        together.third as f64 >= DERIVED * together.documents as f64
    }

    /// How often an operation asks a stage: a search for each of several questions, say, whose answers another one joins.
    fn retrievals(&self, stage: u32) -> f64 {
        let alone = self.alone.get(&stage).copied().unwrap_or_default();
        alone.retrievals as f64 / alone.operations.max(1) as f64
    }

    fn before(&self, stage: u32, other: u32) -> bool {
        let together = self.together.get(&(stage, other)).copied().unwrap_or_default();
        together.before * 2 > together.operations
    }

    /// Whether a stage works on what another one found.
    fn follows(&self, stage: u32, other: u32, vocabulary: &Vocabulary) -> bool {
        if !self.together.contains_key(&(stage, other)) {
            return false;
        }
        let level = |stage: u32| vocabulary.stage_of(stage).level();
        if let (Some(mine), Some(theirs)) = (level(stage), level(other))
            && mine != theirs
        {
            // Two that share an operation and no document have nothing to do with each other.
            return mine > theirs && self.within(stage, other) > 0.0;
        }
        match (self.is_derived(stage), self.is_derived(other)) {
            (true, false) => true,
            (false, true | false) => false,
            (true, true) => {
                let (mine, theirs) = (self.within(stage, other) >= DERIVED, self.within(other, stage) >= DERIVED);
                match (mine, theirs) {
                    // A choice of what the other one returned; or one of those that it joins, and could not do without.
                    (true, false) => self.does_without(other, stage),
                    (false, true) => !self.does_without(stage, other),
                    (true, true) => {
                        let (mine, theirs) = (self.retrievals(stage), self.retrievals(other));
                        if (mine - theirs).abs() > 0.5 { mine < theirs } else { self.before(other, stage) }
                    }
                    (false, false) => false,
                }
            }
        }
    }
}

impl Pipeline {
    pub(crate) fn of(before: &Observations, after: &Observations, vocabulary: &Vocabulary) -> Self {
        let mut counts = Counts::default();
        counts.take(before, vocabulary);
        counts.take(after, vocabulary);
        let recorded =
            [before, after].map(|window| window.units.keys().map(|unit| unit.stage).collect::<BTreeSet<u32>>());
        let mut all: Vec<u32> = recorded[0].union(&recorded[1]).copied().collect();
        // By what they are called: numbers follow the order of rows.
        all.sort_by_key(|stage| vocabulary.stage_of(*stage));
        let follows: BTreeMap<u32, BTreeSet<u32>> = all
            .iter()
            .map(|stage| {
                let others = all.iter().copied().filter(|other| other != stage);
                (*stage, others.filter(|other| counts.follows(*stage, *other, vocabulary)).collect())
            })
            .collect();
        let replaced = replaced(&recorded, after, &follows, vocabulary);
        let stages = placed(&all, &follows, &counts, vocabulary);
        let mut pipeline = Self { stages, replaced };
        for placed in &mut pipeline.stages {
            placed.recorded = [0, 1].map(|window| recorded[window].contains(&placed.stage));
        }
        pipeline.mark_last([before, after]);
        pipeline.count([before, after]);
        for (new, reference) in pipeline.replaced.clone() {
            let is_last = pipeline.stages.iter().any(|placed| placed.stage == new && placed.last);
            for placed in pipeline.stages.iter_mut().filter(|placed| placed.stage == reference) {
                placed.last |= is_last;
            }
        }
        pipeline
    }

    /// The stage of the reference that a stage of the current window is compared with.
    pub(crate) fn reference_of(&self, stage: u32) -> u32 {
        self.replaced.get(&stage).copied().unwrap_or(stage)
    }

    /// The stage that took the place of one of the reference.
    pub(crate) fn replacement_of(&self, stage: u32) -> Option<u32> {
        // In the order of the stages, which is that of their names.
        let took = |placed: &&Placed| self.replaced.get(&placed.stage) == Some(&stage);
        self.stages.iter().find(took).map(|placed| placed.stage)
    }

    /// The stages in their order, without those that took the place of another one, which is listed.
    pub(crate) fn reported(&self) -> impl Iterator<Item = &Placed> {
        self.stages.iter().filter(|placed| !self.replaced.contains_key(&placed.stage))
    }

    /// The stages whose answers the model saw in both windows, by their numbers in the reference.
    pub(crate) fn last(&self) -> FastSet<u32> {
        let last = self.stages.iter().filter(|placed| placed.last && self.is_compared(placed));
        last.map(|placed| self.reference_of(placed.stage)).collect()
    }

    /// Whether the model saw the answers of a stage of either window, and both windows recorded it.
    pub(crate) fn is_judged(&self, stage: u32) -> bool {
        let reference = self.reference_of(stage);
        self.stages.iter().any(|placed| placed.stage == reference && placed.last && self.is_compared(placed))
    }

    /// Which part of the operations of a stage of the reference ends with it.
    pub(crate) fn seen_share(&self, stage: u32) -> f64 {
        let seen = |stage: u32| self.stages.iter().find(|placed| placed.stage == stage).map(|placed| placed.seen);
        let replaced = self.replacement_of(stage).and_then(seen).unwrap_or(0.0);
        seen(stage).unwrap_or(0.0).max(replaced)
    }

    /// Whether the operations of a stage stand for those of its pipeline, so that none is counted twice: the last of those
    /// that the model saw.
    pub(crate) fn is_counted(&self, stage: u32) -> bool {
        let reference = self.reference_of(stage);
        let mine = self.pipeline_of(reference);
        let judged = |placed: &&Placed| placed.pipeline == mine && self.is_judged(placed.stage);
        let last = self.stages.iter().rev().find(judged);
        last.is_some_and(|last| self.reference_of(last.stage) == reference)
    }

    /// All stages that a stage works on, directly or not.
    pub(crate) fn above(&self, stage: u32) -> BTreeSet<u32> {
        let mut seen = BTreeSet::new();
        let mut next = vec![stage];
        while let Some(stage) = next.pop() {
            let follows = self.stages.iter().filter(|placed| placed.stage == stage).flat_map(|placed| &placed.follows);
            next.extend(follows.filter(|above| seen.insert(**above)));
        }
        seen
    }

    /// Which pipeline a stage belongs to.
    pub(crate) fn pipeline_of(&self, stage: u32) -> usize {
        self.stages.iter().find(|placed| placed.stage == stage).map_or(0, |placed| placed.pipeline)
    }

    /// Whether both windows recorded a stage, or one that took its place.
    fn is_compared(&self, placed: &Placed) -> bool {
        placed.recorded == [true, true]
            || self.replaced.contains_key(&placed.stage)
            || (placed.recorded[0] && self.replaced.values().any(|reference| *reference == placed.stage))
    }

    /// Counts which part of the operations of a pipeline asks each of its stages.
    fn count(&mut self, windows: [&Observations; 2]) {
        for (window, observations) in windows.into_iter().enumerate() {
            let mut asked: BTreeMap<u32, f64> = BTreeMap::new();
            let mut all: BTreeMap<usize, f64> = BTreeMap::new();
            for parts in observations.operations.iter() {
                let stages = different(parts.iter().map(|part| part.unit.stage));
                for pipeline in different(stages.iter().map(|stage| self.pipeline_of(*stage))) {
                    *all.entry(pipeline).or_default() += 1.0;
                }
                for stage in stages {
                    *asked.entry(stage).or_default() += 1.0;
                }
            }
            for placed in &mut self.stages {
                let count = asked.get(&placed.stage).copied().unwrap_or(0.0);
                placed.asked[window] = count / all.get(&placed.pipeline).copied().unwrap_or(1.0);
            }
        }
    }

    /// The last stage that both windows recorded; and those before it where many operations end with them.
    fn mark_last(&mut self, windows: [&Observations; 2]) {
        let compared: BTreeSet<u32> =
            self.stages.iter().filter(|placed| self.is_compared(placed)).map(|placed| placed.stage).collect();
        // How many operations asked a stage, and how many of them no compared stage that follows it.
        let mut asked: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
        for parts in windows.into_iter().flat_map(|window| window.operations.iter()) {
            let stages = different(parts.iter().map(|part| part.unit.stage).filter(|stage| compared.contains(stage)));
            for stage in &stages {
                let later =
                    self.stages.iter().any(|placed| stages.contains(&placed.stage) && placed.follows.contains(stage));
                let (all, last) = asked.entry(*stage).or_default();
                *all += 1;
                *last += u32::from(!later);
            }
        }
        for placed in &mut self.stages {
            let (all, last) = asked.get(&placed.stage).copied().unwrap_or_default();
            placed.seen = f64::from(last) / f64::from(all.max(1));
            placed.last = all > 0 && placed.seen >= SEEN;
        }
    }
}

/// Few values, each once, in their order.
fn different<T: Ord>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// The stages of each pipeline in order: a stage comes after all that it follows.
fn placed(
    all: &[u32],
    follows: &BTreeMap<u32, BTreeSet<u32>>,
    counts: &Counts,
    vocabulary: &Vocabulary,
) -> Vec<Placed> {
    let mut pipelines: Vec<Vec<u32>> = Vec::new();
    for stage in all {
        let joined = |pipeline: &Vec<u32>| pipeline.iter().any(|other| counts.together.contains_key(&(*stage, *other)));
        let (mut mine, others): (Vec<Vec<u32>>, Vec<Vec<u32>>) = pipelines.into_iter().partition(joined);
        pipelines = others;
        let mut together: Vec<u32> = mine.drain(..).flatten().collect();
        together.push(*stage);
        pipelines.push(together);
    }
    for pipeline in &mut pipelines {
        pipeline.sort_by_key(|stage| vocabulary.stage_of(*stage));
    }
    pipelines.sort_by_key(|pipeline| pipeline.first().map(|stage| vocabulary.stage_of(*stage).clone()));
    let mut stages = Vec::new();
    for (number, pipeline) in pipelines.iter().enumerate() {
        // How many of the others stand above it, directly or not.
        let above = |stage: &u32| {
            let mut seen = BTreeSet::new();
            let mut next: Vec<u32> = follows.get(stage).into_iter().flatten().copied().collect();
            while let Some(other) = next.pop() {
                if seen.insert(other) {
                    next.extend(follows.get(&other).into_iter().flatten());
                }
            }
            seen.len()
        };
        let mut ordered = pipeline.clone();
        ordered.sort_by_key(|stage| (above(stage), vocabulary.stage_of(*stage)));
        stages.extend(ordered.into_iter().enumerate().map(|(at, stage)| Placed {
            stage,
            position: at + 1,
            recorded: [false; 2],
            last: false,
            asked: [0.0; 2],
            seen: 0.0,
            follows: follows.get(&stage).cloned().unwrap_or_default(),
            pipeline: number,
        }));
    }
    stages
}

/// Stages of the current window that took the place of one of the reference: most of their operations ask none that was
/// there before. Of several that may have been replaced it is the one with the same name, or the only one whose answers the
/// model saw; where that is not clear nothing is compared.
fn replaced(
    recorded: &[BTreeSet<u32>; 2],
    after: &Observations,
    follows: &BTreeMap<u32, BTreeSet<u32>>,
    vocabulary: &Vocabulary,
) -> BTreeMap<u32, u32> {
    let [before, now] = recorded;
    let mut asked: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
    for parts in after.operations.iter() {
        let stages = different(parts.iter().map(|part| part.unit.stage));
        let known = stages.iter().any(|stage| before.contains(stage));
        for stage in stages.iter().filter(|stage| !before.contains(stage)) {
            let (all, alone) = asked.entry(*stage).or_default();
            *all += 1;
            *alone += u32::from(!known);
        }
    }
    let is_last = |stage: u32, window: &BTreeSet<u32>| {
        !follows.iter().any(|(other, above)| window.contains(other) && above.contains(&stage))
    };
    let gone: Vec<u32> = before.difference(now).copied().collect();
    let mut replaced = BTreeMap::new();
    for stage in now.difference(before) {
        let (all, alone) = asked.get(stage).copied().unwrap_or_default();
        let name = &vocabulary.stage_of(*stage).retriever;
        let named: Vec<u32> = gone
            .iter()
            .chain(before.intersection(now))
            .copied()
            .filter(|other| name.is_some() && vocabulary.stage_of(*other).retriever == *name)
            .collect();
        let gone_last: Vec<u32> = gone.iter().copied().filter(|other| is_last(*other, before)).collect();
        // It works on the same stages that stayed as the one that is gone did.
        let kept = |stage: u32| -> BTreeSet<u32> {
            let above = follows.get(&stage).into_iter().flatten().copied();
            above.filter(|above| before.contains(above) && now.contains(above)).collect()
        };
        let succeeds = |gone: &[u32]| match gone {
            [gone] => is_last(*stage, now) && !kept(*stage).is_empty() && kept(*stage) == kept(*gone),
            _ => false,
        };
        if all == 0 || (f64::from(alone) < REPLACES * f64::from(all) && !succeeds(&gone_last)) {
            continue;
        }
        let last: Vec<u32> = before.iter().copied().filter(|other| is_last(*other, before)).collect();
        let only = |list: &[u32]| (list.len() == 1).then(|| list.first().copied()).flatten();
        let place =
            only(&named).or_else(|| is_last(*stage, now).then(|| only(&gone_last).or_else(|| only(&last))).flatten());
        if let Some(place) = place {
            replaced.insert(*stage, place);
        }
    }
    replaced
}

#[cfg(test)]
mod tests;
