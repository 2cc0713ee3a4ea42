//! The conversations of activities.

use hyper::StatusCode;
use protocol::Id;
use serde_json::{Value, json};

use super::{host, join, leave, path, tea, tea_with};
use crate::rest::fixture::{Node, Person, each, id, refused, seq};
use crate::support::rest::Reply;

/// Asks for the conversation of an activity.
async fn ask(person: &Person, activity: &Value) -> Reply {
    person.rest.get(&format!("{}/conversation", path(activity))).await
}

async fn members(person: &Person, conversation: Id) -> Vec<Value> {
    let conversation = person.rest.get(&format!("/api/conversations/{conversation}")).await.ok();
    each(&conversation["participants"], "name")
}

#[tokio::test]
async fn it_is_made_when_somebody_first_asks_for_it() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let activity = host(&ada, &tea()).await;
    join(&bob, &activity).await.ok();
    assert!(activity.get("conversationId").is_none());
    let reply = ask(&bob, &activity).await;
    assert_eq!(reply.status, StatusCode::OK);
    let made = reply.body;
    let (is, at) = (&made["id"], &made["createdAt"]);
    let someone = |person: &Person, name: &str| json!({"_id": person.id, "id": person.id, "name": name, "avatar": null, "status": "offline"});
    let expected = json!({
        "_id": is, "id": is, "name": "Tea", "type": "group", "createdBy": ada.id, "activityId": activity["id"],
        "participants": [someone(&ada, "Ada"), someone(&bob, "Bob")], "participantCount": 2, "createdAt": at,
        "updatedAt": at, "isActive": true, "lastMessage": null, "unreadCount": 0, "messages": [],
    });
    assert_eq!(made, expected);
    // Two people at tea are not the direct conversation of the two.
    assert_ne!(ada.conversation(&[&bob]).await, id(&made));
    for person in [&ada, &bob] {
        assert_eq!(person.rest.get(&path(&activity)).await.ok()["conversationId"], *is);
        assert_eq!(person.rest.get("/api/activities").await.ok()[0]["conversationId"], *is);
        assert_eq!(ask(person, &activity).await.ok(), expected);
        let create = json!({"activityId": activity["id"], "name": "x", "participants": [person.id]});
        let found = person.rest.post("/api/conversations", &create).await;
        assert_eq!((found.status, id(&found.body)), (StatusCode::OK, id(&made)));
        assert_eq!((&found.body["name"], found.body.get("messages")), (&json!("Tea"), None));
    }
}

#[tokio::test]
async fn it_can_be_made_like_any_other_conversation() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let activity = host(&ada, &tea()).await;
    let create = json!({"activityId": activity["id"]});
    let made = ada.rest.post("/api/conversations", &create).await;
    assert_eq!((made.status, &made.body["type"]), (StatusCode::CREATED, &json!("group")));
    assert_eq!(
        (&made.body["participants"][0]["name"], &made.body["unreadCount"]),
        (&json!("Ada"), &json!(0))
    );
    assert_eq!(ask(&ada, &activity).await.ok()["id"], made.body["id"]);
    let odd = ada.rest.post("/api/conversations", &json!({"activityId": "tea"})).await;
    refused(&odd, 400, "bad_request", "activityId: is not a valid identifier");
}

#[tokio::test]
async fn only_who_takes_part_may_ask_for_it() {
    let node = Node::alone().await;
    let (ada, eve) = (node.person("Ada").await, node.person("Eve").await);
    let activity = host(&ada, &tea()).await;
    for _ in 0..2 {
        let text = "You do not take part in this activity";
        refused(&ask(&eve, &activity).await, 403, "forbidden", text);
        let create = json!({"activityId": activity["id"]});
        refused(&eve.rest.post("/api/conversations", &create).await, 403, "forbidden", text);
        ask(&ada, &activity).await.ok();
    }
    assert!(eve.list().await.is_empty());
}

#[tokio::test]
async fn whoever_joins_or_leaves_the_activity_joins_or_leaves_it() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let activity = host(&ada, &tea_with("maxParticipants", json!(2))).await;
    let talk = id(&ask(&ada, &activity).await.ok());
    ada.say(talk, "before Bob").await;
    join(&bob, &activity).await.ok();
    assert_eq!(members(&bob, talk).await, ["Ada", "Bob"]);
    // What was said before is there to be read, and does not count as unread.
    assert_eq!(bob.list().await[0]["unreadCount"], 0);
    assert_eq!(bob.messages(talk, "").await.len(), 1);
    ada.say(talk, "after").await;
    assert_eq!(bob.list().await[0]["unreadCount"], 1);
    bob.say(talk, "hi").await;
    // A page of its messages comes with it.
    let page = ask(&bob, &activity).await.ok();
    assert_eq!(page["messages"].as_array().unwrap().iter().map(seq).collect::<Vec<_>>(), [1, 2, 3]);
    let page = bob.rest.get(&format!("{}/conversation?limit=1&page=2", path(&activity))).await.ok();
    assert_eq!(each(&page["messages"], "content"), ["after"]);

    assert_eq!(join(&eve, &activity).await.status, StatusCode::CONFLICT);
    assert!(eve.list().await.is_empty());
    leave(&bob, &activity).await.ok();
    let gone = "You are not a participant of this conversation";
    refused(&bob.rest.get(&format!("/api/conversations/{talk}")).await, 403, "forbidden", gone);
    assert!(bob.list().await.is_empty());
    assert_eq!(members(&ada, talk).await, ["Ada"]);
    join(&eve, &activity).await.ok();
    assert_eq!(members(&ada, talk).await, ["Ada", "Eve"]);
    let stored = node.store.conversation(talk).await.unwrap().unwrap();
    let change = stored.change.unwrap();
    assert_eq!((stored.rev, change.by, change.kind.as_str()), (3, eve.id, "update"));
}

#[tokio::test]
async fn its_members_are_changed_with_the_activity_only() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let activity = host(&ada, &tea()).await;
    join(&bob, &activity).await.ok();
    let talk = id(&ask(&ada, &activity).await.ok());
    let path_of_talk = format!("/api/conversations/{talk}");
    let text = "participants: of an activity's conversation are those of the activity";
    for (person, members) in [
        (&ada, vec![ada.id]),
        (&ada, vec![ada.id, bob.id, eve.id]),
        (&ada, vec![bob.id]),
        (&bob, vec![ada.id]),
    ] {
        let change = json!({"participants": members, "name": "x"});
        let change = if person.id == ada.id { change } else { json!({ "participants": members }) };
        refused(&person.rest.put(&path_of_talk, &change).await, 400, "bad_request", text);
    }
    assert_eq!(members(&ada, talk).await, ["Ada", "Bob"]);
    // Its name is its own, and its members may be named as they are.
    let named = json!({"name": "Cake", "participants": [ada.id, bob.id]});
    assert_eq!(ada.rest.put(&path_of_talk, &named).await.ok()["name"], "Cake");
    let rename = bob.rest.put(&path_of_talk, &json!({"name": "Pie"})).await;
    refused(&rename, 403, "forbidden", "Only the creator may rename a conversation");
    assert_eq!(ada.rest.get(&path(&activity)).await.ok()["title"], "Tea");
}

#[tokio::test]
async fn when_the_activity_is_cancelled_it_is_archived_and_can_go_on_by_itself() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let activity = host(&ada, &tea()).await;
    join(&bob, &activity).await.ok();
    let talk = id(&ask(&ada, &activity).await.ok());
    ada.say(talk, "see you").await;
    ada.rest.delete(&path(&activity), None).await.ok();
    for person in [&ada, &bob] {
        assert!(person.list().await.is_empty());
        let read = person.rest.get(&format!("/api/conversations/{talk}")).await.ok();
        assert_eq!((&read["isActive"], &read["messages"][0]["content"]), (&json!(false), &json!("see you")));
        // To what it belonged is still told.
        assert_eq!(read["activityId"], activity["id"]);
    }
    bob.say(talk, "another time?").await;
    assert_eq!((id(&ada.list().await[0]), &ada.list().await[0]["isActive"]), (talk, &json!(true)));
    let change = json!({"participants": [ada.id, bob.id, eve.id]});
    ada.rest.put(&format!("/api/conversations/{talk}"), &change).await.ok();
    assert_eq!(eve.list().await.len(), 1);
}

#[tokio::test]
async fn archived_it_is_shown_as_it_is_and_comes_back_when_somebody_begins_it_anew() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let activity = host(&ada, &tea()).await;
    join(&bob, &activity).await.ok();
    let talk = id(&ask(&ada, &activity).await.ok());
    ada.rest.delete(&format!("/api/conversations/{talk}"), None).await.ok();
    assert!(bob.list().await.is_empty());
    let read = ask(&bob, &activity).await.ok();
    assert_eq!((id(&read), &read["isActive"], ada.list().await.len()), (talk, &json!(false), 0));
    let begin = json!({"activityId": activity["id"]});
    let back = bob.rest.post("/api/conversations", &begin).await.ok();
    assert_eq!((id(&back), &back["isActive"], ada.list().await.len()), (talk, &json!(true), 1));
}
