//! The list of users and its search.

use serde_json::Value;

use super::fixture::{Node, Person};

async fn names(person: &Person, query: &str) -> Vec<String> {
    let users = person.rest.get(&format!("/api/users?{query}")).await.ok();
    users.as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn users_are_found_by_the_beginnings_of_words() {
    let node = Node::alone().await;
    let ada = node.person("Ada Lovelace").await;
    for name in ["Grace Hopper", "ada byron", "Ægir (the) Sea", "Lova Grad"] {
        node.person(name).await;
    }
    assert_eq!(names(&ada, "search=ADA").await, ["ada byron", "Ada Lovelace"]);
    assert_eq!(names(&ada, "search=lov").await, ["Ada Lovelace", "Lova Grad"]);
    assert_eq!(names(&ada, "search=love+ad").await, ["Ada Lovelace"]);
    assert_eq!(names(&ada, "search=%C3%A6gi").await, ["Ægir (the) Sea"]);
    for everybody in ["", "search=", "search=+", "other=x"] {
        assert_eq!(names(&ada, everybody).await.len(), 5, "{everybody}");
    }
    node.person("Scarlett O'Hara").await;
    for search in ["o'hara", "o+hara", "O%27H"] {
        assert_eq!(names(&ada, &format!("search={search}")).await, ["Scarlett O'Hara"], "{search}");
    }
    // Nothing is a pattern.
    for search in [".*", "(", "%5B", "l.v", "%24ne", "a|g"] {
        assert!(names(&ada, &format!("search={search}")).await.is_empty(), "{search}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_and_tell_nothing_private() {
    let node = Node::alone().await;
    let ada = node.person("Zoe 00").await;
    for n in 1..25 {
        node.person(&format!("Zoe {n:02}")).await;
    }
    let mut all = Vec::new();
    for page in 1..=4 {
        all.extend(names(&ada, &format!("search=zoe&limit=10&page={page}")).await);
    }
    assert_eq!(all, (0..25).map(|n| format!("Zoe {n:02}")).collect::<Vec<_>>());
    assert_eq!(names(&ada, "").await.len(), 20);
    let users = ada.rest.get("/api/users").await.ok();
    for user in users.as_array().unwrap() {
        for private in ["email", "password", "settings", "terms", "friends"] {
            assert_eq!(user.get(private), None::<&Value>, "{private}");
        }
    }
}
