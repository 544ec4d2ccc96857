//! Groups of questions whose hashes differ in few bits.

use rayon::prelude::*;

use super::{Compared, Key};
use crate::intern::{FastMap, stable_hash};
use crate::signatures::Hash;

/// So many groups are made at most: each is looked for among all questions, and so many leave little to chance.
const GROUPS: usize = 4_096;
/// From so many it is learnt how near neighbours can be.
const TRIED: usize = 512;
/// A group holds at most so many questions: the nearest ones.
pub(super) const GROUP: usize = 32;

/// One question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Question {
    pub(super) key: Key,
    pub(super) hash: u64,
    /// How often each window asked it.
    pub(super) asked: [u32; 2],
}

/// The questions that are put into groups, by their tenants and then in an order that no window has a part in.
pub(super) fn questions(compared: &Compared<'_>, hash: Hash) -> Vec<Question> {
    // Where several stages hash a question in ways of their own, that of a judged one counts.
    let mut all: FastMap<Key, (bool, Question)> = FastMap::default();
    for (window, observations) in compared.windows.iter().enumerate() {
        for (unit, sample) in &observations.units {
            let Some(hash) = hash(sample.signatures) else { continue };
            let (key, other) = (compared.key(unit), !compared.stages.contains(&unit.stage));
            let (known, question) = all.entry(key).or_insert((other, Question { key, hash, asked: [0; 2] }));
            if (other, hash) < (*known, question.hash) {
                (*known, question.hash) = (other, hash);
            }
            question.asked[window] = question.asked[window].max(sample.operations.max(1));
        }
    }
    let vocabulary = compared.vocabulary;
    let tenant = |question: &Question| question.key.1.map(|label| vocabulary.labels.text(label));
    let mut questions: Vec<Question> = all.into_values().map(|(_, question)| question).collect();
    questions.sort_by_cached_key(|question| {
        let fingerprint = vocabulary.queries.text(question.key.0);
        (stable_hash(fingerprint.as_bytes()), fingerprint, tenant(question))
    });
    questions.sort_by_key(tenant);
    questions
}

/// Groups of neighbours.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// The places of the questions of each, the one that leads it first.
    pub(super) members: Vec<Vec<usize>>,
    /// In how many bits the hashes of the leader and another one differ at most.
    pub(super) radius: u32,
    /// The share of the operations of the reference, and of the current window, whose questions are in a group with two others
    /// of the reference.
    pub(super) covered: [f64; 2],
}

impl Groups {
    /// Some groups, to see how much they cover.
    pub(super) fn tried(questions: &[Question], radius: u32) -> Self {
        Self::of(questions, radius, TRIED)
    }

    /// As many groups as are compared.
    pub(super) fn all(questions: &[Question], radius: u32) -> Self {
        Self::of(questions, radius, GROUPS)
    }

    /// Groups the questions of each tenant: one that is in no group yet takes the nearest ones that are in none either. The
    /// windows have no part in it, so that under no change each question of a group may as well be of the other window.
    fn of(questions: &[Question], radius: u32, most: usize) -> Self {
        let mut begin = 0;
        let mut members = Vec::new();
        for tenant in questions.chunk_by(|a, b| a.key.1 == b.key.1) {
            // As many of its groups as it has of the questions.
            let most = (most * tenant.len()).div_ceil(questions.len().max(1));
            members.extend(grouped(begin, tenant, radius, most));
            begin += tenant.len();
        }
        Self::new(members, questions, radius)
    }

    pub(super) fn new(members: Vec<Vec<usize>>, questions: &[Question], radius: u32) -> Self {
        let (mut all, mut covered) = ([0.0; 2], [0.0; 2]);
        for group in &members {
            let asked = |window: usize| {
                let counts = group.iter().filter_map(|at| questions.get(*at)).map(|question| question.asked[window]);
                counts.fold((0.0, 0), |(sum, questions), count| {
                    (sum + f64::from(count), questions + i32::from(count > 0))
                })
            };
            let (reference, current) = (asked(0), asked(1));
            for (window, (sum, _)) in [reference, current].into_iter().enumerate() {
                all[window] += sum;
                // A question of the reference is none of the two others.
                let least = if window == 0 { 3 } else { 2 };
                covered[window] += if reference.1 >= least { sum } else { 0.0 };
            }
        }
        let share = |window: usize| if all[window] > 0.0 { covered[window] / all[window] } else { 0.0 };
        Self { members, radius, covered: [share(0), share(1)] }
    }
}

/// How many hashes are looked through at a time.
const CHUNK: usize = 1 << 14;

fn grouped(begin: usize, questions: &[Question], radius: u32, most: usize) -> Vec<Vec<usize>> {
    let hashes: Vec<u64> = questions.iter().map(|question| question.hash).collect();
    let mut is_free = vec![true; questions.len()];
    let mut groups = Vec::new();
    for (first, leader) in hashes.iter().enumerate() {
        if groups.len() >= most {
            break;
        }
        if !std::mem::replace(&mut is_free[first], false) {
            continue;
        }
        // Those before it are in groups already.
        let rest = hashes.get(first + 1..).unwrap_or_default();
        let is_free_at = &is_free;
        let near = |(chunk, hashes): (usize, &[u64])| {
            let places = (first + 1 + chunk * CHUNK)..;
            let apart = hashes.iter().zip(places).map(|(hash, at)| ((hash ^ leader).count_ones(), at));
            apart.filter(|(apart, at)| *apart <= radius && is_free_at[*at]).collect::<Vec<_>>()
        };
        let found: Vec<Vec<(u32, usize)>> = rest.par_chunks(CHUNK).enumerate().map(near).collect();
        let mut near: Vec<(u32, usize)> = found.into_iter().flatten().collect();
        if near.len() >= GROUP {
            near.select_nth_unstable(GROUP - 2);
            near.truncate(GROUP - 1);
        }
        near.sort_unstable();
        for (_, at) in &near {
            is_free[*at] = false;
        }
        groups.push(std::iter::once(first).chain(near.into_iter().map(|(_, at)| at)).map(|at| begin + at).collect());
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intern::{Number, QueryNumber};

    /// Questions as `(tenant, hash, how often each window asked it)`, and the places in each group.
    #[track_caller]
    fn check(questions: &[(u32, u64, [u32; 2])], radius: u32, groups: &[&[usize]], covered: [f64; 2]) {
        let question = |(at, (tenant, hash, asked)): (u32, &(u32, u64, [u32; 2]))| Question {
            key: (QueryNumber::at(at), Some(*tenant)),
            hash: *hash,
            asked: *asked,
        };
        let questions: Vec<Question> = (0..).zip(questions).map(question).collect();
        let found = Groups::all(&questions, radius);
        assert_eq!(found.members, groups);
        let close = |(found, covered): (&f64, f64)| (found - covered).abs() < 1e-12;
        assert!(found.covered.iter().zip(covered).all(close), "{:?}", found.covered);
    }

    const BEFORE: [u32; 2] = [1, 0];
    const NOW: [u32; 2] = [0, 1];

    #[test]
    fn neighbours_are_grouped_whoever_asked_them_and_the_nearest_first() {
        let questions = [(1, 0b0000, BEFORE), (1, 0b0111, BEFORE), (1, 0b0001, NOW), (1, !0, NOW), (1, 0b0011, BEFORE)];
        check(&questions, 2, &[&[0, 2, 4], &[1], &[3]], [0.0, 0.5]);
        check(&questions, 3, &[&[0, 2, 4, 1], &[3]], [1.0, 0.5]);
        check(&questions, 0, &[&[0], &[1], &[2], &[3], &[4]], [0.0, 0.0]);
    }

    #[test]
    fn no_group_holds_questions_of_two_tenants() {
        check(&[(1, 7, BEFORE), (1, 7, BEFORE), (2, 7, NOW)], 0, &[&[0, 1], &[2]], [0.0, 0.0]);
    }

    #[test]
    fn a_group_holds_no_more_than_so_many() {
        let questions = vec![(1, 42, BEFORE); GROUP + 1];
        let all: Vec<usize> = (0..GROUP).collect();
        check(&questions, 0, &[all.as_slice(), &[GROUP]], [GROUP as f64 / (GROUP + 1) as f64, 0.0]);
    }
}
