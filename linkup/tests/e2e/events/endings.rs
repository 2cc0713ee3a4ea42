//! The end of a session reaches its open sockets, and no others. How soon: see `policies::tokens`.

use serde_json::json;

use crate::support::people::register;
use crate::support::socket::{Dialect, Socket};
use crate::support::stack::Stack;
use crate::support::{SOON, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_of_ended_sessions_are_turned_away_and_those_of_new_ones_are_not() {
    let stack = Stack::start().await;
    let base = stack.base();
    let ada = register(&base, "Ada").await;
    let email = ada.rest.get("/api/auth/me").await.ok()["email"].clone();
    let old = [ada.connect(&base, Dialect::SocketIo).await, ada.connect(&base, Dialect::Plain).await];
    ada.rest.delete("/api/auth/sessions", None).await.ok();
    old[0].closed().await;
    assert_eq!(old[1].closed().await, 4401);
    let login = json!({ "email": email, "password": "correct horse" });
    let session = ada.rest.post("/api/auth/login", &login).await.ok();
    let new = Socket::connect(&base, Dialect::Plain, session["token"].as_str().unwrap()).await.unwrap();
    // A second one has the user registered again, and the ending told again: it is of others.
    let again = Socket::connect(&base, Dialect::SocketIo, session["token"].as_str().unwrap()).await.unwrap();
    let bob = register(&base, "Bob").await;
    let talk = bob.talk_to(&[&ada]).await;
    bob.say(&talk, "still there?").await;
    for socket in [&new, &again] {
        eventually("the message arrives", SOON, async || (socket.seqs(&talk) == [1]).then_some(())).await;
        assert_eq!(socket.close_code(), None);
    }
}
