//! Laws that hold for every input: symmetry, bounds, identities, and what must not matter.

#![expect(clippy::unwrap_used, reason = "a test stops where its premise fails")]

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use proptest::prelude::*;
use tidemark_stats::*;

/// A ranking with coarse scores, so that many neighbours tie.
type Scored = Vec<(u32, u8)>;

fn scored(length: RangeInclusive<usize>) -> impl Strategy<Value = Scored> {
    let (low, high) = (*length.start(), *length.end());
    (Just((0_u32..30).collect::<Vec<_>>()).prop_shuffle(), prop::collection::vec(0_u8..6, low..=high)).prop_map(
        |(items, mut scores)| {
            scores.sort_unstable_by(|left, right| right.cmp(left));
            items.into_iter().zip(scores).collect()
        },
    )
}

/// One more level than there are positions: every score differs.
fn untied(list: &Scored) -> Ranking<u32> {
    Ranking::new(list.iter().map(|&(item, _)| item).collect()).unwrap()
}

fn tied(list: &Scored) -> Ranking<u32> {
    let scores: Vec<_> = list.iter().map(|&(_, score)| Some(f64::from(score))).collect();
    Ranking::with_scores(list.iter().map(|&(item, _)| item).collect(), &scores).unwrap()
}

/// The same ranking with every tie group in the opposite order.
fn reordered_inside_ties(list: &Scored) -> Scored {
    list.chunk_by(|left, right| left.1 == right.1).flat_map(|group| group.iter().rev().copied()).collect()
}

fn relabelled(list: &Scored) -> Scored {
    // 7 and 1009 have no common factor, so this is one to one; it also reverses the order of many labels.
    list.iter().map(|&(item, score)| (item * 7 % 1_009 + 3, score)).collect()
}

fn sample(length: RangeInclusive<usize>) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((-20_i32..20).prop_map(|value| f64::from(value) / 4.0), length)
}

fn masses() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
    prop::collection::vec((0_u16..50, 0_u16..50), 1..20)
        .prop_map(|pairs| pairs.into_iter().map(|(p, q)| (f64::from(p), f64::from(q))).unzip())
        .prop_filter("both windows have mass", |(p, q): &(Vec<f64>, Vec<f64>)| {
            p.iter().sum::<f64>() > 0.0 && q.iter().sum::<f64>() > 0.0
        })
}

fn persistence() -> impl Strategy<Value = Persistence> {
    (0.05_f64..0.99).prop_map(|p| Persistence::new(p).unwrap())
}

fn close(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-9 * (1.0 + left.abs().max(right.abs()))
}

/// Membership of an item in the top `depth`, from the definition.
fn share(ranking: &Ranking<u32>, item: u32, depth: usize) -> f64 {
    let Some(position) = ranking.items().iter().position(|&other| other == item) else { return 0.0 };
    let group = ranking.group_of(position).unwrap();
    (depth.saturating_sub(group.start) as f64 / group.len() as f64).min(1.0)
}

/// RBO^b from the definition, with sums over all items at every depth.
fn rbo_by_definition(a: &Ranking<u32>, b: &Ranking<u32>, p: f64) -> f64 {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let (seen, depths) = (short.len(), long.len());
    let items: BTreeSet<u32> = a.items().iter().chain(b.items()).copied().collect();
    let sum = |term: &dyn Fn(u32) -> f64| items.iter().map(|&item| term(item)).sum::<f64>();
    let mut total = 0.0;
    let mut known = 0.0;
    for depth in 1..=depths {
        let overlap = sum(&|item| share(short, item, depth) * share(long, item, depth));
        let norm = |ranking: &Ranking<u32>| sum(&|item| share(ranking, item, depth).powi(2));
        let agreement = if depth <= seen {
            known = overlap / (norm(short) * norm(long)).sqrt();
            known
        } else {
            let unseen: Vec<f64> = long
                .items()
                .iter()
                .filter(|item| !short.items().contains(item))
                .map(|&item| share(long, item, depth))
                .filter(|&share| share > 0.0)
                .collect();
            let mean = unseen.iter().sum::<f64>() / unseen.len() as f64;
            (overlap + (depth - seen) as f64 * known * mean) / (depth as f64 * norm(long)).sqrt()
        };
        total += (1.0 - p) * p.powi(i32::try_from(depth).unwrap() - 1) * agreement;
    }
    let common = sum(&|item| share(short, item, depths) * share(long, item, depths));
    total + p.powi(i32::try_from(depths).unwrap()) * (common + (depths - seen) as f64 * known) / depths as f64
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn rbo_agrees_with_its_definition_for_uneven_tied_rankings(a in scored(1..=14), b in scored(1..=14), p in persistence()) {
        let (a, b) = (tied(&a), tied(&b));
        prop_assert!(close(rbo(&a, &b, p), rbo_by_definition(&a, &b, p.get())));
    }

    #[test]
    fn rbo_is_symmetric_and_between_its_bounds(a in scored(0..=14), b in scored(0..=14), p in persistence()) {
        for (a, b) in [(untied(&a), untied(&b)), (tied(&a), tied(&b))] {
            let value = rbo(&a, &b, p);
            prop_assert!((0.0..=1.0).contains(&value));
            prop_assert!(close(value, rbo(&b, &a, p)));
            let bounds = rbo_bounds(&a, &b, p);
            prop_assert!(bounds.min <= bounds.max && (0.0..=1.0).contains(&bounds.residual()));
            prop_assert!(close(bounds.min, rbo_bounds(&b, &a, p).min) && close(bounds.max, rbo_bounds(&b, &a, p).max));
            if a.is_empty() == b.is_empty() && !a.is_empty() {
                prop_assert!(bounds.min <= value + 1e-9 && value <= bounds.max + 1e-9);
            }
        }
    }

    #[test]
    fn rankings_that_differ_only_inside_ties_are_the_same(a in scored(0..=20), p in persistence()) {
        let (a, b) = (tied(&a), tied(&reordered_inside_ties(&a)));
        prop_assert_eq!(rbo(&a, &b, p).to_bits(), 1.0_f64.to_bits());
        prop_assert_eq!(truncated_distance(&a, &b, p).to_bits(), 0.0_f64.to_bits());
        prop_assert!(charges(&a, &b, p).by_item.iter().all(|charge| charge.to_bits() == 0.0_f64.to_bits()));
        prop_assert!(close(kendall_top_k(&a, &b, 0.5).unwrap().raw, 0.0));
        prop_assert!(close(footrule_top_k(&a, &b).raw, 0.0));
        prop_assert!(close(ranking_kernel(&a, &b, p, a.len()), 1.0));
    }

    #[test]
    fn the_order_inside_ties_does_not_matter_against_a_third_ranking(a in scored(0..=14), b in scored(0..=14), p in persistence()) {
        let (one, other, b) = (tied(&a), tied(&reordered_inside_ties(&a)), tied(&b));
        prop_assert!(close(rbo(&one, &b, p), rbo(&other, &b, p)));
        prop_assert!(close(rbo_min(&one, &b, p), rbo_min(&other, &b, p)));
        prop_assert!(close(truncated_distance(&one, &b, p), truncated_distance(&other, &b, p)));
        prop_assert!(close(kendall_top_k(&one, &b, 0.5).unwrap().raw, kendall_top_k(&other, &b, 0.5).unwrap().raw));
        prop_assert!(close(footrule_top_k(&one, &b).raw, footrule_top_k(&other, &b).raw));
        prop_assert!(close(ranking_kernel(&one, &b, p, 10), ranking_kernel(&other, &b, p, 10)));
        prop_assert!(close(jaccard(&one, &b), jaccard(&other, &b)));
    }

    #[test]
    fn the_names_of_items_do_not_matter(a in scored(0..=14), b in scored(0..=14), p in persistence()) {
        let (a2, b2) = (tied(&relabelled(&a)), tied(&relabelled(&b)));
        let (a, b) = (tied(&a), tied(&b));
        prop_assert_eq!(rbo(&a, &b, p).to_bits(), rbo(&a2, &b2, p).to_bits());
        prop_assert_eq!(rbo_bounds(&a, &b, p), rbo_bounds(&a2, &b2, p));
        prop_assert_eq!(charges(&a, &b, p), charges(&a2, &b2, p));
        prop_assert_eq!(kendall_top_k(&a, &b, 0.5), kendall_top_k(&a2, &b2, 0.5));
        prop_assert_eq!(footrule_top_k(&a, &b), footrule_top_k(&a2, &b2));
        prop_assert_eq!(jaccard_at(&a, &b, 5).to_bits(), jaccard_at(&a2, &b2, 5).to_bits());
        prop_assert_eq!(overlap_at(&a, &b, 5).to_bits(), overlap_at(&a2, &b2, 5).to_bits());
    }

    #[test]
    fn charges_add_up_to_the_distance_and_to_one_minus_the_kernel(a in scored(0..=14), b in scored(0..=14), p in persistence()) {
        for (a, b) in [(untied(&a), untied(&b)), (tied(&a), tied(&b))] {
            let account = charges(&a, &b, p);
            let distance = truncated_distance(&a, &b, p);
            let kernel = ranking_kernel(&a, &b, p, a.len().max(b.len()));
            prop_assert!((account.total() - distance).abs() < 1e-12);
            prop_assert!((1.0 - kernel - distance).abs() < 1e-12);
            prop_assert!((distance - truncated_distance(&b, &a, p)).abs() < 1e-12);
            prop_assert!(account.by_item.iter().all(|charge| (0.0..=1.0 + 1e-12).contains(charge)));
            prop_assert!(b.len() > a.len() || account.unfilled.to_bits() == 0.0_f64.to_bits());
        }
    }

    #[test]
    fn the_truncated_distance_is_the_rank_biased_one_where_nothing_ties(a in scored(1..=14), b in scored(1..=14), p in persistence()) {
        let (a, b) = (untied(&a), untied(&b));
        let depths = a.len().max(b.len());
        let (mut agreement, mut total) = (0.0, 0.0);
        for depth in 1..=depths {
            let weight = p.get().powi(i32::try_from(depth).unwrap() - 1);
            let top: BTreeSet<_> = a.items().iter().take(depth).collect();
            let common = b.items().iter().take(depth).filter(|item| top.contains(item)).count();
            agreement += weight * common as f64 / depth as f64;
            total += weight;
        }
        prop_assert!(close(truncated_distance(&a, &b, p), 1.0 - agreement / total));
    }

    #[test]
    fn distances_between_top_k_lists_are_symmetric_and_normalised(a in scored(0..=12), b in scored(0..=12), penalty in 0.0_f64..=0.5) {
        for (a, b) in [(untied(&a), untied(&b)), (tied(&a), tied(&b))] {
            let kendall = kendall_top_k(&a, &b, penalty).unwrap();
            prop_assert!((0.0..=1.0 + 1e-12).contains(&kendall.normalised));
            prop_assert!(close(kendall.raw, kendall_top_k(&b, &a, penalty).unwrap().raw));
            let footrule = footrule_top_k(&a, &b);
            prop_assert!((0.0..=1.0 + 1e-12).contains(&footrule.normalised));
            prop_assert!(close(footrule.raw, footrule_top_k(&b, &a).raw));
        }
    }

    #[test]
    fn the_kernel_is_positive_semidefinite(lists in prop::collection::vec(scored(0..=10), 2..7), weights in prop::collection::vec(-3_i8..=3, 7)) {
        let rankings: Vec<_> = lists.iter().map(tied).collect();
        let mut form = 0.0;
        for (a, left) in rankings.iter().zip(&weights) {
            for (b, right) in rankings.iter().zip(&weights) {
                form += f64::from(*left) * f64::from(*right) * ranking_kernel(a, b, Persistence::default(), 10);
            }
        }
        prop_assert!(form >= -1e-9);
    }

    #[test]
    fn distances_between_samples_are_symmetric_and_vanish_on_equal_samples(x in sample(2..=40), y in sample(2..=40)) {
        for distance in [wasserstein_1, energy_distance] {
            prop_assert!(close(distance(&x, &y).unwrap(), distance(&y, &x).unwrap()));
            prop_assert!(close(distance(&x, &x).unwrap(), 0.0));
        }
        let (ks, back) = (ks_two_sample(&x, &y, KsMethod::Auto).unwrap(), ks_two_sample(&y, &x, KsMethod::Auto).unwrap());
        prop_assert!(close(ks.statistic, back.statistic) && close(ks.p_value, back.p_value));
        prop_assert!((0.0..=1.0).contains(&ks.statistic) && (0.0..=1.0).contains(&ks.p_value));
        let asymptotic = ks_two_sample(&x, &y, KsMethod::Asymptotic).unwrap();
        prop_assert!((0.0..=1.0).contains(&asymptotic.p_value));
        let (cvm, back) = (cramer_von_mises_two_sample(&x, &y).unwrap(), cramer_von_mises_two_sample(&y, &x).unwrap());
        prop_assert!(close(cvm.statistic, back.statistic) && (0.0..=1.0).contains(&cvm.p_value));
        prop_assert!(population_stability_index(&x, &y, 5).unwrap() >= -1e-12);
    }

    #[test]
    fn the_order_of_a_sample_does_not_matter(x in sample(2..=40), y in sample(2..=40)) {
        let reversed: Vec<f64> = x.iter().rev().copied().collect();
        prop_assert_eq!(wasserstein_1(&x, &y), wasserstein_1(&reversed, &y));
        prop_assert_eq!(ks_two_sample(&x, &y, KsMethod::Auto), ks_two_sample(&reversed, &y, KsMethod::Auto));
        prop_assert_eq!(hodges_lehmann_shift(&x, &y), hodges_lehmann_shift(&reversed, &y));
        prop_assert_eq!(hodges_lehmann_pseudo_median(&x), hodges_lehmann_pseudo_median(&reversed));
    }

    #[test]
    fn a_shift_of_a_sample_is_what_the_shift_estimators_report(x in sample(1..=40), shift in -8_i32..8) {
        let moved: Vec<f64> = x.iter().map(|value| value + f64::from(shift)).collect();
        prop_assert!(close(wasserstein_1(&x, &moved).unwrap(), f64::from(shift.abs())));
        prop_assert!(close(hodges_lehmann_shift(&x, &moved).unwrap(), f64::from(shift)));
        let centre = hodges_lehmann_pseudo_median(&x).unwrap();
        prop_assert!(close(hodges_lehmann_pseudo_median(&moved).unwrap(), centre + f64::from(shift)));
    }

    #[test]
    fn correlations_are_symmetric_and_bounded(pairs in prop::collection::vec((-9_i8..9, -9_i8..9), 2..40)) {
        let (x, y): (Vec<f64>, Vec<f64>) = pairs.into_iter().map(|(x, y)| (f64::from(x), f64::from(y))).unzip();
        for (correlation, low) in [(spearman as fn(&[f64], &[f64]) -> Result<f64>, -1.0), (kendall_tau_b, -1.0), (distance_correlation, 0.0)] {
            match (correlation(&x, &y), correlation(&y, &x)) {
                (Ok(value), Ok(back)) => prop_assert!((value - back).abs() < 1e-6 && (low..=1.0).contains(&value)),
                (left, right) => prop_assert!(left.is_err() && right.is_err()),
            }
        }
    }

    #[test]
    fn distances_between_distributions_are_symmetric_bounded_and_ordered((p, q) in masses()) {
        for distance in [jensen_shannon_distance, hellinger, total_variation] {
            let value = distance(&p, &q).unwrap();
            prop_assert!((0.0..=1.0).contains(&value) && close(value, distance(&q, &p).unwrap()));
            prop_assert!(distance(&p, &p).unwrap() < 1e-7);
        }
        let (h, tv) = (hellinger(&p, &q).unwrap(), total_variation(&p, &q).unwrap());
        prop_assert!(h * h <= tv + 1e-12 && tv <= 2.0_f64.sqrt() * h + 1e-12);
        prop_assert!((0.0..1.0).contains(&gini(&p).unwrap()));
    }

    #[test]
    fn adjusted_p_values_are_no_smaller_and_keep_their_order(p_values in prop::collection::vec(0.0_f64..=1.0, 0..30)) {
        let adjusted = benjamini_hochberg(&p_values).unwrap();
        for (i, (raw, value)) in p_values.iter().zip(&adjusted).enumerate() {
            prop_assert!(raw <= value && *value <= 1.0);
            for (other_raw, other) in p_values.iter().zip(&adjusted).take(i) {
                prop_assert!(raw > other_raw || value <= other);
            }
        }
    }

    #[test]
    fn an_interval_holds_its_estimate_and_the_seed_decides_it(values in sample(2..=30), seed in any::<u64>()) {
        let resampling = Resampling { confidence: 0.9, resamples: 200, seed };
        let mean = bootstrap_mean(&values, None, 0.0, resampling).unwrap();
        prop_assert_eq!(mean, bootstrap_mean(&values, None, 0.0, resampling).unwrap());
        let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)));
        prop_assert!(low - 1e-9 <= mean.low && mean.low <= mean.high && mean.high <= high + 1e-9);
        prop_assert!(mean.p_value > 0.0 && mean.p_value <= 1.0);
    }

    #[test]
    fn wealth_grows_only_by_factors_inside_their_bounds(observations in prop::collection::vec(0.0_f64..=1.0, 1..200), null in 0.01_f64..0.9) {
        let mut bettor = Bettor::new(null, 0.5).unwrap();
        for observation in observations {
            let factor = bettor.observe(observation).unwrap();
            prop_assert!((0.5 - 1e-12..=1.0 + 0.5 * (1.0 - null) / null + 1e-12).contains(&factor));
        }
    }

    #[test]
    fn mix_and_within_add_up_to_the_total(strata in prop::collection::vec((1_u16..99, 1_u16..99, -5.0_f64..5.0, -5.0_f64..5.0), 1..12)) {
        let shares = |counts: Vec<f64>| -> Vec<f64> {
            let total: f64 = counts.iter().sum();
            counts.iter().map(|count| count / total).collect()
        };
        let before = shares(strata.iter().map(|stratum| f64::from(stratum.0)).collect());
        let after = shares(strata.iter().map(|stratum| f64::from(stratum.1)).collect());
        let (low, high): (Vec<f64>, Vec<f64>) = strata.iter().map(|stratum| (stratum.2, stratum.3)).unzip();
        let parts = kitagawa(Strata { shares: &before, means: &low }, Strata { shares: &after, means: &high }).unwrap();
        prop_assert!((parts.total - parts.mix - parts.within).abs() < 1e-12);
    }

    #[test]
    fn score_intervals_hold_the_difference(k1 in 0_u64..50, k2 in 0_u64..50) {
        let (first, second) = (Proportion { successes: k1, trials: 50 }, Proportion { successes: k2, trials: 50 });
        let interval = risk_difference_newcombe(first, second, 0.95).unwrap();
        prop_assert!(-1.0 <= interval.low && interval.low <= interval.estimate);
        prop_assert!(interval.estimate <= interval.high && interval.high <= 1.0);
    }
}

/// What a statistic refuses about two samples.
type Refusal = fn(&[f64], &[f64]) -> Option<Error>;

/// Every two-sample statistic, by name.
fn two_sample_statistics() -> Vec<(&'static str, Refusal)> {
    vec![
        ("wasserstein", |x, y| wasserstein_1(x, y).err()),
        ("energy", |x, y| energy_distance(x, y).err()),
        ("ks", |x, y| ks_two_sample(x, y, KsMethod::Auto).err()),
        ("cramer von mises", |x, y| cramer_von_mises_two_sample(x, y).err()),
        ("mann whitney", |x, y| mann_whitney_u(x, y).err()),
        ("hodges lehmann", |x, y| hodges_lehmann_shift(x, y).err()),
        ("psi", |x, y| population_stability_index(x, y, 10).err()),
        ("spearman", |x, y| spearman(x, y).err()),
        ("tau b", |x, y| kendall_tau_b(x, y).err()),
        ("distance correlation", |x, y| distance_correlation(x, y).err()),
        ("affine fit", |x, y| affine_fit(x, y, 0).err()),
        ("jensen shannon", |x, y| jensen_shannon_distance(x, y).err()),
        ("hellinger", |x, y| hellinger(x, y).err()),
        ("total variation", |x, y| total_variation(x, y).err()),
        ("paired randomisation", |x, y| paired_randomisation_test(x, y, 9, 0).err()),
    ]
}

fn check_refused(x: &[f64], y: &[f64], expected: fn(&Error) -> bool) {
    for (name, statistic) in two_sample_statistics() {
        let error = statistic(x, y);
        assert!(error.as_ref().is_some_and(expected), "{name}: {error:?}");
    }
}

#[test]
fn empty_samples_are_refused() {
    check_refused(&[], &[], |error| matches!(error, Error::Empty { .. }));
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        check_refused(&[1.0, 2.0, wrong], &[1.0, 2.0, 3.0], |error| matches!(error, Error::NonFinite { index: 2, .. }));
        check_refused(&[1.0, 2.0, 3.0], &[1.0, wrong, 3.0], |error| matches!(error, Error::NonFinite { index: 1, .. }));
    }
}

#[test]
fn samples_too_short_for_a_definition_are_refused() {
    let one: &[f64] = &[1.0];
    for error in [
        spearman(one, one).unwrap_err(),
        kendall_tau_b(one, one).unwrap_err(),
        distance_correlation(one, one).unwrap_err(),
        affine_fit(one, one, 0).unwrap_err(),
        cramer_von_mises_two_sample(one, one).unwrap_err(),
        bootstrap_mean(one, None, 0.0, Resampling { confidence: 0.9, resamples: 9, seed: 0 }).unwrap_err(),
    ] {
        assert!(matches!(error, Error::TooFew { have: 1, need: 2, .. }), "{error:?}");
    }
}

#[test]
fn arguments_that_do_not_run_in_parallel_are_refused() {
    for result in [
        spearman(&[1.0, 2.0], &[1.0]),
        hellinger(&[1.0, 2.0], &[1.0]),
        affine_fit(&[1.0, 2.0], &[1.0], 0).map(|fit| fit.scale),
    ] {
        assert!(matches!(result, Err(Error::LengthMismatch { left_len: 2, right_len: 1, .. })));
    }
}

#[test]
fn negative_masses_and_impossible_levels_are_refused() {
    assert!(matches!(gini(&[-1.0, 2.0]), Err(Error::OutOfRange { .. })));
    assert!(matches!(total_variation(&[0.0, 0.0], &[1.0, 0.0]), Err(Error::Degenerate { .. })));
    assert!(matches!(benjamini_hochberg(&[1.5]), Err(Error::OutOfRange { .. })));
    assert!(matches!(e_bh(&[1.0], 0.0), Err(Error::OutOfRange { .. })));
    assert!(matches!(Persistence::new(1.0), Err(Error::OutOfRange { .. })));
    assert!(matches!(EDetector::new(0.1, 0.5, 1.0), Err(Error::OutOfRange { .. })));
}

proptest! {
    /// Answers to questions farther apart are never said to be more alike, nor anything that was not seen.
    #[test]
    fn a_variogram_never_falls_and_stays_within_what_was_seen(
        pairs in prop::collection::vec((0_u32..70, 0.0..1.0_f64), 1..80),
        largest in 0_u32..64,
    ) {
        let variogram = Variogram::fit(pairs.iter().copied(), largest).unwrap();
        let values: Vec<f64> = (0..=largest).map(|h| variogram.at(h)).collect();
        prop_assert!(values.windows(2).all(|pair| pair[0] <= pair[1]), "{values:?}");
        let seen = |of: fn(f64, f64) -> f64| pairs.iter().map(|(_, d)| *d).reduce(of).unwrap();
        prop_assert!(values[0] >= seen(f64::min) - 1e-12 && variogram.sill() <= seen(f64::max) + 1e-12);
        prop_assert!(variogram.reach(0.9) <= variogram.reach(0.5) && variogram.reach(0.5) <= largest);
    }

    /// The order of the pairs is of no matter, but for rounding.
    #[test]
    fn a_variogram_does_not_depend_on_the_order_of_its_pairs(
        pairs in prop::collection::vec((0_u32..40, 0.0..1.0_f64), 1..80),
    ) {
        let (forward, backward) =
            (Variogram::fit(pairs.iter().copied(), 32).unwrap(), Variogram::fit(pairs.iter().rev().copied(), 32).unwrap());
        prop_assert!((0..=32).all(|h| (forward.at(h) - backward.at(h)).abs() < 1e-12));
    }
}
