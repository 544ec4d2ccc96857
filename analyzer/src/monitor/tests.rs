use proptest::prelude::*;
use tidemark_stats::EDetector;

use super::*;

fn monitor(null_mean: f64, levels: Levels) -> Monitor {
    Monitor::new(NullMean::known(Quantity::RankDistance, null_mean), levels).unwrap()
}

fn look(number: u64) -> Timestamp {
    Timestamp::from_date("2026-11-18").unwrap().plus_seconds(i64::try_from(number).unwrap() * 60)
}

/// All alarms of a stream, one look a minute.
fn feed(monitor: &mut Monitor, stream: impl IntoIterator<Item = f64>) -> Vec<Alarm> {
    let observe = |value| monitor.observe(look(monitor.observations()), value).unwrap();
    stream.into_iter().filter_map(observe).collect()
}

fn through_json(monitor: &Monitor) -> Monitor {
    serde_json::from_str(&serde_json::to_string(monitor).unwrap()).unwrap()
}

fn repeat(value: f64, times: usize) -> impl Iterator<Item = f64> {
    std::iter::repeat_n(value, times)
}

#[test]
fn a_rise_is_dated_where_it_began() {
    let mut monitor = monitor(0.1, Levels::default());
    let alarms = feed(&mut monitor, repeat(0.05, 500).chain(repeat(0.4, 40)));
    let alarm = alarms.first().unwrap();
    assert_eq!(alarm.basis, Basis::Recent);
    assert_eq!((alarm.since, alarm.from_observation), (look(500), 501));
    assert_eq!(alarm.at, look(alarm.to_observation - 1));
    assert!(alarm.log_evidence >= alarm.log_threshold);
}

#[test]
fn an_alarm_is_raised_once_and_again_when_it_becomes_evidence_since_the_start() {
    let mut monitor = monitor(0.1, Levels::default());
    let alarms = feed(&mut monitor, repeat(0.05, 500).chain(repeat(0.4, 2_000)));
    let bases: Vec<Basis> = alarms.iter().map(|alarm| alarm.basis).collect();
    assert_eq!(bases, [Basis::Recent, Basis::SinceStart]);
    assert_eq!(monitor.standing(), alarms.last());
}

#[test]
fn an_acknowledged_alarm_comes_back_if_the_change_stays_and_evidence_since_the_start_is_spent_once() {
    let mut monitor = monitor(0.1, Levels::default());
    feed(&mut monitor, repeat(0.4, 2_000));
    let evidence = monitor.log_evidence();
    assert_eq!(monitor.acknowledge().unwrap().basis, Basis::SinceStart);
    assert_eq!(monitor.acknowledge(), None);
    assert!(monitor.log_evidence() >= evidence);
    let alarms = feed(&mut monitor, repeat(0.4, 100));
    assert_eq!(alarms.iter().map(|alarm| alarm.basis).collect::<Vec<_>>(), [Basis::Recent]);
    assert_eq!(alarms[0].since, look(2_000));
}

#[test]
fn a_stream_that_stays_below_the_null_mean_never_alarms_although_a_shiryaev_roberts_sum_with_learnt_bets_does() {
    let mut quiet = monitor(0.06, Levels::default());
    assert_eq!(feed(&mut quiet, repeat(0.0, 10_000)), []);
    let mut sum = EDetector::new(0.06, 0.5, 0.001).unwrap();
    let alarm = (1..10_000).find(|_| sum.observe(0.0).unwrap());
    assert!(alarm.is_some_and(|look| (1_000..1_050).contains(&look)), "{alarm:?}");
}

#[test]
fn the_state_stays_finite_whatever_is_observed() {
    let mut monitor = monitor(0.001, Levels::default());
    feed(&mut monitor, repeat(1.0, 2_000));
    assert!(monitor.log_evidence().is_finite() && monitor.log_recent_evidence().is_finite());
    assert_eq!(monitor.e_value().to_bits(), f64::INFINITY.to_bits());
    assert_eq!(through_json(&monitor), monitor);
}

#[test]
fn a_refused_observation_names_the_quantity_and_changes_nothing() {
    for quantity in Quantity::ALL {
        let mut monitor = Monitor::new(NullMean::known(quantity, 0.1), Levels::default()).unwrap();
        let before = monitor.clone();
        for value in [f64::NAN, f64::INFINITY, -0.001, 1.001] {
            let error = monitor.observe(look(0), value).unwrap_err();
            assert!(error.to_string().contains(quantity.name()), "{error}");
        }
        assert_eq!(monitor, before);
    }
}

#[test]
fn a_quantity_is_serialised_under_its_name() {
    for quantity in Quantity::ALL {
        assert_eq!(serde_json::to_value(quantity).unwrap(), quantity.to_string());
    }
}

#[test]
fn levels_outside_of_zero_to_one_are_refused() {
    for wrong in [0.0, 1.0, f64::NAN] {
        for levels in [Levels { ever: wrong, ..Levels::default() }, Levels { per_look: wrong, ..Levels::default() }] {
            let refused = Monitor::new(NullMean::known(Quantity::EmptyResults, 0.1), levels);
            assert!(matches!(refused, Err(MonitorError::Level { .. })));
        }
        assert!(matches!(judge([], wrong), Err(MonitorError::Level { .. })));
    }
}

#[test]
fn a_stored_state_that_cannot_have_happened_is_refused() {
    let mut monitor = monitor(0.1, Levels::default());
    feed(&mut monitor, repeat(0.3, 100));
    let good = serde_json::to_value(&monitor).unwrap();
    serde_json::from_value::<Monitor>(good.clone()).unwrap();
    for (place, wrong) in [
        ("/observations", serde_json::json!(101)),
        ("/null_mean/value", serde_json::json!(1.0)),
        ("/null_mean/margin", serde_json::json!(-0.1)),
        ("/null_mean/reference_mean", serde_json::json!(0.5)),
        ("/standing/quantity", serde_json::json!("stale_documents")),
        ("/standing/to_observation", serde_json::json!(101)),
        ("/levels/ever", serde_json::json!(0.0)),
        ("/started_at", serde_json::json!(null)),
        ("/process/log_wealth", serde_json::json!(1e9)),
        ("/detector/observations", serde_json::json!(3)),
        ("/detector/charts/0/value", serde_json::json!(-1.0)),
    ] {
        let mut stored = good.clone();
        *stored.pointer_mut(place).unwrap() = wrong;
        assert!(serde_json::from_value::<Monitor>(stored).is_err(), "{place}");
    }
}

#[test]
fn a_null_mean_leaves_the_margin_and_the_uncertainty_of_its_reference() {
    let learn = |times| NullMean::learn(Quantity::RankDistance, &[0.0, 0.1].repeat(times), 0.02).unwrap();
    let large = learn(2_000);
    assert!((large.value() - 0.07).abs() < 1e-9 && !large.reference_is_small());
    let small = learn(25);
    assert!(small.value() > 0.07 && small.reference_is_small(), "{}", small.value());
    assert!(learn(25).value() > learn(100).value());
}

#[test]
fn a_null_mean_without_ground_is_refused() {
    let learn = |reference: &[f64], margin| NullMean::learn(Quantity::StaleDocuments, reference, margin);
    assert!(matches!(learn(&[0.1; 29], 0.02), Err(MonitorError::FewReferences { have: 29, need: 30, .. })));
    assert!(matches!(learn(&[f64::NAN; 30], 0.02), Err(MonitorError::Observation { .. })));
    assert!(matches!(learn(&[0.1; 30], -0.1), Err(MonitorError::Margin { .. })));
    assert!(matches!(learn(&[0.1; 30], f64::NAN), Err(MonitorError::Margin { .. })));
    assert!(matches!(learn(&[1.0; 30], 0.02), Err(MonitorError::NoRoom { .. })));
}

#[test]
fn conformal_p_values_are_those_of_the_definition() {
    let calibration = Calibration::new(vec![0.9, 0.4, 0.2, 0.4]).unwrap();
    let check = |score, stranger, tie_break, expected: f64| {
        let p_value = calibration.p_value(score, stranger, tie_break).unwrap();
        assert!((p_value - expected).abs() < 1e-15, "{score}: {p_value}");
        let strangeness = calibration.strangeness(score, stranger, tie_break).unwrap();
        assert!((strangeness - (1.0 - expected)).abs() < 1e-15);
    };
    check(0.4, Stranger::Lower, 0.5, (1.0 + 0.5 * 3.0) / 5.0);
    check(0.4, Stranger::Higher, 0.25, (1.0 + 0.25 * 3.0) / 5.0);
    check(0.1, Stranger::Lower, 0.5, 0.5 / 5.0);
    check(0.1, Stranger::Higher, 0.0, 4.0 / 5.0);
    check(0.5, Stranger::Lower, 1.0, 4.0 / 5.0);
}

#[test]
fn scores_that_no_order_holds_for_are_refused() {
    assert_eq!(Calibration::new(vec![]), Err(MonitorError::Uncalibrated));
    assert!(Calibration::new(vec![0.1, f64::NAN]).is_err());
    let calibration = Calibration::new(vec![0.1]).unwrap();
    assert!(calibration.p_value(f64::INFINITY, Stranger::Lower, 0.5).is_err());
    assert!(calibration.p_value(0.1, Stranger::Lower, 1.5).is_err());
}

#[test]
fn monitors_that_agree_need_less_evidence_each() {
    let found = |looks: usize| {
        let mut monitor = monitor(0.1, Levels::default());
        feed(&mut monitor, repeat(0.3, looks));
        monitor
    };
    // Each is worth about 30: too little for one of three, enough for two of three.
    let one = (1..100).map(found).find(|monitor| monitor.e_value() >= 30.0).unwrap();
    assert!(one.e_value() < 60.0);
    assert_eq!(judge(&[one.clone(), found(0), found(0)], 0.05).unwrap(), Vec::<usize>::new());
    assert_eq!(judge(&[one.clone(), found(0), one], 0.05).unwrap(), [0, 2]);
}

/// Streams that lie low, jump and rest, as distances do.
fn streams() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![4 => Just(0.0), 4 => 0.0..0.2_f64, 2 => 0.0..=1.0_f64, 1 => Just(1.0)];
    prop::collection::vec(value, 0..300)
}

/// The look of the first alarm on each basis.
fn first_alarms(null_mean: f64, levels: Levels, stream: &[f64]) -> [Option<u64>; 2] {
    let alarms = feed(&mut monitor(null_mean, levels), stream.iter().copied());
    [Basis::Recent, Basis::SinceStart]
        .map(|basis| alarms.iter().find(|alarm| alarm.basis == basis).map(|alarm| alarm.to_observation))
}

proptest! {
    #[test]
    fn a_stream_in_two_halves_through_json_gives_the_same_bits(
        stream in streams(), cut in 0.0..=1.0_f64, null_mean in 0.01..0.9_f64,
    ) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
        let (first, second) = stream.split_at((cut * stream.len() as f64) as usize);
        let mut whole = monitor(null_mean, Levels::default());
        let alarms = feed(&mut whole, stream.iter().copied());
        let mut halves = monitor(null_mean, Levels::default());
        let mut found = feed(&mut halves, first.iter().copied());
        halves = through_json(&halves);
        found.extend(feed(&mut halves, second.iter().copied()));
        prop_assert_eq!(halves.log_evidence().to_bits(), whole.log_evidence().to_bits());
        prop_assert_eq!(halves.log_recent_evidence().to_bits(), whole.log_recent_evidence().to_bits());
        prop_assert_eq!(serde_json::to_string(&halves).unwrap(), serde_json::to_string(&whole).unwrap());
        prop_assert_eq!(found, alarms);
    }

    #[test]
    fn evidence_is_never_negative(stream in streams(), null_mean in 0.001..0.999_f64) {
        let mut monitor = monitor(null_mean, Levels::default());
        for value in stream {
            feed(&mut monitor, [value]);
            prop_assert!(monitor.e_value() >= 0.0 && monitor.log_evidence().is_finite());
            prop_assert!(monitor.log_recent_evidence().is_finite());
        }
    }

    #[test]
    fn an_alarm_means_that_the_evidence_reached_the_threshold(stream in streams(), null_mean in 0.01..0.5_f64) {
        let mut monitor = monitor(null_mean, Levels::default());
        for value in stream {
            let quiet = monitor.standing().is_none();
            let raised = !feed(&mut monitor, [value]).is_empty();
            let [recent, since_start] = [Basis::Recent, Basis::SinceStart].map(|basis| monitor.reached(basis));
            prop_assert!(!raised || recent || since_start);
            prop_assert!(!quiet || raised == (recent || since_start));
        }
    }

    #[test]
    fn who_asks_for_more_evidence_is_never_alarmed_sooner(
        stream in streams(), null_mean in 0.01..0.3_f64, strict in 0.001..0.5_f64, loose in 1.0..2.0_f64,
    ) {
        // One basis at a time: the other one's level is out of reach.
        let since_start = |level| Levels { ever: level, per_look: 1e-300 };
        let recent = |level| Levels { ever: 1e-300, per_look: level };
        for levels in [since_start, recent] {
            let sooner = first_alarms(null_mean, levels(strict * loose), &stream);
            let later = first_alarms(null_mean, levels(strict), &stream);
            for (sooner, later) in sooner.into_iter().zip(later) {
                prop_assert!(later.is_none_or(|later| sooner.is_some_and(|sooner| sooner <= later)));
            }
        }
    }

    #[test]
    fn every_null_mean_that_can_be_learnt_can_be_stored(
        reference in prop::collection::vec(0.0..0.3_f64, 30..60), margin in 0.0..0.3_f64,
    ) {
        let learnt = NullMean::learn(Quantity::UnregisteredDocuments, &reference, margin).unwrap();
        let stored = serde_json::to_string(&learnt).unwrap();
        prop_assert_eq!(serde_json::from_str::<NullMean>(&stored).unwrap(), learnt);
    }

    #[test]
    fn invalid_observations_are_refused(value in prop_oneof![
        Just(f64::NAN), Just(f64::NEG_INFINITY), -1e9..-1e-9_f64, 1.000_000_1..1e9_f64,
    ]) {
        let mut monitor = monitor(0.1, Levels::default());
        prop_assert!(monitor.observe(look(0), value).is_err());
        prop_assert_eq!(monitor.observations(), 0);
    }

    /// Leaving out each score of a sample in turn, the p-values are uniform: their mean is 1/2, ties or not.
    #[test]
    fn conformal_p_values_of_a_sample_among_itself_have_mean_one_half(
        scores in prop::collection::vec(prop_oneof![0.0..1.0_f64, Just(0.5)], 2..40),
    ) {
        for stranger in [Stranger::Lower, Stranger::Higher] {
            let p_values = (0..scores.len()).map(|left_out| {
                let mut others = scores.clone();
                let score = others.swap_remove(left_out);
                Calibration::new(others).unwrap().p_value(score, stranger, 0.5).unwrap()
            });
            let mean = p_values.sum::<f64>() / scores.len() as f64;
            prop_assert!((mean - 0.5).abs() < 1e-12);
        }
    }
}
