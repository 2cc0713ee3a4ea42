//! Taking turns.

use std::fmt;
use std::time::{Duration, Instant};

/// How long each takes its turn, and how many turns each has.
const TURN: Duration = Duration::from_millis(1);
const ROUNDS: usize = 151;

/// What is compared: the first, and others with it.
pub(crate) struct Contest<'a>(Vec<Box<dyn FnMut() + 'a>>);

/// What one takes to what another takes: quartiles over all rounds.
#[derive(Clone, Copy)]
pub(crate) struct Ratio([f64; 3]);

/// How long something takes, in nanoseconds.
pub(crate) struct Time(f64);

impl<'a> Contest<'a> {
    pub(crate) fn new(first: impl FnMut() + 'a) -> Self {
        Self(vec![Box::new(first)])
    }

    pub(crate) fn against(&mut self, other: impl FnMut() + 'a) {
        self.0.push(Box::new(other));
    }

    /// How long the first takes, and the others in comparison.
    pub(crate) fn run(mut self) -> (Time, Vec<Ratio>) {
        let turns: Vec<u32> = self.0.iter_mut().map(|run| calls_in_a_turn(run)).collect();
        let rounds: Vec<Vec<f64>> = (0..ROUNDS)
            .map(|_| self.0.iter_mut().zip(&turns).map(|(run, calls)| take_turn(run, *calls)).collect())
            .collect();
        let ratio = |other| Ratio(quartiles(rounds.iter().map(|round| round[other] / round[0])));
        let [_, time, _] = quartiles(rounds.iter().map(|round| round[0]));
        (Time(time), (1..self.0.len()).map(ratio).collect())
    }
}

fn calls_in_a_turn(run: &mut dyn FnMut()) -> u32 {
    let (begun, mut calls) = (Instant::now(), 0);
    while begun.elapsed() < TURN {
        run();
        calls += 1;
    }
    calls
}

fn take_turn(run: &mut dyn FnMut(), calls: u32) -> f64 {
    let begun = Instant::now();
    (0..calls).for_each(|_| run());
    begun.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}

fn quartiles(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[quarter * (values.len() - 1) / 4])
}

impl Ratio {
    pub(crate) fn median(self) -> f64 {
        self.0[1]
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, middle, high] = self.0;
        write!(f, "{middle:.2} ({low:.2}–{high:.2})")
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} µs", self.0 / 1e3)
    }
}
