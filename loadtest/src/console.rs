//! What is told while a run goes on: a line that is written over on a terminal, plain lines elsewhere.

use std::fmt;
use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// How often there is a plain line.
const INTERVAL: Duration = Duration::from_secs(5);

/// Where progress goes: standard error.
#[derive(Debug)]
pub struct Console {
    quiet: bool,
    terminal: bool,
    /// A line stands that is to be written over.
    open: bool,
    last: Option<Instant>,
}

impl Console {
    /// Progress that is shown, or (`quiet`) not.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        Self { quiet, terminal: stderr().is_terminal(), open: false, last: None }
    }

    /// Nothing is shown.
    #[must_use]
    pub fn quiet() -> Self {
        Self::new(true)
    }

    /// Shows a line that stays.
    pub fn say(&mut self, line: fmt::Arguments<'_>) {
        if self.quiet {
            return;
        }
        let over = if self.open { "\r\x1b[K" } else { "" };
        self.open = false;
        // There is nobody to tell that nothing can be told.
        let _ = writeln!(stderr(), "{over}{line}");
    }

    /// Shows how things are going: over the last such line on a terminal, now and then elsewhere.
    pub fn progress(&mut self, line: fmt::Arguments<'_>) {
        if self.quiet {
            return;
        }
        if self.terminal {
            self.open = true;
            let _ = write!(stderr(), "\r\x1b[K{line}");
            let _ = stderr().flush();
        } else if self.last.is_none_or(|last| last.elapsed() >= INTERVAL) {
            self.last = Some(Instant::now());
            let _ = writeln!(stderr(), "{line}");
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if self.open {
            let _ = writeln!(stderr());
        }
    }
}
