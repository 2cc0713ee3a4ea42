//! What of a batch is still to be answered, and the rules that need no database.

use std::sync::Arc;

use protocol::id::distinct;
use protocol::{Id, Timestamp};
use rustc_hash::FxHashMap;
use store::conversation::Access;
use store::document::{Message, Profile};
use store::message::{Last, MessageKey};
use tokio::time::Instant;

use super::{Committed, Outcome, Send, taken};
use crate::answer::Failure;

/// The messages of one batch, in the order in which they came, and the answers so far.
pub(super) struct Batch {
    /// When its lane began with it.
    pub(super) began: Instant,
    sends: Vec<Send>,
    outcomes: Vec<Option<Outcome>>,
    /// For a message that is in the batch twice: the index of the first.
    first: Vec<Option<usize>>,
    /// Indexes of the messages that are still to be answered, rising.
    pending: Vec<usize>,
}

impl Batch {
    /// Later repetitions of a message in the batch get the answer of the first.
    pub(super) fn new(sends: Vec<Send>) -> Self {
        let count = sends.len();
        let (outcomes, first) = (vec![None; count], vec![None; count]);
        let mut batch = Self { began: Instant::now(), sends, outcomes, first, pending: Vec::new() };
        let mut by_id = FxHashMap::default();
        let mut by_name = FxHashMap::default();
        for (index, send) in batch.sends.iter().enumerate() {
            let name = send.body.client_message_id.as_deref().map(|n| (send.sender, send.conversation, n));
            let named = name.and_then(|name| by_name.get(&name).copied());
            match by_id.get(&send.id).copied().or(named) {
                Some(first) if same_place(&batch.sends[first], send) => batch.first[index] = Some(first),
                Some(_) => batch.outcomes[index] = Some(Err(taken())),
                None => {
                    by_id.insert(send.id, index);
                    if let Some(name) = name {
                        by_name.insert(name, index);
                    }
                    batch.pending.push(index);
                }
            }
        }
        batch
    }

    pub(super) fn is_done(&self) -> bool {
        self.pending.is_empty()
    }

    /// How many are still to be answered.
    pub(super) fn left(&self) -> usize {
        self.pending.len()
    }

    /// The messages still to be answered, in order.
    pub(super) fn pending(&self) -> impl Iterator<Item = &Send> {
        self.pending.iter().map(|&index| &self.sends[index])
    }

    /// The distinct conversations of the messages still to be answered.
    pub(super) fn conversations(&self) -> Vec<Id> {
        distinct(self.pending().map(|send| send.conversation))
    }

    /// The distinct senders of the messages still to be answered.
    pub(super) fn senders(&self) -> Vec<Id> {
        distinct(self.pending().map(|send| send.sender))
    }

    /// What the messages still to be answered are recognised by.
    pub(super) fn keys(&self) -> Vec<MessageKey<'_>> {
        self.pending().map(key).collect()
    }

    /// Answers every pending message for which `answer` has one.
    pub(super) fn settle(&mut self, mut answer: impl FnMut(&Send) -> Option<Outcome>) {
        let Self { sends, outcomes, pending, .. } = self;
        pending.retain(|&index| {
            outcomes[index] = answer(&sends[index]);
            outcomes[index].is_none()
        });
    }

    /// Answers the n-th of those still to be answered.
    pub(super) fn settle_nth(&mut self, n: usize, outcome: Outcome) {
        let index = self.pending.remove(n);
        self.outcomes[index] = Some(outcome);
    }

    /// Answers the first of those still to be answered: these messages, in order, are stored.
    pub(super) fn acknowledge(
        &mut self,
        messages: impl Iterator<Item = Message>,
        profiles: &FxHashMap<Id, Arc<Profile>>,
    ) {
        let mut count = 0;
        for (message, &index) in messages.zip(&self.pending) {
            let sender = profiles.get(&message.sender).cloned();
            self.outcomes[index] = Some(committed(message, sender));
            count += 1;
        }
        self.pending.drain(..count);
    }

    /// Gives up those whose patience ended before `now`; returns how many.
    pub(super) fn expire(&mut self, now: Instant, patience: std::time::Duration) -> usize {
        let before = self.left();
        self.settle(|send| (send.since + patience <= now).then(|| Err(Failure::unavailable())));
        before - self.left()
    }

    /// When the patience of the last of them ends.
    pub(super) fn deadline(&self, patience: std::time::Duration) -> Option<Instant> {
        self.pending().map(|send| send.since + patience).max()
    }

    /// The answers, in the order of the messages.
    pub(super) fn into_outcomes(self) -> Vec<Outcome> {
        let Self { mut outcomes, first, .. } = self;
        for (index, first) in first.into_iter().enumerate() {
            if let Some(first) = first {
                outcomes[index] = outcomes[first].clone();
            }
        }
        let unanswered = || Err(Failure::fault("a message of a batch was left without an answer"));
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unanswered)).collect()
    }
}

/// A stored message as an outcome. Who is not in `users` any more does not send.
fn committed(message: Message, sender: Option<Arc<Profile>>) -> Outcome {
    let sender = sender.ok_or_else(|| Failure::unauthorized(protocol::code::text::USER_NOT_FOUND))?;
    Ok(Arc::new(Committed { message, sender }))
}

/// What of a batch is stored already: the answer to each message that is.
pub(super) fn stored(
    messages: Vec<Message>,
    profiles: &FxHashMap<Id, Arc<Profile>>,
) -> impl Fn(&Send) -> Option<Outcome> {
    let mut by_id = FxHashMap::default();
    let mut by_name = FxHashMap::default();
    for message in &messages {
        by_id.insert(message.id, message.clone());
        if let Some(name) = message.client_message_id.clone() {
            by_name.insert((message.sender, message.conversation_id, name), message.clone());
        }
    }
    move |send| {
        let named = || {
            let name = send.body.client_message_id.clone()?;
            by_name.get(&(send.sender, send.conversation, name))
        };
        let message = by_id.get(&send.id).or_else(named)?;
        if message.sender != send.sender || message.conversation_id != send.conversation {
            return Some(Err(taken()));
        }
        Some(committed(message.clone(), profiles.get(&send.sender).cloned()))
    }
}

/// Why a message may not be stored, if it may not.
pub(super) fn refusal<'a>(
    accesses: &'a [Access],
    profiles: &'a FxHashMap<Id, Arc<Profile>>,
) -> impl Fn(&Send) -> Option<Failure> + 'a {
    let by_id: FxHashMap<Id, &Access> = accesses.iter().map(|access| (access.id, access)).collect();
    move |send| {
        if !profiles.contains_key(&send.sender) {
            return Some(Failure::unauthorized(protocol::code::text::USER_NOT_FOUND));
        }
        crate::handle::may_write(by_id.get(&send.conversation).copied(), send.sender).err()
    }
}

/// The archived conversations to which somebody writes who may, each with one who does.
pub(super) fn asleep(batch: &Batch, accesses: &[Access]) -> Vec<(Id, Id)> {
    let asleep = accesses.iter().filter(|access| !access.is_active);
    let woken = asleep.filter_map(|access| {
        let mut sends = batch.pending().filter(|send| send.conversation == access.id);
        Some((access.id, sends.find(|send| access.participants.contains(&send.sender))?.sender))
    });
    woken.collect()
}

/// Numbers messages: in each conversation they follow its last one, in number and in time.
pub(super) fn number<'a>(
    sends: impl Iterator<Item = &'a Send>,
    mut last: impl FnMut(Id) -> Last,
    now: Timestamp,
) -> Vec<Message> {
    let mut lasts: FxHashMap<Id, Last> = FxHashMap::default();
    let numbered = sends.map(|send| {
        let before = lasts.entry(send.conversation).or_insert_with(|| last(send.conversation));
        // Two api nodes' clocks differ, and a clock may be set back; the order of `seq` is what counts. No two messages
        // of a conversation have the same time, for pages are cut by it.
        let next = Timestamp::from_millis(before.at.millis() + 1);
        *before = Last { seq: before.seq + 1, at: now.max(next) };
        document(send, *before)
    });
    numbered.collect()
}

fn document(send: &Send, place: Last) -> Message {
    Message {
        id: send.id,
        conversation_id: send.conversation,
        seq: place.seq,
        sender: send.sender,
        content: send.body.content.clone(),
        content_type: send.body.content_type.as_str().to_owned(),
        attachment_url: send.body.attachment_url.clone(),
        client_message_id: send.body.client_message_id.clone(),
        created_at: place.at,
        updated_at: place.at,
        edited_at: None,
        is_deleted: false,
        change: None,
        received: send.received,
    }
}

pub(super) fn key(send: &Send) -> MessageKey<'_> {
    MessageKey {
        id: send.id,
        sender: send.sender,
        conversation: send.conversation,
        client_message_id: send.body.client_message_id.as_deref(),
    }
}

fn same_place(one: &Send, other: &Send) -> bool {
    one.sender == other.sender && one.conversation == other.conversation
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::body::{ContentType, NewMessage};
    use protocol::{ErrorCode, UnixMicros};

    use super::*;

    const ADA: Id = Id::from_bytes([1; 12]);
    const BOB: Id = Id::from_bytes([2; 12]);
    const HERE: Id = Id::from_bytes([11; 12]);
    const THERE: Id = Id::from_bytes([12; 12]);

    fn send(sender: Id, conversation: Id, name: Option<&str>) -> Send {
        let body = NewMessage {
            content: "hi".to_owned(),
            content_type: ContentType::Text,
            attachment_url: None,
            client_message_id: name.map(str::to_owned),
        };
        let (received, since) = (None, Instant::now());
        Send { id: Id::mint(), conversation, sender, profile: None, body, received, since }
    }

    fn profiles() -> FxHashMap<Id, Arc<Profile>> {
        let profile = |id| Profile {
            id,
            name: "x".to_owned(),
            avatar: None,
            status: String::new(),
            generation: 0,
            probe: None,
        };
        [ADA, BOB].into_iter().map(|id| (id, Arc::new(profile(id)))).collect()
    }

    fn code(outcome: &Outcome) -> Option<ErrorCode> {
        outcome.as_ref().err().map(|failure| failure.error.code)
    }

    #[test]
    fn numbers_follow_the_last_message_of_each_conversation() {
        let received = Some(UnixMicros::from_micros(39_000));
        let first = Send { received, ..send(ADA, HERE, None) };
        let sends = [first, send(BOB, THERE, None), send(BOB, HERE, None)];
        let last = |id| if id == HERE { Last { seq: 7, at: Timestamp::from_millis(50) } } else { Last::NONE };
        let messages = number(sends.iter(), last, Timestamp::from_millis(40));
        assert_eq!(messages.iter().map(|m| m.seq).collect::<Vec<_>>(), [8, 1, 9]);
        // When each was received goes with it.
        assert_eq!(messages.iter().map(|m| m.received).collect::<Vec<_>>(), [received, None, None]);
        // The clock stands behind the last message of one conversation: time goes on there all the same.
        assert_eq!(messages.iter().map(|m| m.created_at.millis()).collect::<Vec<_>>(), [51, 40, 52]);
    }

    #[test]
    fn repetitions_in_a_batch_get_the_answer_of_the_first() {
        let one = send(ADA, HERE, Some("a"));
        let again = one.clone();
        let renamed = send(ADA, HERE, Some("a"));
        let elsewhere = send(ADA, THERE, Some("a"));
        let stolen = Send { sender: BOB, ..one.clone() };
        let mut batch = Batch::new(vec![one, again, renamed, elsewhere, stolen]);
        assert_eq!(batch.left(), 2);
        let messages = number(batch.pending(), |_| Last::NONE, Timestamp::now());
        batch.acknowledge(messages.into_iter(), &profiles());
        assert!(batch.is_done());
        let outcomes = batch.into_outcomes();
        let id = |n: usize| outcomes[n].as_ref().unwrap().message.id;
        assert!(id(0) == id(1) && id(0) == id(2) && id(0) != id(3));
        assert_eq!(code(&outcomes[4]), Some(ErrorCode::Conflict));
    }

    #[test]
    fn an_interrupted_insert_answers_what_is_stored_and_keeps_the_rest_in_order() {
        let mut batch = Batch::new((0..4).map(|_| send(ADA, HERE, None)).collect());
        let ids: Vec<Id> = batch.pending().map(|send| send.id).collect();
        let messages = number(batch.pending(), |_| Last::NONE, Timestamp::now());
        batch.acknowledge(messages.into_iter().take(2), &profiles());
        batch.settle_nth(0, Err(Failure::unavailable()));
        assert_eq!(batch.pending().map(|send| send.id).collect::<Vec<_>>(), ids[3..]);
    }

    #[test]
    fn what_is_stored_is_recognised_by_identifier_and_by_name_but_only_as_ones_own() {
        let (mine, named, other) = (send(ADA, HERE, None), send(ADA, HERE, Some("n")), send(ADA, HERE, None));
        let at = |send: &Send| document(send, Last { seq: 1, at: Timestamp::now() });
        let earlier = send(ADA, HERE, Some("n"));
        let theirs = Message { sender: BOB, ..at(&other) };
        let profiles = profiles();
        let answer = stored(vec![at(&mine), at(&earlier), theirs], &profiles);
        assert_eq!(answer(&mine).unwrap().unwrap().message.id, mine.id);
        assert_eq!(answer(&named).unwrap().unwrap().message.id, earlier.id);
        assert_eq!(code(&answer(&other).unwrap()), Some(ErrorCode::Conflict));
        assert!(answer(&send(ADA, HERE, Some("m"))).is_none());
    }

    #[test]
    fn only_participants_who_exist_may_send() {
        let access = Access { id: HERE, is_active: true, blocked: false, size: 1, participants: vec![ADA] };
        let blocked = Access { id: THERE, blocked: true, ..access.clone() };
        let (accesses, profiles) = ([access, blocked], profiles());
        let refusal = refusal(&accesses, &profiles);
        let code = |sender, conversation| refusal(&send(sender, conversation, None)).map(|f| f.error.code);
        assert_eq!(code(ADA, HERE), None);
        assert_eq!(code(BOB, HERE), Some(ErrorCode::Forbidden));
        assert_eq!(code(ADA, THERE), Some(ErrorCode::Forbidden));
        assert_eq!(code(ADA, Id::mint()), Some(ErrorCode::NotFound));
        assert_eq!(code(Id::mint(), HERE), Some(ErrorCode::Unauthorized));
    }

    #[test]
    fn writing_wakes_a_conversation_only_if_one_may() {
        let batch = Batch::new(vec![send(BOB, HERE, None), send(ADA, HERE, None), send(BOB, THERE, None)]);
        let access = Access { id: HERE, is_active: false, blocked: false, size: 1, participants: vec![ADA] };
        let other = Access { id: THERE, ..access.clone() };
        assert_eq!(asleep(&batch, &[access, other]), [(HERE, ADA)]);
    }

    #[test]
    fn patience_ends_for_each_message_on_its_own() {
        let patience = Duration::from_secs(10);
        let early = send(ADA, HERE, None);
        let now = early.since + patience;
        let late = Send { since: now, ..send(ADA, HERE, None) };
        let mut batch = Batch::new(vec![early, late]);
        assert_eq!(batch.deadline(patience), Some(now + patience));
        assert_eq!(batch.expire(now, patience), 1);
        assert_eq!(batch.left(), 1);
    }
}
