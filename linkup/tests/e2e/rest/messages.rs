//! Send, list, mark as read.

use hyper::StatusCode;
use protocol::Id;
use serde_json::{Value, json};
use store::bson::doc;

use super::fixture::{Node, Person, each, id, seq};

fn numbers(messages: &[Value]) -> Vec<i64> {
    messages.iter().map(seq).collect()
}

async fn read(person: &Person, message: Id) -> Value {
    person.rest.put(&format!("/api/messages/{message}/read"), &json!({})).await.ok()
}

#[tokio::test]
async fn a_message_has_the_specifications_shape() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let body = json!({
        "content": "look", "contentType": "image", "attachmentUrl": "https://example.org/a.png",
        "clientMessageId": "c1", "sender": "somebody else", "seq": 99,
    });
    let reply = ada.rest.post(&format!("/api/conversations/{conversation}/messages"), &body).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    let message = reply.body;
    let expected = json!({
        "_id": message["_id"], "id": message["_id"], "conversationId": conversation, "seq": 1,
        "sender": {"_id": ada.id, "id": ada.id, "name": "Ada", "avatar": null},
        "content": "look", "contentType": "image", "attachmentUrl": "https://example.org/a.png",
        "clientMessageId": "c1", "readBy": [{"userId": ada.id, "readAt": message["createdAt"]}],
        "createdAt": message["createdAt"], "updatedAt": message["createdAt"], "isDeleted": false,
    });
    assert_eq!(message, expected);
    assert_eq!(bob.messages(conversation, "").await, [expected]);
}

#[tokio::test]
async fn pages_are_cut_by_number_and_by_time() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let mut sent = Vec::new();
    for n in 1..=30 {
        sent.push(ada.say(conversation, &n.to_string()).await);
    }
    let page = async |query: &str| numbers(&bob.messages(conversation, query).await);
    let range = |from: i64, to: i64| (from..=to).collect::<Vec<_>>();
    assert_eq!(page("").await, range(11, 30));
    assert_eq!(page("limit=10&page=2").await, range(11, 20));
    assert!(page("limit=10&page=4").await.is_empty());
    assert_eq!(page("before=11&limit=5").await, range(6, 10));
    assert!(page("before=0").await.is_empty());
    assert_eq!(page("after=25").await, range(26, 30));
    assert_eq!(page("after=0&limit=3").await, range(1, 3));
    let time = sent[10]["createdAt"].as_str().unwrap();
    let before = page(&format!("before={time}&limit=3")).await;
    let last = sent.iter().filter(|m| m["createdAt"].as_str().unwrap() < time).count() as i64;
    assert_eq!(before, range(last - 2, last));
}

#[tokio::test]
async fn deleted_messages_are_left_out_but_leave_a_tombstone() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    for text in ["one", "two", "three"] {
        ada.say(conversation, text).await;
    }
    let second = id(&bob.messages(conversation, "").await[1]);
    ada.rest.delete(&format!("/api/messages/{second}"), None).await.ok();
    assert_eq!(numbers(&bob.messages(conversation, "").await), [1, 3]);
    let all = bob.messages(conversation, "after=0").await;
    assert_eq!(numbers(&all), [1, 2, 3]);
    assert_eq!((&all[1]["isDeleted"], &all[1]["content"]), (&json!(true), &json!("")));
    assert_eq!(bob.list().await[0]["unreadCount"], 2);
}

#[tokio::test]
async fn reading_a_message_reads_all_before_it_and_never_goes_back() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let conversation = ada.conversation(&[&bob, &eve]).await;
    let mut sent = Vec::new();
    for n in 1..=4 {
        sent.push(id(&ada.say(conversation, &n.to_string()).await));
    }
    let unread = async || bob.list().await[0]["unreadCount"].clone();
    assert_eq!(unread().await, 4);
    let message = read(&bob, sent[2]).await;
    assert_eq!(message["readBy"][1]["userId"], json!(bob.id));
    assert_eq!(unread().await, 1);
    // The page says so again and again, and in any order.
    assert_eq!(read(&bob, sent[2]).await, message);
    read(&bob, sent[0]).await;
    assert_eq!(unread().await, 1);
    let seen = ada.messages(conversation, "").await;
    let readers = |message: &Value| message["readBy"].as_array().unwrap().len();
    assert_eq!(seen.iter().map(readers).collect::<Vec<_>>(), [2, 2, 2, 1]);
    assert_eq!(seen[0]["readBy"][1]["readAt"], message["readBy"][1]["readAt"]);
    let cursors = node.store.reads().count_documents(doc! {}).await.unwrap();
    assert_eq!(cursors, 1);
}

#[tokio::test]
async fn in_a_large_group_only_the_callers_own_reading_is_told() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let mut others = Vec::new();
    for n in 0..40 {
        others.push(node.person(&format!("Member {n}")).await);
    }
    let conversation = ada.conversation(&others.iter().collect::<Vec<_>>()).await;
    let message = id(&ada.say(conversation, "hi").await);
    for reader in &others[..3] {
        assert_eq!(read(reader, message).await["readBy"].as_array().unwrap().len(), 2);
    }
    assert_eq!(ada.messages(conversation, "").await[0]["readBy"].as_array().unwrap().len(), 1);
    assert_eq!(others[0].list().await[0]["unreadCount"], 0);
    assert_eq!(others[9].list().await[0]["unreadCount"], 1);
}

#[tokio::test]
async fn in_a_large_group_readers_are_counted() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let mut others = Vec::new();
    for n in 0..31 {
        others.push(node.person(&format!("Member {n}")).await);
    }
    let conversation = ada.conversation(&others.iter().collect::<Vec<_>>()).await;
    let path = format!("/api/conversations/{conversation}");
    let mut sent = Vec::new();
    for n in 1..=3 {
        sent.push(id(&ada.say(conversation, &n.to_string()).await));
    }
    for (reader, message) in others.iter().zip([sent[0], sent[1], sent[1], sent[2]]) {
        read(reader, message).await;
    }
    let counts = async |person: &Person| each(&person.messages(conversation, "").await.into(), "readCount");
    // As long as everybody is named, nobody needs to count.
    assert_eq!(counts(&ada).await, [Value::Null, Value::Null, Value::Null]);
    let late = node.person("Late").await;
    let mut members: Vec<Id> = others.iter().map(|person| person.id).collect();
    members.extend([ada.id, late.id]);
    ada.rest.put(&path, &json!({ "participants": members })).await.ok();
    // The sender has read what they sent. Whoever joins has read nothing of what was before.
    for person in [&ada, &others[0], &late] {
        assert_eq!(counts(person).await, [5, 4, 2]);
    }
    sent.push(id(&others[0].say(conversation, "4").await));
    read(&late, sent[3]).await;
    assert_eq!(counts(&ada).await, [5, 4, 2, 2]);
    // Marking one's own message counts once.
    read(&others[0], sent[3]).await;
    assert_eq!(counts(&ada).await, [5, 5, 3, 2]);
    let whole = ada.rest.get(&path).await.ok();
    assert_eq!(each(&whole["messages"], "readCount"), [5, 5, 3, 2]);
    assert_eq!(whole["lastMessage"]["readCount"], 2);
}
