//! How far users have read.

use protocol::{Id, Timestamp};
use serde::{Deserialize, Serialize};

use crate::convert::stored;
use crate::read::MARKS;

/// How far a user has read a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadCursor {
    /// Whose, and where.
    #[serde(rename = "_id")]
    pub key: ReadKey,
    /// Everything up to this number is read.
    pub seq: i64,
    /// The last message when the user joined, 0 for one who was there from the beginning: the cursor began there,
    /// which is not to say that anything up to it was read.
    #[serde(default)]
    pub from: i64,
    /// The last moves of the cursor, oldest first.
    #[serde(default)]
    pub marks: Vec<ReadMark>,
    /// The last message that was marked. Not there where none was yet, or an earlier program moved the cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastRead>,
}

/// The key of a [`ReadCursor`]. The order of its fields is part of it: MongoDB compares documents bytewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReadKey {
    /// The conversation.
    #[serde(rename = "c", with = "stored")]
    pub conversation: Id,
    /// The user.
    #[serde(rename = "u", with = "stored")]
    pub user: Id,
}

/// One move of a read cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadMark {
    /// Where the cursor moved to.
    pub seq: i64,
    /// When.
    #[serde(with = "stored")]
    pub at: Timestamp,
}

/// The message to which a cursor was moved, written with it in one piece so that the change stream carries all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastRead {
    /// [`crate::document::Message::seq`].
    pub seq: i64,
    /// When it was marked.
    #[serde(with = "stored")]
    pub at: Timestamp,
    /// [`crate::document::Message::id`].
    #[serde(with = "stored")]
    pub message_id: Id,
    /// [`crate::document::Message::sender`].
    #[serde(with = "stored")]
    pub sender: Id,
}

impl ReadCursor {
    /// A cursor that was never moved.
    #[must_use]
    pub const fn new(key: ReadKey) -> Self {
        Self { key, seq: 0, from: 0, marks: Vec::new(), last: None }
    }

    /// Moves the cursor forward, as [`crate::Store::advance_cursors`] moves the stored one.
    pub fn advance(&mut self, last: LastRead) {
        if last.seq > self.seq {
            self.seq = last.seq;
            self.marks.push(ReadMark { seq: last.seq, at: last.at });
            let excess = self.marks.len().saturating_sub(MARKS as usize);
            self.marks.drain(..excess);
            self.last = Some(last);
        }
    }

    /// When the message of this number was read, as far as is remembered: of an old one, when the cursor passed it at
    /// the latest. A message from before the user joined was not read by them, unless they had been a member before and
    /// read it then: such a mark lies before [`ReadCursor::from`] itself.
    #[must_use]
    pub fn read_at(&self, seq: i64) -> Option<Timestamp> {
        let mark = self.marks.iter().find(|mark| mark.seq >= seq)?;
        (seq > self.from || mark.seq <= self.from).then_some(mark.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_before_a_member_joined_is_not_read_by_reading_on() {
        let key = ReadKey { conversation: Id::mint(), user: Id::mint() };
        let mark = |seq| ReadMark { seq, at: Timestamp::from_millis(seq) };
        let read = |from, marks: &[i64], seq| {
            let marks: Vec<ReadMark> = marks.iter().map(|seq| mark(*seq)).collect();
            ReadCursor { seq: 20, from, marks, ..ReadCursor::new(key) }.read_at(seq).map(Timestamp::millis)
        };
        assert_eq!(
            (read(0, &[5, 9], 3), read(0, &[5, 9], 9), read(0, &[5, 9], 10)),
            (Some(5), Some(9), None)
        );
        assert_eq!((read(10, &[12], 10), read(10, &[12], 11)), (None, Some(12)));
        // Read up to 5 as a member, gone until 10, read on up to 12.
        assert_eq!((read(10, &[5, 12], 5), read(10, &[5, 12], 6)), (Some(5), None));
    }

    #[test]
    fn a_cursor_moves_forward_only_and_remembers_its_last_moves() {
        let mut cursor = ReadCursor::new(ReadKey { conversation: Id::mint(), user: Id::mint() });
        let last = |seq| LastRead {
            seq,
            at: Timestamp::from_millis(seq),
            message_id: Id::mint(),
            sender: Id::mint(),
        };
        (1..=20).for_each(|seq| cursor.advance(last(seq)));
        let before = cursor.clone();
        [20, 3].into_iter().for_each(|seq| cursor.advance(last(seq)));
        assert_eq!(cursor, before);
        let marks: Vec<i64> = cursor.marks.iter().map(|mark| mark.seq).collect();
        assert_eq!((cursor.seq, marks), (20, (5..=20).collect()));
    }
}
