use super::*;

const NOTHING: Circumstances<'static> =
    Circumstances { occurred_at: 0, context: 0, segment: 0, trace: None, latency_ms: None, cost_usd: None, digest: 0 };

fn filled(operations: &[(&str, u32, &[u32])]) -> UnitSample {
    let mut unit = UnitSample::default();
    for (operation, attempt, states) in operations {
        let places: Vec<Place> = states.iter().map(|state| Place::new(*state, None)).collect();
        unit.insert((Attempt::of(operation, *attempt, &[]), SAMPLE), NOTHING, &places);
    }
    unit
}

fn states(unit: &UnitSample) -> Vec<Vec<u32>> {
    unit.sample.iter().map(|observed| observed.places.iter().map(|place| place.state()).collect()).collect()
}

#[test]
fn the_sample_does_not_depend_on_the_order_of_the_rows_nor_on_how_they_are_cut() {
    let names: Vec<String> = (0..40).map(|i| format!("op-{i}")).collect();
    let documents: Vec<[u32; 1]> = (0..40).map(|i| [i % 3]).collect();
    let rows: Vec<_> = names.iter().zip(&documents).map(|(name, d)| (name.as_str(), 1, d.as_slice())).collect();
    let mut reversed = rows.clone();
    reversed.reverse();
    let whole = filled(&rows);
    assert_eq!(whole.sample.len(), SAMPLE);
    assert_eq!(states(&whole), states(&filled(&reversed)));
    for cut in [0, 1, 13, 40] {
        let (left, right) = rows.split_at(cut);
        let mut merged = filled(right);
        merged.merge(filled(left), SAMPLE);
        assert_eq!(states(&merged), states(&whole));
    }
}

#[test]
fn the_last_attempt_stands_for_its_operation() {
    let rows: [(&str, u32, &[u32]); 3] = [("op", 2, &[2]), ("op", 3, &[3]), ("op", 1, &[1])];
    assert_eq!(states(&filled(&rows)), vec![vec![3]]);
}

#[test]
fn of_two_events_of_one_attempt_the_one_with_the_larger_id_stands() {
    let kept = |ids: [u8; 2]| {
        let mut unit = UnitSample::default();
        for id in ids {
            let attempt = Attempt::of("op", 1, &[id; 16]);
            unit.insert((attempt, SAMPLE), NOTHING, &[Place::new(u32::from(id), None)]);
        }
        states(&unit)
    };
    assert_eq!((kept([3, 9]), kept([9, 3])), (vec![vec![9]], vec![vec![9]]));
}

#[test]
fn equal_answers_are_kept_once_and_counted() {
    let names: Vec<String> = (0..5).map(|i| format!("op-{i}")).collect();
    let rows: Vec<(&str, u32, &[u32])> = names.iter().map(|name| (name.as_str(), 1, [].as_slice())).collect();
    let answers = distinct(filled(&rows).sample.iter(), &Vocabulary::default());
    assert!(answers.is_ok_and(|answers| answers.len() == 1 && answers[0].1 > 4.5));
}

#[test]
fn two_windows_that_keep_a_part_of_the_queries_keep_the_same_ones() {
    let mut vocabulary = Vocabulary::default();
    let (mut first, mut second) = (Observations::default(), Observations::default());
    for i in 0..2_000 {
        let query = vocabulary.queries.number(&format!("query-{i}"));
        let unit = Unit { query, stage: 0, limits: 0 };
        first.units.insert(unit, UnitSample::default());
        second.units.insert(unit, UnitSample::default());
    }
    first.restrict(u64::MAX / 4, &vocabulary);
    first.keep_alike(&mut second, &vocabulary);
    assert!((400..600).contains(&first.units.len()), "{}", first.units.len());
    assert!(first.units.keys().all(|unit| second.units.contains_key(unit)));
    assert_eq!(first.units.len(), second.units.len());
    assert!((1_600..2_400).contains(&first.query_count()), "{}", first.query_count());
}
