//! What conversations and messages cost.

use protocol::command::{PATH, READY_PATH};
use protocol::{Id, Timestamp};
use serde_json::{Value, json};

use super::row::Row;
use super::world::World;
use crate::rest::fixture::{Person, id};

/// A list is put in order by what happened last, which no index can know.
const OWN: &str = "the conversations of one user, of which the newest 500 are kept";

pub(super) async fn rows(world: &World) -> Vec<Row> {
    let mut rows = reads(world);
    rows.extend(pages(world).await);
    rows.extend(conversations(world).await);
    rows.extend(messages(world).await);
    rows.extend(batches(world).await);
    rows
}

fn reads(world: &World) -> Vec<Row> {
    let ada = &world.ada;
    let get = |case: &str, id: Id, commands: usize| {
        Row::new("get_conversation", case, ada, format!("/api/conversations/{id}"), commands)
    };
    vec![
        Row::new("list_conversations", "", ada, "/api/conversations", 6).may_sort(OWN),
        get("of two", world.direct, 6),
        get("of three", world.group, 6),
        get("of forty", world.large, 6),
    ]
}

async fn pages(world: &World) -> Vec<Row> {
    let ada = &world.ada;
    let middle = ada.messages(world.direct, "after=199&limit=1").await;
    let time = middle[0]["createdAt"].as_str().unwrap();
    let page = |case: &str, id: Id, query: &str, commands: usize| {
        let path = format!("/api/conversations/{id}/messages?{query}");
        Row::new("list_messages", case, ada, path, commands)
    };
    vec![
        page("", world.direct, "", 5),
        page("on page 5", world.direct, "page=5&limit=50", 5),
        page("before a `seq`", world.direct, "before=200", 5),
        page("before a time", world.direct, &format!("before={time}"), 5),
        page("after a `seq`", world.direct, "after=200", 5),
        page("changed since", world.direct, &format!("updatedAfter={time}"), 5),
        page("of forty", world.large, "", 6),
    ]
}

async fn conversations(world: &World) -> Vec<Row> {
    let (ada, bob, eve, crowd) = (&world.ada, &world.bob, &world.eve, &world.crowd);
    let create = |case: &str, body: Value, commands: usize| {
        Row::new("create_conversation", case, ada, "/api/conversations", commands).with(body)
    };
    let change = |case: &str, id: Id, body: Value, commands: usize| {
        Row::new("change_conversation", case, ada, format!("/api/conversations/{id}"), commands).with(body)
    };
    let archive = |case: &str, id: Id, commands: usize| {
        Row::new("archive_conversation", case, ada, format!("/api/conversations/{id}"), commands)
    };
    let bare = world.activity(ada, &json!({})).await;
    let chatty = world.activity_with_conversation(ada).await;
    let [hidden, archived] = [ada.conversation(&[eve]).await, ada.conversation(&[bob, eve]).await];
    for conversation in [hidden, archived] {
        ada.rest.delete(&format!("/api/conversations/{conversation}"), None).await.ok();
    }
    let gone = ada.conversation(&[bob, eve]).await;
    let left = ada.conversation(&[bob, eve]).await;
    vec![
        create("of two", json!({"participants": [crowd[60]]}), 6),
        create("of two who have one", json!({"participants": [bob.id]}), 6),
        create("of two who have archived it", json!({"participants": [eve.id]}), 6),
        create("of three", json!({"participants": [bob.id, eve.id], "name": "Tea"}), 4),
        create("of forty", json!({"participants": &crowd[100..139]}), 4),
        create("of an activity", json!({"activityId": bare}), 10),
        create("of an activity that has one", json!({"activityId": chatty}), 5),
        change("name", world.group, json!({"name": "Coffee"}), 7),
        change(
            "one more member",
            world.group,
            json!({"participants": [ada.id, bob.id, eve.id, crowd[61]]}),
            10,
        ),
        change("one member less", world.group, json!({"participants": [ada.id, bob.id, eve.id]}), 8),
        change("leave", left, json!({"participants": [bob.id, eve.id]}), 4),
        archive("", gone, 5),
        archive("that is archived", archived, 3),
    ]
}

async fn messages(world: &World) -> Vec<Row> {
    let (ada, bob) = (&world.ada, &world.bob);
    let fresh = ada.conversation(&[bob, &world.eve]).await;
    let sent = async |who: &Person, conversation: Id| id(&who.say(conversation, "hi").await);
    let (edited, deleted) = (sent(ada, fresh).await, sent(ada, fresh).await);
    let (marked, told) = (sent(bob, fresh).await, sent(bob, world.large).await);
    let widely = sent(ada, world.large).await;
    let archived = ada.conversation(&[bob, &world.eve]).await;
    ada.rest.delete(&format!("/api/conversations/{archived}"), None).await.ok();
    let untouched = ada.conversation(&[bob, &world.eve]).await;
    let send = |case: &str, conversation: Id, body: Value, commands: usize| {
        let path = format!("/api/conversations/{conversation}/messages");
        Row::new("send_message", case, ada, path, commands).with(body)
    };
    let edit = |case: &str, message: Id, commands: usize| {
        let path = format!("/api/messages/{message}");
        Row::new("edit_message", case, ada, path, commands).with(json!({"content": "changed"}))
    };
    let mark = |case: &str, message: Id, commands: usize| {
        Row::new("mark_read", case, ada, format!("/api/messages/{message}/read"), commands)
    };
    let named = json!({"content": "hi", "clientMessageId": "once"});
    vec![
        send("", fresh, json!({"content": "hi"}), 3),
        send("by a name of the client's", fresh, named.clone(), 3),
        send("again by the same name", fresh, named, 6),
        send("where this node has not written yet", untouched, json!({"content": "hi"}), 4),
        send("to forty", world.large, json!({"content": "hi"}), 3),
        send("to an archived conversation", archived, json!({"content": "hi"}), 6),
        edit("", edited, 6),
        edit("to forty", widely, 7),
        Row::new("delete_message", "", ada, format!("/api/messages/{deleted}"), 4),
        mark("", marked, 6),
        mark("again", marked, 5),
        mark("of forty", told, 6),
    ]
}

async fn batches(world: &World) -> Vec<Row> {
    let fresh = world.ada.conversation(&[&world.bob, &world.eve]).await;
    let elsewhere = world.ada.conversation(&[&world.bob, &world.eve]).await;
    let connect = |who: &Person| json!({"connect": {"user": who.id, "generation": 0}});
    let send = |conversation: Id| {
        json!({"send": {
            "message": Id::mint(), "sender": world.ada.id, "conversation": conversation, "payload": {"content": "hi"},
        }})
    };
    let said = id(&world.bob.say(fresh, "hi").await);
    let read = json!({"read": {"user": world.ada.id, "message": said}});
    let gateway = Id::mint();
    let presence = |user: &Id| {
        json!({"presence": {
            "gateway": gateway, "user": user, "version": 1, "presence": "online", "at": Timestamp::now(),
        }})
    };
    let batch = |case: &str, commands: Vec<Value>, most: usize| {
        let row = Row::new("commands", case, &world.ada, PATH, 1).up_to(most);
        row.with(json!({"commands": commands}))
    };
    vec![
        batch(
            "30 sockets",
            (0..30).map(|n| connect(if n % 2 == 0 { &world.ada } else { &world.bob })).collect(),
            2,
        ),
        // The first message may go alone; the others wait for it and go together.
        batch("100 messages to one conversation", (0..100).map(|_| send(fresh)).collect(), 6),
        batch(
            "50 messages to each of two",
            (0..100).map(|n| send(if n % 2 == 0 { fresh } else { elsewhere })).collect(),
            12,
        ),
        // The same here: where the first has moved the cursor, there is nothing left to write.
        batch("100 marks of one message", vec![read; 100], 9),
        batch("what 200 users are", world.crowd[..200].iter().map(presence).collect(), 3),
        batch("a heartbeat", vec![json!({"alive": {"gateway": gateway}})], 1),
        Row::new("ready", "", &world.ada, READY_PATH, 0),
    ]
}
