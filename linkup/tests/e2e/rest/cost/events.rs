//! What activities and files cost.

use protocol::Id;
use serde_json::{Value, json};

use super::row::Row;
use super::world::World;

/// More than a million bytes: two answers of MongoDB's.
const LARGE: usize = 1_200_000;

pub(super) async fn rows(world: &World) -> Vec<Row> {
    let mut rows = lists(world);
    rows.extend(activities(world).await);
    rows.extend(files(world).await);
    rows
}

/// Every combination of filters.
fn lists(world: &World) -> Vec<Row> {
    let filters = [
        ("type", "activityType=social".to_owned()),
        ("host", format!("hostId={}", world.crowd[7])),
        ("participant", format!("participant={}", world.crowd[42])),
        ("from", "from=2020-01-01T00:00:00Z".to_owned()),
        ("to", "to=2090-01-01T00:00:00Z".to_owned()),
    ];
    let row = |set: usize| {
        let chosen = filters.iter().enumerate().filter(|(n, _)| set & (1 << n) != 0);
        let (names, query): (Vec<_>, Vec<_>) =
            chosen.map(|(_, (name, query))| (*name, query.as_str())).unzip();
        let case = if names.is_empty() { String::new() } else { format!("by {}", names.join(", ")) };
        // Whoever is asked for must be somebody whom the caller may see.
        let people = names.iter().filter(|name| matches!(**name, "host" | "participant")).count();
        let path = format!("/api/activities?{}", query.join("&"));
        Row::new("list_activities", case, &world.ada, path, 4 + people)
    };
    (0..1 << filters.len()).map(row).collect()
}

async fn activities(world: &World) -> Vec<Row> {
    let (ada, bob) = (&world.ada, &world.bob);
    let (own, chatty) = (world.activity(ada, &json!({})).await, world.activity_with_conversation(ada).await);
    let (joined, bobs) = (world.activity(bob, &json!({})).await, world.activity_with_conversation(bob).await);
    let path = |id: Id, action: &str| format!("/api/activities/{id}{action}");
    let row = |name: &str, case: &str, id: Id, commands: usize| {
        let action = match name {
            "join_activity" => "/join",
            "leave_activity" => "/leave",
            "activity_conversation" => "/conversation",
            _ => "",
        };
        Row::new(name, case, ada, path(id, action), commands)
    };
    let new: Value = json!({"title": "Tea", "activityType": "social", "dateTime": "2099-01-01T12:00:00Z"});
    let with = "with a conversation";
    vec![
        Row::new("create_activity", "", ada, "/api/activities", 4).with(new),
        row("get_activity", "", bobs, 4),
        row("update_activity", "", own, 5).with(json!({"title": "Coffee", "maxParticipants": 20})),
        row("activity_conversation", "that is there", chatty, 6),
        row("activity_conversation", "that is made", own, 12),
        row("join_activity", "", joined, 7),
        row("join_activity", with, bobs, 12),
        row("leave_activity", "", joined, 5),
        row("leave_activity", with, bobs, 9),
        row("delete_activity", "", world.activity(ada, &json!({})).await, 5),
        row("delete_activity", with, chatty, 11),
    ]
}

async fn files(world: &World) -> Vec<Row> {
    let ada = &world.ada;
    let upload = |case: &str, length: usize, commands: usize| {
        Row::new("upload", case, ada, "/api/uploads", commands).with_file(picture(length))
    };
    let address = async |length: usize| {
        let reply = upload("", length, 0).ask(&world.node).await;
        reply.body["url"].as_str().unwrap().to_owned()
    };
    let (small, large) = (address(1_000).await, address(LARGE).await);
    vec![
        upload("of 1 KB", 1_000, 3),
        upload("of 1.2 MB", LARGE, 7),
        Row::new("serve_upload", "of 1 KB", ada, small, 2),
        // What is behind the first four pieces comes in a second answer.
        Row::new("serve_upload", "of 1.2 MB", ada, large, 3),
        Row::new("open_api", "", ada, "/api/openapi.json", 0),
    ]
}

/// A file that begins as a picture does.
fn picture(length: usize) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.resize(length, 7);
    bytes
}
