//! Every event of the server reaches those who are entitled to it, over both dialects, and nobody else.
//!
//! | module | shows |
//! |---|---|
//! | [`messages`] | edits and deletions; members who come and go; new and renamed conversations |
//! | [`reads`] | read receipts in small and big conversations |
//! | [`activities`] | who joins and leaves |
//! | [`presence`] | who is told that somebody came or went |
//! | [`typing`] | who is told that somebody types |
//! | [`endings`] | sessions that end, and those that are begun after that |

mod activities;
mod endings;
mod messages;
mod presence;
mod reads;
mod typing;

use serde_json::Value;
use store::bson::doc;

use crate::support::crowd::{conversations, crowd};
use crate::support::people::Person;
use crate::support::socket::{Dialect, Event, Socket};
use crate::support::stack::Stack;
use crate::support::{SOON, eventually};

/// What is said first.
const BEGINNING: &str = "the beginning";

/// A running system and people, each connected over both dialects. All of them are in one group, the lobby: what is
/// said there comes after everything before, so what somebody was not told by then they are never told.
struct Stage<const N: usize> {
    stack: Stack,
    people: [Person; N],
    sockets: Vec<[Socket; 2]>,
    lobby: String,
}

impl<const N: usize> Stage<N> {
    async fn set() -> Self {
        let stack = Stack::start().await;
        let base = stack.base();
        let people = crowd(stack.store(), &base, N).await;
        let lobby = conversations(stack.store(), [people.as_slice()]).await.remove(0);
        let mut sockets = Vec::new();
        for person in &people {
            let io = person.connect(&base, Dialect::SocketIo).await;
            sockets.push([io, person.connect(&base, Dialect::Plain).await]);
        }
        let people = people.try_into().unwrap_or_else(|_| panic!("{N} people"));
        let stage = Self { stack, people, sockets, lobby };
        stage.begin().await;
        stage
    }

    /// Waits until everybody is online and has been told so of everybody: what comes from here on is of the test's
    /// making.
    async fn begin(&self) {
        eventually("everybody is online", SOON, async || {
            let online = self.stack.store().users().count_documents(doc! {"status": "online"}).await.unwrap();
            (online == N as u64).then_some(())
        })
        .await;
        self.people[0].say(&self.lobby, BEGINNING).await;
        for socket in self.sockets.iter().flatten() {
            eventually("the beginning reaches everybody", SOON, async || {
                (!socket.messages(&self.lobby).is_empty()).then_some(())
            })
            .await;
        }
    }

    /// What the n-th person was told under this name so far; over both dialects the same. Waits until everything that
    /// happened up to now has been told.
    async fn told(&self, name: &str) -> Vec<Vec<Value>> {
        let mark = self.people[0].say(&self.lobby, "a mark").await["seq"].as_i64().unwrap();
        let mut told = Vec::new();
        for (person, sockets) in self.people.iter().zip(&self.sockets) {
            let mut both = Vec::new();
            for socket in sockets {
                eventually(&format!("the mark reaches {}", person.name), SOON, async || {
                    assert_eq!(socket.close_code(), None, "{} was closed", person.name);
                    socket.seqs(&self.lobby).contains(&mark).then_some(())
                })
                .await;
                both.push(named(socket, name));
            }
            let [io, plain] = <[Vec<Event>; 2]>::try_from(both).unwrap();
            assert_eq!(io, plain, "what {} is told does not depend on the dialect", person.name);
            assert!(io.iter().all(|event| event.clock.is_some()), "every event carries its clock: {io:?}");
            told.push(io.into_iter().map(|event| event.payload).collect());
        }
        told
    }
}

/// The events of this name that arrived so far, since the beginning.
fn named(socket: &Socket, name: &str) -> Vec<Event> {
    let events = socket.events();
    let beginning = events.iter().position(|event| event.payload["content"] == BEGINNING);
    let later = events.into_iter().skip(beginning.map_or(0, |at| at + 1));
    later.filter(|event| event.name == name).collect()
}

/// Somebody as they stand beside a message.
fn author(person: &Person) -> Value {
    serde_json::json!({ "_id": person.id, "id": person.id, "name": person.name, "avatar": null })
}

/// Fails unless exactly these people, by their place, were told this, and nobody anything else.
fn assert_told(told: &[Vec<Value>], expected: &[&[&Value]]) {
    let told: Vec<Vec<&Value>> = told.iter().map(|told| told.iter().collect()).collect();
    let expected: Vec<Vec<&Value>> = expected.iter().map(|expected| expected.to_vec()).collect();
    assert_eq!(told, expected);
}
