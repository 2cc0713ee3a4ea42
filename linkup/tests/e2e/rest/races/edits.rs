//! Changes of the same thing at the same time do not undo each other.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::{Pair, at_once, delete, put, statuses};
use crate::rest::fixture::id;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_keeps_its_new_name_and_its_new_member() {
    let pair = Pair::start().await;
    let people = pair.people(4).await;
    let [ada, bob, eve, _] = &people[..] else { panic!("four people") };
    let mut wanted: Vec<_> = people.iter().map(|person| person.id).collect();
    wanted.sort();
    for round in 0..20 {
        let group = ada.conversation(&[bob, eve]).await;
        let path = format!("/api/conversations/{group}");
        let name = format!("Tea {round}");
        let changes = [
            put(pair.at(0, ada), &path, json!({"name": name})),
            put(pair.at(1, bob), &path, json!({"participants": wanted})),
        ];
        for reply in at_once(changes).await {
            reply.ok();
        }
        let stored = pair.0[0].store.conversation(group).await.unwrap().unwrap();
        let mut members = stored.participants;
        members.sort();
        assert_eq!((stored.rev, stored.name, &members), (2, Some(name), &wanted));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_and_an_activity_keep_every_field() {
    let pair = Pair::start().await;
    let ada = pair.person("Ada").await;
    let new = json!({"title": "Tea", "activityType": "social", "dateTime": "2099-01-01T12:00:00Z"});
    let activity = format!("/api/activities/{}", id(&ada.rest.post("/api/activities", &new).await.ok()));
    for round in 0..10 {
        let profile = [
            json!({"bio": format!("bio {round}")}),
            json!({"avatar": format!("https://example.org/{round}.png")}),
            json!({"name": format!("Ada {round}")}),
            json!({"username": format!("ada-{round}")}),
            json!({"settings": {"notifications": round % 2 == 0}}),
            json!({"settings": {"privacy": if round % 2 == 0 { "private" } else { "public" }}}),
        ];
        let event = [
            json!({"title": format!("title {round}")}),
            json!({"description": format!("description {round}")}),
            json!({"maxParticipants": 10 + round}),
        ];
        for (path, changes) in [(&ada.path(), &profile[..]), (&activity, &event[..])] {
            let replies = at_once(
                changes.iter().enumerate().map(|(n, change)| put(pair.at(n, &ada), path, change.clone())),
            );
            for reply in replies.await {
                reply.ok();
            }
            let stored = ada.rest.get(path).await.ok();
            changes.iter().for_each(|change| assert_holds(&stored, change));
        }
        // The search has not been left behind by either of name and handle.
        let handle = format!("ada-{round}");
        for word in [handle.as_str(), &format!("ada+{round}")] {
            let found = ada.rest.get(&format!("/api/users?search={word}")).await.ok();
            assert_eq!(found[0]["username"], json!(handle), "{word}");
        }
    }
}

/// Fails unless every field of `part` is in `whole`, too.
fn assert_holds(whole: &Value, part: &Value) {
    match part.as_object() {
        Some(fields) => fields.iter().for_each(|(field, value)| assert_holds(&whole[field], value)),
        None => assert_eq!(whole, part),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_edits_of_a_message_are_two_and_the_later_one_stays() {
    let pair = Pair::start().await;
    let (ada, bob) = (pair.person("Ada").await, pair.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    for round in 0..20 {
        let message = id(&ada.say(conversation, "as it was").await);
        let path = format!("/api/messages/{message}");
        let texts = ["one", "other"].map(|text| format!("{text} {round}"));
        let edits =
            texts.iter().enumerate().map(|(n, text)| put(pair.at(n, &ada), &path, json!({"content": text})));
        let answers: Vec<Value> = at_once(edits).await.into_iter().map(super::Reply::ok).collect();
        // Each is answered with its own text.
        assert_eq!(
            answers.iter().map(|answer| &answer["content"]).collect::<Vec<_>>(),
            [&texts[0], &texts[1]]
        );
        let stored = pair.0[0].store.message(message).await.unwrap().unwrap();
        assert_eq!(stored.change.unwrap().rev, 2);
        let stays = answers.iter().find(|answer| answer["content"] == json!(stored.content)).unwrap();
        let latest = answers.iter().map(|answer| answer["updatedAt"].as_str().unwrap()).max();
        assert_eq!(stays["updatedAt"].as_str(), latest, "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_never_revives_a_deleted_message() {
    let pair = Pair::start().await;
    let (ada, bob) = (pair.person("Ada").await, pair.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let mut refused = 0;
    for round in 0..20 {
        let message = id(&ada.say(conversation, "as it was").await);
        let path = format!("/api/messages/{message}");
        let edits = (0..4).map(|n| tokio::spawn(put(pair.at(n, &ada), &path, json!({"content": "changed"}))));
        let edits: Vec<_> = edits.collect();
        let deleted = tokio::spawn(delete(pair.at(round, &ada), &path));
        deleted.await.unwrap().ok();
        for edit in edits {
            let reply = edit.await.unwrap();
            assert!([StatusCode::OK, StatusCode::NOT_FOUND].contains(&reply.status), "{}", reply.body);
            refused += usize::from(reply.status == StatusCode::NOT_FOUND);
        }
        let stored = pair.0[0].store.message(message).await.unwrap().unwrap();
        assert_eq!((stored.is_deleted, stored.content.as_str()), (true, ""));
        assert_eq!(stored.change.unwrap().kind, "delete");
    }
    // Otherwise nothing of this was a race.
    assert!(refused > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_edits_of_one_message_are_all_counted_or_refused() {
    let pair = Pair::start().await;
    let (ada, bob) = (pair.person("Ada").await, pair.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let message = id(&ada.say(conversation, "as it was").await);
    let path = format!("/api/messages/{message}");
    let edits = (0..20).map(|n| put(pair.at(n, &ada), &path, json!({"content": format!("edit {n}")})));
    let replies = at_once(edits).await;
    let made = super::count(&replies, StatusCode::OK);
    let others = super::count(&replies, StatusCode::CONFLICT);
    assert_eq!(made + others, 20, "{:?}", statuses(&replies));
    let stored = pair.0[0].store.message(message).await.unwrap().unwrap();
    assert_eq!(stored.change.unwrap().rev, made as i64);
}
