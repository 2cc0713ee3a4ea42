//! Members come and go while they talk, streamers crash, gateways restart and clients are cut off. What each user saw
//! is compared with what they were entitled to, as the database's own order of changes tells it. (Of what belongs to a
//! conversation and has a clock; statuses and activities are in [`crate::events`].)
//!
//! `ENTITLEMENT_SEED=8` makes other things happen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use mongodb::bson::Document;
use mongodb::change_stream::event::{ChangeStreamEvent, OperationType};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::people::{Person, register};
use crate::support::socket::{Comeback, Dialect, Event, Socket};
use crate::support::stack::{Plan, Stack};
use crate::support::{SOON, eventually};

/// How many happenings there are.
const STEPS: usize = 40;
const PEOPLE: usize = 6;
const GROUPS: usize = 3;
/// How many messages are sent between one happening and the next, at the least.
const MEANWHILE: u64 = 6;
/// The text of the last message.
const THE_END: &str = "the end";
/// How often a client looks whether it is to be cut off.
const INTERVAL: Duration = Duration::from_millis(10);
/// A crashed streamer is replaced after this time.
const LEASE_TTL: Duration = Duration::from_millis(700);

/// Numbers that look random and are the same each time.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// What the numbers come from: always the same, unless a run is to have others.
fn seed() -> u64 {
    std::env::var("ENTITLEMENT_SEED").map_or(7, |seed| seed.parse().unwrap())
}

/// The place of a change in the database's order.
type Time = u64;

/// What the database says: who was in a conversation from when on, and when each message was stored.
#[derive(Default)]
struct Truth {
    /// By conversation.
    members: BTreeMap<String, BTreeMap<Time, BTreeSet<String>>>,
    /// Conversation, number and time.
    messages: Vec<(String, i64, Time)>,
}

impl Truth {
    fn note(&mut self, event: &ChangeStreamEvent<Document>) {
        let time = event.cluster_time.map(|at| (u64::from(at.time) << 32) | u64::from(at.increment)).unwrap();
        let collection = event.ns.as_ref().and_then(|ns| ns.coll.as_deref()).unwrap_or_default();
        let ids = |document: &Document| {
            let ids = document.get_array("participants").unwrap().iter();
            ids.map(|id| id.as_object_id().unwrap().to_hex()).collect()
        };
        match (&event.operation_type, collection) {
            (OperationType::Insert, "messages") => {
                let message = event.full_document.as_ref().unwrap();
                let conversation = message.get_object_id("conversationId").unwrap().to_hex();
                self.messages.push((conversation, message.get_i64("seq").unwrap(), time));
            }
            (OperationType::Insert, "conversations") => {
                let made = event.full_document.as_ref().unwrap();
                let id = made.get_object_id("_id").unwrap().to_hex();
                self.members.entry(id).or_default().insert(time, ids(made));
            }
            (OperationType::Update, "conversations") => {
                let fields = &event.update_description.as_ref().unwrap().updated_fields;
                if let Ok(change) = fields.get_document("change") {
                    let id = event.document_key.as_ref().unwrap().get_object_id("_id").unwrap().to_hex();
                    self.members.entry(id).or_default().insert(time, ids(change));
                }
            }
            _ => {}
        }
    }

    /// Whether somebody was a member at a point in time, or until that very moment: the word that it is over comes
    /// then.
    fn is_entitled(&self, user: &str, conversation: &str, at: Time, or_until_then: bool) -> bool {
        let Some(history) = self.members.get(conversation) else { return false };
        let member = |at: Time| history.range(..=at).next_back().is_some_and(|(_, all)| all.contains(user));
        member(at) || (or_until_then && member(at - 1))
    }
}

/// Watches the database until the message that ends it all is stored.
async fn watch(stack: &Stack) -> JoinHandle<Truth> {
    let mut stream = stack.store().database().watch().await.unwrap();
    tokio::spawn(async move {
        let mut truth = Truth::default();
        while let Some(event) = stream.next().await {
            let event = event.unwrap();
            truth.note(&event);
            let document = event.full_document.as_ref();
            if document
                .is_some_and(|document| document.get_str("content").is_ok_and(|content| content == THE_END))
            {
                return truth;
            }
        }
        panic!("the stream of changes ended")
    })
}

/// Somebody's client: it comes back whenever it is cut off, and remembers all that it got, up to the message that ends
/// it all.
struct Client {
    task: JoinHandle<Vec<Event>>,
    cut: Arc<AtomicBool>,
    connected: Arc<AtomicBool>,
}

impl Client {
    fn start(person: Person, bases: Vec<String>, dialect: Dialect, end: String) -> Self {
        let (cut, connected) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let run = live(person, bases, dialect, end, Arc::clone(&cut), Arc::clone(&connected));
        Self { task: tokio::spawn(run), cut, connected }
    }
}

async fn live(
    person: Person,
    bases: Vec<String>,
    dialect: Dialect,
    end: String,
    cut: Arc<AtomicBool>,
    connected: Arc<AtomicBool>,
) -> Vec<Event> {
    let (mut all, mut from) = (Vec::new(), None::<Comeback>);
    for base in bases.iter().cycle() {
        // A gateway that is just restarting takes nobody; the other one does.
        let Ok(socket) = Socket::come_back(base, dialect, &person.token, from.as_ref()).await else {
            continue;
        };
        assert!(from.is_none() || socket.recovered(), "{} was not given what was missed", person.name);
        connected.store(true, Ordering::SeqCst);
        while socket.close_code().is_none()
            && !cut.swap(false, Ordering::SeqCst)
            && socket.seqs(&end).is_empty()
        {
            tokio::time::sleep(INTERVAL).await;
        }
        let ended = !socket.seqs(&end).is_empty();
        let (events, back) = socket.cut().await;
        all.extend(events);
        if ended {
            return all;
        }
        // Without a new event the offset of an earlier connection is still the last one.
        let earlier = from.and_then(|from| from.offset);
        from = Some(Comeback { offset: back.offset.or(earlier), ..back });
    }
    unreachable!("the bases go round")
}

/// Somebody who keeps talking in all groups, and at times takes something back.
struct Talk {
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Talk {
    fn start(host: &Person, members: &[Person], groups: &[String]) -> Self {
        let (sent, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (counted, told) = (Arc::clone(&sent), Arc::clone(&stop));
        let (host, members, groups) = (host.clone(), members.to_vec(), groups.to_vec());
        let task = tokio::spawn(async move {
            for number in 0.. {
                if told.load(Ordering::SeqCst) {
                    return;
                }
                let message = host.say(&groups[number % groups.len()], "and so on").await;
                counted.fetch_add(1, Ordering::SeqCst);
                let path = format!("/api/messages/{}", message["id"].as_str().unwrap());
                match number % 5 {
                    0 => drop(host.rest.put(&path, &json!({ "content": "that is" })).await.ok()),
                    1 => drop(host.rest.delete(&path, None).await.ok()),
                    // Whoever is no member is refused.
                    _ => {
                        let member = &members[number % members.len()];
                        drop(member.rest.put(&format!("{path}/read"), &json!({})).await);
                    }
                }
            }
        });
        Self { sent, stop, task }
    }

    /// Waits until some more has been said.
    async fn goes_on(&self) {
        let goal = self.sent.load(Ordering::SeqCst) + MEANWHILE;
        eventually("the talk goes on", SOON, async || {
            (self.sent.load(Ordering::SeqCst) >= goal).then_some(())
        })
        .await;
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.unwrap();
    }
}

/// Gives a group other members.
async fn change_members(host: &Person, group: &str, people: &[Person], draw: &mut Draw) {
    let members: Vec<&str> =
        people.iter().filter(|_| draw.below(2) == 0).map(|person| person.id.as_str()).collect();
    let members = [&[host.id.as_str()], members.as_slice()].concat();
    host.rest.put(&format!("/api/conversations/{group}"), &json!({ "participants": members })).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_everybody_sees_what_they_are_entitled_to_and_nothing_else() {
    // Clients use the first two gateways, which restart; the third is for requests, so that none fails.
    let mut stack = Stack::with(Plan { gateways: 3, lease_ttl: LEASE_TTL, ..Plan::default() }).await;
    let mut bases = stack.bases();
    let base = bases.pop().unwrap();
    let host = register(&base, "Host").await;
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(register(&base, &format!("Member{number}")).await);
    }
    let watching = watch(&stack).await;
    let everybody: Vec<&Person> = people.iter().collect();
    let end = host.talk_to(&everybody).await;
    let mut groups = Vec::new();
    for _ in 0..GROUPS {
        groups.push(host.talk_to(&everybody[..2]).await);
    }
    let mut clients = Vec::new();
    for (number, person) in people.iter().enumerate() {
        let bases: Vec<String> = bases.iter().cycle().skip(number).take(2).cloned().collect();
        let dialect = if number % 2 == 0 { Dialect::SocketIo } else { Dialect::Plain };
        let client = Client::start(person.clone(), bases, dialect, end.clone());
        let is_connected = async || client.connected.load(Ordering::SeqCst).then_some(());
        eventually("everybody is connected", SOON, is_connected).await;
        clients.push(client);
    }
    stack.streamer_saved().await;

    let talk = Talk::start(&host, &people, &groups);
    let mut draw = Draw(seed());
    for _ in 0..STEPS {
        talk.goes_on().await;
        match draw.below(10) {
            0..5 => change_members(&host, &groups[draw.below(GROUPS)], &people, &mut draw).await,
            5..8 => clients[draw.below(PEOPLE)].cut.store(true, Ordering::SeqCst),
            8 => stack.restart_gateway(draw.below(2)).await,
            _ => {
                stack.crash_streamer().await;
                change_members(&host, &groups[draw.below(GROUPS)], &people, &mut draw).await;
                stack.start_streamer();
            }
        }
    }
    talk.stop().await;
    // Everybody is in this one. Events have one order, so whoever has its message has all before it.
    host.say(&end, THE_END).await;
    let mut seen = Vec::new();
    for client in clients {
        let ended = tokio::time::timeout(2 * SOON, client.task).await;
        seen.push(ended.expect("somebody never gets the last message").unwrap());
    }
    let truth = watching.await.unwrap();
    for (person, events) in people.iter().zip(&seen) {
        judge(person, events, &truth);
    }
    let kinds: BTreeSet<&str> = seen.iter().flatten().map(|event| event.name.as_str()).collect();
    for kind in ["message:new", "message:update", "message:delete", "message:read", "conversation:update"] {
        assert!(kinds.contains(kind), "nobody got any {kind}: {kinds:?}");
    }
}

/// Nothing that the user may not see, and every message that they may, once and in order.
fn judge(person: &Person, events: &[Event], truth: &Truth) {
    for event in events {
        let (Some(clock), payload) = (&event.clock, &event.payload) else { continue };
        let is_update = event.name == "conversation:update";
        let conversation = if is_update { &payload["id"] } else { &payload["conversationId"] };
        let Some(conversation) = conversation.as_str() else { continue };
        let at = Time::from_str_radix(clock.split('-').next().unwrap(), 16).unwrap();
        let is_removal = is_update && payload["participants"] == json!([]);
        assert!(
            truth.is_entitled(&person.id, conversation, at, is_removal),
            "{} saw {} of {conversation} at {clock}: {payload}",
            person.name,
            event.name
        );
    }
    let seen: Vec<(&str, i64)> = events
        .iter()
        .filter(|event| event.name == "message:new")
        .map(|event| {
            (event.payload["conversationId"].as_str().unwrap(), event.payload["seq"].as_i64().unwrap())
        })
        .collect();
    let entitled: Vec<(&str, i64)> = truth
        .messages
        .iter()
        .filter(|(conversation, _, at)| truth.is_entitled(&person.id, conversation, *at, false))
        .map(|(conversation, seq, _)| (conversation.as_str(), *seq))
        .collect();
    let differs = seen.iter().zip(&entitled).position(|(a, b)| a != b);
    let at = differs.unwrap_or(seen.len().min(entitled.len()));
    assert!(
        seen == entitled,
        "{}: {} messages instead of {}; from {at} on {:?} instead of {:?}",
        person.name,
        seen.len(),
        entitled.len(),
        &seen[at..seen.len().min(at + 5)],
        &entitled[at..entitled.len().min(at + 5)]
    );
}
