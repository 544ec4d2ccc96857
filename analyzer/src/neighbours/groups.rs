//! Groups of questions whose hashes differ in few bits.

use rayon::prelude::*;

use super::{Compared, Key};
use crate::intern::{FastMap, stable_hash};
use crate::signatures::Hash;

/// So many questions of each window are put into groups: those whose fingerprints have the smallest hashes. The work grows
/// with the square of it, and so many leave little to chance.
const QUESTIONS: usize = 1 << 14;
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
    let mut all: FastMap<Key, Question> = FastMap::default();
    for (window, observations) in compared.windows.iter().enumerate() {
        for (unit, sample) in &observations.units {
            let Some(hash) = hash(sample.signatures) else { continue };
            let key = compared.key(unit);
            let question = all.entry(key).or_insert(Question { key, hash, asked: [0; 2] });
            question.hash = question.hash.min(hash);
            question.asked[window] = question.asked[window].max(sample.operations.max(1));
        }
    }
    let vocabulary = compared.vocabulary;
    let tenant = |question: &Question| question.key.1.map(|label| vocabulary.labels.text(label));
    let mut questions: Vec<Question> = all.into_values().collect();
    questions.sort_by_cached_key(|question| {
        let fingerprint = vocabulary.queries.text(question.key.0);
        (stable_hash(fingerprint.as_bytes()), fingerprint, tenant(question))
    });
    // Both windows up to the same hash, so that they hold the same questions.
    let cut = [0, 1].map(|window| {
        let asked = questions.iter().enumerate().filter(|(_, question)| question.asked[window] > 0);
        asked.map(|(at, _)| at).nth(QUESTIONS).unwrap_or(questions.len())
    });
    questions.truncate(cut[0].min(cut[1]));
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
    /// The share of the operations of the reference, and of the current window, whose questions are in a group with two of
    /// the reference.
    pub(super) covered: [f64; 2],
}

impl Groups {
    /// Groups the questions of each tenant: one that is in no group yet takes the nearest ones that are in none either. The
    /// windows have no part in it, so that under no change each question of a group may as well be of the other window.
    pub(super) fn of(questions: &[Question], radius: u32) -> Self {
        let mut begin = 0;
        let tenants: Vec<(usize, &[Question])> = questions
            .chunk_by(|a, b| a.key.1 == b.key.1)
            .map(|tenant| {
                begin += tenant.len();
                (begin - tenant.len(), tenant)
            })
            .collect();
        let members: Vec<Vec<usize>> =
            tenants.into_par_iter().flat_map_iter(|(begin, questions)| grouped(begin, questions, radius)).collect();
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
                covered[window] += if reference.1 > 1 { sum } else { 0.0 };
            }
        }
        let share = |window: usize| if all[window] > 0.0 { covered[window] / all[window] } else { 0.0 };
        Self { members, radius, covered: [share(0), share(1)] }
    }
}

fn grouped(begin: usize, questions: &[Question], radius: u32) -> Vec<Vec<usize>> {
    // From the back, so that the next one is cheap to take.
    let mut left: Vec<(u64, usize)> =
        questions.iter().enumerate().rev().map(|(at, question)| (question.hash, begin + at)).collect();
    let mut groups = Vec::new();
    while let Some((leader, first)) = left.pop() {
        let apart = left.iter().enumerate().rev().map(|(place, (hash, _))| ((hash ^ leader).count_ones(), place));
        let mut near: Vec<(u32, usize)> = apart.filter(|(apart, _)| *apart <= radius).collect();
        near.sort_by_key(|(apart, _)| *apart);
        near.truncate(GROUP - 1);
        let mut group = vec![first];
        group.extend(near.iter().filter_map(|(_, place)| left.get(*place)).map(|(_, at)| *at));
        near.sort_unstable_by_key(|(_, place)| *place);
        let mut taken = near.iter().map(|(_, place)| *place).peekable();
        let mut place = 0;
        if !near.is_empty() {
            left.retain(|_| {
                place += 1;
                taken.next_if_eq(&(place - 1)).is_none()
            });
        }
        groups.push(group);
    }
    groups
}
