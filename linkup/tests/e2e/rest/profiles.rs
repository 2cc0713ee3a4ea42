//! Profiles: changing one's own, and what others see and find of it.

use hyper::StatusCode;
use protocol::{Id, Timestamp};
use serde_json::{Value, json};
use store::bson::{Document, doc};
use store::convert::{date, oid};

use super::fixture::{Node, Person, each, refused};
use crate::support::stack::links;

/// Writes into somebody's document what they cannot say themselves.
async fn set(node: &Node, person: &Person, fields: Document) {
    node.store.users().update_one(doc! {"_id": oid(person.id)}, doc! {"$set": fields}).await.unwrap();
}

/// The names of the users that a query finds.
async fn found(person: &Person, query: &str) -> Vec<Value> {
    each(&person.rest.get(&format!("/api/users?{query}")).await.ok(), "name")
}

#[tokio::test]
async fn a_profile_is_changed_field_by_field() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let mut me = ada.me().await;
    for (change, told) in [
        (json!({"name": " Ada\nKing "}), json!({"name": "Ada King"})),
        (json!({"username": "Ada.King-1"}), json!({"username": "ada.king-1"})),
        (json!({"avatar": "https://example.org/a.png"}), json!({"avatar": "https://example.org/a.png"})),
        (json!({"bio": "I\ncount. <b>"}), json!({"bio": "I\ncount. <b>"})),
        (json!({"interests": ["Tea", "tea", " Go "]}), json!({"interests": ["Tea", "Go"]})),
        (json!({"location": " London "}), json!({"location": "London"})),
        (json!({"occupation": "Countess"}), json!({"occupation": "Countess"})),
        (
            json!({"settings": {"privacy": "private"}}),
            json!({"settings": {"notifications": true, "privacy": "private"}}),
        ),
        (
            json!({"settings": {"notifications": false}}),
            json!({"settings": {"notifications": false, "privacy": "private"}}),
        ),
        (json!({"avatar": null}), json!({"avatar": null})),
        (
            json!({"bio": "", "interests": [], "location": ""}),
            json!({"bio": "", "interests": [], "location": ""}),
        ),
        // What is null but cannot be taken away stays, as what is missing does.
        (json!({"name": null, "occupation": null, "settings": {"privacy": null}}), json!({})),
        // What is not one's own to say is not listened to.
        (
            json!({"score": 9, "email": "x@example.org", "friends": [ada.id], "status": "away", "id": "x"}),
            json!({}),
        ),
        (
            json!({"password": "correct horse", "generation": 7, "joinedDate": "2001-01-01T00:00:00Z"}),
            json!({}),
        ),
    ] {
        let after = ada.change(&change).await;
        for (field, value) in told.as_object().unwrap() {
            me[field] = value.clone();
        }
        assert!(after["updatedAt"].as_str() >= me["updatedAt"].as_str(), "{change}");
        me["updatedAt"] = after["updatedAt"].clone();
        assert_eq!(after, me, "{change}");
        assert_eq!(ada.me().await, me);
        assert_eq!(ada.sees(&ada).await, me);
    }
}

#[tokio::test]
async fn what_a_profile_cannot_be_is_refused_in_words() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let before = ada.me().await;
    let link = "avatar: must be an http or https address, or one that POST /api/uploads gave";
    let handle = "username: must have 3 to 40 plain letters, digits, dots, hyphens or underscores";
    for (change, message) in [
        (json!([]), "body: must be a JSON object"),
        (json!({"name": ""}), "name: must have 1 to 80 characters"),
        (json!({"name": " \n "}), "name: must have 1 to 80 characters"),
        (json!({"name": "x".repeat(81)}), "name: must have 1 to 80 characters"),
        (json!({"name": {"$ne": null}}), "name: must be a string"),
        (json!({"username": "ab"}), handle),
        (json!({"username": "a b c"}), handle),
        (json!({"bio": "x".repeat(1_001)}), "bio: must not be longer than 1000 characters"),
        (json!({"interests": "tea"}), "interests: must be an array"),
        (json!({"interests": vec!["tea"; 51]}), "interests: must not have more than 50 items"),
        (json!({"interests": ["tea", " "]}), "interests[1]: must have 1 to 40 characters"),
        (json!({"interests": [7]}), "interests[0]: must be a string"),
        (json!({"location": "x".repeat(101)}), "location: must not be longer than 100 characters"),
        (json!({"occupation": "x".repeat(101)}), "occupation: must not be longer than 100 characters"),
        (json!({"settings": "private"}), "settings: must be an object"),
        (
            json!({"settings": {"privacy": "secret"}}),
            "settings.privacy: must be one of: public, friends-only, private",
        ),
        (json!({"settings": {"notifications": 1}}), "settings.notifications: must be true or false"),
        (json!({"avatar": "javascript:alert(1)"}), link),
        (json!({"avatar": ""}), link),
        (json!({"bio": "good", "name": 7}), "name: must be a string"),
    ] {
        refused(&ada.rest.put(&ada.path(), &change).await, 400, "bad_request", message);
    }
    let taken = json!({"username": bob.me().await["username"].as_str().unwrap().to_uppercase()});
    refused(&ada.rest.put(&ada.path(), &taken).await, 409, "conflict", "This username is taken");
    for other in [bob.id, Id::mint()] {
        let reply = ada.rest.put(&format!("/api/users/{other}"), &json!({"name": "Eve"})).await;
        refused(&reply, 403, "forbidden", "This is not your account");
    }
    assert_eq!(ada.me().await, before);
}

#[tokio::test]
async fn a_new_name_is_found_and_shown_everywhere() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let talk = ada.conversation(&[&bob]).await;
    ada.say(talk, "hi").await;
    ada.change(&json!({"name": "Grace Hopper"})).await;
    ada.change(&json!({"username": "the-admiral"})).await;
    for (query, is) in [
        ("grace", true),
        ("hop", true),
        ("admiral", true),
        ("the-adm", true),
        ("ada", false),
        ("user", false),
    ] {
        let found = found(&bob, &format!("search={query}")).await;
        assert_eq!(found.contains(&json!("Grace Hopper")), is, "{query}");
    }
    let listed = &bob.list().await[0];
    assert_eq!(listed["lastMessage"]["sender"]["name"], "Grace Hopper");
    assert!(each(&listed["participants"], "name").contains(&json!("Grace Hopper")));
}

#[tokio::test]
async fn privacy_decides_what_others_see() {
    let node = Node::alone().await;
    let (ada, friend, stranger) =
        (node.person("Ada").await, node.person("Friend").await, node.person("Stranger").await);
    ada.add(&friend).await;
    stranger.change(&json!({"interests": ["tea", "chess"]})).await;
    ada.change(&json!({
        "bio": "mine", "interests": ["Tea", "Go"], "location": "London", "occupation": "Countess",
        "avatar": "https://example.org/a.png",
    }))
    .await;
    for (privacy, sight) in [("public", "full"), ("friends-only", "limited"), ("private", "none")] {
        ada.change(&json!({"settings": {"privacy": privacy}})).await;
        let later = date(Timestamp::from_millis(Timestamp::now().millis() + 1_000));
        set(&node, &ada, doc! {"score": 7_i64, "status": "online", "lastSeen": later, "updatedAt": later})
            .await;
        let me = ada.me().await;
        let (id, at) = (&me["id"], &me["createdAt"]);
        let mut full = json!({
            "_id": id, "id": id, "username": me["username"], "name": "Ada", "avatar": "https://example.org/a.png",
            "status": "online", "lastSeen": me["lastSeen"], "bio": "mine", "score": 7, "interests": ["Tea", "Go"],
            "location": "London", "occupation": "Countess", "compatibility": 0, "friendship": "friends",
            "joinedDate": at, "createdAt": at, "updatedAt": me["updatedAt"],
        });
        assert_eq!(friend.sees(&ada).await, full, "{privacy}");
        let seen = stranger.rest.get(&ada.path()).await;
        match sight {
            "full" => {
                // One interest of the three that they have together.
                (full["compatibility"], full["friendship"]) = (json!(33), json!("none"));
                assert_eq!(seen.ok(), full);
            }
            "limited" => {
                let limited = json!({
                    "_id": id, "id": id, "username": me["username"], "name": "Ada",
                    "avatar": "https://example.org/a.png", "status": "offline", "bio": "", "score": 0,
                    "interests": [], "location": "", "occupation": "", "friendship": "none", "limited": true,
                    "joinedDate": at, "createdAt": at, "updatedAt": at,
                });
                assert_eq!(seen.ok(), limited);
            }
            _ => refused(&seen, 404, "not_found", "User not found"),
        }
    }
    // Nobody is answered like somebody who hides.
    let nobody = stranger.rest.get(&format!("/api/users/{}", Id::mint())).await;
    assert_eq!(
        (nobody.status, nobody.body),
        (StatusCode::NOT_FOUND, stranger.rest.get(&ada.path()).await.body)
    );
}

#[tokio::test]
async fn searches_and_the_leaderboard_show_what_each_may_see() {
    let node = Node::alone().await;
    let ada = node.person("Zed Ada").await;
    let mut score = 10_i64;
    for (privacy, is_friend) in [
        ("public", false),
        ("friends-only", false),
        ("private", false),
        ("public", true),
        ("friends-only", true),
        ("private", true),
    ] {
        let name = format!("Zed {privacy}{}", if is_friend { " friend" } else { "" });
        let other = node.person_with(&name, privacy).await;
        if is_friend {
            other.add(&ada).await;
            ada.add(&other).await;
        }
        score += 10;
        set(&node, &other, doc! {"score": score}).await;
    }
    set(&node, &ada, doc! {"score": 35_i64}).await;
    ada.change(&json!({"settings": {"privacy": "private"}})).await;
    let by_name = [
        "Zed Ada",
        "Zed friends-only",
        "Zed friends-only friend",
        "Zed private friend",
        "Zed public",
        "Zed public friend",
    ];
    for query in ["", "search=zed", "search=zed&sort=name"] {
        assert_eq!(found(&ada, query).await, by_name, "{query}");
    }
    let board = [
        ("Zed private friend", 70),
        ("Zed friends-only friend", 60),
        ("Zed public friend", 50),
        ("Zed Ada", 35),
        ("Zed public", 20),
    ];
    for query in ["sort=score", "search=zed&sort=score"] {
        let users = ada.rest.get(&format!("/api/users?{query}")).await.ok();
        let told: Vec<Value> =
            each(&users, "name").into_iter().zip(each(&users, "score")).map(|(n, s)| json!([n, s])).collect();
        assert_eq!(told, board.map(|(name, score)| json!([name, score])), "{query}");
        assert!(users.as_array().unwrap().iter().all(|user| user.get("limited").is_none()));
    }
    assert_eq!(found(&ada, "sort=score&limit=2&page=2").await, ["Zed public friend", "Zed Ada"]);
    // Of the one who shows friends only, strangers get no more by a search than by looking.
    let limited = ada.rest.get("/api/users?search=zed+friends&limit=1").await.ok();
    assert_eq!((&limited[0]["limited"], &limited[0]["score"]), (&json!(true), &json!(0)));
}

#[tokio::test]
async fn whoever_hides_is_still_named_where_they_talk() {
    let node = Node::alone().await;
    let (ada, bob, shy) = (node.person("Ada").await, node.person("Bob").await, node.person("Shy").await);
    let group = shy.conversation(&[&ada, &bob]).await;
    shy.change(&json!({"settings": {"privacy": "private"}, "bio": "a secret"})).await;
    let message = shy.say(group, "hi").await;
    let author = json!({"_id": shy.id, "id": shy.id, "name": "Shy", "avatar": null});
    assert_eq!((&message["sender"], ada.messages(group, "").await), (&author, vec![message.clone()]));
    let listed = &ada.list().await[0];
    assert_eq!(listed["lastMessage"]["sender"], author);
    let mut named = author;
    named["status"] = json!("offline");
    assert!(listed["participants"].as_array().unwrap().contains(&named), "{listed}");
    assert!(!listed.to_string().contains("secret"));
    refused(&ada.rest.get(&shy.path()).await, 404, "not_found", "User not found");
    let begin = |ids: &[Id]| json!({"participants": ids});
    let create = ada.rest.post("/api/conversations", &begin(&[shy.id])).await;
    refused(&create, 400, "bad_request", "participants: must be existing users");
    let create = ada.rest.post("/api/conversations", &begin(&[shy.id, bob.id])).await;
    refused(&create, 400, "bad_request", "participants: must be existing users");
    // They themselves may begin one, and then there is one to be found.
    let direct = shy.conversation(&[&ada]).await;
    let found = ada.rest.post("/api/conversations", &begin(&[shy.id])).await;
    assert_eq!((found.status, &found.body["id"]), (StatusCode::OK, &json!(direct)));
}

/// Fields of stored users and conversations that nobody is told.
const NOBODYS: [&str; 11] = [
    "password",
    "terms",
    "nameLower",
    "blocked",
    "generation",
    "privacy",
    "directKey",
    "blockedBy",
    "rev",
    "change",
    "archivedSeq",
];
/// Fields that only the user themself is told.
const ONES_OWN: [&str; 3] = ["email", "settings", "friends"];

/// Fails if `value` has something, however deep, that is not for `reader`.
fn assert_discreet(what: &str, reader: &Person, value: &Value) {
    match value {
        Value::Object(map) => {
            let own = map.get("id") == Some(&json!(reader.id));
            for (key, inner) in map {
                let key = key.as_str();
                // One's own settings hold one's own privacy.
                assert!(!NOBODYS.contains(&key), "{what} tells {key}: {value}");
                assert!(own || !ONES_OWN.contains(&key), "{what} tells {key}: {value}");
                if !(own && key == "settings") {
                    assert_discreet(what, reader, inner);
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| assert_discreet(what, reader, value)),
        _ => {}
    }
}

#[tokio::test]
async fn nothing_that_is_ones_own_is_ever_told_to_others() {
    let node = Node::alone().await;
    let ada = node.person("Ada").await;
    let (friend, stranger) =
        (node.person("Friend").await, node.person_with("Stranger", "friends-only").await);
    ada.add(&friend).await;
    ada.add(&stranger).await;
    let own = ada.me().await;
    let email = own["email"].as_str().unwrap();
    let group = ada.conversation(&[&friend, &stranger]).await;
    let direct = stranger.conversation(&[&ada]).await;
    let message = ada.say(group, "hi").await["id"].as_str().unwrap().to_owned();
    let activity = json!({"title": "Tea", "activityType": "social", "dateTime": "2099-01-01T10:00:00Z"});
    let activity = ada.rest.post("/api/activities", &activity).await.ok()["id"].as_str().unwrap().to_owned();
    for person in [&friend, &stranger] {
        let mine = person.path();
        for get in [
            "/api/auth/me",
            "/api/users",
            "/api/users?sort=score",
            "/api/users?search=a",
            &ada.path(),
            &mine,
            &format!("{mine}/friends"),
            &format!("{mine}/friends?status=received"),
            &format!("{mine}/blocks"),
            "/api/conversations",
            &format!("/api/conversations/{group}"),
            &format!("/api/conversations/{group}/messages"),
            "/api/activities",
            &format!("/api/activities/{activity}"),
        ] {
            let reply = person.rest.get(get).await.ok();
            assert_discreet(get, person, &reply);
            assert!(!reply.to_string().contains(email), "{get} tells the address");
        }
        let empty = json!({});
        for (post, body) in [
            (format!("{mine}/friends/{}", ada.id), &empty),
            (format!("/api/activities/{activity}/join"), &empty),
            ("/api/conversations".to_owned(), &json!({"activityId": activity})),
            ("/api/conversations".to_owned(), &json!({"participants": [ada.id]})),
            (format!("/api/conversations/{group}/messages"), &json!({"content": "hi"})),
            (format!("{mine}/blocks/{}", ada.id), &empty),
        ] {
            let reply = person.rest.post(&post, body).await.ok();
            assert_discreet(&post, person, &reply);
            assert!(!reply.to_string().contains(email), "{post} tells the address");
        }
        let conversation = person.rest.get(&format!("/api/activities/{activity}/conversation")).await.ok();
        assert_discreet("an activity's conversation", person, &conversation);
        let read = person.rest.put(&format!("/api/messages/{message}/read"), &empty).await.ok();
        assert_discreet("a read message", person, &read);
    }
    let blocked = ada.rest.get(&format!("/api/conversations/{direct}")).await.ok();
    assert_discreet("a blocked conversation", &ada, &blocked);
}

#[tokio::test]
async fn an_uploaded_picture_is_shown_by_addresses_that_open_it() {
    let node = Node::alone().await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let stored = protocol::upload::stored(Id::mint());
    let shown = links().shown(&stored, Timestamp::now()).into_owned();
    let talk = ada.conversation(&[&bob]).await;
    let text = "avatar: is not the address of an upload";
    for forged in [&stored, &shown.replace(&stored, &protocol::upload::stored(Id::mint()))] {
        refused(&ada.rest.put(&ada.path(), &json!({"avatar": forged})).await, 400, "bad_request", text);
    }
    // What was shown is taken back, whatever was written behind it.
    assert_eq!(ada.change(&json!({"avatar": format!("{shown}?width=40")})).await["avatar"], json!(shown));
    assert_eq!(node.store.user(ada.id).await.unwrap().unwrap().avatar, Some(stored));
    ada.say(talk, "hi").await;
    let listed = &bob.list().await[0];
    assert_eq!(bob.sees(&ada).await["avatar"], json!(shown));
    assert_eq!(listed["lastMessage"]["sender"]["avatar"], json!(shown));
    assert!(each(&listed["participants"], "avatar").contains(&json!(shown)));
}
