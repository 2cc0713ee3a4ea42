//! How an exchange can end.

use std::fmt;
use std::io;

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The message arrived in time.
    Delivered,
    /// It did not.
    Late,
    /// The server answered with an error.
    Refused,
    /// There was no connection, or no server behind it.
    Unreachable,
    /// The probe's own fault: it was starved, set up wrongly, or does not understand what a server says.
    ProbeError,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Delivered, Self::Late, Self::Refused, Self::Unreachable, Self::ProbeError];

    /// Its name in metrics and in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Late => "late",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::ProbeError => "probe_error",
        }
    }
}

/// Why an exchange failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Never [`Outcome::Delivered`].
    pub(super) outcome: Outcome,
    /// For people.
    what: String,
    /// Whether a clock said so, and not a server or the system. Then it may be the probe that was slow.
    pub(super) by_clock: bool,
    /// Whether a connection that had been there is gone, so that another one may do.
    pub(super) is_cut: bool,
    /// Whether what answered does not look like LinkUp.
    is_foreign: bool,
}

impl Problem {
    fn new(outcome: Outcome, what: impl Into<String>) -> Self {
        Self { outcome, what: what.into(), by_clock: false, is_cut: false, is_foreign: false }
    }

    pub(super) fn late(what: impl Into<String>) -> Self {
        Self { by_clock: true, ..Self::new(Outcome::Late, what) }
    }

    pub(super) fn refused(what: impl Into<String>) -> Self {
        Self::new(Outcome::Refused, what)
    }

    pub(super) fn unreachable(what: impl Into<String>) -> Self {
        Self::new(Outcome::Unreachable, what)
    }

    /// Nothing was heard for too long while connecting.
    pub(super) fn silent(what: impl Into<String>) -> Self {
        Self { by_clock: true, ..Self::unreachable(what) }
    }

    /// A connection that had been there is gone.
    pub(super) fn cut(what: impl Into<String>) -> Self {
        Self { is_cut: true, ..Self::unreachable(what) }
    }

    pub(super) fn own(what: impl Into<String>) -> Self {
        Self::new(Outcome::ProbeError, what)
    }

    /// What answered does not look like LinkUp: either the address is wrong, or LinkUp is not behind it now.
    pub(super) fn foreign(what: impl Into<String>) -> Self {
        Self { is_foreign: true, ..Self::own(what) }
    }

    /// As it is where a message was delivered before: then the address is right, and the place where LinkUp was is what
    /// people find there too.
    pub(super) fn after_delivery(self) -> Self {
        if self.is_foreign { Self { outcome: Outcome::Unreachable, ..self } } else { self }
    }

    /// A connection that the system did not make.
    pub(super) fn of_connecting(to: &impl fmt::Display, error: &io::Error) -> Self {
        let what = format!("no connection to {to}: {error}");
        if is_own(error) { Self::own(what) } else { Self::unreachable(what) }
    }

    /// What an HTTP status other than success says.
    pub(super) fn of_status(what: &str, status: u16, said: &str) -> Self {
        let what = format!("{what} was answered with {status}: {said}");
        match status {
            // No server behind the balancer or the gateway, or none that takes anybody.
            502..=504 => Self::unreachable(what),
            404 | 405 => Self::foreign(format!("{what}; check that PROBE_URL is the address of LinkUp")),
            _ => Self::refused(what),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Whether it is this machine that has nothing left, or no way out, rather than a server that does not answer.
fn is_own(error: &io::Error) -> bool {
    /// No more open files in this process, or on this machine.
    const TOO_MANY_FILES: [i32; 2] = [24, 23];
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory)
        || error.raw_os_error().is_some_and(|code| TOO_MANY_FILES.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probes_own_faults_are_told_from_the_servers() {
        let connecting = |error: io::Error| Problem::of_connecting(&"x", &error).outcome;
        assert_eq!(connecting(io::ErrorKind::ConnectionRefused.into()), Outcome::Unreachable);
        assert_eq!(connecting(io::ErrorKind::AddrNotAvailable.into()), Outcome::ProbeError);
        assert_eq!(connecting(io::Error::from_raw_os_error(24)), Outcome::ProbeError);
        for (status, outcome) in [
            (503, Outcome::Unreachable),
            (502, Outcome::Unreachable),
            (500, Outcome::Refused),
            (429, Outcome::Refused),
            (403, Outcome::Refused),
            (404, Outcome::ProbeError),
        ] {
            assert_eq!(Problem::of_status("it", status, "").outcome, outcome, "{status}");
        }
    }

    #[test]
    fn what_does_not_look_like_linkup_is_an_outage_once_it_did() {
        for problem in [Problem::of_status("it", 404, ""), Problem::foreign("<html>")] {
            assert_eq!(problem.outcome, Outcome::ProbeError);
            assert_eq!(problem.after_delivery().outcome, Outcome::Unreachable);
        }
        assert_eq!(Problem::own("no files").after_delivery().outcome, Outcome::ProbeError);
        assert_eq!(Problem::refused("no").after_delivery().outcome, Outcome::Refused);
    }
}
