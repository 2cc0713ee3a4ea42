//! The statistics of a few runs a side: are two samples alike, how far apart are they, how sure is that.
//!
//! - [`mann_whitney`] asks whether one sample tends to be higher than the other. It looks at ranks only, so neither an
//!   outlier nor the skew of latencies misleads it.
//! - [`bootstrap_interval`] says between which bounds the difference of the medians may well lie.
//! - [`Summary`] is a sample in three numbers.
//!
//! All numbers that go in have to be finite.

use serde::Serialize;

/// The longest side for which every way of dealing out the ranks is counted.
const EXACT_UP_TO: usize = 20;

/// How many times both samples are drawn anew for an interval.
const RESAMPLES: usize = 10_000;

/// A sample in three numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The lowest and the highest.
    pub spread: [f64; 2],
}

impl Summary {
    /// `None` of nothing.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        let median = median_of(&mut sorted)?;
        Some(Self { median, spread: [*sorted.first()?, *sorted.last()?] })
    }
}

/// The middle value, or the mean of the two in the middle; `None` of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    median_of(&mut values.to_vec())
}

/// Sorts `values` on the way.
fn median_of(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[values.len() / 2 - 1], upper) })
}

/// What a two-sided Mann–Whitney U test found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MannWhitney {
    /// In how many pairs of one of `a` and one of `b` that of `a` is the higher; equal ones count one half.
    pub u: f64,
    /// How probable so uneven a split, or a more uneven one, is if both samples come from the same source.
    pub p: f64,
    /// How `p` was found.
    pub method: Method,
}

/// How a probability was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By counting all ways to deal out the ranks that occur, equal ones included.
    Exact,
    /// By the normal distribution, corrected for equal values and for continuity.
    Normal,
}

/// The two-sided Mann–Whitney U test.
///
/// With up to 20 values a side it is exact, also where values are equal: equal values share their mean rank, and the
/// distribution is that of the ranks that there are. (The normal approximation must not be used on so few: it gives
/// three equal values against three others 0.047, where 0.1 is the least that any three against three can have.)
/// Beyond that it is the normal approximation. With an empty side, `p` is 1.
#[must_use]
pub fn mann_whitney(a: &[f64], b: &[f64]) -> MannWhitney {
    let Ranks { doubled, ties } = Ranks::of(a, b);
    let (size_a, size_b) = (a.len() as f64, b.len() as f64);
    let doubled_sum: usize = doubled[..a.len()].iter().sum();
    let u = doubled_sum as f64 / 2.0 - size_a * (size_a + 1.0) / 2.0;
    if a.is_empty() || b.is_empty() {
        return MannWhitney { u, p: 1.0, method: Method::Exact };
    }
    if a.len().max(b.len()) <= EXACT_UP_TO {
        return MannWhitney { u, p: exact(&doubled, a.len(), doubled_sum), method: Method::Exact };
    }
    let size = size_a + size_b;
    let variance = size_a * size_b / 12.0 * (size + 1.0 - ties / (size * (size - 1.0)));
    let distance = ((u - size_a * size_b / 2.0).abs() - 0.5).max(0.0);
    let p = if variance > 0.0 { erfc(distance / (2.0 * variance).sqrt()) } else { 1.0 };
    MannWhitney { u, p, method: Method::Normal }
}

/// The least `p` that [`mann_whitney`] can give with so many values a side, however far apart they are.
#[must_use]
pub fn least_p(size_a: usize, size_b: usize) -> f64 {
    let splits = (1..=size_a).fold(1.0, |splits, of_a| splits * (size_b + of_a) as f64 / of_a as f64);
    (2.0 / splits).min(1.0)
}

/// The ranks of two samples in their union.
struct Ranks {
    /// Twice the rank of each, those of `a` first: equal values share their mean rank, which may end in one half.
    doubled: Vec<usize>,
    /// The sum of t³ − t over each group of t equal values.
    ties: f64,
}

impl Ranks {
    fn of(a: &[f64], b: &[f64]) -> Self {
        let values: Vec<f64> = a.iter().chain(b).copied().collect();
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_unstable_by(|&one, &other| values[one].total_cmp(&values[other]));
        let mut ranks = Self { doubled: vec![0; values.len()], ties: 0.0 };
        let mut before = 0;
        // By `==`, since 0.0 and -0.0 are next to each other in the total order and are one value.
        for equal in order.chunk_by(|&one, &other| values[one] == values[other]) {
            for &index in equal {
                ranks.doubled[index] = 2 * before + equal.len() + 1;
            }
            before += equal.len();
            ranks.ties += (equal.len() as f64).powi(3) - equal.len() as f64;
        }
        ranks
    }
}

/// Twice the share of the less frequent side: of all ways to choose `size` of the ranks, those whose sum is at most, or
/// at least, `observed`.
fn exact(doubled: &[usize], size: usize, observed: usize) -> f64 {
    let total: usize = doubled.iter().sum();
    // ways[n][sum]: how many choices of n ranks have this sum. With 20 a side these are below 2^53, so `f64` is exact.
    let mut ways = vec![vec![0.0; total + 1]; size + 1];
    ways[0][0] = 1.0;
    for &rank in doubled {
        for chosen in (1..=size).rev() {
            let (fewer, more) = ways.split_at_mut(chosen);
            for (with, without) in more[0][rank..].iter_mut().zip(&fewer[chosen - 1]) {
                *with += without;
            }
        }
    }
    let ways = &ways[size];
    let at_most: f64 = ways[..=observed].iter().sum();
    let at_least: f64 = ways[observed..].iter().sum();
    (2.0 * at_most.min(at_least) / ways.iter().sum::<f64>()).min(1.0)
}

/// The complementary error function of `x` ≥ 0.
fn erfc(x: f64) -> f64 {
    let density = (-x * x).exp() / std::f64::consts::PI.sqrt();
    if x < 3.0 {
        // The series whose terms are all positive, so that nothing cancels out.
        let mut term = 2.0 * x * density;
        let mut erf = 0.0;
        let mut odd = 1.0;
        while term > f64::EPSILON * 1e-3 {
            erf += term;
            odd += 2.0;
            term *= 2.0 * x * x / odd;
        }
        return 1.0 - erf;
    }
    // The continued fraction x + (1/2)/(x + (2/2)/(x + (3/2)/…)), from its far end; from 3 on 60 steps are plenty.
    density / (1..=60).rev().fold(x, |fraction, step| x + f64::from(step) / 2.0 / fraction)
}

/// Between which bounds the difference of the medians, `b` less `a`, lies in 95 % of the cases in which both samples
/// are drawn anew from themselves (the percentile bootstrap). `None` with fewer than two values on a side.
///
/// Of few values it is rather too narrow. The same `random` gives the same interval.
#[must_use]
pub fn bootstrap_interval(a: &[f64], b: &[f64], random: &mut fastrand::Rng) -> Option<[f64; 2]> {
    if a.len().min(b.len()) < 2 {
        return None;
    }
    let mut drawn = Vec::with_capacity(a.len().max(b.len()));
    let mut median_of_drawn = |values: &[f64]| {
        drawn.clear();
        drawn.extend((0..values.len()).map(|_| values[random.usize(..values.len())]));
        median_of(&mut drawn)
    };
    let mut differences = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        differences.push(-median_of_drawn(a)? + median_of_drawn(b)?);
    }
    differences.sort_unstable_by(f64::total_cmp);
    let outside = RESAMPLES / 40;
    Some([differences[outside], differences[RESAMPLES - 1 - outside]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{found} is not {expected}");
    }

    fn assert_test(a: &[f64], b: &[f64], u: f64, p: f64, method: Method) {
        for (one, other, u) in [(a, b, u), (b, a, (a.len() * b.len()) as f64 - u)] {
            let found = mann_whitney(one, other);
            assert_eq!((found.u, found.method), (u, method));
            assert_close(found.p, p);
        }
    }

    // The expected values are those of scipy 1.17, `mannwhitneyu(a, b, method="exact")`.
    #[test]
    fn small_samples_are_exact() {
        assert_test(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0], 0.0, 0.1, Method::Exact);
        assert_test(
            &[1.0, 2.0, 3.0, 4.0],
            &[5.0, 6.0, 7.0, 8.0],
            0.0,
            0.028_571_428_571_428_57,
            Method::Exact,
        );
        let (a, b) = ([19.0, 22.0, 16.0, 29.0, 24.0], [20.0, 11.0, 17.0, 12.0]);
        assert_test(&a, &b, 17.0, 0.111_111_111_111_111_1, Method::Exact);
        let a = [0.8, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
        assert_test(&a, &[1.15, 0.88, 0.9, 0.74, 1.21], 35.0, 0.254_412_254_412_254_4, Method::Exact);
        let a: Vec<f64> = (1..=20).map(|step| f64::from(step) * 1.5).collect();
        let b: Vec<f64> = a.iter().map(|value| value + 4.1).collect();
        assert_test(&a, &b, 153.0, 0.210_964_327_248_120_78, Method::Exact);
    }

    // scipy has no exact test for equal values: these are counted over all combinations of `rankdata`'s ranks.
    #[test]
    fn equal_values_of_small_samples_are_exact_too() {
        assert_test(&[5.0; 3], &[7.0; 3], 0.0, 0.1, Method::Exact);
        assert_test(&[1.0; 4], &[2.0; 4], 0.0, 0.028_571_428_571_428_57, Method::Exact);
        let (a, b) = ([1.0, 2.0, 2.0, 3.0, 4.0], [2.0, 3.0, 5.0, 5.0, 6.0]);
        assert_test(&a, &b, 4.5, 0.111_111_111_111_111_1, Method::Exact);
        let (a, b) = ([3.0, 3.0, 3.0, 4.0], [3.0, 4.0, 4.0, 5.0, 5.0, 6.0]);
        assert_test(&a, &b, 3.5, 0.123_809_523_809_523_81, Method::Exact);
        assert_test(&[0.0, -0.0], &[-0.0, 0.0, 0.0], 3.0, 1.0, Method::Exact);
    }

    // scipy 1.17, `mannwhitneyu(a, b, method="asymptotic")`.
    #[test]
    fn large_samples_are_approximated() {
        let a: Vec<f64> = (0..25).map(|index| f64::from(index * 7 % 11)).collect();
        let b: Vec<f64> = (0..22).map(|index| f64::from(index * 5 % 13 + 1)).collect();
        assert_test(&a, &b, 193.5, 0.083_248_408_299_156_17, Method::Normal);
        let a: Vec<f64> = (0..30).map(|index| f64::from(index) + 0.25).collect();
        let b: Vec<f64> = (0..24).map(|index| f64::from(index) + 14.0).collect();
        assert_test(&a, &b, 136.0, 9.998_198_097_926_065e-5, Method::Normal);
        let a: Vec<f64> = (0..30).map(f64::from).collect();
        let b: Vec<f64> = a.iter().map(|value| value + 1000.0).collect();
        assert_test(&a, &b, 0.0, 3.019_859_359_162_157e-11, Method::Normal);
        assert_test(&[1.0; 30], &[1.0; 25], 375.0, 1.0, Method::Normal);
    }

    #[test]
    fn nothing_tells_nothing() {
        assert_eq!(mann_whitney(&[], &[1.0, 2.0]).p, 1.0);
        assert_eq!(mann_whitney(&[1.0], &[]).p, 1.0);
        assert_eq!((median(&[]), Summary::of(&[])), (None, None));
        assert_eq!(bootstrap_interval(&[1.0], &[2.0, 3.0], &mut fastrand::Rng::with_seed(1)), None);
    }

    #[test]
    fn the_least_p_is_that_of_samples_that_do_not_overlap() {
        for (size_a, size_b) in [(1, 1), (1, 9), (2, 3), (3, 3), (3, 5), (4, 4), (5, 5), (20, 20)] {
            let a: Vec<f64> = (0..size_a).map(f64::from).collect();
            let b: Vec<f64> = (0..size_b).map(|index| f64::from(index) + 100.0).collect();
            assert_close(mann_whitney(&a, &b).p, least_p(a.len(), b.len()));
        }
        assert_close(least_p(3, 3), 0.1);
        assert_close(least_p(4, 4), 2.0 / 70.0);
    }

    #[test]
    fn the_error_function_is_the_usual_one() {
        for (x, expected) in [
            (0.0, 1.0),
            (0.3, 0.671_373_240_540_872_6),
            (1.0, 0.157_299_207_050_285_16),
            (2.9, 4.109_787_809_945_884e-5),
            (3.1, 1.164_865_736_719_958_4e-5),
            (5.0, 1.537_459_794_428_034_7e-12),
        ] {
            assert_close(erfc(x), expected);
        }
    }

    #[test]
    fn medians_and_spreads() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(Summary::of(&[9.0, 4.0, 5.0]), Some(Summary { median: 5.0, spread: [4.0, 9.0] }));
    }

    #[test]
    fn the_interval_holds_the_difference_and_is_the_same_each_time() {
        let a = [10.0, 11.0, 12.0, 13.0, 14.0];
        let b = a.map(|value| value + 5.0);
        let interval = bootstrap_interval(&a, &b, &mut fastrand::Rng::with_seed(7)).unwrap();
        assert_eq!(Some(interval), bootstrap_interval(&a, &b, &mut fastrand::Rng::with_seed(7)));
        assert!(interval[0] > 0.0 && interval[0] < 5.0, "{interval:?}");
        assert!(interval[1] > 5.0 && interval[1] < 10.0, "{interval:?}");
        let apart = bootstrap_interval(&[1.0; 4], &[3.0; 4], &mut fastrand::Rng::with_seed(7));
        assert_eq!(apart, Some([2.0, 2.0]));
        // The median of seven drawn out of 1 to 7 is 1 in 1.0 % of the cases and at most 2 in 10.8 %, by the binomial
        // distribution, and so at the upper end: 2.5 % lie between these.
        let seven = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
        let interval = bootstrap_interval(&[0.0; 7], &seven, &mut fastrand::Rng::with_seed(7));
        assert_eq!(interval, Some([2.0, 6.0]));
    }
}
