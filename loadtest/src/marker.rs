//! The text of a message: which run, which send, and when it was due and left.
//!
//! Whatever the server does to a message, its text comes back; so the harness needs no table from the server's
//! identifiers to its own sends, and every process of a run can read the others' messages.

use std::fmt::Write;

/// Names a send among all processes of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Origin {
    /// The process, from 0.
    pub worker: u16,
    /// The how-manieth send of that process, from 0.
    pub index: u32,
}

/// What a message's text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Drawn once per run, so that messages of another run are not taken for this one's.
    pub run: u32,
    /// Which send it is.
    pub origin: Origin,
    /// The how-manieth of its sender in its conversation, from 1: the order where there is no `seq`.
    pub number: u32,
    /// When it was due, in microseconds of the run's own clock.
    pub due_us: u64,
    /// When it left.
    pub sent_us: u64,
}

impl Marker {
    /// Writes the text, padded to `bytes`. Longer where the marker itself takes more.
    pub fn write(&self, out: &mut String, bytes: usize) {
        let start = out.len();
        let Self { run, origin: Origin { worker, index }, number, due_us, sent_us } = self;
        // Writing to a String does not fail.
        let _ = write!(out, "load {run:08x} {worker} {index} {number} {due_us} {sent_us} ");
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
            origin: Origin { worker: words.next()?.parse().ok()?, index: words.next()?.parse().ok()? },
            number: words.next()?.parse().ok()?,
            due_us: words.next()?.parse().ok()?,
            sent_us: words.next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_keeps_to_the_length() {
        let origin = Origin { worker: 3, index: 999_999 };
        let marker =
            Marker { run: 0xdead_beef, origin, number: 12_345, due_us: 25_000_000, sent_us: 25_000_117 };
        for (bytes, length) in [(80, 80), (400, 400), (1, 48)] {
            let mut text = String::new();
            marker.write(&mut text, bytes);
            assert_eq!(text.len(), length, "{text}");
            assert_eq!(Marker::read(&text), Some(marker));
        }
        for text in ["", "hello", "load zz 1 2 3 4 5 x", "load 1 2 3"] {
            assert_eq!(Marker::read(text), None);
        }
    }
}
