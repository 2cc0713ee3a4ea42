//! What a person at the terminal sees: news go to standard error, results to standard output.

use std::io::{self, IsTerminal as _, Write};
use std::time::{Duration, Instant};

use crate::mongod::Progress;

/// How often a growing number is shown where lines cannot be overwritten.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// Shows [`Progress`] on standard error: on a terminal one line that counts up, elsewhere a line now and then.
#[derive(Debug)]
pub struct Console {
    terminal: bool,
    /// A line that the next news overwrites or ends.
    open_line: bool,
    shown: Option<Instant>,
}

impl Default for Console {
    fn default() -> Self {
        Self { terminal: io::stderr().is_terminal(), open_line: false, shown: None }
    }
}

impl Console {
    /// Shows one piece of news.
    pub fn show(&mut self, progress: &Progress) {
        if !matches!(progress, Progress::Fetched { .. }) {
            self.end_line();
            say(&progress.to_string());
        } else if self.terminal {
            self.open_line = true;
            // The trailing blanks cover a longer line from before.
            self.write(&format!("\r{progress}   "));
        } else if self.shown.is_none_or(|shown| shown.elapsed() >= PLAIN_INTERVAL) {
            self.shown = Some(Instant::now());
            say(&progress.to_string());
        }
    }

    fn end_line(&mut self) {
        if std::mem::take(&mut self.open_line) {
            self.write("\n");
        }
    }

    fn write(&self, text: &str) {
        let mut stderr = io::stderr().lock();
        drop(stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()));
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.end_line();
    }
}

/// A line of news on standard error.
pub fn say(line: &str) {
    // With nobody there to read it, there is nobody to tell.
    drop(writeln!(io::stderr(), "{line}"));
}

/// A line of results on standard output.
pub fn print(line: &str) {
    let mut stdout = io::stdout().lock();
    drop(writeln!(stdout, "{line}").and_then(|()| stdout.flush()));
}
