//! A packet whose binary attachments are still coming.

use bytes::Bytes;

use super::super::fault::Fault;

/// Kept only from the packet to its last attachment.
pub(in super::super) struct Assembly {
    /// The packet, which was found well-formed.
    pub(in super::super) text: Box<str>,
    /// Those that are there.
    pub(in super::super) attachments: Vec<Bytes>,
    expected: usize,
    /// How many bytes all of it may still take.
    room: usize,
}

impl Assembly {
    /// For the packet `text` with `expected` attachments. All of it together may have `limit` bytes.
    pub(in super::super) fn new(text: &str, expected: usize, limit: usize) -> Self {
        // At most a few attachments are ever announced.
        let attachments = Vec::with_capacity(expected);
        Self { text: text.into(), attachments, expected, room: limit.saturating_sub(text.len()) }
    }

    /// The next attachment. True if it is the last.
    pub(in super::super) fn add(&mut self, attachment: &[u8]) -> Result<bool, Fault<'static>> {
        self.room = self.room.checked_sub(attachment.len()).ok_or(Fault::TOO_LARGE)?;
        self.attachments.push(Bytes::copy_from_slice(attachment));
        Ok(self.attachments.len() >= self.expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_and_its_attachments_have_one_limit() {
        let mut assembly = Assembly::new("12345", 2, 10);
        assert!(!assembly.add(b"678").unwrap());
        assert!(assembly.add(b"90").unwrap());
        let mut assembly = Assembly::new("12345", 2, 10);
        assert!(!assembly.add(b"67890").unwrap());
        assert_eq!(assembly.add(b"1").unwrap_err().code, Fault::TOO_LARGE.code);
    }
}
