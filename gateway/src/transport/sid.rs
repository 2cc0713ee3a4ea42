//! Session ids of Engine.IO and Socket.IO.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};

const LENGTH: usize = 20;

/// Twenty characters from 120 random bits. An Engine.IO id names a session to whoever holds it, so it must not
/// be guessable.
pub(super) struct Sid([u8; LENGTH]);

impl Sid {
    pub(super) fn mint() -> Self {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut text = [0; LENGTH];
        if getrandom::fill(&mut text).is_err() {
            // The standard library's hasher keys come from the same source, but were drawn when it still gave
            // any; each instance differs from the one before.
            for chunk in text.chunks_mut(8) {
                let draw = RandomState::new().hash_one(chunk.len()).to_le_bytes();
                chunk.copy_from_slice(&draw[..chunk.len()]);
            }
        }
        for byte in &mut text {
            *byte = ALPHABET[usize::from(*byte & 63)];
        }
        Self(text)
    }
}

/// The id of an Engine.IO session: which one, and where it lives.
pub(super) fn session(node: Option<&str>) -> String {
    match node {
        Some(node) => format!("{}.{node}", Sid::mint()),
        None => Sid::mint().to_string(),
    }
}

/// The name of the node that a session lives on, if its id says so.
pub(super) fn node(sid: &str) -> Option<&str> {
    sid.split_once('.').map(|(_, node)| node)
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_twenty_plain_characters_and_differ() {
        let (a, b) = (Sid::mint().to_string(), Sid::mint().to_string());
        assert_ne!(a, b);
        assert_eq!(a.len(), LENGTH);
        assert!(a.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_'), "{a}");
    }

    #[test]
    fn an_id_tells_its_node() {
        assert_eq!(node(&session(None)), None);
        assert_eq!(node(&session(Some("gw-1.zone_2"))), Some("gw-1.zone_2"));
        assert_eq!(node("abc."), Some(""));
    }
}
