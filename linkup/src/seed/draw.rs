//! Drawing by popularity, and sharing a total out by it.

use std::collections::HashSet;

use fastrand::Rng;

/// Up to a quarter of those that there are is drawn one by one: then even the law's heavy head is seldom drawn twice.
const FEW: usize = 4;
/// How many draws each that is wanted may take before all that are left are looked at.
const TRIES: usize = 16;
/// Halvings of an interval: as many as a `f64` has digits, and some.
const HALVINGS: u32 = 64;

/// How steeply popularity falls. With the classic 1 the first of a thousand users, who have twenty friends each, would
/// know all of the others.
const EXPONENT: f64 = 0.7;

/// Zipf's law over ranks from 0: the n-th of them has the weight `n ^ -EXPONENT`.
#[derive(Debug)]
pub(super) struct Popularity {
    /// At each rank the weight of all before it, and at the end that of all.
    before: Vec<f64>,
}

impl Popularity {
    pub(super) fn zipf(ranks: usize) -> Self {
        let mut sum = 0.0;
        let after = (0..ranks).map(|rank| {
            sum += weight(rank);
            sum
        });
        Self { before: std::iter::once(0.0).chain(after).collect() }
    }

    fn ranks(&self) -> usize {
        self.before.len() - 1
    }

    /// One rank from `first` on.
    fn one(&self, random: &mut Rng, first: usize) -> usize {
        let (low, high) = (self.before[first], self.before[self.ranks()]);
        let point = low + random.f64() * (high - low);
        // The end itself can be met by rounding.
        (self.before.partition_point(|&before| before <= point) - 1).min(self.ranks() - 1)
    }

    /// `count` different ranks from `first` on that are `allowed`, in the order in which they are drawn; all of them
    /// where there are not so many.
    pub(super) fn distinct(
        &self,
        random: &mut Rng,
        first: usize,
        count: usize,
        allowed: impl Fn(usize) -> bool,
    ) -> Vec<usize> {
        let (mut drawn, mut seen) = (Vec::with_capacity(count), HashSet::new());
        if count <= self.ranks().saturating_sub(first) / FEW {
            for _ in 0..count * TRIES {
                if drawn.len() == count {
                    break;
                }
                let rank = self.one(random, first);
                if allowed(rank) && seen.insert(rank) {
                    drawn.push(rank);
                }
            }
        }
        if drawn.len() < count {
            // Whose clock, which runs as fast as they are popular, rings first is drawn first: the same law.
            let left = (first..self.ranks()).filter(|rank| allowed(*rank) && !seen.contains(rank));
            let mut left: Vec<(f64, usize)> =
                left.map(|rank| (-(1.0 - random.f64()).ln() / weight(rank), rank)).collect();
            let missing = count - drawn.len();
            let earlier = |one: &(f64, usize), other: &(f64, usize)| {
                one.0.total_cmp(&other.0).then(one.1.cmp(&other.1))
            };
            if missing < left.len() {
                left.select_nth_unstable_by(missing, earlier);
                left.truncate(missing);
            }
            left.sort_unstable_by(earlier);
            drawn.extend(left.into_iter().map(|(_, rank)| rank));
        }
        drawn
    }

    /// Shares `total` out by weight, to no rank more than its `most`: what the first cannot take goes to the others.
    pub(super) fn share(&self, total: u64, most: impl Fn(usize) -> u64) -> Vec<u64> {
        let due = |scale: f64, rank: usize| (scale * weight(rank)).min(most(rank) as f64);
        let enough = |scale: f64| (0..self.ranks()).map(|rank| due(scale, rank)).sum::<f64>() >= total as f64;
        // The last rank's weight is the least: with this scale everybody has their most, or all there is.
        let (mut low, mut high) = (0.0, total as f64 * self.ranks() as f64);
        for _ in 0..HALVINGS {
            let middle = (low + high) / 2.0;
            if enough(middle) { high = middle } else { low = middle }
        }
        let (mut sum, mut given) = (0.0, 0);
        let mut shares: Vec<u64> = Vec::with_capacity(self.ranks());
        for rank in 0..self.ranks() {
            sum += due(high, rank);
            let share = ((sum + 0.5) as u64).min(total).saturating_sub(given).min(most(rank));
            given += share;
            shares.push(share);
        }
        for (rank, share) in shares.iter_mut().enumerate() {
            let rest = (total - given).min(most(rank) - *share);
            *share += rest;
            given += rest;
        }
        shares
    }
}

fn weight(rank: usize) -> f64 {
    ((rank + 1) as f64).powf(-EXPONENT)
}

/// Deals everybody out in turn, in a new order each time round, so that all are dealt equally often, or once more.
#[derive(Debug)]
pub(super) struct Deck {
    cards: usize,
    left: Vec<usize>,
}

impl Deck {
    pub(super) fn new(cards: usize) -> Self {
        Self { cards, left: Vec::new() }
    }

    /// A hand of `count` different cards, of which there must be as many.
    pub(super) fn deal(&mut self, random: &mut Rng, count: usize) -> Vec<usize> {
        let (mut hand, mut held) = (Vec::with_capacity(count), HashSet::new());
        while hand.len() < count.min(self.cards) {
            if self.left.is_empty() {
                self.left = (0..self.cards).collect();
                random.shuffle(&mut self.left);
            }
            // The first cards of a new round may be in the hand from the last one.
            let Some(place) = self.left.iter().rposition(|card| !held.contains(card)) else { break };
            let card = self.left.swap_remove(place);
            held.insert(card);
            hand.push(card);
        }
        hand
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_drawn_as_often_as_the_law_says() {
        let (popularity, mut random) = (Popularity::zipf(100), Rng::with_seed(1));
        let mut drawn = [0_u32; 100];
        (0..100_000).for_each(|_| drawn[popularity.one(&mut random, 0)] += 1);
        // Of 100 ranks the first has 1 / 10.53 of the weight, the tenth a fifth of that.
        assert!((9_200..9_800).contains(&drawn[0]) && (1_750..2_050).contains(&drawn[9]), "{drawn:?}");
        assert!(drawn.iter().all(|times| *times > 0));
        let later = (0..10_000).map(|_| popularity.one(&mut random, 90)).min();
        assert_eq!(later, Some(90));
    }

    #[test]
    fn what_is_drawn_is_different_and_allowed_and_as_much_as_there_is() {
        let (popularity, mut random) = (Popularity::zipf(50), Rng::with_seed(1));
        for (first, count) in [(0, 0), (0, 5), (0, 13), (0, 49), (0, 50), (30, 19), (45, 9), (50, 3)] {
            let drawn = popularity.distinct(&mut random, first, count, |rank| rank != 47);
            let different: HashSet<usize> = drawn.iter().copied().collect();
            let possible = (first..50).filter(|rank| *rank != 47).count();
            assert_eq!((drawn.len(), different.len()), (count.min(possible), count.min(possible)));
            assert!(drawn.iter().all(|rank| (first..50).contains(rank) && *rank != 47), "{drawn:?}");
        }
    }

    #[test]
    fn both_ways_of_drawing_follow_the_same_law() {
        // Two of eight are drawn one by one; two of seven that are allowed, with clocks.
        let times_first = |ranks: usize| {
            let (popularity, mut random) = (Popularity::zipf(ranks), Rng::with_seed(1));
            let drawn = (0..20_000).map(|_| popularity.distinct(&mut random, 0, 2, |rank| rank < 7));
            drawn.filter(|drawn| drawn[0] == 0).count() as f64 / 20_000.0
        };
        let law = weight(0) / (0..7).map(weight).sum::<f64>();
        for ranks in [7, 8] {
            assert!((times_first(ranks) - law).abs() < 0.01, "{ranks}: {} {law}", times_first(ranks));
        }
    }

    #[test]
    fn shares_add_up_fall_and_keep_within_their_bounds() {
        for (ranks, total, most) in
            [(1, 7, 7), (10, 0, 5), (10, 100, 10), (100, 3_000, 300), (1_000, 500, 999)]
        {
            let shares = Popularity::zipf(ranks).share(total, |_| most);
            assert_eq!(shares.iter().sum::<u64>(), total);
            assert!(shares.iter().all(|share| *share <= most), "{shares:?}");
            // Rounding may give a later one a single more.
            assert!(shares.windows(2).all(|two| two[0] + 1 >= two[1]), "{shares:?}");
        }
        // What the first three cannot take makes the others' more.
        let shares = Popularity::zipf(100).share(3_000, |_| 100);
        assert_eq!((&shares[..3], shares[3] < 100), (&[100; 3][..], false), "{shares:?}");
        assert!((10..16).contains(&shares[99]), "{shares:?}");
    }

    #[test]
    fn everybody_is_dealt_equally_often_and_nobody_twice_in_a_hand() {
        let (mut deck, mut random) = (Deck::new(10), Rng::with_seed(1));
        let mut dealt = [0_u32; 10];
        for count in [3, 4, 7, 10, 9, 3, 8] {
            let hand = deck.deal(&mut random, count);
            let different: HashSet<usize> = hand.iter().copied().collect();
            assert_eq!((hand.len(), different.len()), (count, count));
            hand.into_iter().for_each(|card| dealt[card] += 1);
            let (least, most) = (dealt.iter().min().unwrap(), dealt.iter().max().unwrap());
            assert!(most - least <= 2, "{dealt:?}");
        }
    }
}
