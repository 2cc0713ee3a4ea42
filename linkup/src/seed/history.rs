//! What was said and read in a conversation before now.

use fastrand::Rng;
use protocol::body::ContentType;
use protocol::{Id, Timestamp};
use store::document::{LastMessage, LastRead, Message, ReadCursor, ReadKey};

const SECOND: i64 = 1_000;
const DAY: i64 = 24 * 60 * 60 * SECOND;
/// How long ago the users registered.
const REGISTERED: i64 = 8 * DAY;
/// How long ago the first conversations began, and within how much time the others did.
const BEGAN: i64 = 7 * DAY;
const BEGINNINGS: i64 = 2 * DAY;
/// Before how much time some conversations have ended; others have gone on until now.
const ENDINGS: i64 = 4 * DAY;
/// One of so many participants has not read all that there is.
const BEHIND: u8 = 4;

/// What messages are made of: about eighty characters on average.
const WORDS: [&str; 24] = [
    "about",
    "after",
    "again",
    "and",
    "because",
    "before",
    "could",
    "everybody",
    "for",
    "message",
    "morning",
    "of",
    "perhaps",
    "please",
    "should",
    "something",
    "that",
    "the",
    "then",
    "tomorrow",
    "we",
    "when",
    "with",
    "you",
];
const FEWEST_WORDS: usize = 2;
const MOST_WORDS: usize = 26;

/// When users registered who have a history.
pub(super) fn registered(now: Timestamp) -> Timestamp {
    Timestamp::from_millis(now.millis() - REGISTERED)
}

/// The past of a conversation: the same from the same generator, as often as it is told.
#[derive(Clone, Debug)]
pub(super) struct Past {
    random: Rng,
    messages: i64,
    began: i64,
    ended: i64,
}

impl Past {
    /// So many messages, the last of them more than a second before `now`.
    pub(super) fn draw(mut random: Rng, messages: i64, now: Timestamp) -> Self {
        let began = now.millis() - BEGAN + random.i64(0..BEGINNINGS);
        let ended = now.millis() - 2 * SECOND - random.i64(0..ENDINGS);
        Self { random, messages, began, ended }
    }

    /// When the conversation was made: before its first message.
    pub(super) fn began(&self) -> Timestamp {
        Timestamp::from_millis(self.began)
    }

    /// The view of the last message.
    pub(super) fn last(&self, participants: &[Id]) -> Option<LastMessage> {
        let (sender, content) = said(&mut self.random.clone(), participants)?;
        let last =
            LastMessage { content, sender, timestamp: self.at(self.messages), seq: self.messages, rev: 0 };
        (self.messages > 0).then_some(last)
    }

    /// Each message, from the first to the last, and the read cursors that stand at it.
    pub(super) fn tell(
        self,
        conversation: Id,
        participants: &[Id],
    ) -> impl Iterator<Item = (Message, Vec<ReadCursor>)> {
        let mut random = self.random.clone();
        // The last message comes first, so that it is known before the others are made.
        let mut last = said(&mut random, participants);
        let mut readers = self.readers(&mut random, participants).into_iter().peekable();
        (1..=self.messages).filter_map(move |seq| {
            let last = if seq == self.messages { last.take() } else { None };
            let (sender, content) = last.or_else(|| said(&mut random, participants))?;
            let message = message(conversation, seq, sender, content, self.at(seq));
            let mut cursors = Vec::new();
            while let Some((_, user)) = readers.next_if(|(read, _)| *read == seq) {
                let mut cursor = ReadCursor::new(ReadKey { conversation, user });
                // The last message is older than that: nobody reads in the future.
                let at = Timestamp::from_millis(message.created_at.millis() + random.i64(1..=SECOND));
                cursor.advance(LastRead { seq, at, message_id: message.id, sender });
                cursors.push(cursor);
            }
            Some((message, cursors))
        })
    }

    /// How far everybody has read, those who have read least first. Who has read nothing has no cursor.
    fn readers(&self, random: &mut Rng, participants: &[Id]) -> Vec<(i64, Id)> {
        let read = participants.iter().map(|&user| match random.u8(0..BEHIND) {
            0 => (random.i64(0..=self.messages), user),
            _ => (self.messages, user),
        });
        let mut readers: Vec<(i64, Id)> = read.filter(|(seq, _)| *seq > 0).collect();
        readers.sort_by_key(|(seq, _)| *seq);
        readers
    }

    /// When a message was sent: evenly spread, so that no two have the same time.
    fn at(&self, seq: i64) -> Timestamp {
        Timestamp::from_millis(self.began + (self.ended - self.began) * seq / self.messages.max(1))
    }
}

/// Somebody of these, and what they say.
fn said(random: &mut Rng, participants: &[Id]) -> Option<(Id, String)> {
    let sender = random.choice(participants).copied()?;
    let count = random.usize(FEWEST_WORDS..=MOST_WORDS);
    let words: Vec<&str> = (0..count).filter_map(|_| random.choice(WORDS)).collect();
    Some((sender, words.join(" ")))
}

fn message(conversation: Id, seq: i64, sender: Id, content: String, at: Timestamp) -> Message {
    Message {
        id: Id::mint(),
        conversation_id: conversation,
        seq,
        sender,
        content,
        content_type: ContentType::Text.as_str().to_owned(),
        attachment_url: None,
        client_message_id: None,
        created_at: at,
        updated_at: at,
        edited_at: None,
        is_deleted: false,
        change: None,
        received: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(count: u8) -> Vec<Id> {
        (1..=count).map(|n| Id::from_bytes([n; 12])).collect()
    }

    #[test]
    fn messages_are_numbered_and_timed_as_sent_ones_are() {
        let (now, people) = (Timestamp::now(), people(5));
        for count in [1, 2, 300, 100_000] {
            let past = Past::draw(Rng::with_seed(1), count, now);
            let mut before = (0, past.began().millis());
            let mut senders = [false; 5];
            let mut last = None;
            for (message, _) in past.clone().tell(Id::mint(), &people) {
                assert_eq!(message.seq, before.0 + 1);
                assert!(message.created_at.millis() > before.1 && message.updated_at == message.created_at);
                senders[usize::from(message.sender.bytes()[0]) - 1] = true;
                before = (message.seq, message.created_at.millis());
                last = Some(message);
            }
            let (last, view) = (last.unwrap(), past.last(&people).unwrap());
            assert_eq!(before.0, count);
            assert!(last.created_at.millis() + SECOND < now.millis() && past.began() > registered(now));
            assert_eq!(
                (view.content, view.sender, view.timestamp, view.seq, view.rev),
                (last.content, last.sender, last.created_at, last.seq, 0)
            );
            assert!(count < 300 || senders == [true; 5]);
        }
    }

    #[test]
    fn cursors_stand_at_their_messages_and_each_reader_has_at_most_one() {
        let (now, people) = (Timestamp::now(), people(200));
        let past = Past::draw(Rng::with_seed(1), 40, now);
        let (mut readers, mut at_the_end) = (Vec::new(), 0);
        for (message, cursors) in past.tell(Id::mint(), &people) {
            for cursor in cursors {
                let last = cursor.last.unwrap();
                assert_eq!((cursor.seq, cursor.from, last.seq), (message.seq, 0, message.seq));
                assert_eq!((last.message_id, last.sender), (message.id, message.sender));
                assert!(last.at > message.created_at && last.at < now);
                assert_eq!(cursor.read_at(1), Some(last.at));
                assert_eq!(cursor.key.conversation, message.conversation_id);
                at_the_end += u32::from(cursor.seq == 40);
                readers.push(cursor.key.user);
            }
        }
        let count = readers.len();
        readers.sort_unstable();
        readers.dedup();
        assert_eq!(readers.len(), count);
        // Three in four have read everything, and nearly all of the others something.
        assert!((130..170).contains(&at_the_end) && (190..=200).contains(&count), "{at_the_end} {count}");
    }

    #[test]
    fn without_messages_there_is_nothing_to_tell() {
        let past = Past::draw(Rng::with_seed(1), 0, Timestamp::now());
        assert_eq!(past.last(&people(2)), None);
        assert_eq!(past.tell(Id::mint(), &people(2)).count(), 0);
    }

    #[test]
    fn a_text_has_about_eighty_characters() {
        let (mut random, people) = (Rng::with_seed(1), people(2));
        let length = |_| said(&mut random, &people).map_or(0, |(_, content)| content.len());
        let mean = (0..1_000).map(length).sum::<usize>() / 1_000;
        assert!((70..90).contains(&mean), "{mean}");
    }
}
