//! Many senders at once in one conversation, and the judgement of what arrived.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::people::Person;
use super::socket::{Dialect, Socket};
use super::{SOON, eventually};

/// How many unanswered sends a socket has at most.
const WINDOW: usize = 24;

/// One way to send: as one user, through one connection. Its messages keep their order.
#[derive(Clone, Debug)]
pub(crate) enum Sender {
    /// `message:send` with an acknowledgement, several under way at a time.
    Socket(Arc<Socket>),
    /// `POST`, one at a time.
    Rest(Box<Person>),
}

/// A conversation of two users, and all their connections.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) conversation: String,
    /// Every connection, and whose and where it is.
    pub(crate) sockets: Vec<(String, Arc<Socket>)>,
    senders: Vec<Sender>,
}

impl Scene {
    /// Two users who each hold a Socket.IO and a plain connection to every gateway, and use REST through each.
    pub(crate) async fn set(bases: &[String]) -> Self {
        let [ada, bob] = [
            super::people::register(&bases[0], "Ada").await,
            super::people::register(&bases[0], "Bob").await,
        ];
        let conversation = ada.talk_to(&[&bob]).await;
        let (mut sockets, mut senders) = (Vec::new(), Vec::new());
        for person in [&ada, &bob] {
            for base in bases {
                for dialect in [Dialect::SocketIo, Dialect::Plain] {
                    let socket = Arc::new(person.connect(base, dialect).await);
                    senders.push(Sender::Socket(Arc::clone(&socket)));
                    sockets.push((format!("{} at {base} ({dialect:?})", person.name), socket));
                }
                let rest = super::rest::Rest::new(base).with_token(&person.token);
                senders.push(Sender::Rest(Box::new(Person { rest, ..person.clone() })));
            }
        }
        Self { conversation, sockets, senders }
    }

    /// The same, but nobody sends over REST.
    pub(crate) fn with_sockets_only(mut self) -> Self {
        self.senders.retain(|sender| matches!(sender, Sender::Socket(_)));
        self
    }

    /// Waits until so many messages have arrived.
    pub(crate) async fn is_under_way(&self, count: usize) {
        let (whose, socket) = &self.sockets[0];
        eventually(&format!("{count} messages reach {whose}"), SOON, async || {
            (socket.seqs(&self.conversation).len() >= count).then_some(())
        })
        .await;
    }

    /// Sends `count` messages through all senders at once. Every one of them must be acknowledged, in the order
    /// of its sender, and together they must be the messages 1 to `count`. Returns them by number.
    pub(crate) async fn send(&self, count: usize) -> BTreeMap<i64, Value> {
        let mut tasks = JoinSet::new();
        for (at, sender) in self.senders.iter().enumerate() {
            let share = count / self.senders.len() + usize::from(at < count % self.senders.len());
            let (sender, conversation) = (sender.clone(), self.conversation.clone());
            tasks.spawn(async move { sender.send(&conversation, &format!("sender {at}"), share).await });
        }
        let mut sent = BTreeMap::new();
        for answers in tasks.join_all().await {
            let seqs: Vec<i64> = answers.iter().map(|message| message["seq"].as_i64().unwrap()).collect();
            assert!(seqs.is_sorted_by(|a, b| a < b), "the messages of one sender changed places: {seqs:?}");
            sent.extend(seqs.into_iter().zip(answers));
        }
        let seqs: Vec<i64> = sent.keys().copied().collect();
        assert_eq!(seqs, (1..=count as i64).collect::<Vec<_>>(), "numbers of the acknowledged messages");
        sent
    }

    /// Fails unless every connection was given the messages 1 to `sent.len()`, each once and in order, as they
    /// were acknowledged. One more message marks the end, so that a late repetition is seen as well.
    pub(crate) async fn judge(&self, mut sent: BTreeMap<i64, Value>) {
        let payload = json!({ "conversationId": self.conversation, "content": "the last one" });
        let last = acknowledged(self.sockets[0].1.ask("message:send", &payload).await);
        sent.insert(last["seq"].as_i64().unwrap(), last);
        let expected: Vec<i64> = (1..=sent.len() as i64).collect();
        let end = expected.len() as i64;
        for (whose, socket) in &self.sockets {
            eventually(&format!("the last message reaches {whose}"), SOON, async || {
                let arrived = socket.seqs(&self.conversation);
                assert_eq!(socket.close_code(), None, "{whose} was closed with {} messages", arrived.len());
                arrived.contains(&end).then_some(())
            })
            .await;
        }
        for (whose, socket) in &self.sockets {
            let messages = socket.messages(&self.conversation);
            assert_same_numbers(whose, &socket.seqs(&self.conversation), &expected);
            for message in messages {
                let stored = &sent[&message["seq"].as_i64().unwrap()];
                for field in ["_id", "content", "sender", "createdAt", "readBy"] {
                    assert_eq!(message[field], stored[field], "{field} at {whose}");
                }
            }
        }
    }
}

impl Sender {
    /// Sends `count` messages and returns them as they were acknowledged, in the order of sending.
    async fn send(&self, conversation: &str, name: &str, count: usize) -> Vec<Value> {
        let contents = (0..count).map(|n| format!("{name}, message {n}"));
        let mut answers = Vec::with_capacity(count);
        match self {
            Self::Rest(person) => {
                for content in contents {
                    answers.push(person.say(conversation, &content).await);
                }
            }
            Self::Socket(socket) => {
                let mut waiting = VecDeque::new();
                for content in contents {
                    let payload = json!({ "conversationId": conversation, "content": content });
                    waiting.push_back(socket.ask("message:send", &payload));
                    if waiting.len() == WINDOW {
                        answers.push(acknowledged(waiting.pop_front().unwrap().await));
                    }
                }
                for answer in waiting {
                    answers.push(acknowledged(answer.await));
                }
            }
        }
        answers
    }
}

/// The message in a positive acknowledgement.
pub(crate) fn acknowledged(answer: Option<Value>) -> Value {
    let mut answer = answer.expect("an acknowledgement, and not the end of the connection");
    assert_eq!(answer["ok"], true, "{answer}");
    answer["message"].take()
}

/// Compares numbers, and tells the first differences instead of thousands of numbers.
pub(crate) fn assert_same_numbers(whose: &str, arrived: &[i64], expected: &[i64]) {
    if arrived == expected {
        return;
    }
    let at = arrived.iter().zip(expected).position(|(a, b)| a != b);
    let at = at.unwrap_or_else(|| arrived.len().min(expected.len()));
    let near = |numbers: &[i64]| numbers[at.min(numbers.len())..].iter().take(8).copied().collect::<Vec<_>>();
    let counts = (arrived.len(), expected.len());
    panic!(
        "{whose}: from number {at} on {:?} instead of {:?} (counts: {counts:?})",
        near(arrived),
        near(expected)
    );
}
