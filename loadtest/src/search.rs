//! Where to look next for the highest rate that a server holds. Knows nothing of servers: it is told what held and what
//! did not.
//!
//! 1. *Climb*: double the rate until one does not hold (or halve it, until one does).
//! 2. *Narrow down*: halve the distance between the highest that held and the lowest that did not.
//! 3. *Confirm*: the highest that held has to hold [`CONFIRMATIONS`] times more. If it does not, it counts as one that
//!    did not hold, and the search goes on below it.
//! 4. *Climb again*: one run that was disturbed must not hide what lies above it. So the lowest that did not hold is
//!    tried once more at the end; if it holds now, the search goes on above it.

/// How many more times the highest rate has to hold.
pub const CONFIRMATIONS: usize = 3;
/// A server that holds a rate now and then has no limit that could be found: after so many runs the search gives up.
pub const MAX_RUNS: usize = 50;
/// Below this many messages per second nothing is looked for.
const LEAST: f64 = 1.0;
/// How much is tried below a rate that held once and not again, where nothing lower is known to hold.
const DROP: f64 = 0.8;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// See whether this rate holds.
    Try(f64),
    /// This is the highest that held; it was confirmed.
    Found(f64),
    /// Nothing held, down to one message per second.
    Nothing,
    /// What held once did not hold again, for [`MAX_RUNS`] runs.
    Unsettled,
}

/// A search that goes on.
#[derive(Clone, Debug)]
pub struct Search {
    /// What is tried next.
    rate: f64,
    most: f64,
    precision: f64,
    /// The rates that held and still count, from low to high.
    held: Vec<f64>,
    /// The lowest rate that did not hold.
    broken: Option<f64>,
    confirmed: usize,
    runs: usize,
    /// Whether the lowest that did not hold is tried once more, or was.
    again: Again,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    NotYet,
    Now,
    Done,
}

impl Search {
    /// Begins at `first`, never goes above `most`, and ends when what held and what did not are no further apart than
    /// `precision`, a share of what held.
    #[must_use]
    pub fn new(first: f64, most: f64, precision: f64) -> Self {
        Self {
            rate: first.min(most),
            most,
            precision,
            held: Vec::new(),
            broken: None,
            confirmed: 0,
            runs: 0,
            again: Again::NotYet,
        }
    }

    /// The first step.
    #[must_use]
    pub const fn begin(&self) -> Step {
        Step::Try(self.rate)
    }

    /// Whether a run at the rate of the last step confirms what is known already.
    #[must_use]
    pub fn is_confirming(&self) -> bool {
        self.held.last() == Some(&self.rate)
    }

    /// The rate of the last step held, or did not.
    pub fn note(&mut self, holds: bool) -> Step {
        self.runs += 1;
        match (holds, self.again == Again::Now) {
            (true, true) => {
                // What was seen before was a disturbance.
                (self.again, self.broken) = (Again::Done, None);
                self.hold();
            }
            (false, true) => {
                self.again = Again::Done;
                return Step::Found(self.held.last().copied().unwrap_or(LEAST));
            }
            (true, false) if self.is_confirming() => self.confirmed += 1,
            (true, false) => self.hold(),
            (false, false) => {
                self.held.retain(|held| *held < self.rate);
                self.broken = Some(self.rate);
                self.confirmed = 0;
            }
        }
        self.next()
    }

    fn hold(&mut self) {
        self.held.push(self.rate);
        self.confirmed = 0;
    }

    fn next(&mut self) -> Step {
        if self.runs >= MAX_RUNS {
            return Step::Unsettled;
        }
        self.rate = match (self.held.last().copied(), self.broken) {
            (None, None) => self.rate,
            (None, Some(broken)) if broken <= LEAST => return Step::Nothing,
            (None, Some(broken)) => (broken / 2.0).max(LEAST),
            (Some(held), None) if held < self.most => (held * 2.0).min(self.most),
            (Some(held), Some(broken)) if broken > held * (1.0 + self.precision) => {
                // Nothing between is known: half the way, but not far down where only much lower rates held.
                f64::midpoint(held, broken).max(broken * DROP)
            }
            (Some(held), _) if self.confirmed < CONFIRMATIONS => held,
            (Some(_), Some(broken)) if self.again == Again::NotYet => {
                self.again = Again::Now;
                broken
            }
            (Some(held), _) => return Step::Found(held),
        };
        Step::Try(self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches on a server that `holds` a rate at the n-th try, or not. Returns what is found and what was tried.
    fn search(mut search: Search, mut holds: impl FnMut(usize, f64) -> bool) -> (Step, Vec<f64>) {
        let (mut step, mut tried) = (search.begin(), Vec::new());
        while let Step::Try(rate) = step {
            assert!(tried.len() < MAX_RUNS, "it does not end: {tried:?}");
            tried.push(rate);
            step = search.note(holds(tried.len(), rate));
        }
        (step, tried)
    }

    fn found(step: Step) -> f64 {
        let Step::Found(rate) = step else { panic!("{step:?}") };
        rate
    }

    #[test]
    fn the_limit_is_found_from_below_and_from_above() {
        for limit in [3.0, 90.0, 1_000.0, 2_345.0, 2_500.0, 31_000.0, 99_000.0] {
            let (step, tried) = search(Search::new(1_000.0, 100_000.0, 0.05), |_, rate| rate <= limit);
            let rate = found(step);
            assert!(rate <= limit && limit <= rate * 1.051, "{rate} for {limit}: {tried:?}");
            // Once when it was found, and as often as it takes to confirm it.
            assert!(tried.iter().filter(|tried| **tried == rate).count() > CONFIRMATIONS, "{tried:?}");
            assert!(tried.len() < 30, "{tried:?}");
        }
    }

    #[test]
    fn it_goes_no_higher_than_it_may_and_no_lower_than_makes_sense() {
        let (step, tried) = search(Search::new(1_000.0, 5_000.0, 0.05), |_, _| true);
        assert_eq!(found(step), 5_000.0);
        assert_eq!(tried, [1_000.0, 2_000.0, 4_000.0, 5_000.0, 5_000.0, 5_000.0, 5_000.0]);
        let (step, tried) = search(Search::new(9_000.0, 5_000.0, 0.05), |_, _| false);
        assert_eq!((step, tried[0], *tried.last().unwrap()), (Step::Nothing, 5_000.0, LEAST));
    }

    #[test]
    fn a_run_that_was_disturbed_hides_nothing_above_it() {
        // The third try, at 4,000, is disturbed; the server holds 10,000.
        let (step, tried) =
            search(Search::new(1_000.0, 100_000.0, 0.05), |n, rate| n != 3 && rate <= 10_000.0);
        let rate = found(step);
        assert!((9_500.0..=10_000.0).contains(&rate), "{rate}: {tried:?}");
    }

    #[test]
    fn a_rate_that_held_once_and_not_again_is_not_found() {
        // Above 2,000 it is luck: every third try holds, up to 3,000.
        let lucky = |n: usize, rate: f64| rate <= 2_000.0 || (rate <= 3_000.0 && n.is_multiple_of(3));
        let (step, tried) = search(Search::new(1_000.0, 100_000.0, 0.05), lucky);
        let rate = found(step);
        assert!((1_900.0..=2_100.0).contains(&rate), "{rate}: {tried:?}");
    }

    #[test]
    fn it_ends_whatever_is_answered() {
        for seed in 0..500_u64 {
            let mut state = seed;
            let (step, _) = search(Search::new(1_000.0, 50_000.0, 0.05), |_, _| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 60) > 5
            });
            assert!(matches!(step, Step::Found(_) | Step::Nothing | Step::Unsettled));
        }
    }
}
