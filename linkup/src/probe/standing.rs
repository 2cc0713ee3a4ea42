//! What is said in the log: one line when exchanges begin to fail, and one when they succeed again.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::outcome::Problem;

/// How exchanges have gone.
#[derive(Debug, Default)]
pub(super) struct Standing {
    failing: Option<Failing>,
}

#[derive(Debug)]
struct Failing {
    since: Instant,
    failed: u64,
}

/// Something to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    Fails(Problem),
    /// After so many failures in so much time.
    Succeeds {
        failed: u64,
        lasted: Duration,
    },
}

impl Standing {
    /// Notes how an exchange went; what there is to say of it.
    pub(super) fn note(&mut self, problem: Option<&Problem>, now: Instant) -> Option<News> {
        match (problem, &mut self.failing) {
            (None, None) => None,
            (None, Some(_)) => {
                let Failing { since, failed } = self.failing.take()?;
                Some(News::Succeeds { failed, lasted: now.saturating_duration_since(since) })
            }
            (Some(_), Some(failing)) => {
                failing.failed += 1;
                None
            }
            (Some(problem), None) => {
                self.failing = Some(Failing { since: now, failed: 1 });
                Some(News::Fails(problem.clone()))
            }
        }
    }
}

impl News {
    pub(super) fn log(&self) {
        match self {
            Self::Fails(problem) => {
                warn!(result = problem.outcome.as_str(), %problem, "the probe fails");
            }
            Self::Succeeds { failed, lasted } => {
                info!(failed, seconds = lasted.as_secs_f64(), "the probe succeeds again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_told() {
        let (mut standing, begin) = (Standing::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        let problem = Problem::refused("no");
        assert_eq!(standing.note(None, at(0)), None);
        assert_eq!(standing.note(Some(&problem), at(10)), Some(News::Fails(problem.clone())));
        assert_eq!(standing.note(Some(&Problem::late("late")), at(20)), None);
        let over = News::Succeeds { failed: 2, lasted: Duration::from_secs(20) };
        assert_eq!(standing.note(None, at(30)), Some(over));
        assert_eq!(standing.note(None, at(40)), None);
    }
}
