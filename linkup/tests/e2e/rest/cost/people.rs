//! What accounts, users, friends and blocks cost.

use serde_json::json;

use super::row::Row;
use super::world::{PASSWORD, World};

/// Nobody adds or blocks more people than a page or two of memory holds.
const FEW: &str = "those whom one user has added or blocked, or who have added them";
/// The page comes from the front of the order that was asked for.
const IN_ORDER: &str = "the index is in the order of the page, and left once that is full";

pub(super) async fn rows(world: &World) -> Vec<Row> {
    let mut rows = accounts(world).await;
    rows.extend(users(world).await);
    rows.extend(relations(world));
    rows
}

async fn accounts(world: &World) -> Vec<Row> {
    let ada = &world.ada;
    let [max, kim, leo, zoe, yan] = [
        world.registered("max").await,
        world.registered("kim").await,
        world.registered("leo").await,
        world.registered("zoe").await,
        world.registered("yan").await,
    ];
    // What Yan leaves behind: a group, an activity of his own and one of somebody else's, each with a conversation.
    yan.conversation(&[ada, &world.bob]).await;
    world.activity_with_conversation(&yan).await;
    let others = world.activity_with_conversation(ada).await;
    world.joined(others, &yan).await;
    let account = |name: &str, email: &str| json!({"name": name, "email": email, "password": PASSWORD});
    let passwords = json!({"currentPassword": PASSWORD, "newPassword": "battery staple"});
    let credentials = json!({"email": "max@example.com", "password": PASSWORD});
    let password = json!({"password": PASSWORD});
    vec![
        Row::new("register", "", ada, "/api/auth/register", 1).with(account("Uma", "uma@example.com")),
        Row::new("register", "with a handle that is taken", ada, "/api/auth/register", 2)
            .with(account("Max", "max2@example.com")),
        Row::new("login", "", ada, "/api/auth/login", 1).with(credentials),
        Row::new("me", "", &max, "/api/auth/me", 1),
        Row::new("change_password", "", &kim, "/api/auth/password", 3).with(passwords),
        Row::new("end_sessions", "", &leo, "/api/auth/sessions", 2),
        Row::new("delete_user", "who takes part in nothing", &zoe, zoe.path(), 8).with(password.clone()),
        Row::new("delete_user", "with a group and two activities", &yan, yan.path(), 27).with(password),
    ]
}

async fn users(world: &World) -> Vec<Row> {
    let (ada, bob) = (&world.ada, &world.bob);
    let list = |case: &str, query: &str| Row::new("list_users", case, ada, format!("/api/users?{query}"), 2);
    let renamed = world.registered("nia").await;
    vec![
        list("", "").may_walk(IN_ORDER),
        list("on page 5", "page=5&limit=20").may_walk(IN_ORDER),
        list("by score", "sort=score").may_walk(IN_ORDER),
        list("with a word that many have", "search=crowd").may_walk(IN_ORDER),
        list("with a word that few have", "search=crowd-123").may_sort("the few who were found"),
        list("with two words", "search=crowd+12").may_sort("the few who were found"),
        list("with a word that nobody has", "search=nobody").may_sort("the few who were found"),
        list("with a word, by score", "search=crowd&sort=score").may_walk(IN_ORDER),
        Row::new("get_user", "oneself", ada, ada.path(), 1),
        Row::new("get_user", "somebody else", ada, bob.path(), 2),
        Row::new("update_user", "", ada, ada.path(), 2).with(json!({"bio": "mathematics", "avatar": null})),
        Row::new("update_user", "name or handle", &renamed, renamed.path(), 3)
            .with(json!({"name": "Nia N", "username": "nia-n"})),
    ]
}

fn relations(world: &World) -> Vec<Row> {
    let (ada, bob, crowd) = (&world.ada, &world.bob, &world.crowd);
    let friends = |case: &str, query: &str| {
        let path = format!("{}/friends?{query}", ada.path());
        Row::new("list_friends", case, ada, path, 2).may_sort(FEW)
    };
    let friend = |name: &str, case: &str, n: usize, commands: usize| {
        Row::new(name, case, ada, format!("{}/friends/{}", ada.path(), crowd[n]), commands)
    };
    let block = |name: &str, case: &str, other, commands: usize| {
        Row::new(name, case, ada, format!("{}/blocks/{other}", ada.path()), commands)
    };
    vec![
        friends("", ""),
        friends("requested", "status=requested"),
        friends("received", "status=received"),
        friend("add_friend", "who is public", 50, 5),
        friend("add_friend", "who has asked", 21, 5),
        friend("remove_friend", "", 5, 4),
        Row::new("list_blocks", "", ada, format!("{}/blocks", ada.path()), 2).may_sort(FEW),
        block("block", "somebody", crowd[51], 8),
        block("block", "with whom there is a conversation", bob.id, 9),
        block("unblock", "somebody", crowd[51], 5),
        block("unblock", "with whom there is a conversation", bob.id, 6),
    ]
}
