//! What the reader should know about two sets before believing a comparison of them.

use super::SIGNIFICANT;
use super::metrics::Measured;
use super::runs::{Host, Program, RunSet};
use crate::statistics::least_p;

pub(super) fn notes(a: &RunSet, b: &RunSet, measured: &[Measured]) -> Vec<String> {
    let mut notes = Vec::new();
    let least = least_p(a.runs.len(), b.runs.len());
    if least >= SIGNIFICANT {
        notes.push(format!(
            "Too few runs to tell: with {} of A and {} of B the smallest p that there can be is {least:.2}. \
             Take four or more a side.",
            a.runs.len(),
            b.runs.len()
        ));
    } else if a.runs.len() > 1 && b.runs.len() > 1 && (all_before(a, b) || all_before(b, a)) {
        notes.push(
            "All runs of one set are from before those of the other: what changed on the machine meanwhile looks like \
             a change of the server. Let A and B alternate."
                .to_owned(),
        );
    }
    if hosts(a).any(|host| hosts(b).any(|other| host != other)) {
        notes.push("The runs are from different machines or systems.".to_owned());
    }
    if programs(a).any(|program| programs(b).any(|other| program != other)) {
        notes.push("The runs were made by different builds of the load test itself.".to_owned());
    }
    notes.extend(missing(a, b, measured));
    notes
}

/// The times are RFC 3339 in UTC and of one length, so they are in order if the texts are.
fn all_before(one: &RunSet, other: &RunSet) -> bool {
    let started =
        |set: &RunSet| -> Vec<String> { set.runs.iter().map(|run| run.report.started_at.clone()).collect() };
    started(one).iter().max() < started(other).iter().min()
}

fn hosts(set: &RunSet) -> impl Iterator<Item = &Host> {
    set.runs.iter().map(|run| &run.report.host)
}

fn programs(set: &RunSet) -> impl Iterator<Item = &Program> {
    set.runs.iter().map(|run| &run.report.program)
}

/// One note for all figures of a latency or a process, which are there or missing together.
fn missing(a: &RunSet, b: &RunSet, measured: &[Measured]) -> Vec<String> {
    let mut notes = Vec::new();
    for Measured { figure, a: of_a, b: of_b } in measured {
        let note = match (of_a.len(), of_b.len()) {
            (0, _) => format!("{}: only in B, so it is not compared.", figure.of),
            (_, 0) => format!("{}: only in A, so it is not compared.", figure.of),
            (in_a, in_b) if in_a < a.runs.len() || in_b < b.runs.len() => {
                let (runs_a, runs_b) = (a.runs.len(), b.runs.len());
                format!("{}: only in {in_a} of {runs_a} runs of A and {in_b} of {runs_b} of B.", figure.of)
            }
            _ => continue,
        };
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::super::samples::{report, set};
    use super::super::{Options, compare};
    use serde_json::{Value, json};

    fn at(seconds: &[u32]) -> Vec<Value> {
        let at = |second| json!(format!("2026-12-01T00:48:{second:02}.000Z"));
        seconds.iter().map(|second| report(&[("/startedAt", at(*second))])).collect()
    }

    fn notes_of(a: &[Value], b: &[Value]) -> Vec<String> {
        compare(&set(a), &set(b), Options::default()).unwrap().notes
    }

    #[test]
    fn alternating_runs_of_one_machine_need_no_note() {
        assert_eq!(notes_of(&at(&[1, 3, 5, 7]), &at(&[2, 4, 6, 8])), Vec::<String>::new());
    }

    #[test]
    fn sets_one_after_the_other_are_told() {
        for (a, b) in [([1, 2, 3, 4], [5, 6, 7, 8]), ([5, 6, 7, 8], [1, 2, 3, 4])] {
            let notes = notes_of(&at(&a), &at(&b));
            assert!(notes.len() == 1 && notes[0].contains("alternate"), "{notes:?}");
        }
    }

    #[test]
    fn too_few_runs_are_told() {
        let notes = notes_of(&at(&[1, 3, 5]), &at(&[2, 4, 6]));
        assert!(
            notes.len() == 1 && notes[0].contains("with 3 of A and 3 of B") && notes[0].contains("0.10"),
            "{notes:?}"
        );
    }

    #[test]
    fn other_machines_and_builds_are_told() {
        let mut runs = at(&[1, 3, 5, 7]);
        runs[2]["host"]["cpu"] = json!("another");
        let notes = notes_of(&at(&[2, 4, 6, 8]), &runs);
        assert!(notes.len() == 1 && notes[0].contains("different machines"), "{notes:?}");
        runs = at(&[1, 3, 5, 7]);
        runs[0]["program"]["commit"] = json!(null);
        let notes = notes_of(&runs, &at(&[2, 4, 6, 8]));
        assert!(notes.len() == 1 && notes[0].contains("different builds"), "{notes:?}");
    }

    #[test]
    fn missing_figures_are_told_once() {
        let mut without = at(&[1, 3, 5, 7]);
        without.iter_mut().for_each(|run| run["latencies"] = json!([]));
        let mut some = at(&[2, 4, 6, 8]);
        some[1]["resources"] = json!([]);
        let notes = notes_of(&without, &some);
        assert_eq!(
            notes,
            [
                "linkup: only in 4 of 4 runs of A and 3 of 4 of B.",
                "delivery: only in B, so it is not compared.",
            ]
        );
        assert_eq!(
            notes_of(&some, &without).last().unwrap(),
            "linkup: only in 3 of 4 runs of A and 4 of 4 of B."
        );
        assert_eq!(notes_of(&some, &without)[0], "delivery: only in A, so it is not compared.");
    }
}
