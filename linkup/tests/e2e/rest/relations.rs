//! Friends, requests and blocks.

use hyper::StatusCode;
use protocol::Id;
use serde_json::{Value, json};
use store::bson::doc;
use store::convert::{oid, oids};

use super::fixture::{Node, Person, each, id, refused};
use crate::support::rest::Reply;

/// One of somebody's own lists: `friends`, `blocks`, with a query or not.
async fn list(person: &Person, list: &str) -> Value {
    person.rest.get(&format!("{}/{list}", person.path())).await.ok()
}

async fn names(person: &Person, of: &str) -> Vec<Value> {
    each(&list(person, of).await, "name")
}

/// Tries to put somebody on one of one's own lists.
async fn try_to(person: &Person, list: &str, other: Id) -> Reply {
    person.rest.post(&format!("{}/{list}/{other}", person.path()), &json!({})).await
}

/// Takes somebody off one of one's own lists; oneself afterwards.
async fn remove(person: &Person, list: &str, other: &Person) -> Value {
    person.rest.delete(&format!("{}/{list}/{}", person.path(), other.id), None).await.ok()
}

async fn friends(person: &Person) -> Value {
    person.me().await["friends"].clone()
}

async fn write(person: &Person, conversation: Id) -> Reply {
    person.rest.post(&format!("/api/conversations/{conversation}/messages"), &json!({"content": "hi"})).await
}

async fn begin(person: &Person, with: &[&Person]) -> Reply {
    let ids: Vec<Id> = with.iter().map(|person| person.id).collect();
    person.rest.post("/api/conversations", &json!({ "participants": ids })).await
}

fn no_user(reply: &Reply) {
    refused(reply, 404, "not_found", "User not found");
}

#[tokio::test]
async fn somebody_public_is_a_friend_at_once_and_either_ends_it() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    assert_eq!(ada.sees(&bob).await["friendship"], "none");
    let after = ada.add(&bob).await;
    assert_eq!(after, ada.me().await);
    assert_eq!((&after["friends"], friends(&bob).await), (&json!([bob.id]), json!([ada.id])));
    for (one, other) in [(&ada, &bob), (&bob, &ada)] {
        let seen = one.sees(other).await;
        assert_eq!(seen["friendship"], "friends");
        assert_eq!(list(one, "friends").await, json!([seen]));
        assert_eq!(list(one, "friends?status=friends").await, json!([seen]));
        for status in ["requested", "received"] {
            assert_eq!(list(one, &format!("friends?status={status}")).await, json!([]));
        }
    }
    assert_eq!(ada.add(&bob).await["friends"], json!([bob.id]), "adding again adds nobody twice");
    for _ in 0..2 {
        let after = remove(&bob, "friends", &ada).await;
        assert_eq!(after, bob.me().await);
        assert_eq!((&after["friends"], friends(&ada).await), (&json!([]), json!([])));
        assert_eq!(ada.sees(&bob).await["friendship"], "none");
        assert_eq!(list(&ada, "friends").await, json!([]));
    }
}

#[tokio::test]
async fn of_somebody_less_public_it_is_a_request_which_grants_neither_of_them_anything() {
    let node = Node::alone().await;
    let (ada, bob) =
        (node.person_with("Ada", "friends-only").await, node.person_with("Bob", "friends-only").await);
    assert_eq!(ada.add(&bob).await["friends"], json!([bob.id]));
    assert_eq!(friends(&bob).await, json!([]));
    for (one, other, what, not) in
        [(&ada, &bob, "requested", "received"), (&bob, &ada, "received", "requested")]
    {
        let seen = one.sees(other).await;
        assert_eq!((&seen["friendship"], &seen["limited"]), (&json!(what), &json!(true)));
        assert_eq!(list(one, &format!("friends?status={what}")).await, json!([seen]));
        assert_eq!(list(one, &format!("friends?status={not}")).await, json!([]));
        assert_eq!(list(one, "friends").await, json!([]));
    }
    assert_eq!(bob.add(&ada).await["friends"], json!([ada.id]));
    for (one, other) in [(&ada, &bob), (&bob, &ada)] {
        let seen = one.sees(other).await;
        assert_eq!((&seen["friendship"], seen.get("limited")), (&json!("friends"), None));
        assert_eq!(list(one, "friends").await, json!([seen]));
        assert_eq!(list(one, "friends?status=requested").await, json!([]));
        assert_eq!(list(one, "friends?status=received").await, json!([]));
    }
}

#[tokio::test]
async fn a_request_is_taken_back_or_turned_down_in_the_same_way() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person_with("Bob", "friends-only").await);
    for (who, whom) in [(&ada, &bob), (&bob, &ada)] {
        ada.add(&bob).await;
        assert_eq!(names(&bob, "friends?status=received").await, ["Ada"]);
        remove(who, "friends", whom).await;
        assert_eq!(list(&bob, "friends?status=received").await, json!([]));
        assert_eq!((friends(&ada).await, friends(&bob).await), (json!([]), json!([])));
    }
}

#[tokio::test]
async fn somebody_hidden_is_met_by_those_only_whom_they_have_added() {
    let node = Node::alone().await;
    let (ada, bob) =
        (node.person_with("Ada", "friends-only").await, node.person_with("Bob", "private").await);
    no_user(&try_to(&ada, "friends", bob.id).await);
    assert_eq!(friends(&ada).await, json!([]));
    bob.add(&ada).await;
    // Ada is told who asks, so that she can answer, and no more than that.
    let received = list(&ada, "friends?status=received").await;
    let bob_is = bob.me().await;
    let (id, at) = (&bob_is["id"], &bob_is["createdAt"]);
    let expected = json!({
        "_id": id, "id": id, "username": bob_is["username"], "name": "Bob", "avatar": null, "status": "offline",
        "bio": "", "score": 0, "interests": [], "location": "", "occupation": "", "friendship": "received",
        "limited": true, "joinedDate": at, "createdAt": at, "updatedAt": at,
    });
    assert_eq!(received, json!([expected]));
    no_user(&ada.rest.get(&bob.path()).await);
    assert_eq!(ada.rest.get("/api/users?search=bob").await.ok(), json!([]));
    ada.add(&bob).await;
    assert_eq!(
        (ada.sees(&bob).await["friendship"].clone(), names(&ada, "friends").await),
        (json!("friends"), vec![json!("Bob")])
    );
    assert_eq!(each(&ada.rest.get("/api/users?search=bob").await.ok(), "name"), ["Bob"]);
    remove(&bob, "friends", &ada).await;
    no_user(&ada.rest.get(&bob.path()).await);
}

#[tokio::test]
async fn what_only_one_side_has_written_down_is_no_friendship() {
    let node = Node::alone().await;
    for privacy in ["friends-only", "private"] {
        let (ada, bob) = (node.person_with("Ada", privacy).await, node.person_with("Bob", privacy).await);
        let add = doc! {"$set": {"friends": [oid(bob.id)]}};
        node.store.users().update_one(doc! {"_id": oid(ada.id)}, add).await.unwrap();
        for (one, other) in [(&ada, &bob), (&bob, &ada)] {
            let reply = one.rest.get(&other.path()).await;
            assert!(reply.status == StatusCode::NOT_FOUND || reply.body["limited"] == true, "{}", reply.body);
            assert_eq!(list(one, "friends").await, json!([]));
            let board = one.rest.get("/api/users?sort=score").await.ok();
            assert!(!each(&board, "id").contains(&json!(other.id)), "{privacy}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_words() {
    let node = Node::alone().await;
    let (ada, bob, nobody) = (node.person("Ada").await, node.person("Bob").await, Id::mint());
    for account in [bob.id, nobody] {
        let account = format!("/api/users/{account}");
        let mut replies = Vec::new();
        for list in ["friends", "blocks"] {
            let other = format!("{account}/{list}/{}", bob.id);
            replies.push(ada.rest.get(&format!("{account}/{list}")).await);
            replies.push(ada.rest.post(&other, &json!({})).await);
            replies.push(ada.rest.delete(&other, None).await);
        }
        for reply in &replies {
            refused(reply, 403, "forbidden", "This is not your account");
        }
    }
    for list in ["friends", "blocks"] {
        refused(&try_to(&ada, list, ada.id).await, 400, "bad_request", "other: must be somebody else");
        no_user(&try_to(&ada, list, nobody).await);
        let bad = ada.rest.post(&format!("{}/{list}/me", ada.path()), &json!({})).await;
        refused(&bad, 400, "bad_request", "id: is not a valid identifier");
        // What is not there is gone already.
        let gone = ada.rest.delete(&format!("{}/{list}/{nobody}", ada.path()), None).await.ok();
        assert_eq!(gone, ada.me().await);
    }
    let odd = ada.rest.get(&format!("{}/friends?status=best", ada.path())).await;
    refused(&odd, 400, "bad_request", "status: must be one of: friends, requested, received");
    assert_eq!((friends(&ada).await, friends(&bob).await), (json!([]), json!([])));
}

/// Writes as many identifiers into a list of a user's.
async fn fill(node: &Node, person: &Person, list: &str, count: usize) {
    let ids = oids((0..count).map(|_| Id::mint()));
    node.store.users().update_one(doc! {"_id": oid(person.id)}, doc! {"$set": {list: ids}}).await.unwrap();
}

#[tokio::test]
async fn there_is_room_for_two_thousand_friends_and_a_thousand_blocked() {
    let node = Node::alone().await;
    let (ada, bob, eve) = (node.person("Ada").await, node.person("Bob").await, node.person("Eve").await);
    for (list, stored, room, text) in [
        ("friends", "friends", 2_000, "You cannot add more friends"),
        ("blocks", "blocked", 1_000, "You cannot block more people"),
    ] {
        fill(&node, &ada, stored, room - 1).await;
        try_to(&ada, list, bob.id).await.ok();
        refused(&try_to(&ada, list, eve.id).await, 409, "conflict", text);
        try_to(&ada, list, bob.id).await.ok();
        remove(&ada, list, &bob).await;
        try_to(&ada, list, eve.id).await.ok();
        remove(&ada, list, &eve).await;
    }
    // Where there is no room on the other side, an addition stays a request.
    fill(&node, &ada, "friends", 2_000).await;
    bob.add(&ada).await;
    assert_eq!(names(&bob, "friends?status=requested").await, ["Ada"]);
    assert_eq!(friends(&ada).await.as_array().unwrap().len(), 2_000);
}

#[tokio::test]
async fn lists_are_in_the_order_of_names_and_in_pages() {
    let node = Node::alone().await;
    let (ada, shy) = (node.person("Ada").await, node.person_with("Shy", "private").await);
    for n in (0..25).rev() {
        let other = node.person(&format!("{} {n:02}", if n % 2 == 0 { "zoe" } else { "Zoe" })).await;
        // Who has added is listed like who was added.
        other.add(&ada).await;
    }
    let mut paged = Vec::new();
    for page in 1..=4 {
        paged.extend(names(&ada, &format!("friends?limit=10&page={page}")).await);
    }
    let sorted = (0..25).map(|n| json!(format!("{} {n:02}", if n % 2 == 0 { "zoe" } else { "Zoe" })));
    assert_eq!(paged, sorted.collect::<Vec<_>>());
    assert_eq!(names(&ada, "friends").await.len(), 20);
    for name in ["cid", "Bob", "Dan"] {
        ada.block(&node.person(name).await).await;
    }
    // Who hides is as if they were not there, unless the two have met; then they can be blocked, and unblocked.
    no_user(&try_to(&ada, "blocks", shy.id).await);
    shy.conversation(&[&ada]).await;
    ada.block(&shy).await;
    assert_eq!(names(&ada, "blocks").await, ["Bob", "cid", "Dan", "Shy"]);
    assert_eq!(names(&ada, "blocks?limit=3&page=2").await, ["Shy"]);
    assert_eq!(list(&ada, "blocks").await[3]["limited"], true);
}

#[tokio::test]
async fn whoever_is_blocked_neither_finds_nor_reaches_the_other() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    ada.add(&bob).await;
    let talk = ada.conversation(&[&bob]).await;
    ada.say(talk, "before").await;
    for _ in 0..2 {
        assert_eq!(ada.block(&bob).await, ada.me().await);
    }
    assert_eq!((friends(&ada).await, friends(&bob).await), (json!([]), json!([])));
    let seen = ada.sees(&bob).await;
    assert_eq!((&seen["friendship"], list(&ada, "blocks").await), (&json!("none"), json!([seen])));
    assert_eq!(list(&bob, "blocks").await, json!([]));
    no_user(&bob.rest.get(&ada.path()).await);
    no_user(&try_to(&bob, "friends", ada.id).await);
    refused(&try_to(&ada, "friends", bob.id).await, 409, "conflict", "You have blocked this person");
    for query in ["search=ada", "sort=score", ""] {
        let found = bob.rest.get(&format!("/api/users?{query}")).await.ok();
        assert!(!each(&found, "name").contains(&json!("Ada")), "{query}");
    }
    assert_eq!(each(&ada.rest.get("/api/users?search=bob").await.ok(), "name"), ["Bob"]);
    for person in [&ada, &bob] {
        refused(&write(person, talk).await, 403, "forbidden", "You cannot write to this person");
        // What was written stays, and so does where it was.
        assert_eq!(person.messages(talk, "").await.len(), 1);
        let (listed, found) =
            (person.list().await, begin(person, &[if person.id == ada.id { &bob } else { &ada }]).await);
        assert_eq!((id(&listed[0]), found.status, id(&found.body)), (talk, StatusCode::OK, talk));
        assert_eq!(listed[0]["participants"].as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn requests_of_both_sides_end_with_a_block() {
    let node = Node::alone().await;
    let (ada, bob) =
        (node.person_with("Ada", "friends-only").await, node.person_with("Bob", "friends-only").await);
    for (from, to) in [(&ada, &bob), (&bob, &ada)] {
        from.add(to).await;
        ada.block(&bob).await;
        assert_eq!((friends(&ada).await, friends(&bob).await), (json!([]), json!([])));
        remove(&ada, "blocks", &bob).await;
        assert_eq!(list(to, "friends?status=received").await, json!([]), "nothing comes back");
    }
}

#[tokio::test]
async fn one_can_write_again_when_both_have_taken_their_blocks_back() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let talk = ada.conversation(&[&bob]).await;
    ada.block(&bob).await;
    // Whoever is blocked may block in turn, and is told the name of whom they have blocked.
    bob.block(&ada).await;
    let blocked = list(&bob, "blocks").await;
    assert_eq!((&blocked[0]["name"], &blocked[0]["limited"]), (&json!("Ada"), &json!(true)));
    for _ in 0..2 {
        assert_eq!(remove(&ada, "blocks", &bob).await, ada.me().await);
        assert_eq!(list(&ada, "blocks").await, json!([]));
        assert_eq!(bob.sees(&ada).await["name"], "Ada");
        no_user(&ada.rest.get(&bob.path()).await);
        for person in [&ada, &bob] {
            refused(&write(person, talk).await, 403, "forbidden", "You cannot write to this person");
        }
    }
    remove(&bob, "blocks", &ada).await;
    assert_eq!(ada.sees(&bob).await["friendship"], "none");
    for person in [&ada, &bob] {
        assert_eq!(write(person, talk).await.status, StatusCode::CREATED);
    }
    assert_eq!(ada.add(&bob).await["friends"], json!([bob.id]));
}

#[tokio::test]
async fn nobody_begins_anything_across_a_block_and_groups_go_on() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let (eve, zoe) = (node.person("Eve").await, node.person("Zoe").await);
    let (group, of_ada) = (eve.conversation(&[&ada, &bob]).await, ada.conversation(&[&eve, &zoe]).await);
    let of_bob = bob.conversation(&[&eve, &zoe]).await;
    ada.block(&bob).await;
    let mine = |reply: &Reply| refused(reply, 403, "forbidden", "You have blocked one of these people");
    let theirs = |reply: &Reply| refused(reply, 400, "bad_request", "participants: must be existing users");
    mine(&begin(&ada, &[&bob]).await);
    mine(&begin(&ada, &[&bob, &eve]).await);
    theirs(&begin(&bob, &[&ada]).await);
    theirs(&begin(&bob, &[&ada, &eve]).await);
    let add = async |person: &Person, group: Id, other: &Person| {
        let members = json!({"participants": [person.id, eve.id, zoe.id, other.id]});
        person.rest.put(&format!("/api/conversations/{group}"), &members).await
    };
    mine(&add(&ada, of_ada, &bob).await);
    theirs(&add(&bob, of_bob, &ada).await);
    // Where both are already they stay, and somebody else may bring them together.
    for person in [&ada, &bob] {
        assert_eq!(write(person, group).await.status, StatusCode::CREATED);
        assert_eq!(
            each(&person.list().await.iter().find(|c| id(c) == group).unwrap()["participants"], "name").len(),
            3
        );
    }
    assert_eq!(begin(&zoe, &[&ada, &bob]).await.status, StatusCode::CREATED);
    remove(&ada, "blocks", &bob).await;
    assert_eq!(begin(&bob, &[&ada]).await.status, StatusCode::CREATED);
    add(&ada, of_ada, &bob).await.ok();
}
