//! From when on retrieval differs: the operations of both windows in the order of time, each with how far its answer is from
//! the reference beyond noise, and the moment at which the mean of that changes.

use std::collections::BTreeMap;

use rayon::prelude::*;
use tidemark_schema::Timestamp;
use tidemark_stats::{Persistence, change_point};

use crate::answer::{Answer, distance};
use crate::causes::{Cause, Classifier};
use crate::compare::Options;
use crate::error::Error;
use crate::intern::{FastMap, QueryNumber};
use crate::matched::UnitChange;
use crate::neighbours::Neighbours;
use crate::observe::{Observations, Observed};
use crate::operations::Part;
use crate::pipeline::Pipeline;
use crate::report::Since;
use crate::units::{Matched, MatchedUnit};
use crate::vocabulary::{Context, Vocabulary, key_and_value};

/// With fewer operations on either side there is no moment to find.
const TRIM: usize = 5;
/// Within this time of the moment something else coincides with it, in microseconds.
const NEAR: i64 = 3_600_000_000;
/// A value that so small a part of the later operations declares coincides with nothing.
const COMMON: f64 = 0.2;

/// Of windows that did not drift so few say by chance that a part of them did. Values that are mostly 0 exceed the level of
/// the test up to twice.
const SURE: f64 = 0.001;

/// A moment, and how hard it is to believe that there is none; nothing if it is the beginning of the window.
struct Found {
    since: Since,
    p_value: Option<f64>,
}

/// One operation.
#[derive(Debug, Clone, Copy)]
struct Point {
    time: i64,
    operation: u64,
    current: bool,
    unit: usize,
    /// Which of the unit's answers it got.
    digest: u64,
    segment: u32,
    context: u32,
    value: f64,
}

/// The units of each question to a stage whose answers are measured, by their places among those that are looked at.
struct Questions {
    /// In the order of the questions.
    places: Vec<((QueryNumber, u32), usize)>,
    /// The units of questions with several, by the operations of each window that they sampled; they share none.
    sampled: [FastMap<(QueryNumber, u32, u64), usize>; 2],
}

impl Questions {
    fn of(matched: &Matched<'_>, units: &[usize], measured: &[UnitValues]) -> Self {
        let unit = |at: usize| units.get(at).and_then(|unit| matched.units.get(*unit));
        let known = measured.iter().enumerate().filter(|(_, values)| !values.is_empty());
        let mut places: Vec<_> =
            known.filter_map(|(at, _)| unit(at).map(|unit| ((unit.query, unit.stage), at))).collect();
        places.par_sort_unstable();
        let mut sampled: [FastMap<(QueryNumber, u32, u64), usize>; 2] = Default::default();
        for several in places.chunk_by(|(a, _), (b, _)| a == b).filter(|units| units.len() > 1) {
            for ((query, stage), at) in several {
                for (window, found) in sampled.iter_mut().enumerate() {
                    let sample = unit(*at).map_or(&[][..], |unit| unit.sample(window == 1));
                    found.extend(sample.iter().map(|observed| ((*query, *stage, observed.operation), *at)));
                }
            }
        }
        Self { places, sampled }
    }

    /// The place of the unit that an operation belongs to: the only one of its question, because its answer may be among those
    /// that were sampled, or else the one that sampled it.
    fn unit(&self, question: (QueryNumber, u32), (operation, window): (u64, usize)) -> Option<usize> {
        let first = self.places.partition_point(|(known, _)| *known < question);
        let mut mine = self.places.iter().skip(first).take_while(|(known, _)| *known == question);
        match (mine.next(), mine.next()) {
            (Some((_, only)), None) => Some(*only),
            (Some(_), Some(_)) => self.sampled.get(window)?.get(&(question.0, question.1, operation)).copied(),
            _ => None,
        }
    }
}

/// The operations of both windows in time.
pub(crate) struct Timeline<'a> {
    points: Vec<Point>,
    /// What the stages before declare, of operations that have several.
    above: FastMap<u64, Vec<u32>>,
    outputs: Outputs,
    matched: &'a Matched<'a>,
    vocabulary: &'a Vocabulary,
    p: Persistence,
}

impl<'a> Timeline<'a> {
    /// The operations whose answers the model saw, as far as the noise floor of their unit is known.
    pub(crate) fn new(
        windows: [&'a Observations; 2],
        (matched, changes, units): (&'a Matched<'a>, &[UnitChange], &[usize]),
        (pipeline, neighbours): (&Pipeline, Option<&Neighbours>),
        vocabulary: &'a Vocabulary,
        p: Persistence,
    ) -> Result<Self, Error> {
        let measured: Vec<UnitValues> = units
            .par_iter()
            .map(|at| {
                let (Some(unit), Some(change)) = (matched.units.get(*at), changes.get(*at)) else { return Ok(None) };
                change.within_reference.map(|floor| unit_values(unit, (vocabulary, neighbours), p, floor)).transpose()
            })
            .map(|values| Ok(values?.unwrap_or_default()))
            .collect::<Result<_, Error>>()?;
        let questions = Questions::of(matched, units, &measured);
        let mut points = Vec::new();
        let mut above: FastMap<u64, Vec<u32>> = FastMap::default();
        for (window, observations) in windows.iter().enumerate() {
            for (operation, parts) in observations.operations.by_operation() {
                if parts.len() > 1 {
                    let others = parts.iter().filter(|part| !pipeline.is_judged(part.unit.stage));
                    above.insert(operation, others.map(|part| part.context).collect());
                }
                for part in parts.iter().filter(|part| pipeline.is_judged(part.unit.stage)) {
                    let stage = if window == 0 { part.unit.stage } else { pipeline.reference_of(part.unit.stage) };
                    let current = window == 1;
                    let Some(at) = questions.unit((part.unit.query, stage), (operation, window)) else { continue };
                    let values = measured.get(at).into_iter().flatten();
                    let mut same = values.filter(|(answer, _)| *answer == (current, part.digest));
                    let (Some((_, value)), Some(unit)) = (same.next(), units.get(at)) else { continue };
                    points.push(point((part, operation), (*unit, current), *value));
                }
            }
        }
        points.sort_by_key(|point| (point.time, point.operation, point.unit));
        let sampled = windows.iter().flat_map(|window| window.sampled());
        let outputs = sampled.filter_map(|observed| {
            let outcome = observed.outcome.as_ref()?;
            Some((observed.operation, (outcome.model, outcome.prompt)))
        });
        Ok(Self { points, above, outputs: outputs.collect(), matched, vocabulary, p })
    }

    /// The moment for all traffic, which drifted.
    pub(crate) fn since(&self, options: &Options) -> Result<Option<Since>, Error> {
        Ok(self.find(&self.points, options)?.map(|found| found.since))
    }

    /// The moment for all traffic, which did not drift as a whole: a change that is too young to count for the window.
    pub(crate) fn since_lately(&self, options: &Options) -> Result<Option<Since>, Error> {
        let is_sure = |found: &Found| found.p_value.is_some_and(|p| p <= SURE) && found.since.rise > options.threshold;
        Ok(self.find(&self.points, options)?.filter(is_sure).map(|found| found.since))
    }

    /// The moment for a segment, which drifted.
    pub(crate) fn since_in(
        &self,
        segment: &BTreeMap<String, String>,
        options: &Options,
    ) -> Result<Option<Since>, Error> {
        let holds = |point: &&Point| {
            let labels = self.vocabulary.labels_of(point.segment);
            segment.iter().all(|(key, value)| {
                labels
                    .iter()
                    .any(|label| key_and_value(self.vocabulary.labels.text(*label)) == (key.as_str(), value.as_str()))
            })
        };
        let points: Vec<Point> = self.points.iter().filter(holds).copied().collect();
        Ok(self.find(&points, options)?.map(|found| found.since))
    }

    /// The moment from which a cause acts.
    pub(crate) fn since_cause(
        &self,
        cause: Cause,
        classifiers: &BTreeMap<u32, Classifier<'_>>,
        options: &Options,
    ) -> Result<Option<Since>, Error> {
        let answer = |point: &Point| (point.unit, point.current, point.digest);
        let mut points: Vec<(usize, Point)> = self.points.iter().copied().enumerate().collect();
        points.par_sort_unstable_by_key(|(at, point)| (answer(point), *at));
        points.par_chunk_by_mut(|(_, a), (_, b)| answer(a) == answer(b)).try_for_each(|same| {
            let Some((_, first)) = same.first() else { return Ok(()) };
            let charge = self.charge(first, cause, classifiers)?;
            for (_, point) in same {
                point.value = charge;
            }
            Ok::<_, Error>(())
        })?;
        points.par_sort_unstable_by_key(|(at, _)| *at);
        let points: Vec<Point> = points.into_iter().map(|(_, point)| point).collect();
        Ok(self.find(&points, options)?.map(|found| found.since))
    }

    /// What a cause is charged with in the distance of an operation's answer from those of the reference.
    fn charge(&self, point: &Point, cause: Cause, classifiers: &BTreeMap<u32, Classifier<'_>>) -> Result<f64, Error> {
        let unit = self.matched.units.get(point.unit);
        let Some((unit, classifier)) = unit.and_then(|unit| Some((unit, classifiers.get(&unit.stage)?))) else {
            return Ok(point.value);
        };
        let sample = if point.current { &unit.current } else { &unit.reference };
        let Some(observed) = sample.iter().find(|observed| observed.digest == point.digest) else { return Ok(0.0) };
        let answer = Answer::of(&observed.places, observed.context, self.vocabulary)?;
        let pairs = if point.current { classifier.between(self.p) } else { classifier.within(self.p) };
        let others: Vec<&&Observed> =
            unit.reference.iter().filter(|other| point.current || other.operation != observed.operation).collect();
        let mut charged = 0.0;
        for other in &others {
            let earlier = Answer::of(&other.places, other.context, self.vocabulary)?;
            charged += pairs.account(&earlier, &answer).of(cause) / others.len() as f64;
        }
        Ok(charged)
    }

    fn find(&self, points: &[Point], options: &Options) -> Result<Option<Found>, Error> {
        let begins = points.iter().position(|point| point.current);
        let Some(begins) = begins.filter(|_| points.len() >= 4 * TRIM) else { return Ok(None) };
        // Windows that lie beside each other in time are one series; of others only the later one is looked at.
        let one_series = points.iter().skip(begins).all(|point| point.current);
        let series: Vec<Point> =
            if one_series { points.to_vec() } else { points.iter().filter(|point| point.current).copied().collect() };
        let begins = if one_series { begins } else { 0 };
        if series.len() < 4 * TRIM {
            return Ok(None);
        }
        let values: Vec<f64> = series.iter().map(|point| point.value).collect();
        let found = change_point(&values, TRIM, options.confidence)?;
        let time = |at: usize| series.get(at.min(series.len() - 1)).map_or(0, |point| point.time);
        let at_the_start =
            found.index <= begins || found.after <= found.before || (!one_series && found.p_value > 0.01);
        let (index, low, high) =
            if at_the_start { (begins, begins, begins) } else { (found.index, found.low, found.high) };
        let earlier = |at: usize| time(at.saturating_sub(1));
        let moment = if at_the_start { time(begins) } else { earlier(index).midpoint(time(index)) };
        let interval = [earlier(low.max(1)).min(moment), time(high).max(moment)];
        // Whole seconds: what is estimated to minutes needs no more.
        let stamp =
            |micros: i64| Timestamp::from_micros(micros.div_euclid(1_000_000) * 1_000_000).unwrap_or(Timestamp::MIN);
        let mean = |values: &[f64]| crate::scores::mean(values).unwrap_or(0.0);
        let (before, after) = values.split_at(index);
        let since = Since {
            at: stamp(moment),
            interval: interval.map(stamp),
            rise: mean(after) - mean(before),
            coincides_with: self.coinciding(points, interval, moment),
        };
        Ok(Some(Found { since, p_value: (!at_the_start).then_some(found.p_value) }))
    }

    /// What these operations declare for the first time near a moment, and many of them from then on.
    fn coinciding(&self, points: &[Point], interval: [i64; 2], moment: i64) -> Vec<String> {
        // By number first: there are few different declarations and many operations.
        let mut seen: FastMap<(u32, u32), (i64, f64)> = FastMap::default();
        let mut outputs: FastMap<(bool, u32), (i64, f64)> = FastMap::default();
        let mut later = 0.0;
        let note = |first: &mut (i64, f64), time: i64| {
            first.0 = first.0.min(time);
            first.1 += f64::from(u8::from(time >= moment));
        };
        for point in points {
            later += f64::from(u8::from(point.time >= moment));
            let above = self.above.get(&point.operation).into_iter().flatten();
            for context in above.copied().chain([point.context]) {
                note(seen.entry((context, point.segment)).or_insert((point.time, 0.0)), point.time);
            }
            if let Some((model, prompt)) = self.outputs.get(&point.operation) {
                for said in
                    [model.map(|model| (true, model)), prompt.map(|prompt| (false, prompt))].into_iter().flatten()
                {
                    note(outputs.entry(said).or_insert((point.time, 0.0)), point.time);
                }
            }
        }
        let mut declared: BTreeMap<(String, String), (i64, f64)> = BTreeMap::new();
        let mut add = |pair: (String, String), (time, count): (i64, f64)| {
            let known = declared.entry(pair).or_insert((time, 0.0));
            *known = (known.0.min(time), known.1 + count);
        };
        for ((context, segment), said) in &seen {
            let labels = self.vocabulary.labels_of(*segment).iter().map(|label| {
                let (key, value) = key_and_value(self.vocabulary.labels.text(*label));
                (key.to_owned(), value.to_owned())
            });
            let labels = labels.filter(|(key, _)| !["principal", "retriever", "service"].contains(&key.as_str()));
            for pair in declarations(self.vocabulary.context_of(*context), self.vocabulary).into_iter().chain(labels) {
                add(pair, *said);
            }
        }
        for ((is_model, number), said) in &outputs {
            let name = if *is_model { "model" } else { "prompt_version" };
            add((name.to_owned(), self.vocabulary.outputs.text(*number).to_owned()), *said);
        }
        let near = |time: i64| time >= interval[0].saturating_sub(NEAR) && time <= interval[1].saturating_add(NEAR);
        let earliest = points.first().map_or(i64::MAX, |point| point.time);
        declared
            .into_iter()
            .filter(|(_, (first, count))| near(*first) && *count >= COMMON * later && *first > earliest)
            .map(|((name, value), _)| format!("{name} {value}"))
            .collect()
    }
}

/// The model and the prompt of the outputs of operations, by number.
type Outputs = FastMap<u64, (Option<u32>, Option<u32>)>;

/// What a retrieval declares, by name.
fn declarations(context: &Context, vocabulary: &Vocabulary) -> Vec<(String, String)> {
    let count = |number: Option<u32>| number.map(|number| number.to_string());
    let mut scope: Vec<&str> = context.scope.iter().map(|scope| vocabulary.scopes.text(*scope)).collect();
    scope.sort_unstable();
    let all = [
        ("corpus_version", context.corpus_version.clone()),
        ("embedder", context.embedder.clone()),
        ("index", context.index.clone()),
        ("retriever", context.retriever.0.clone()),
        ("retriever version", context.retriever.1.clone()),
        ("params", context.params.clone()),
        ("top_k", count(context.top_k)),
        ("max_context_tokens", count(context.context_tokens)),
        ("max_age_s", count(context.max_age_s)),
        ("scope", (!scope.is_empty()).then(|| scope.join(", "))),
        ("filter", context.filter.clone()),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn point((part, operation): (&Part, u64), (unit, current): (usize, bool), value: f64) -> Point {
    Point {
        time: part.occurred_at,
        operation,
        current,
        unit,
        digest: part.digest,
        segment: part.segment,
        context: part.context,
        value,
    }
}

/// Values of answers, by whether they are of the current window and by their digest.
type UnitValues = Vec<((bool, u64), f64)>;

/// For each answer of a unit how far it is from the reference beyond the floor; of an answer of the reference: from its
/// other answers. Between neighbouring questions as if all were as far apart as they usually are.
fn unit_values<'a>(
    unit: &MatchedUnit<'a>,
    (vocabulary, neighbours): (&Vocabulary, Option<&Neighbours>),
    p: Persistence,
    floor: f64,
) -> Result<UnitValues, Error> {
    let answers = |sample: &[&'a Observed]| -> Result<Vec<(&'a Observed, Answer)>, Error> {
        let answer =
            |observed: &&'a Observed| Ok((*observed, Answer::of(&observed.places, observed.context, vocabulary)?));
        sample.iter().map(answer).collect()
    };
    let (reference, current) = (answers(&unit.reference)?, answers(&unit.current)?);
    let usual = neighbours.map_or(0.0, |neighbours| neighbours.expected_between(unit));
    let mut values = UnitValues::new();
    for (window, sample) in [(false, &reference), (true, &current)] {
        for (observed, answer) in sample {
            if values.iter().any(|(known, _)| *known == (window, observed.digest)) {
                continue;
            }
            let others: Vec<f64> = reference
                .iter()
                .filter(|(other, _)| window || other.operation != observed.operation)
                .map(|(other, theirs)| {
                    let expected = neighbours.map_or(0.0, |neighbours| neighbours.expected(other, observed));
                    distance(theirs, answer, p) - (expected - usual)
                })
                .collect();
            if let Some(mean) = crate::scores::mean(&others) {
                values.push(((window, observed.digest), mean - floor));
            }
        }
    }
    Ok(values)
}
