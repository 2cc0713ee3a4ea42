//! Tokens that run out, are replaced, or are taken back while a connection is open.

use std::time::{Duration, Instant};

use protocol::Id;
use serde_json::{Value, json};

use crate::support::people::{Person, register};
use crate::support::socket::{ConnectError, Dialect, Event, Socket};
use crate::support::stack::{Stack, tokens};
use crate::support::{SOON, eventually, turn};

const DIALECTS: [Dialect; 3] = [Dialect::SocketIo, Dialect::Plain, Dialect::PlainHeader];

/// How soon a connection ends whose session did.
const PROMPTLY: Duration = Duration::from_secs(1);

/// A token of this person that is good for six seconds at most, and five at least.
fn short(person: &Person) -> String {
    tokens().sign(person.id.parse().unwrap(), 0, Duration::from_secs(6)).unwrap()
}

async fn connect(base: &str, dialect: Dialect, token: &str) -> Socket {
    Socket::connect(base, dialect, token).await.unwrap_or_else(|error| panic!("{dialect:?}: {error:?}"))
}

fn refused() -> Value {
    json!({ "ok": false, "error": { "code": "unauthorized", "message": "Authentication error" } })
}

async fn is_served(socket: &Socket) -> bool {
    let payload = json!({ "conversationId": Id::mint(), "isTyping": false });
    socket.ask("conversation:typing", &payload).await.is_some_and(|answer| answer["ok"] == true)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_ends_with_its_token() {
    let stack = Stack::start().await;
    let base = stack.base();
    let ada = register(&base, "Ada").await;
    let (begun, token) = (Instant::now(), short(&ada));
    let mut sockets = Vec::new();
    for dialect in DIALECTS {
        let socket = connect(&base, dialect, &token).await;
        assert!(is_served(&socket).await);
        sockets.push((dialect, socket));
    }
    for (dialect, socket) in sockets {
        assert_eq!(socket.closed().await, 4401, "{dialect:?}");
        assert!(begun.elapsed() >= Duration::from_secs(5), "{dialect:?} ended early");
        let code = (dialect != Dialect::SocketIo).then_some(4401);
        let again = Socket::connect(&base, dialect, &token).await.unwrap_err();
        assert_eq!(again, ConnectError::Refused { message: "Authentication error".to_owned(), code });
        assert!(is_served(&connect(&base, dialect, &ada.token).await).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_token_carries_the_connection_on() {
    let stack = Stack::start().await;
    let base = stack.base();
    let ada = register(&base, "Ada").await;
    let token = short(&ada);
    let mut pairs = Vec::new();
    for dialect in DIALECTS {
        let (kept, lost) = (connect(&base, dialect, &token).await, connect(&base, dialect, &token).await);
        let answer = kept.ask("user:connect", &json!({ "token": ada.token })).await;
        assert_eq!(answer, Some(json!({ "ok": true })), "{dialect:?}");
        pairs.push((dialect, kept, lost));
    }
    for (dialect, kept, lost) in pairs {
        assert_eq!(lost.closed().await, 4401, "{dialect:?}");
        // Both had the same token, and its time is up.
        assert!(is_served(&kept).await && kept.close_code().is_none(), "{dialect:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_no_better_changes_nothing() {
    let stack = Stack::start().await;
    let base = stack.base();
    let [ada, bob] = [register(&base, "Ada").await, register(&base, "Bob").await];
    let gone = tokens().sign(Id::mint(), 0, Duration::from_secs(600)).unwrap();
    let ended = tokens().sign(ada.id.parse().unwrap(), -1, Duration::from_secs(600)).unwrap();
    for dialect in [Dialect::SocketIo, Dialect::Plain] {
        let socket = connect(&base, dialect, &ada.token).await;
        for (whose, token) in [
            ("somebody else's", bob.token.as_str()),
            ("nobody's", &gone),
            ("no", "nonsense"),
            ("old", &ended),
        ] {
            let payload = json!({ "token": token });
            assert_eq!(socket.ask("user:connect", &payload).await, Some(refused()), "{whose} token");
            socket.emit("user:connect", &payload);
        }
        let words = json!({ "message": "Authentication error" });
        let is_told = |event: &Event| event.name == "error" && event.payload == words;
        eventually("all are told", SOON, async || {
            (socket.events().iter().filter(|event| is_told(event)).count() == 4).then_some(())
        })
        .await;
        assert!(is_served(&socket).await);
    }
    // Nor does it make a short token last.
    let socket = connect(&base, Dialect::Plain, &short(&ada)).await;
    assert_eq!(socket.ask("user:connect", &json!({ "token": bob.token })).await, Some(refused()));
    assert_eq!(socket.closed().await, 4401);
}

/// Connections of one person, in every dialect.
async fn connections(base: &str, person: &Person) -> Vec<Socket> {
    let mut sockets = Vec::new();
    for dialect in DIALECTS {
        sockets.push(connect(base, dialect, &person.token).await);
    }
    sockets
}

/// Waits until all of them have ended for good. Fails unless that happens promptly.
async fn end(sockets: &[Socket]) {
    let begun = Instant::now();
    for socket in sockets {
        assert_eq!(socket.closed().await, 4401);
    }
    assert!(begun.elapsed() < PROMPTLY, "it took {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_ended_sessions_and_deleted_accounts_end_promptly() {
    let _turn = turn::prompt().await;
    let stack = Stack::start().await;
    let base = stack.base();
    let [mut ada, bob] = [register(&base, "Ada").await, register(&base, "Bob").await];
    let others = connections(&base, &bob).await;

    let sockets = connections(&base, &ada).await;
    let passwords = json!({ "currentPassword": "correct horse", "newPassword": "battery staple" });
    let session = ada.rest.put("/api/auth/password", &passwords).await.ok();
    end(&sockets).await;
    ada.token = session["token"].as_str().unwrap().to_owned();
    ada.rest = ada.rest.with_token(&ada.token);

    let sockets = connections(&base, &ada).await;
    ada.rest.delete("/api/auth/sessions", None).await.ok();
    end(&sockets).await;

    let sockets = connections(&base, &bob).await;
    let password = json!({ "password": "correct horse" });
    bob.rest.delete(&format!("/api/users/{}", bob.id), Some(&password)).await.ok();
    end(&sockets).await;
    end(&others).await;
}
