//! Engine.IO over HTTP long polling.

use std::time::{Duration, Instant};

use gateway::transport::Config;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::app::{Server, Told, text_event};
use crate::poller::{Poller, begin, finish, packets, send};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[tokio::test]
async fn a_session_is_opened_as_the_protocol_says() {
    let server = Server::start(Config::default()).await;
    for path in ["/socket.io/?EIO=4&transport=polling&t=x", "/socket.io?transport=polling&EIO=4"] {
        let answer = send(server.address, "GET", path, "Origin: http://a\r\n", b"").await;
        for header in [
            "content-type: text/plain; charset=utf-8",
            "cache-control: no-store",
            "access-control-allow-origin: http://a",
        ] {
            assert!(answer.head.contains(header), "{}", answer.head);
        }
        let mut open: Value = serde_json::from_str(answer.ok().strip_prefix('0').unwrap()).unwrap();
        assert_eq!(open["sid"].take().as_str().unwrap().len(), 20);
        let expected = json!({
            "sid": null, "upgrades": ["websocket"],
            "pingInterval": 25_000, "pingTimeout": 20_000, "maxPayload": 100_000,
        });
        assert_eq!(open, expected);
    }
    server.stopped(()).await;
}

#[tokio::test]
async fn packets_go_both_ways() {
    let mut server = Server::start(Config::default()).await;
    let poller = Poller::open(server.address, "/socket.io/").await;
    let waiting = poller.polled();
    let posted = poller.post("40{\"token\":\"ä\"}").await;
    assert!(posted.head.contains("content-type: text/html"), "{}", posted.head);
    assert_eq!(posted.ok(), "ok");
    assert!(matches!(server.told().await, Told::Connect(_, auth) if auth == "{\"token\":\"ä\"}"));
    assert!(waiting.await.unwrap().ok().starts_with("40{\"sid\":\""));
    let payload = "42[\"a\",1]\u{1e}427[\"b\",\"ü\"]\u{1e}3\u{1e}42[\"c\"]";
    assert_eq!(poller.post(payload).await.ok(), "ok");
    let answer = poller.poll().await.ok();
    assert_eq!(packets(&answer), ["42[\"a\",1]", "437[\"ü\"]", "42[\"c\"]"]);
    server.stopped(()).await;
}

#[tokio::test]
async fn a_refusal_comes_with_the_next_poll_and_another_attempt_may_follow() {
    let mut server = Server::start(Config::default()).await;
    let poller = Poller::open(server.address, "/socket.io/").await;
    poller.post("40{\"token\":\"refuse\"}").await.ok();
    assert_eq!(poller.poll().await.ok(), "44{\"message\":\"Authentication error\"}");
    let id = server.connected().await;
    server.assert_disconnected(id).await;
    poller.post("40/nowhere,").await.ok();
    assert_eq!(poller.poll().await.ok(), "44/nowhere,{\"message\":\"Invalid namespace\"}");
    poller.post("40").await.ok();
    assert!(poller.poll().await.ok().starts_with("40{"));
    server.stopped(()).await;
}

#[tokio::test]
async fn binary_data_travels_as_base64() {
    let server = Server::start(Config::default()).await;
    let poller = Poller::open(server.address, "/engine.io/").await;
    assert_eq!(poller.post("4hello\u{1e}bAQIDBA==\u{1e}b/w").await.ok(), "ok");
    assert_eq!(poller.poll().await.ok(), "4hello\u{1e}bAQIDBA==\u{1e}b/w==");
    // A session belongs to the path that it was opened on.
    let path = poller.polling().replace("engine.io", "socket.io");
    assert_eq!(send(server.address, "GET", &path, "", b"").await.error(), 1);
    server.stopped(()).await;
}

#[tokio::test]
async fn two_polls_at_a_time_end_the_session() {
    let mut server = Server::start(Config::default()).await;
    let poller = Poller::socketio(server.address).await;
    let id = server.connected().await;
    let (first, second) = tokio::join!(poller.polled(), poller.polled());
    let (first, second) = (first.unwrap(), second.unwrap());
    let (ended, refused) = if first.status == 200 { (first, second) } else { (second, first) };
    assert_eq!((ended.ok().as_str(), refused.error()), ("1", 3));
    poller.assert_unknown().await;
    server.assert_disconnected(id).await;
    server.stopped(()).await;
}

#[tokio::test]
async fn two_posts_at_a_time_end_the_session() {
    let mut server = Server::start(Config::default()).await;
    let poller = Poller::socketio(server.address).await;
    let id = server.connected().await;
    let headers = "Content-Length: 2\r\nExpect: 100-continue\r\n";
    let mut slow = begin(server.address, "POST", &poller.polling(), headers, b"").await;
    // The server says that it begins to read.
    slow.readable().await.unwrap();
    assert_eq!(poller.post("3").await.error(), 3);
    server.assert_disconnected(id).await;
    slow.write_all(b"33").await.unwrap();
    assert!(finish(slow).await.body.contains("HTTP/1.1 400 "));
    poller.assert_unknown().await;
    server.stopped(()).await;
}

#[tokio::test]
async fn malformed_posts_end_the_session() {
    let mut server = Server::start(Config::default()).await;
    let cases: [&[u8]; 14] = [
        b"",
        b"abc",
        b"\x1e",
        b"3\x1e",
        b"\x1e3",
        b"4",
        b"4abc",
        b"42{}",
        b"42[]",
        b"2",
        b"b*",
        b"bAQIDBA==",
        b"3\x1e4\xff",
        b"0",
    ];
    for (number, payload) in cases.into_iter().enumerate() {
        let poller = Poller::socketio(server.address).await;
        let id = server.connected().await;
        let waiting = (number % 2 == 0).then(|| poller.polled());
        let answer = poller.post(payload).await;
        assert_eq!(answer.error(), 3, "{}", String::from_utf8_lossy(payload));
        server.assert_disconnected(id).await;
        if let Some(waiting) = waiting {
            let answer = waiting.await.unwrap();
            // Whichever came first.
            assert!(answer.status == 400 || answer.body == "1", "{answer:?}");
        }
        poller.assert_unknown().await;
    }
    server.stopped(()).await;
}

#[tokio::test]
async fn a_post_that_is_too_large_is_refused() {
    let mut server = Server::start(Config { max_payload: 1_000, ..Config::default() }).await;
    for chunked in [false, true] {
        let poller = Poller::socketio(server.address).await;
        let id = server.connected().await;
        let just = format!("42[\"a\",\"{}\"]", "x".repeat(1_000 - 10));
        assert_eq!(just.len(), 1_000);
        poller.post(&just).await.ok();
        server.told().await;
        assert_eq!(poller.poll().await.ok(), just);
        let large = format!("{just} ");
        let answer = if chunked {
            let body = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
            let headers = "Transfer-Encoding: chunked\r\n";
            finish(begin(server.address, "POST", &poller.polling(), headers, body.as_bytes()).await).await
        } else {
            poller.post(&large).await
        };
        assert_eq!(answer.status, 413);
        server.assert_disconnected(id).await;
        poller.assert_unknown().await;
    }
    server.stopped(()).await;
}

#[tokio::test]
async fn a_post_that_does_not_come_whole_ends_the_session() {
    let mut server = Server::start(Config { post_timeout: millis(200), ..Config::default() }).await;
    for gives_up in [false, true] {
        let poller = Poller::socketio(server.address).await;
        let id = server.connected().await;
        let half = begin(server.address, "POST", &poller.polling(), "Content-Length: 10\r\n", b"42[").await;
        if gives_up {
            drop(half);
        } else {
            assert_eq!(finish(half).await.status, 408);
        }
        server.assert_disconnected(id).await;
        poller.assert_unknown().await;
    }
    server.stopped(()).await;
}

#[tokio::test]
async fn requests_that_fit_no_session() {
    let server = Server::start(Config::default()).await;
    let poller = Poller::open(server.address, "/socket.io/").await;
    let path = poller.polling();
    let cases = [
        ("GET", path.replace(&poller.sid, "abcdefghijklmnopqrst"), 1),
        ("POST", path.replace(&poller.sid, "abcdefghijklmnopqrst"), 1),
        ("GET", path.replace("polling", "websocket"), 3),
        ("GET", path.replace("polling", "pigeon"), 0),
        ("PUT", path.clone(), 3),
        ("GET", format!("{path}&j=0"), 3),
        ("GET", "/socket.io/?EIO=4&transport=polling&j=0".to_owned(), 3),
        ("POST", "/socket.io/?EIO=4&transport=polling".to_owned(), 2),
        ("PUT", "/socket.io/?EIO=4&transport=polling".to_owned(), 2),
        ("GET", "/socket.io/?EIO=3&transport=polling".to_owned(), 5),
        ("GET", "/socket.io/?transport=polling".to_owned(), 5),
    ];
    for (method, path, code) in cases {
        let answer = send(server.address, method, &path, "Origin: http://a\r\n", b"").await;
        assert!(answer.head.contains("access-control-allow-origin: http://a"), "{}", answer.head);
        assert_eq!(answer.error(), code, "{method} {path}");
    }
    let preflight = send(server.address, "OPTIONS", &path, "", b"").await;
    assert!(preflight.ok().starts_with("OPTIONS "), "the application's");
    let overloaded =
        send(server.address, "GET", "/socket.io/?EIO=4&transport=polling", "X-Overload: y\r\n", b"").await;
    assert_eq!(overloaded.status, 503);
    // None of that did the session any harm.
    poller.post("40").await.ok();
    assert!(poller.poll().await.ok().starts_with("40{"));
    server.stopped(()).await;
}

#[tokio::test]
async fn heartbeats_go_by_poll_and_post() {
    let config = Config { ping_interval: millis(300), ping_timeout: millis(1_000), ..Config::default() };
    let mut server = Server::start(config).await;
    let begun = Instant::now();
    let poller = Poller::socketio(server.address).await;
    let id = server.connected().await;
    for beat in 1..=3 {
        assert_eq!(poller.poll().await.ok(), "2");
        assert!(begun.elapsed() >= millis(beat * 300));
        assert_eq!(poller.post("3").await.ok(), "ok");
    }
    assert_eq!(poller.poll().await.ok(), "2");
    let silent = Instant::now();
    assert_eq!(poller.poll().await.error(), 1);
    assert!(silent.elapsed() >= millis(950) && silent.elapsed() < millis(4_000), "{:?}", silent.elapsed());
    server.assert_disconnected(id).await;
    poller.assert_unknown().await;
    server.stopped(()).await;
}

/// The time is up when it is, and not when the server next looks.
#[tokio::test]
async fn a_silent_session_is_unknown_the_moment_its_time_is_up() {
    // Short enough to wait for, long enough for a busy machine to send its pings in time.
    let config = Config { ping_interval: millis(300), ping_timeout: millis(1_600), ..Config::default() };
    let mut server = Server::start(config).await;
    let poller = Poller::socketio(server.address).await;
    let id = server.connected().await;
    // No condition to wait for: that the session is unknown after exactly this time is what is tested.
    tokio::time::sleep(millis(1_900)).await;
    poller.assert_unknown().await;
    server.assert_disconnected(id).await;
    server.stopped(()).await;
}

#[tokio::test]
async fn a_client_closes_its_session() {
    let mut server = Server::start(Config::default()).await;
    for waits in [true, false] {
        let poller = Poller::socketio(server.address).await;
        let id = server.connected().await;
        let waiting = waits.then(|| poller.polled());
        assert_eq!(poller.post("42[\"last\"]\u{1e}1\u{1e}42[\"ignored\"]").await.ok(), "ok");
        assert!(matches!(server.told().await, Told::Event(_, name, ..) if name == "last"));
        server.assert_disconnected(id).await;
        // A poll that was on its way is released, even if it comes only now.
        let released = match waiting {
            Some(waiting) => waiting.await.unwrap().ok(),
            None => poller.poll().await.ok(),
        };
        assert_eq!(released, "6");
        poller.assert_unknown().await;
    }
    server.stopped(()).await;
}

#[tokio::test]
async fn the_server_closes_a_session() {
    let mut server = Server::start(Config::default()).await;
    for waits in [true, false] {
        let poller = Poller::socketio(server.address).await;
        let id = server.connected().await;
        let waiting = waits.then(|| poller.polled());
        assert_eq!(poller.post("42[\"close\"]").await.ok(), "ok");
        server.told().await;
        server.assert_disconnected(id).await;
        let answer = match waiting {
            Some(waiting) => waiting.await.unwrap().ok(),
            None => poller.poll().await.ok(),
        };
        assert_eq!(answer, "1");
        poller.assert_unknown().await;
    }
    // What was sent before is not lost, and a dismissed client hears that it need not come back.
    let poller = Poller::socketio(server.address).await;
    let id = server.connected().await;
    let socket = server.app.socket(id);
    socket.emit(&text_event("n", "1"));
    socket.dismiss("go");
    server.assert_disconnected(id).await;
    assert_eq!(packets(&poller.poll().await.ok()), ["42[\"n\",1]", "41", "1"]);
    poller.assert_unknown().await;
    server.stopped(()).await;
}

/// As with the stock server: the stock client gives a session up when a poll fails.
#[tokio::test]
async fn a_poll_that_is_given_up_ends_the_session() {
    let mut server = Server::start(Config::default()).await;
    let poller = Poller::socketio(server.address).await;
    let id = server.connected().await;
    drop(begin(server.address, "GET", &poller.polling(), "", b"").await);
    server.assert_disconnected(id).await;
    poller.assert_unknown().await;
    server.stopped(()).await;
}

#[tokio::test]
async fn answers_are_no_larger_than_the_limit_and_complete() {
    let config = Config { max_payload: 10_000, outbound_limit: 1 << 20, ..Config::default() };
    let mut server = Server::start(config).await;
    let poller = Poller::socketio(server.address).await;
    let id = server.connected().await;
    let socket = server.app.socket(id);
    for number in 0..40 {
        let length = if number == 20 { 20_000 } else { 2_900 };
        socket.emit(&text_event("n", &format!("{number},\"{}\"", "x".repeat(length))));
    }
    let mut next = 0;
    while next < 40 {
        let answer = poller.poll().await.ok();
        let packets = packets(&answer);
        assert!(answer.len() <= 10_000 || packets.len() == 1, "{} bytes", answer.len());
        for packet in packets {
            assert!(packet.starts_with(&format!("42[\"n\",{next},")), "{}", &packet[..20]);
            next += 1;
        }
    }
    server.stopped(()).await;
}

#[tokio::test]
async fn a_client_that_does_not_fetch_is_a_slow_consumer() {
    let config = Config { outbound_limit: 50_000, write_timeout: millis(300), ..Config::default() };
    let mut server = Server::start(config).await;
    for floods in [true, false] {
        let poller = Poller::socketio(server.address).await;
        let id = server.connected().await;
        let socket = server.app.socket(id);
        let event = text_event("n", &format!("\"{}\"", "x".repeat(1_000)));
        let emitted = if floods { 100 } else { 1 };
        (0..emitted).for_each(|_| socket.emit(&event));
        server.assert_disconnected(id).await;
        assert_eq!(poller.poll().await.ok(), "1", "and nothing of what was given up");
        poller.assert_unknown().await;
    }
    // One that has nothing to fetch is none.
    let poller = Poller::socketio(server.address).await;
    let id = server.connected().await;
    let socket = server.app.socket(id);
    let waiting = poller.polled();
    tokio::time::sleep(millis(600)).await;
    socket.emit(&text_event("n", "1"));
    assert_eq!(waiting.await.unwrap().ok(), "42[\"n\",1]");
    server.stopped(()).await;
}

#[tokio::test]
async fn a_stopping_server_answers_polls() {
    let mut server = Server::start(Config::default()).await;
    let poller = Poller::socketio(server.address).await;
    let id = server.connected().await;
    let other = Poller::socketio(server.address).await;
    let _idle = server.connected().await;
    let open = Poller::open(server.address, "/socket.io/").await;
    let connection = begin(server.address, "GET", &poller.polling(), "", b"").await;
    // To see that the poll has come, another one is sent a packet.
    other.post("42[\"a\"]").await.ok();
    other.poll().await.ok();
    server.told().await;
    let begun = Instant::now();
    server.shutdown.cancel();
    let answer = finish(connection).await;
    assert_eq!(answer.ok(), "1");
    let mut gone = 0;
    while gone < 2 {
        assert!(matches!(server.told().await, Told::Disconnect(_)));
        gone += 1;
    }
    let _ = (id, open);
    server.stopped(()).await;
    assert!(begun.elapsed() < millis(4_000), "nobody is waited for who cannot come");
}
