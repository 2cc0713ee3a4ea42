//! Which numbers of a sequence have arrived, in a few words of memory as long as they arrive in order.

use serde::{Deserialize, Serialize};

/// What an arrival means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// New, behind everything before it.
    Next,
    /// New, but something behind it had already arrived.
    Late,
    /// It had already arrived.
    Duplicate,
}

/// The numbers that have arrived: all from the first to the last but the gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracker {
    span: Option<(i64, i64)>,
    gaps: Vec<(i64, i64)>,
}

impl Tracker {
    /// A number arrives.
    pub fn arrive(&mut self, number: i64) -> Arrival {
        let Some((first, last)) = &mut self.span else {
            self.span = Some((number, number));
            return Arrival::Next;
        };
        if number > *last {
            if number > *last + 1 {
                self.gaps.push((*last + 1, number - 1));
            }
            *last = number;
            return Arrival::Next;
        }
        if number < *first {
            if number < *first - 1 {
                self.gaps.push((number + 1, *first - 1));
            }
            *first = number;
            return Arrival::Late;
        }
        let Some(index) = self.gaps.iter().position(|&(from, to)| (from..=to).contains(&number)) else {
            return Arrival::Duplicate;
        };
        let (from, to) = self.gaps.swap_remove(index);
        self.gaps.extend([(from, number - 1), (number + 1, to)].into_iter().filter(|(from, to)| from <= to));
        Arrival::Late
    }

    /// Whether a number has arrived.
    #[must_use]
    pub fn contains(&self, number: i64) -> bool {
        self.span.is_some_and(|(first, last)| (first..=last).contains(&number))
            && !self.gaps.iter().any(|&(from, to)| (from..=to).contains(&number))
    }

    /// Whether all numbers between two have arrived, both included.
    #[must_use]
    pub fn contains_all(&self, from: i64, to: i64) -> bool {
        self.span.is_some_and(|(first, last)| first <= from && to <= last)
            && !self.gaps.iter().any(|&(start, end)| start <= to && from <= end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Arrival::{Duplicate, Late, Next};

    #[test]
    fn an_order_without_fault_takes_no_memory() {
        let mut tracker = Tracker::default();
        assert!((5..1_000).all(|number| tracker.arrive(number) == Next));
        assert_eq!(tracker.gaps.capacity(), 0);
        assert!(tracker.contains_all(5, 999) && !tracker.contains(4) && !tracker.contains(1_000));
    }

    #[test]
    fn whatever_the_order_it_knows_what_arrived() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..500 {
            let (mut tracker, mut arrived) = (Tracker::default(), Vec::new());
            for _ in 0..30 {
                let number = random.i64(-10..10);
                let expected = match () {
                    () if arrived.contains(&number) => Duplicate,
                    () if arrived.iter().any(|other| *other > number) => Late,
                    () => Next,
                };
                assert_eq!(tracker.arrive(number), expected, "{number} after {arrived:?}");
                arrived.push(number);
                for number in -11..11 {
                    assert_eq!(
                        tracker.contains(number),
                        arrived.contains(&number),
                        "{number} of {arrived:?}"
                    );
                    let all = (number..=number + 2).all(|number| arrived.contains(&number));
                    assert_eq!(tracker.contains_all(number, number + 2), all, "{number} of {arrived:?}");
                }
            }
        }
    }
}
