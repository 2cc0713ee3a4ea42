//! `linkup seed` as a user runs it, and what the api makes of what it wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use linkup::seed;
use serde_json::{Value, json};

use super::program::{Launcher, linkup, refusal};
use super::{START, can_sign_in, folder};
use crate::support::rest::Rest;

/// The users that a seed has written to `file`.
fn seeded(file: &Path) -> Vec<Value> {
    fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_seed_goes_to_the_running_launcher_or_to_a_mongod_of_its_own() {
    let folder = folder();
    let file = folder.path().join("users.jsonl");
    let arguments =
        |users| ["seed", "--users", users, "--conversations", "2", "--out", file.to_str().unwrap()];
    // Nobody runs yet.
    linkup(folder.path(), &arguments("4")).success(START).await;
    let first = seeded(&file);
    assert_eq!(first.len(), 4);
    assert_eq!(first[0]["email"], "user1@example.com");
    assert_eq!(first[0]["conversations"], first[1]["conversations"]);

    let launcher = Launcher::start(folder.path()).await;
    can_sign_in(&launcher.address, "user4@example.com", seed::PASSWORD).await;
    // Now it runs, and the e-mail addresses are taken.
    linkup(folder.path(), &arguments("5")).success(START).await;
    let second = seeded(&file);
    let email = second[4]["email"].as_str().unwrap();
    assert!(second.len() == 5 && email.starts_with("user5.") && email.ends_with("@example.com"), "{email}");
    assert_eq!(second[4]["conversations"], json!([]));
    can_sign_in(&launcher.address, email, seed::PASSWORD).await;
    // Its tokens are good as well.
    let rest = Rest::new(&format!("http://{}", launcher.address));
    let conversations = rest.with_token(second[0]["token"].as_str().unwrap()).get("/api/conversations").await;
    assert_eq!(conversations.body[0]["id"], second[0]["conversations"][0], "{conversations:?}");
}

/// How many messages a page has at the most.
const PAGE: usize = 100;

/// The users of a seeded world, and who is in which conversation.
struct World {
    rest: Rest,
    lines: Vec<Value>,
    members: BTreeMap<String, BTreeSet<String>>,
}

impl World {
    fn read(file: &Path, address: &str) -> Self {
        let lines = seeded(file);
        let mut members: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for line in &lines {
            for conversation in texts(&line["conversations"], |id| id) {
                members.entry(conversation).or_default().insert(text(&line["userId"]));
            }
        }
        Self { rest: Rest::new(&format!("http://{address}")), lines, members }
    }

    /// The api as this user sees it.
    fn of(&self, line: &Value) -> Rest {
        self.rest.with_token(line["token"].as_str().unwrap())
    }

    /// Who is in the most conversations.
    fn busiest(&self) -> &Value {
        self.lines.iter().max_by_key(|line| line["conversations"].as_array().unwrap().len()).unwrap()
    }

    async fn friends(&self, line: &Value) -> Vec<String> {
        let path = format!("/api/users/{}/friends?limit=100", line["userId"].as_str().unwrap());
        texts(&self.of(line).get(&path).await.ok(), |friend| &friend["id"])
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned()
}

fn texts(list: &Value, field: impl Fn(&Value) -> &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| text(field(item))).collect()
}

/// All messages of a conversation, the oldest first, read in pages on from the first.
async fn forwards(rest: &Rest, conversation: &str) -> Vec<Value> {
    let (mut messages, mut after) = (Vec::new(), json!(0));
    loop {
        let path = format!("/api/conversations/{conversation}/messages?limit={PAGE}&after={after}");
        let page = rest.get(&path).await.ok();
        match page.as_array().unwrap().last() {
            Some(last) => after = last["seq"].clone(),
            None => return messages,
        }
        messages.extend(page.as_array().unwrap().iter().cloned());
    }
}

/// The same, read in pages back from the last, by number or by time.
async fn backwards(rest: &Rest, conversation: &str, place: &str) -> Vec<Value> {
    let mut messages: Vec<Value> = Vec::new();
    loop {
        let before = messages
            .first()
            .map_or(String::new(), |first| format!("&before={}", first[place].to_string().trim_matches('"')));
        let path = format!("/api/conversations/{conversation}/messages?limit={PAGE}{before}");
        let page = rest.get(&path).await.ok();
        let page = page.as_array().unwrap();
        if page.is_empty() {
            return messages;
        }
        messages.splice(..0, page.iter().cloned());
    }
}

/// How many of these are by others and not read by `reader`.
fn unread(messages: &[Value], reader: &str) -> usize {
    let read =
        |message: &Value| texts(&message["readBy"], |entry| &entry["userId"]).iter().any(|id| id == reader);
    messages.iter().filter(|message| message["sender"]["id"] != reader && !read(message)).count()
}

#[tokio::test]
async fn the_api_shows_a_skewed_seed_as_if_it_had_made_it_itself() {
    let folder = folder();
    let file = folder.path().join("users.jsonl");
    let asked = "seed --users 60 --conversations 200 --groups 6 --group-size 40 --friends 8 --history 30 --skew --out";
    let arguments: Vec<&str> = asked.split(' ').chain([file.to_str().unwrap()]).collect();
    linkup(folder.path(), &arguments).success(START).await;
    let launcher = Launcher::start(folder.path()).await;
    let world = World::read(&file, &launcher.address);
    let mut sizes: Vec<usize> = world.members.values().map(BTreeSet::len).collect();
    sizes.sort_unstable();
    assert_eq!((sizes[199], &sizes[200..]), (2, &[6, 8, 10, 13, 20, 40][..]));

    let line = world.busiest();
    let (me, rest) = (text(&line["userId"]), world.of(line));
    let list = rest.get("/api/conversations").await.ok();
    let list = list.as_array().unwrap();
    let listed: BTreeSet<String> = list.iter().map(|one| text(&one["id"])).collect();
    assert_eq!(listed, texts(&line["conversations"], |id| id).into_iter().collect());
    assert!(list.is_sorted_by_key(|one| {
        let at =
            if one["lastMessage"].is_null() { &one["createdAt"] } else { &one["lastMessage"]["createdAt"] };
        std::cmp::Reverse(text(at))
    }));
    // What a page of it is told by is a view in the conversation itself.
    let page = rest.get("/api/conversations?page=1&limit=5").await.ok();
    assert_eq!(texts(&page, |one| &one["id"]), texts(&json!(list[..5]), |one| &one["id"]));

    let (mut all_read, mut some_unread, mut groups) = (0, 0, 0);
    for conversation in list {
        let id = text(&conversation["id"]);
        let members = &world.members[&id];
        let group = members.len() > 2;
        groups += u32::from(group);
        assert_eq!(conversation["type"], if group { "group" } else { "direct" });
        assert_eq!(conversation["participantCount"], members.len());
        assert_eq!(conversation["name"].is_string(), group);
        assert!(
            texts(&conversation["participants"], |who| &who["id"]).iter().all(|who| members.contains(who))
        );

        let history = forwards(&rest, &id).await;
        assert!(
            history
                .iter()
                .map(|message| &message["seq"])
                .eq((1..=history.len()).map(|seq| json!(seq)).collect::<Vec<_>>().iter())
        );
        assert!(history.is_sorted_by(|one, next| text(&one["createdAt"]) < text(&next["createdAt"])));
        assert!(history.iter().all(|message| members.contains(&text(&message["sender"]["id"]))));
        assert!(history.len() <= 300, "{}", history.len());
        for place in ["seq", "createdAt"] {
            assert_eq!(backwards(&rest, &id, place).await, history, "{place}");
        }
        assert_eq!(
            conversation["lastMessage"]["id"],
            history.last().map_or(Value::Null, |last| last["id"].clone())
        );
        let unread = unread(&history, &me);
        assert_eq!(conversation["unreadCount"], unread, "{id}");
        all_read += u32::from(unread == 0);
        some_unread += u32::from(unread > 0);
    }
    assert!(groups >= 3 && all_read >= 3 && some_unread >= 3, "{groups} {all_read} {some_unread}");

    // All of the messages are there, and everybody's friends are friends from both sides.
    let mut messages = 0;
    for (id, members) in &world.members {
        let line =
            world.lines.iter().find(|line| members.contains(line["userId"].as_str().unwrap())).unwrap();
        let last = &world.of(line).get(&format!("/api/conversations/{id}?limit=1")).await.ok()["lastMessage"];
        messages += last["seq"].as_i64().unwrap_or(0);
    }
    assert_eq!(messages, 206 * 30);
    let mut friends = BTreeSet::new();
    for line in &world.lines {
        let me = text(&line["userId"]);
        friends.extend(world.friends(line).await.into_iter().map(|friend| (me.clone(), friend)));
    }
    assert_eq!(friends.len(), 60 * 8);
    assert!(friends.iter().all(|(one, other)| friends.contains(&(other.clone(), one.clone()))));

    // What is sent now follows what was there, and is unread by others until they mark it.
    for group in [true, false] {
        let conversation =
            list.iter().find(|one| (one["type"] == "group") == group && one["lastMessage"].is_object());
        let conversation = conversation.unwrap();
        let path = format!("/api/conversations/{}/messages", text(&conversation["id"]));
        let sent = rest.post(&path, &json!({"content": "And now?"})).await.ok();
        assert_eq!(sent["seq"], conversation["lastMessage"]["seq"].as_i64().unwrap() + 1);
        let members = &world.members[&text(&conversation["id"])];
        let other =
            world.lines.iter().find(|line| line["userId"] != me && members.contains(&text(&line["userId"])));
        let other = world.of(other.unwrap());
        let shown = format!("/api/conversations/{}?limit=1", text(&conversation["id"]));
        assert!(other.get(&shown).await.ok()["unreadCount"].as_i64() > Some(0));
        other.put(&format!("/api/messages/{}/read", text(&sent["id"])), &json!({})).await.ok();
        assert_eq!(other.get(&shown).await.ok()["unreadCount"], 0);
    }
}

#[tokio::test]
async fn a_seed_that_cannot_be_says_so_and_touches_nothing() {
    let folder = folder();
    let file = folder.path().join("users.jsonl");
    let asked =
        ["seed", "--users", "5", "--groups", "1", "--group-size", "6", "--out", file.to_str().unwrap()];
    let said = refusal(folder.path(), &asked, &[]).await;
    assert!(said.contains("linkup: --group-size 6 is more than --users 5"), "{said}");
    assert!(!file.exists() && !folder.path().join("mongo").exists());
}
