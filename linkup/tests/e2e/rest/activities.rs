//! Activities: find, host, join, leave.
//!
//! | module | shows |
//! |---|---|
//! | [`chat`] | the conversations of activities |

mod chat;

use hyper::StatusCode;
use protocol::{Id, Timestamp};
use serde_json::{Value, json};

use super::fixture::{Node, Person, each, refused};
use crate::support::rest::Reply;

const TIME: &str = "2099-06-01T10:00:00.000Z";

/// What it takes to host an activity.
fn tea() -> Value {
    json!({"title": "Tea", "activityType": "social", "dateTime": TIME})
}

/// The same with another field.
fn tea_with(field: &str, value: Value) -> Value {
    let mut tea = tea();
    tea[field] = value;
    tea
}

/// Hosts an activity.
async fn host(person: &Person, activity: &Value) -> Value {
    person.rest.post("/api/activities", activity).await.ok()
}

fn path(activity: &Value) -> String {
    format!("/api/activities/{}", activity["id"].as_str().unwrap())
}

async fn join(person: &Person, activity: &Value) -> Reply {
    person.rest.post(&format!("{}/join", path(activity)), &json!({})).await
}

async fn leave(person: &Person, activity: &Value) -> Reply {
    person.rest.post(&format!("{}/leave", path(activity)), &json!({})).await
}

/// The titles of the activities that a query finds.
async fn found(person: &Person, query: &str) -> Vec<Value> {
    each(&person.rest.get(&format!("/api/activities?{query}")).await.ok(), "title")
}

fn no_activity(reply: &Reply) {
    refused(reply, 404, "not_found", "Activity not found");
}

#[tokio::test]
async fn an_activity_has_the_specifications_shape() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let reply = ada.rest.post("/api/activities", &tea_with("title", json!(" Tea\nand cake "))).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    let made = reply.body;
    let (id, at) = (&made["id"], &made["createdAt"]);
    let someone = |person: &Person, name: &str| json!({"_id": person.id, "id": person.id, "name": name, "avatar": null});
    let mut expected = json!({
        "_id": id, "id": id, "hostId": ada.id, "host": someone(&ada, "Ada"), "title": "Tea and cake",
        "description": "", "activityType": "social", "locationType": "", "dateTime": TIME, "duration": 60,
        "maxParticipants": 10, "participants": [someone(&ada, "Ada")], "participantCount": 1, "createdAt": at,
        "updatedAt": at,
    });
    assert_eq!(made, expected);
    assert_eq!(ada.rest.get(&path(&made)).await.ok(), expected);
    // What the caller has in common with the host is told to others than the host.
    expected["compatibility"] = json!(0);
    assert_eq!(bob.rest.get(&path(&made)).await.ok(), expected);
    assert_eq!(bob.rest.get("/api/activities").await.ok(), json!([expected]));

    let joined = join(&bob, &made).await.ok();
    expected["participants"] = json!([someone(&ada, "Ada"), someone(&bob, "Bob")]);
    expected["participantCount"] = json!(2);
    expected["updatedAt"] = joined["updatedAt"].clone();
    assert_eq!(joined, expected);
    assert_eq!(bob.rest.get(&path(&made)).await.ok(), expected);
}

#[tokio::test]
async fn everything_about_an_activity_can_be_said_and_changed_by_its_host() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let said = json!({
        "title": "Go", "description": "Bring\na board.", "activityType": "hobby", "locationType": " park ",
        "dateTime": "2099-06-01T10:00:00Z", "duration": 10_080, "maxParticipants": 1_000, "hostId": bob.id,
        "participants": [bob.id], "compatibility": 99,
    });
    let mut activity = host(&ada, &said).await;
    for (field, value) in [
        ("title", json!("Go")),
        ("description", json!("Bring\na board.")),
        ("activityType", json!("hobby")),
        ("locationType", json!("park")),
        ("dateTime", json!(TIME)),
        ("duration", json!(10_080)),
        ("maxParticipants", json!(1_000)),
        ("hostId", json!(ada.id)),
        ("participantCount", json!(1)),
    ] {
        assert_eq!(activity[field], value, "{field}");
    }
    for change in [
        json!({"title": "Chess"}),
        json!({"description": "", "locationType": ""}),
        json!({"activityType": "academic", "duration": 1}),
        json!({"dateTime": "2001-01-01T00:00:00.000Z"}),
        json!({"maxParticipants": 1}),
        json!({}),
        // Who takes part is not said here, nor whose it is.
        json!({"hostId": bob.id, "participants": [bob.id], "conversationId": Id::mint(), "title": null}),
    ] {
        let after = ada.rest.put(&path(&activity), &change).await.ok();
        for (field, value) in change.as_object().unwrap() {
            if !value.is_null() && !["hostId", "participants", "conversationId"].contains(&field.as_str()) {
                activity[field] = value.clone();
            }
        }
        activity["updatedAt"] = after["updatedAt"].clone();
        assert_eq!(after, activity, "{change}");
        assert_eq!(ada.rest.get(&path(&activity)).await.ok(), activity);
    }
    let text = "Only the host may change an activity";
    refused(&bob.rest.put(&path(&activity), &json!({"title": "x"})).await, 403, "forbidden", text);
    refused(&bob.rest.delete(&path(&activity), None).await, 403, "forbidden", text);
}

#[tokio::test]
async fn what_an_activity_cannot_be_is_refused_in_words() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let activity = host(&ada, &tea()).await;
    let time = "dateTime: must be a time in ISO 8601, such as 2026-11-23T04:26:30Z";
    let kind = "activityType: must be one of: academic, hobby, wellness, social";
    for (field, value, message) in [
        ("title", json!(" "), "title: must have 1 to 120 characters"),
        ("title", json!("x".repeat(121)), "title: must have 1 to 120 characters"),
        ("title", json!({"$ne": ""}), "title: must be a string"),
        ("description", json!("x".repeat(2_001)), "description: must not be longer than 2000 characters"),
        ("activityType", json!("sleep"), kind),
        ("activityType", json!("Social"), kind),
        ("locationType", json!("x".repeat(101)), "locationType: must not be longer than 100 characters"),
        ("dateTime", json!("tomorrow"), time),
        ("dateTime", json!("10000-01-01T00:00:00Z"), time),
        ("dateTime", json!(4_083_000_000_000_i64), "dateTime: must be a string"),
        ("duration", json!(0), "duration: must be a whole number from 1 to 10080"),
        ("duration", json!(10_081), "duration: must be a whole number from 1 to 10080"),
        ("duration", json!(1.5), "duration: must be a whole number from 1 to 10080"),
        ("duration", json!("60"), "duration: must be a whole number from 1 to 10080"),
        ("maxParticipants", json!(0), "maxParticipants: must be a whole number from 1 to 1000"),
        ("maxParticipants", json!(1_001), "maxParticipants: must be a whole number from 1 to 1000"),
    ] {
        let reply = ada.rest.post("/api/activities", &tea_with(field, value.clone())).await;
        refused(&reply, 400, "bad_request", message);
        let reply = ada.rest.put(&path(&activity), &json!({ field: value })).await;
        refused(&reply, 400, "bad_request", message);
    }
    for field in ["title", "activityType", "dateTime"] {
        let mut less = tea();
        less.as_object_mut().unwrap().remove(field);
        let reply = ada.rest.post("/api/activities", &less).await;
        refused(&reply, 400, "bad_request", &format!("{field}: is required"));
    }
    assert_eq!(ada.rest.get("/api/activities").await.ok(), json!([activity]));
}

#[tokio::test]
async fn activities_are_found_by_what_they_are() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let at =
        |title: &str, kind: &str, time: &str| json!({"title": title, "activityType": kind, "dateTime": time});
    let past = Timestamp::from_millis(Timestamp::now().millis() - 60_000).to_string();
    host(&ada, &at("c", "social", "2099-03-01T00:00:00Z")).await;
    let a = host(&ada, &at("a", "hobby", "2099-01-01T00:00:00Z")).await;
    host(&bob, &at("b", "social", "2099-02-01T00:00:00Z")).await;
    host(&bob, &at("past", "social", &past)).await;
    host(&bob, &at("long past", "social", "2001-01-01T00:00:00Z")).await;
    join(&bob, &a).await.ok();
    let (of_ada, of_bob) = (format!("hostId={}", ada.id), format!("hostId={}", bob.id));
    let with_bob = format!("participant={}", bob.id);
    for (query, titles) in [
        // From now on, the earliest first.
        ("", &["a", "b", "c"][..]),
        ("activityType=social", &["b", "c"]),
        (&of_ada, &["a", "c"]),
        (&of_bob, &["b"]),
        (&with_bob, &["a", "b"]),
        (&format!("{with_bob}&{of_ada}"), &["a"]),
        (&format!("{of_ada}&activityType=wellness"), &[]),
        ("from=1970-01-01T00:00:00Z", &["long past", "past", "a", "b", "c"]),
        (&format!("from={past}&to=2099-02-01T00:00:00Z"), &["past", "a"]),
        ("from=2099-02-01T00:00:00Z", &["b", "c"]),
        ("to=2099-02-01T00:00:00.001Z", &["a", "b"]),
        ("from=2099-02-01T00:00:00Z&to=2099-02-01T00:00:00Z", &[]),
        ("limit=2", &["a", "b"]),
        ("limit=2&page=2", &["c"]),
        ("limit=2&page=3", &[]),
        (&format!("hostId={}", Id::mint()), &[]),
    ] {
        assert_eq!(found(&ada, query).await, titles, "{query}");
    }
}

#[tokio::test]
async fn lists_name_some_of_many_participants() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let activity = host(&ada, &tea_with("maxParticipants", json!(40))).await;
    for n in 1..40 {
        join(&node.person(&format!("Guest {n}")).await, &activity).await.ok();
    }
    let listed = ada.rest.get("/api/activities").await.ok()[0].clone();
    let whole = ada.rest.get(&path(&activity)).await.ok();
    for (shown, named) in [(&listed, 32), (&whole, 40)] {
        let named_are = shown["participants"].as_array().unwrap().len();
        assert_eq!((named_are, &shown["participantCount"]), (named, &json!(40)));
    }
}

#[tokio::test]
async fn there_are_as_many_places_as_the_host_says() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    let activity = host(&ada, &tea_with("maxParticipants", json!(2))).await;
    join(&bob, &activity).await.ok();
    let before = ada.rest.get(&path(&activity)).await.ok();
    refused(&join(&eve, &activity).await, 409, "conflict", "This activity is full");
    // Who takes part already is told so again, be it full or not.
    assert_eq!(each(&join(&bob, &activity).await.ok()["participants"], "name"), ["Ada", "Bob"]);
    let fewer = ada.rest.put(&path(&activity), &json!({"maxParticipants": 1, "title": "x"})).await;
    refused(&fewer, 409, "conflict", "More people take part already");
    assert_eq!(ada.rest.get(&path(&activity)).await.ok(), before);
    ada.rest.put(&path(&activity), &json!({"maxParticipants": 2})).await.ok();

    assert_eq!(each(&leave(&bob, &activity).await.ok()["participants"], "name"), ["Ada"]);
    assert_eq!(each(&leave(&bob, &activity).await.ok()["participants"], "name"), ["Ada"]);
    assert_eq!(each(&join(&eve, &activity).await.ok()["participants"], "name"), ["Ada", "Eve"]);
    let text = "The host cannot leave, but can cancel the activity";
    refused(&leave(&ada, &activity).await, 409, "conflict", text);
    assert_eq!(join(&ada, &activity).await.ok()["participantCount"], 2);
}

#[tokio::test]
async fn a_cancelled_activity_and_one_that_never_was_are_answered_alike() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let cancelled = host(&ada, &tea()).await;
    join(&bob, &cancelled).await.ok();
    assert_eq!(ada.rest.delete(&path(&cancelled), None).await.ok(), json!({"success": true}));
    let never = json!({"id": Id::mint()});
    for activity in [&cancelled, &never] {
        let path = path(activity);
        for person in [&ada, &bob] {
            no_activity(&person.rest.get(&path).await);
            no_activity(&person.rest.put(&path, &json!({"title": "x"})).await);
            no_activity(&person.rest.delete(&path, None).await);
            no_activity(&join(person, activity).await);
            no_activity(&leave(person, activity).await);
            no_activity(&person.rest.get(&format!("{path}/conversation")).await);
            let create = json!({"activityId": activity["id"]});
            no_activity(&person.rest.post("/api/conversations", &create).await);
        }
    }
    assert_eq!(ada.rest.get("/api/activities").await.ok(), json!([]));
}

#[tokio::test]
async fn nobody_joins_across_a_block() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let (of_ada, of_bob) = (host(&ada, &tea()).await, host(&bob, &tea()).await);
    ada.block(&bob).await;
    for (person, activity) in [(&bob, &of_ada), (&ada, &of_bob)] {
        refused(&join(person, activity).await, 403, "forbidden", "You cannot join this activity");
    }
    ada.rest.delete(&format!("{}/blocks/{}", ada.path(), bob.id), None).await.ok();
    join(&bob, &of_ada).await.ok();
}

#[tokio::test]
async fn what_one_has_in_common_with_a_host_is_told_as_far_as_they_show_it() {
    let node = Node::alone().await;
    let (ada, friend, stranger) =
        (node.person("Ada").await, node.person("Friend").await, node.person("Stranger").await);
    ada.add(&friend).await;
    let activity = host(&ada, &tea()).await;
    for (person, interests) in
        [(&ada, json!(["Tea", "Go"])), (&friend, json!(["go"])), (&stranger, json!(["tea", "x"]))]
    {
        person.change(&json!({ "interests": interests })).await;
    }
    for (privacy, to_stranger) in
        [("public", json!(33)), ("friends-only", Value::Null), ("private", Value::Null)]
    {
        ada.change(&json!({"settings": {"privacy": privacy}})).await;
        for (person, common) in [(&friend, &json!(50)), (&stranger, &to_stranger), (&ada, &Value::Null)] {
            let listed = person.rest.get("/api/activities").await.ok();
            let shown = person.rest.get(&path(&activity)).await.ok();
            assert_eq!((&listed[0]["compatibility"], &shown["compatibility"]), (common, common), "{privacy}");
            // A host is named, however much they hide.
            assert_eq!(shown["host"]["name"], "Ada");
        }
    }
}

#[tokio::test]
async fn where_somebody_who_hides_will_be_is_not_found_by_asking_for_them() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let shy = node.person_with("Shy", "private").await;
    host(&shy, &tea()).await;
    for query in [format!("hostId={}", shy.id), format!("participant={}", shy.id)] {
        assert_eq!(found(&shy, &query).await.len(), 1, "to oneself one does not hide");
        assert!(found(&ada, &query).await.is_empty(), "{query}");
        assert!(found(&ada, &query.replace(&shy.id.to_string(), &Id::mint().to_string())).await.is_empty());
    }
    host(&bob, &tea()).await;
    let query = format!("hostId={}", bob.id);
    assert_eq!(found(&ada, &query).await.len(), 1);
    bob.block(&ada).await;
    assert!(found(&ada, &query).await.is_empty());
}
