//! What can be found and what is asked: documents and questions of a tenant, as vectors around common subjects.

use std::sync::LazyLock;

use tidemark_schema::{ContentHash, DocumentId, Fingerprint, SimHash};

use super::dice::{Dice, cumulated};

const DIMENSIONS: usize = 16;

pub(super) type Vector = [f64; DIMENSIONS];

/// A document of a tenant, by its number, and its score.
pub(super) type Hit = (usize, f64);

/// A text as three kinds of models see it.
#[derive(Debug, Clone)]
pub(super) struct Views {
    /// To an embedding.
    pub(super) dense: Vector,
    /// To BM25.
    pub(super) lexical: Vector,
    /// To a model that reads question and document together.
    pub(super) meaning: Vector,
}

#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) id: DocumentId,
    pub(super) content: ContentHash,
    pub(super) views: Views,
}

#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) fingerprint: Fingerprint,
    pub(super) simhash: SimHash,
    pub(super) views: Views,
}

#[derive(Debug, Clone)]
pub(super) struct Tenant {
    pub(super) name: &'static str,
    pub(super) documents: Vec<Document>,
    /// The questions that are asked again and again.
    pub(super) questions: Vec<Question>,
    /// The share of the traffic up to and with each question.
    popularity: Vec<f64>,
}

impl Views {
    fn around(subject: &Vector, spread: f64, dice: &mut Dice) -> Self {
        let dense = moved(subject, spread, dice);
        Self { dense, lexical: moved(&dense, 0.5, dice), meaning: moved(&dense, 0.5, dice) }
    }
}

impl Question {
    fn new(views: Views, dice: &mut Dice) -> Self {
        let fingerprint = format!("fp:{}", dice.digits()).parse().unwrap();
        Self { fingerprint, simhash: simhash(&views.dense), views }
    }

    /// The same question in words that nobody used before.
    pub(super) fn paraphrased(&self, dice: &mut Dice) -> Self {
        let Views { dense, lexical, meaning } = &self.views;
        let views = Views {
            dense: moved(dense, 0.15, dice),
            lexical: moved(lexical, 0.3, dice),
            meaning: moved(meaning, 0.1, dice),
        };
        Self::new(views, dice)
    }
}

impl Tenant {
    pub(super) fn new(name: &'static str, documents: usize, questions: usize, dice: &mut Dice) -> Self {
        let subjects: Vec<Vector> = (0..dice.count(12..=30)).map(|_| moved(&[0.0; DIMENSIONS], 1.0, dice)).collect();
        let document = |number: usize, dice: &mut Dice| {
            let id = format!("{name}/{number:04}");
            let content = ContentHash::of_text(&id);
            Document { id: id.parse().unwrap(), content, views: Views::around(&dice.pick(&subjects), 0.6, dice) }
        };
        let documents = (0..documents).map(|number| document(number, dice)).collect();
        let question = |dice: &mut Dice| Question::new(Views::around(&dice.pick(&subjects), 0.5, dice), dice);
        let questions: Vec<Question> = (0..questions).map(|_| question(dice)).collect();
        // Zipf's law.
        let exponent = dice.between(0.8, 1.1);
        let weights: Vec<f64> = (1..=questions.len()).map(|rank| (rank as f64).powf(-exponent)).collect();
        Self { name, documents, questions, popularity: cumulated(&weights) }
    }

    /// A question that is asked next, by its number.
    pub(super) fn ask(&self, dice: &mut Dice) -> usize {
        dice.place(&self.popularity)
    }

    /// The share of a question in the traffic.
    pub(super) fn share(&self, question: usize) -> f64 {
        self.popularity[question] - question.checked_sub(1).map_or(0.0, |before| self.popularity[before])
    }
}

/// A vector of length 1 that lies as far from another one as `spread` says (1: as far as it is long).
pub(super) fn moved(from: &Vector, spread: f64, dice: &mut Dice) -> Vector {
    let step = spread / (DIMENSIONS as f64).sqrt();
    normalised(from.map(|value| value + step * dice.normal()))
}

fn normalised(vector: Vector) -> Vector {
    let length = dot(&vector, &vector).sqrt();
    vector.map(|value| value / length)
}

/// Four sums beside each other, because one would wait for itself.
pub(super) fn dot(a: &Vector, b: &Vector) -> f64 {
    let mut sums = [0.0; 4];
    for (a, b) in a.chunks_exact(4).zip(b.chunks_exact(4)) {
        sums[0] += a[0] * b[0];
        sums[1] += a[1] * b[1];
        sums[2] += a[2] * b[2];
        sums[3] += a[3] * b[3];
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3])
}

/// Another model: every vector is turned and stretched in the same way.
#[derive(Debug, Clone)]
pub(super) struct Turn([Vector; DIMENSIONS]);

impl Turn {
    pub(super) fn new(strength: f64, dice: &mut Dice) -> Self {
        let step = strength / (DIMENSIONS as f64).sqrt();
        let mut rows = [[0.0; DIMENSIONS]; DIMENSIONS];
        for (number, row) in rows.iter_mut().enumerate() {
            row[number] = 1.0;
            for value in row {
                *value += step * dice.normal();
            }
        }
        Self(rows)
    }

    pub(super) fn apply(&self, vector: &Vector) -> Vector {
        let mut turned = *vector;
        for (value, row) in turned.iter_mut().zip(&self.0) {
            *value = dot(row, vector);
        }
        normalised(turned)
    }
}

/// The best of all documents by their scores, best first.
pub(super) fn best(scores: impl Iterator<Item = f64>, depth: usize) -> Vec<Hit> {
    let mut hits: Vec<Hit> = scores.enumerate().collect();
    if depth < hits.len() {
        hits.select_nth_unstable_by(depth, by_score);
        hits.truncate(depth);
    }
    hits.sort_unstable_by(by_score);
    hits
}

/// The best first, and of equal ones the document with the smaller number.
pub(super) fn by_score(a: &Hit, b: &Hit) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// On which side of 64 planes a vector lies: similar vectors differ in few bits.
fn simhash(vector: &Vector) -> SimHash {
    static PLANES: LazyLock<Vec<Vector>> = LazyLock::new(|| {
        let mut dice = Dice::new(64);
        (0..64).map(|_| moved(&[0.0; DIMENSIONS], 1.0, &mut dice)).collect()
    });
    SimHash(PLANES.iter().fold(0, |bits, plane| (bits << 1) | u64::from(dot(plane, vector) > 0.0)))
}
