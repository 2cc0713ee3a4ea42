//! Five thousand connected users are cut off and come back at once: nobody's presence shows a transition, nobody misses
//! an event, and the api gets batches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::future::join_all;
use store::Store;
use store::bson::{Document, doc};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::crowd::{conversations, crowd};
use crate::support::people::Person;
use crate::support::socket::{Comeback, Dialect, Socket};
use crate::support::stack::{Plan, Stack};
use crate::support::tap::Tap;
use crate::support::{SOON, eventually, turn};

const USERS: usize = 5_000;
/// So many of the pairs are written to while nobody is connected.
const WRITTEN_TO: usize = 250;
/// How many connect at the same time before the storm; in it, all do.
const AT_ONCE: usize = 250;
/// As long as it takes a busy machine to have everybody back.
const GRACE: Duration = Duration::from_secs(30);
/// A socket has two ends in this process, and other tests have some too.
const FILES: usize = 3 * USERS;

type Crowd = Vec<Arc<Person>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_users_who_come_back_at_once_show_no_transition_and_miss_nothing() {
    assert!(open_files() >= FILES, "this test needs `ulimit -n {FILES}`");
    let _turn = turn::heavy().await;
    let gateway: fn(&mut gateway::Config) = |config| config.presence_grace = GRACE;
    let stack = Stack::with(Plan { gateway, ..Plan::default() }).await;
    let tap = Tap::start(stack.apis()[0], "POST /internal/commands").await;
    let gateway = stack.another_gateway(vec![format!("http://{}", tap.address())]).await;
    let base = format!("http://{}", gateway.address());

    let people = crowd(stack.store(), &base, USERS).await;
    let pairs = conversations(stack.store(), people.chunks(2)).await;
    let people: Crowd = people.into_iter().map(Arc::new).collect();
    // Somebody who does not come back tells when the grace of all the others is over.
    let sentinel = crowd(stack.store(), &base, 1).await.remove(0);
    let mut sockets = connect(&people, &base, None).await;
    let gone = sentinel.connect(&base, Dialect::Plain).await;
    online(stack.store(), USERS + 1).await;
    let before = presence(stack.store()).await;
    let batches = tap.count();

    let cut = join_all(sockets.drain(..).chain([gone]).map(Socket::cut)).await;
    let mut from: Vec<Comeback> = cut.into_iter().map(|(_, from)| from).collect();
    from.truncate(USERS);
    let written = people.iter().step_by(2).zip(&pairs).take(WRITTEN_TO);
    join_all(written.map(|(person, pair)| person.say(pair, "while you were away"))).await;
    let sockets = connect(&people, &base, Some(&from)).await;

    let not_recovered = sockets.iter().filter(|socket| !socket.recovered()).count();
    assert_eq!(not_recovered, 0, "of {USERS} so many were not given what they had missed");
    for (number, socket) in sockets.iter().enumerate().take(2 * WRITTEN_TO) {
        let pair = &pairs[number / 2];
        eventually("the missed message arrives", SOON, async || (socket.seqs(pair) == [1]).then_some(()))
            .await;
    }
    let commands = tap.count() - batches;
    assert!(commands <= USERS as u64 / 10, "{commands} calls to the api for {USERS} comebacks");

    offline(stack.store(), &sentinel.id).await;
    let mut after = presence(stack.store()).await;
    after.insert(sentinel.id.clone(), before[&sentinel.id].clone());
    let changed = before.iter().filter(|(user, was)| after.get(*user) != Some(was)).count();
    assert_eq!(changed, 0, "the presence of so many changed");
    let told = sockets.iter().flat_map(Socket::events).filter(|event| event.name == "user:status").count();
    assert_eq!(told, 0, "so many transitions were told");
    drop(sockets);
}

/// Connects everybody; all at the same time if they come back.
async fn connect(people: &Crowd, base: &str, from: Option<&[Comeback]>) -> Vec<Socket> {
    let limit = Arc::new(Semaphore::new(if from.is_some() { USERS } else { AT_ONCE }));
    let mut tasks = JoinSet::new();
    for (number, person) in people.iter().enumerate() {
        let (person, base, limit) = (Arc::clone(person), base.to_owned(), Arc::clone(&limit));
        let from = from.map(|from| from[number].clone());
        let dialect = if number % 4 < 2 { Dialect::SocketIo } else { Dialect::Plain };
        tasks.spawn(async move {
            let _turn = limit.acquire().await.unwrap();
            let socket = match from {
                Some(from) => person.come_back(&base, dialect, &from).await,
                None => person.connect(&base, dialect).await,
            };
            (number, socket)
        });
    }
    let mut sockets = BTreeMap::new();
    while let Some(connected) = tasks.join_next().await {
        let (number, socket) = connected.unwrap();
        sockets.insert(number, socket);
    }
    sockets.into_values().collect()
}

async fn online(store: &Store, count: usize) {
    let online = doc! {"status": "online"};
    eventually("everybody is online", 2 * SOON, async || {
        (store.users().count_documents(online.clone()).await.unwrap() == count as u64).then_some(())
    })
    .await;
}

async fn offline(store: &Store, user: &str) {
    let id = store::bson::oid::ObjectId::parse_str(user).unwrap();
    let offline = doc! {"_id": id, "status": "offline"};
    eventually("the one who does not come back is offline", GRACE + SOON, async || {
        (store.users().count_documents(offline.clone()).await.unwrap() == 1).then_some(())
    })
    .await;
}

/// What is stored of everybody's presence.
async fn presence(store: &Store) -> BTreeMap<String, Document> {
    let users = store.users().clone_with_type::<Document>();
    let fields = doc! {"status": 1, "lastSeen": 1, "presenceRev": 1};
    let found: Vec<Document> =
        users.find(doc! {}).projection(fields).await.unwrap().try_collect().await.unwrap();
    found.into_iter().map(|user| (user.get_object_id("_id").unwrap().to_hex(), user)).collect()
}

/// How many files this process may have open.
fn open_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    line.split_whitespace().nth(3).and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX)
}
