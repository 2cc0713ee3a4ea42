//! The two users of a probe: nobody else finds them, names them or hears of them, and they can do nothing but talk to
//! each other.

use std::collections::BTreeSet;

use api::endpoint::{Access, ENDPOINTS, Verb};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use protocol::Id;
use protocol::probe::{Accounts, Name, PATH};
use serde_json::{Value, json};
use store::bson::doc;
use store::convert::oid;

use super::Probe;
use crate::rest::access::quiet_node;
use crate::rest::access::world::digest;
use crate::rest::fixture::{Node, Person, id, refused};
use crate::support::people::{self, register};
use crate::support::rest::{Reply, Rest};
use crate::support::socket::{Dialect, Socket};
use crate::support::stack::{Stack, tokens};
use crate::support::{SOON, eventually};
use linkup::probe::Outcome;

/// Asks for the accounts of a probe as it does itself.
async fn accounts(rest: &Rest, name: &str) -> Accounts {
    let name: Name = name.parse().unwrap();
    let rest = rest.with_token(&tokens().sign_probe(&name).unwrap());
    serde_json::from_value(rest.post(PATH, &json!({"name": name.as_str()})).await.ok()).unwrap()
}

#[tokio::test]
async fn they_are_made_once_whoever_asks_and_however_often() {
    let node = Node::alone().await;
    let asks: Vec<_> = (0..8)
        .map(|_| {
            let rest = node.rest.clone();
            tokio::spawn(async move { accounts(&rest, "default").await })
        })
        .collect();
    let mut all = BTreeSet::new();
    for ask in asks {
        let Accounts { users: [one, other], conversation_id } = ask.await.unwrap();
        all.insert((one.id, other.id, conversation_id));
    }
    let (one, other, conversation) = all.pop_first().unwrap();
    assert!(all.is_empty() && one != other, "{all:?}");
    let stored = node.store.conversation(conversation).await.unwrap().unwrap();
    assert_eq!((stored.participants, stored.probe.as_deref()), (vec![one, other], Some("default")));
    // Another probe has nothing of it, not even one whose name differs only by case.
    let another = accounts(&node.rest, "Default").await;
    assert!(another.users.iter().all(|user| ![one, other].contains(&user.id)));
    assert_ne!(another.conversation_id, conversation);
}

#[tokio::test]
async fn a_token_is_good_for_the_accounts_of_its_own_name_only() {
    let node = Node::alone().await;
    let probe = node.probe(&Name::default());
    let reply = probe.post(PATH, &json!({"name": "other"})).await;
    refused(&reply, 403, "forbidden", "This token is another probe's");
    for bad in [json!({}), json!({"name": "a b"}), json!({"name": {"$ne": ""}}), json!([])] {
        assert_eq!(probe.post(PATH, &bad).await.status, 400, "{bad}");
    }
    assert_eq!(node.store.users().count_documents(doc! {}).await.unwrap(), 0);
    // What a person has who could not have registered it, a probe is not given.
    let ada = node.person("Ada").await;
    let taken = doc! {"$set": {"username": "probe:default:a"}};
    node.store.users().update_one(doc! {"_id": oid(ada.id)}, taken).await.unwrap();
    let reply = probe.post(PATH, &json!({"name": "default"})).await;
    assert_eq!(reply.status, 500, "{}", reply.body);
    assert!(!reply.body.to_string().contains(&ada.id.to_string()));
}

#[tokio::test]
async fn nobody_signs_in_or_registers_as_one() {
    let node = Node::alone().await;
    accounts(&node.rest, "default").await;
    for (path, more) in [("/api/auth/login", json!({})), ("/api/auth/register", json!({"name": "Probe"}))] {
        for password in ["", "probe", "correct horse"] {
            let mut body = json!({"email": "probe:default:a", "password": password});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(node.rest.post(path, &body).await.status, 400, "{path} {password}");
        }
    }
    let ada = node.person("Ada").await;
    let handle = json!({"username": "probe:default:c"});
    assert_eq!(ada.rest.put(&ada.path(), &handle).await.status, 400);
}

/// Ada, who is curious, with what she has, and a probe.
struct World {
    node: Node,
    ada: Person,
    bob: Person,
    group: Id,
    probe: Accounts,
    /// What the probe said.
    message: Id,
}

impl World {
    async fn make() -> Self {
        let node = quiet_node().await;
        let probe = accounts(&node.rest, "default").await;
        let [ada, bob, eve] = [node.person("Ada").await, node.person("Bob").await, node.person("Eve").await];
        let group = ada.conversation(&[&bob, &eve]).await;
        let message = Id::mint();
        let send = json!({"send": {
            "message": message, "sender": probe.users[0].id, "conversation": probe.conversation_id,
            "payload": {"content": "probe"},
        }});
        node.gateway().post(protocol::command::PATH, &json!({"commands": [send]})).await.ok();
        Self { node, ada, bob, group, probe, message }
    }

    /// Fails if an answer tells of the probe.
    fn tells_nothing(&self, what: &str, reply: &Reply) {
        let text = reply.body.to_string();
        let [one, other] = &self.probe.users;
        for known in [one.id, other.id, self.probe.conversation_id] {
            assert!(!text.contains(&known.to_string()), "{what}: {text}");
        }
        assert!(!text.contains("Probe") && !text.contains("probe:"), "{what}: {text}");
    }
}

#[tokio::test]
async fn they_are_in_no_list_no_search_and_no_leaderboard() {
    let world = World::make().await;
    // As high as nobody else, and as visible as it gets.
    let of_probes = doc! {"probe": {"$exists": true}};
    let boast = doc! {"$set": {"score": 1_000_000_i64, "settings.privacy": "public", "terms": ["probe"]}};
    for round in ["as they are made", "as public as they could be"] {
        for (query, count) in [
            ("", 3),
            ("?limit=100", 3),
            ("?sort=score", 3),
            ("?sort=name&page=1", 3),
            ("?search=probe", 0),
            ("?search=Probe+default", 0),
            ("?search=probe:default:a", 0),
            ("?search=a", 1),
        ] {
            let reply = world.ada.rest.get(&format!("/api/users{query}")).await;
            world.tells_nothing(query, &reply);
            assert_eq!(reply.body.as_array().unwrap().len(), count, "{round}: {query}: {}", reply.body);
        }
        world.node.store.users().update_many(of_probes.clone(), boast.clone()).await.unwrap();
    }
}

#[tokio::test]
async fn whoever_names_one_is_answered_as_if_nobody_were_there() {
    let world = World::make().await;
    let (ada, bob, group) = (&world.ada, &world.bob, world.group);
    let of_probes = doc! {"probe": {"$exists": true}};
    let open = doc! {"$set": {"settings.privacy": "public"}};
    for round in ["as they are made", "as public as they could be"] {
        let call = async |verb: &str, path: &str, body: &str, who: Id| {
            let filled = |text: &str| {
                text.replace("WHO", &who.to_string())
                    .replace("ADA", &ada.id.to_string())
                    .replace("BOB", &bob.id.to_string())
                    .replace("GROUP", &group.to_string())
            };
            let body: Value = serde_json::from_str(&filled(body)).unwrap();
            let reply = match verb {
                "GET" => ada.rest.get(&filled(path)).await,
                "POST" => ada.rest.post(&filled(path), &body).await,
                "PUT" => ada.rest.put(&filled(path), &body).await,
                _ => ada.rest.delete(&filled(path), None).await,
            };
            world.tells_nothing(path, &reply);
            let mut said = reply.body;
            // Taking back what was never there succeeds, at whatever time.
            if let Some(said) = said.as_object_mut() {
                said.remove("updatedAt");
            }
            (reply.status.as_u16(), said)
        };
        for (verb, path, body, status) in [
            ("GET", "/api/users/WHO", "{}", 404),
            ("PUT", "/api/users/WHO", r#"{"bio": "x"}"#, 403),
            ("DELETE", "/api/users/WHO", "{}", 403),
            ("GET", "/api/users/WHO/friends", "{}", 403),
            ("GET", "/api/users/WHO/blocks", "{}", 403),
            ("POST", "/api/users/ADA/friends/WHO", "{}", 404),
            ("DELETE", "/api/users/ADA/friends/WHO", "{}", 200),
            ("POST", "/api/users/ADA/blocks/WHO", "{}", 404),
            ("DELETE", "/api/users/ADA/blocks/WHO", "{}", 200),
            ("POST", "/api/users/WHO/friends/ADA", "{}", 403),
            ("POST", "/api/conversations", r#"{"participants": ["WHO"]}"#, 400),
            ("POST", "/api/conversations", r#"{"participants": ["WHO", "BOB"]}"#, 400),
            ("PUT", "/api/conversations/GROUP", r#"{"participants": ["ADA", "BOB", "WHO"]}"#, 400),
            ("GET", "/api/activities?hostId=WHO", "{}", 200),
            ("GET", "/api/activities?participant=WHO", "{}", 200),
        ] {
            for user in &world.probe.users {
                let before = digest(&world.node.store).await;
                let told = call(verb, path, body, user.id).await;
                let nobody = call(verb, path, body, Id::mint()).await;
                assert_eq!(told, nobody, "{round}: {verb} {path}");
                assert_eq!(told.0, status, "{round}: {verb} {path}: {}", told.1);
                if verb != "DELETE" {
                    assert_eq!(digest(&world.node.store).await, before, "{verb} {path}");
                }
            }
        }
        world.node.store.users().update_many(of_probes.clone(), open.clone()).await.unwrap();
    }
}

#[tokio::test]
async fn their_conversation_is_theirs_alone() {
    let world = World::make().await;
    let (ada, conversation) = (&world.ada.rest, world.probe.conversation_id);
    let path = format!("/api/conversations/{conversation}");
    let message = format!("/api/messages/{}", world.message);
    let words = json!({"content": "let me in"});
    let before = digest(&world.node.store).await;
    let replies = [
        ada.get(&path).await,
        ada.get(&format!("{path}/messages")).await,
        ada.post(&format!("{path}/messages"), &words).await,
        ada.put(&path, &json!({"participants": [world.ada.id]})).await,
        ada.delete(&path, None).await,
        ada.put(&message, &words).await,
        ada.delete(&message, None).await,
        ada.put(&format!("{message}/read"), &json!({})).await,
    ];
    for reply in replies {
        assert_eq!(reply.status, 403, "{}", reply.body);
        world.tells_nothing("a conversation of others", &reply);
    }
    let lists = ada.get("/api/conversations").await;
    world.tells_nothing("the list", &lists);
    assert_eq!(digest(&world.node.store).await, before);
}

#[tokio::test]
async fn a_token_of_theirs_opens_nothing_over_rest() {
    let world = World::make().await;
    let tomorrow = json!({"title": "Tea", "activityType": "social", "dateTime": "2099-01-01T12:00:00Z"});
    let activity = id(&world.ada.rest.post("/api/activities", &tomorrow).await.ok());
    let before = digest(&world.node.store).await;
    let mut tried = 0;
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.access == Access::User) {
        for user in &world.probe.users {
            let own = match endpoint.path.split('/').nth(2).unwrap() {
                "users" => user.id,
                "conversations" => world.probe.conversation_id,
                "messages" => world.message,
                _ => activity,
            };
            let path = endpoint.path.replace("{id}", &own.to_string());
            let path = path.replace("{other}", &world.ada.id.to_string());
            let mut body = tomorrow.clone();
            body["participants"] = json!([world.ada.id]);
            body["content"] = json!("hello");
            let request = Request::builder()
                .method(endpoint.verb.as_str())
                .uri(format!("http://{}{path}", world.node.address))
                .header(AUTHORIZATION, format!("Bearer {}", user.token))
                .header(CONTENT_TYPE, "application/json");
            let body = if endpoint.verb == Verb::Get { String::new() } else { body.to_string() };
            let reply = world.node.rest.send(request.body(Full::new(Bytes::from(body))).unwrap()).await;
            let what = format!("{} {path}: {}", endpoint.verb.as_str(), reply.body);
            assert_eq!(reply.status, 403, "{what}");
            assert_eq!(
                reply.body["message"], "This account can do nothing but exchange messages over a socket",
                "{what}"
            );
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried}");
    assert_eq!(digest(&world.node.store).await, before);
}

/// Whether anything that a socket was sent tells of one of these.
fn hears_of(socket: &Socket, ids: &[Id]) -> bool {
    let tells = |text: String| ids.iter().any(|id| text.contains(&id.to_string()));
    socket.events().iter().any(|event| tells(event.payload.to_string()))
}

/// Waits until somebody else's message has arrived: what came before it is there, too.
async fn marked(base: &str, watcher: &people::Person, socket: &Socket) {
    let other = register(base, "Other").await;
    let conversation = other.talk_to(&[watcher]).await;
    other.say(&conversation, "now").await;
    eventually("the mark arrives", SOON, async || (!socket.messages(&conversation).is_empty()).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_hears_that_they_come_talk_and_go() {
    let stack = Stack::start().await;
    let base = stack.base();
    let ada = register(&base, "Ada").await;
    let socket = ada.connect(&base, Dialect::SocketIo).await;
    let probe = Probe::start(&base, |_| {});
    probe.more(Outcome::Delivered, 3).await;
    let Accounts { users, conversation_id } = accounts(&Rest::new(&base), "default").await;
    let all = [users[0].id, users[1].id, conversation_id];
    let offline = doc! {"_id": oid(all[0]), "status": "offline", "presenceRev": {"$exists": true}};
    probe.stop().await;
    eventually("it is offline", 2 * SOON, async || {
        (stack.store().users().count_documents(offline.clone()).await.unwrap() == 1).then_some(())
    })
    .await;
    marked(&base, &ada, &socket).await;
    assert!(!hears_of(&socket, &all), "{:?}", socket.events());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_socket_a_token_of_theirs_reaches_only_the_other_one() {
    let stack = Stack::start().await;
    let base = stack.base();
    let (ada, bob) = (register(&base, "Ada").await, register(&base, "Bob").await);
    let talk = ada.talk_to(&[&bob]).await;
    let said = ada.say(&talk, "between us").await;
    let Accounts { users: [one, other], conversation_id } = accounts(&Rest::new(&base), "default").await;
    let watching = ada.connect(&base, Dialect::Plain).await;
    let [thief, peer] = [
        Socket::connect(&base, Dialect::Plain, &one.token).await.unwrap(),
        Socket::connect(&base, Dialect::SocketIo, &other.token).await.unwrap(),
    ];
    for (name, payload) in [
        ("message:send", json!({"conversationId": talk, "content": "hello"})),
        ("message:read", json!({"messageId": said["id"], "conversationId": talk})),
    ] {
        let answer = thief.ask(name, &payload).await.unwrap();
        assert_eq!(answer["ok"], false, "{name}: {answer}");
    }
    thief.emit("conversation:typing", &json!({"conversationId": talk, "isTyping": true}));
    let own = json!({"conversationId": conversation_id, "content": "to the other one"});
    assert_eq!(thief.ask("message:send", &own).await.unwrap()["ok"], true);
    let conversation = conversation_id.to_string();
    eventually("it arrives", SOON, async || (!peer.messages(&conversation).is_empty()).then_some(())).await;
    marked(&base, &ada, &watching).await;
    assert!(!hears_of(&watching, &[one.id, other.id, conversation_id]), "{:?}", watching.events());
}
