//! Who gets what while the streamer crashes and the members of a group change.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::people::{Person, register};
use crate::support::socket::{Dialect, Socket};
use crate::support::stack::{Plan, Stack};
use crate::support::traffic::{acknowledged, assert_same_numbers};
use crate::support::{SOON, eventually};

/// How many messages are sent between one happening and the next, at the least.
const MEANWHILE: u64 = 25;

/// A short replay window; longer than it takes to replace a streamer on a busy machine.
const WINDOW: Duration = Duration::from_secs(8);

/// People who keep talking in a group until they are told to stop.
struct Talk {
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Talk {
    fn start(sockets: impl IntoIterator<Item = Arc<Socket>>, conversation: &str) -> Self {
        let (sent, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let talk = |socket: Arc<Socket>| {
            let (sent, stop, conversation) = (Arc::clone(&sent), Arc::clone(&stop), conversation.to_owned());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let payload = json!({ "conversationId": conversation, "content": "and so on" });
                    acknowledged(socket.ask("message:send", &payload).await);
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let tasks = sockets.into_iter().map(talk).collect();
        Self { sent, stop, tasks }
    }

    /// Waits until some more has been said.
    async fn goes_on(&self) {
        let goal = self.sent.load(Ordering::Relaxed) + MEANWHILE;
        eventually("the talk goes on", SOON, async || {
            (self.sent.load(Ordering::Relaxed) >= goal).then_some(())
        })
        .await;
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// A group whose members change.
struct Group {
    creator: Person,
    conversation: String,
}

impl Group {
    async fn number(&self) -> i64 {
        self.creator.say(&self.conversation, "a mark").await["seq"].as_i64().unwrap()
    }

    /// Waits until these have heard something new; its number.
    async fn is_heard(&self, by: &[&str], sockets: &[(String, Arc<Socket>)]) -> i64 {
        let number = self.number().await;
        for (whose, socket) in sockets.iter().filter(|(name, _)| by.contains(&name.as_str())) {
            eventually(&format!("number {number} reaches {whose}"), SOON, async || {
                assert_eq!(socket.close_code(), None, "{whose} was closed");
                socket.seqs(&self.conversation).contains(&number).then_some(())
            })
            .await;
        }
        number
    }

    /// Sets the members, in one change. It lies behind the first and before the last of the returned numbers.
    async fn change(&self, members: &[&Person]) -> RangeInclusive<i64> {
        let before = self.number().await;
        let members: Vec<&str> = members.iter().map(|member| member.id.as_str()).collect();
        let path = format!("/api/conversations/{}", self.conversation);
        self.creator.rest.put(&path, &json!({ "participants": members })).await.ok();
        before..=self.number().await - 1
    }
}

/// The last number before the jump in `numbers`, and the first after it; they are consecutive otherwise.
fn jump(numbers: &[i64]) -> (i64, i64) {
    let jumps: Vec<(i64, i64)> =
        numbers.windows(2).map(|pair| (pair[0], pair[1])).filter(|(a, b)| *b != a + 1).collect();
    assert_eq!(jumps.len(), 1, "numbers jump in other places than the one expected: {jumps:?}");
    jumps[0]
}

/// The successor of a crashed streamer reads from before the group was made, so it has seen it come to be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_misses_or_doubles_a_message_or_gets_one_of_a_time_when_they_were_no_member() {
    people_come_and_go(super::plan(), Duration::ZERO).await;
}

/// The successor of a crashed streamer reads from after the group was made, so it has to look up who was in it
/// then, and not now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_streamer_that_knows_nothing_of_a_group_addresses_its_messages_to_the_members_of_their_time() {
    let plan = Plan { replay_window: WINDOW, ..super::plan() };
    people_come_and_go(plan, WINDOW + Duration::from_secs(1)).await;
}

/// Carl is removed and Dana added while the streamer is dead, and the other way round while the next one is. In
/// the stream of sends that goes on all the while, both changes have one place, and everybody gets exactly what
/// was sent while they were a member. By then the group has reached some age.
async fn people_come_and_go(plan: Plan, age: Duration) {
    let mut stack = Stack::with(plan).await;
    let base = stack.base();
    let [ada, bob, carl, dana] = [
        register(&base, "Ada").await,
        register(&base, "Bob").await,
        register(&base, "Carl").await,
        register(&base, "Dana").await,
    ];
    let group = Group { conversation: ada.talk_to(&[&bob, &carl]).await, creator: ada.clone() };
    let mut sockets = Vec::new();
    for person in [&ada, &bob, &carl, &dana] {
        for dialect in [Dialect::SocketIo, Dialect::Plain] {
            sockets.push((person.name.clone(), Arc::new(person.connect(&base, dialect).await)));
        }
    }
    stack.streamer_saved_after(age).await;
    let talkers = sockets.iter().filter(|(name, _)| name == "Ada" || name == "Bob");
    let talk = Talk::start(talkers.map(|(_, socket)| Arc::clone(socket)), &group.conversation);
    let mut changes = Vec::new();
    for members in [[&ada, &bob, &dana], [&ada, &bob, &carl]] {
        talk.goes_on().await;
        stack.crash_streamer().await;
        talk.goes_on().await;
        changes.push(group.change(&members).await);
        talk.goes_on().await;
        stack.start_streamer();
        group.is_heard(&["Ada", "Bob"], &sockets).await;
    }
    talk.stop().await;
    let last = group.is_heard(&["Ada", "Bob", "Carl"], &sockets).await;
    for (_, socket) in sockets.iter().filter(|(name, _)| name == "Dana") {
        eventually("Dana hears that it is over for her", SOON, async || {
            socket.events().iter().any(|event| event.payload["isActive"] == false).then_some(())
        })
        .await;
    }

    let numbers = |name: &str| {
        let of = sockets.iter().filter(|(whose, _)| whose == name);
        of.map(|(_, socket)| socket.seqs(&group.conversation)).collect::<Vec<_>>()
    };
    // Carl's numbers tell where the changes are; everything else follows.
    let (left, returned) = jump(&numbers("Carl")[0]);
    assert!(changes[0].contains(&left), "Carl's last is {left}, he was removed in {:?}", changes[0]);
    assert!(
        changes[1].contains(&(returned - 1)),
        "Carl's first is {returned}, he returned in {:?}",
        changes[1]
    );
    let expected = |name: &str| -> Vec<i64> {
        match name {
            "Carl" => (1..=left).chain(returned..=last).collect(),
            "Dana" => (left + 1..returned).collect(),
            _ => (1..=last).collect(),
        }
    };
    for name in ["Ada", "Bob", "Carl", "Dana"] {
        for arrived in numbers(name) {
            assert_same_numbers(name, &arrived, &expected(name));
        }
    }
    told_of_the_changes(&sockets, &group.conversation, left, &carl);
}

/// Carl was told that it is over for him, behind his last message and without a word about the others; Dana that
/// she is in, before her first.
fn told_of_the_changes(sockets: &[(String, Arc<Socket>)], conversation: &str, left: i64, carl: &Person) {
    for (whose, socket) in sockets.iter().filter(|(name, _)| name == "Carl" || name == "Dana") {
        let events = socket.events();
        let at = |name: &str, matches: &dyn Fn(&serde_json::Value) -> bool| {
            events.iter().position(|event| event.name == name && matches(&event.payload)).unwrap()
        };
        let message = |seq: i64| at("message:new", &|payload| payload["seq"] == seq);
        let update = |active: bool| {
            at("conversation:update", &|payload| {
                payload["id"] == conversation && payload["isActive"] == active
            })
        };
        if whose == "Carl" {
            let removed = update(false);
            assert_eq!(removed, message(left) + 1);
            assert_eq!(events[removed].payload["participants"], json!([]));
        } else {
            let added = update(true);
            assert_eq!(added + 1, message(left + 1));
            let members = events[added].payload["participants"].as_array().unwrap();
            assert!(members.len() == 3 && members.iter().all(|member| member["id"] != carl.id.as_str()));
        }
    }
}
