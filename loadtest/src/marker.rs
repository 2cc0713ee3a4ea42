//! The text of a message: which run, whose, the how-manieth and when it was due.
//!
//! Whatever the server does to a message, its text comes back; so the harness needs no table from the
//! server's identifiers to its own sends.

use std::fmt::Write;

/// What a message's text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Drawn once per run, so that messages of another run are not taken for this one's.
    pub run: u32,
    /// The sender's place in the run, from 0.
    pub user: usize,
    /// The how-manieth message of that sender, from 0.
    pub number: usize,
    /// When it was due, in microseconds of the run's own clock.
    pub due_us: u64,
}

impl Marker {
    /// Writes the text, padded to `bytes`. Longer where the marker itself takes more.
    pub fn write(&self, out: &mut String, bytes: usize) {
        let start = out.len();
        let written = write!(out, "load {:08x} {} {} {} ", self.run, self.user, self.number, self.due_us);
        debug_assert!(written.is_ok(), "writing to a String does not fail");
        // At least one, since a server may trim a text that ends in a space.
        let padding = bytes.saturating_sub(out.len() - start).max(1);
        out.extend(std::iter::repeat_n('x', padding));
    }

    /// Reads a text; `None` if it is not one of this harness.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut words = text.strip_prefix("load ")?.split(' ');
        Some(Self {
            run: u32::from_str_radix(words.next()?, 16).ok()?,
            user: words.next()?.parse().ok()?,
            number: words.next()?.parse().ok()?,
            due_us: words.next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_keeps_to_the_length() {
        let marker = Marker { run: 0xdead_beef, user: 999, number: 12_345, due_us: 25_000_000 };
        for (bytes, length) in [(80, 80), (400, 400), (1, 34)] {
            let mut text = String::new();
            marker.write(&mut text, bytes);
            assert_eq!(text.len(), length, "{text}");
            assert_eq!(Marker::read(&text), Some(marker));
        }
        for text in ["", "hello", "load zz 1 2 3 x", "load 1 2 3"] {
            assert_eq!(Marker::read(text), None);
        }
    }
}
