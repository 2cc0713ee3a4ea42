//! Who is told that somebody has read on.
//!
//! In a big room everybody marks every message on arrival. Were all told, each message would make a million deliveries
//! in a room of a thousand; so there only the reader's own sockets are, and the message's author once a second.

use std::sync::Arc;

use protocol::Id;
use rustc_hash::FxHashSet;
use store::conversation::SMALL;

use crate::cache::Conversation;
use crate::change::Read;

/// The conversations whose authors were told in the current second of the stream's own time: a streamer that reads the
/// same changes again decides the same.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    second: u64,
    told: FxHashSet<Id>,
}

impl Receipts {
    /// Whom to tell of a read at cluster time `time`; nobody if the reader no longer takes part. Where one of two has
    /// blocked the other, or that is not known, only the reader: that somebody reads tells that they are there.
    pub(crate) fn recipients(
        &mut self,
        read: &Read,
        conversation: &Conversation,
        time: u64,
    ) -> Option<Arc<[Id]>> {
        let participants = &conversation.participants;
        if !participants.contains(&read.reader) {
            return None;
        }
        if conversation.is_open() != Some(true) {
            return Some([read.reader].into());
        }
        if participants.len() <= SMALL {
            return Some(Arc::clone(participants));
        }
        if time >> 32 != self.second {
            self.second = time >> 32;
            self.told.clear();
        }
        let of_other = read.sender != read.reader && participants.contains(&read.sender);
        if of_other && self.told.insert(read.conversation) {
            return Some([read.reader, read.sender].into());
        }
        Some([read.reader].into())
    }
}

#[cfg(test)]
mod tests {
    use protocol::Timestamp;

    use super::*;

    fn read(reader: Id, sender: Id) -> Read {
        Read {
            conversation: Id::from_bytes([9; 12]),
            reader,
            message: Id::mint(),
            sender,
            seq: 1,
            at: Timestamp::from_millis(0),
        }
    }

    fn people(count: usize) -> Arc<[Id]> {
        (0..count).map(|_| Id::mint()).collect()
    }

    fn conversation(kind: &str, participants: &Arc<[Id]>, blocked: Option<bool>) -> Conversation {
        Conversation {
            participants: Arc::clone(participants),
            name: None,
            kind: kind.to_owned(),
            created_by: None,
            activity_id: None,
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
            is_active: true,
            blocked,
        }
    }

    #[test]
    fn where_somebody_blocks_only_the_reader_is_told() {
        let people = people(2);
        let told = |blocked| {
            let direct = conversation("direct", &people, blocked);
            Receipts::default().recipients(&read(people[0], people[1]), &direct, 1 << 32).unwrap().to_vec()
        };
        assert_eq!(told(Some(false)), *people);
        assert_eq!((told(Some(true)), told(None)), (vec![people[0]], vec![people[0]]));
    }

    #[test]
    fn everybody_in_a_small_conversation_is_told() {
        let people = people(SMALL);
        let group = conversation("group", &people, Some(false));
        let told = Receipts::default().recipients(&read(people[0], people[1]), &group, 1 << 32).unwrap();
        assert!(Arc::ptr_eq(&told, &people));
        assert_eq!(Receipts::default().recipients(&read(Id::mint(), people[1]), &group, 1 << 32), None);
    }

    #[test]
    fn in_a_big_one_the_reader_is_told_always_and_the_author_once_a_second() {
        let (people, mut receipts) = (people(SMALL + 1), Receipts::default());
        let author = people[0];
        let group = conversation("group", &people, Some(false));
        let mut told = |reader: usize, time: u64| {
            receipts.recipients(&read(people[reader], author), &group, time).unwrap().to_vec()
        };
        assert_eq!(told(0, 7 << 32), [author], "one's own message");
        assert_eq!(told(1, 7 << 32 | 1), [people[1], author]);
        assert_eq!(told(2, 7 << 32 | 2), [people[2]]);
        assert_eq!(told(1, 7 << 32 | 3), [people[1]]);
        assert_eq!(told(3, 8 << 32), [people[3], author]);
        // Who has left is not told what others read of them.
        let gone = receipts.recipients(&read(people[1], Id::mint()), &group, 9 << 32).unwrap();
        assert_eq!(*gone, [people[1]]);
    }
}
