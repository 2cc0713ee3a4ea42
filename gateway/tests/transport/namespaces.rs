//! Several clients on one connection, each in a namespace of its own.

use std::time::Duration;

use gateway::transport::Config;

use crate::app::{Server, Told, text_event};
use crate::client::Client;

#[tokio::test]
async fn each_namespace_has_its_own_client_and_session() {
    let mut server = Server::start(Config::default()).await;
    let mut client = Client::engine(server.address).await;
    client.send("40/custom").await;
    assert!(client.text().await.starts_with("40/custom,{\"sid\":\""));
    let custom = server.connected().await;
    client.send(r#"40/other,{"a":1}"#).await;
    assert!(client.text().await.starts_with("40/other,{\"sid\":\""));
    assert!(matches!(server.told().await, Told::Connect(_, auth) if auth == r#"{"a":1}"#));
    client.send("40").await;
    assert!(client.text().await.starts_with("40{\"sid\":\""));
    let main = server.connected().await;

    for (packet, answer, id) in [
        (r#"42/custom,["a",1]"#, r#"42/custom,["a",1]"#, custom),
        (r#"42/custom,7["a",1,2]"#, "43/custom,7[1,2]", custom),
        (r#"42["a",1]"#, r#"42["a",1]"#, main),
    ] {
        client.send(packet).await;
        assert_eq!(client.text().await, answer);
        assert!(matches!(server.told().await, Told::Event(told, ..) if told == id), "{packet}");
    }
    client.send("41/custom").await;
    server.assert_disconnected(custom).await;
    client.send("42[\"a\"]").await;
    assert_eq!(client.text().await, "42[\"a\"]");
    server.told().await;
    client.send("41").await;
    server.assert_disconnected(main).await;
    client.send("42/other,[\"a\"]").await;
    assert_eq!(client.text().await, "42/other,[\"a\"]");
    server.told().await;
    client.send("40/custom,").await;
    assert!(client.text().await.starts_with("40/custom,{\"sid\":\""));
    assert!(server.connected().await > main);
    server.stopped(client).await;
}

#[tokio::test]
async fn a_refusal_is_for_one_namespace() {
    let mut server = Server::start(Config::default()).await;
    let mut client = Client::socketio(server.address).await;
    let main = server.connected().await;
    for _ in 0..2 {
        client.send(r#"40/custom,{"token":"refuse"}"#).await;
        assert_eq!(client.text().await, r#"44/custom,{"message":"Authentication error"}"#);
        let id = server.connected().await;
        server.assert_disconnected(id).await;
    }
    server.app.socket(main).emit(&text_event("still", ""));
    assert_eq!(client.text().await, "42[\"still\"]");
    client.send("42/custom,[\"a\"]").await;
    assert_eq!(client.closed().await, 1002, "nobody is there");
    server.assert_disconnected(main).await;
    server.stopped(client).await;
}

#[tokio::test]
async fn every_client_of_a_broken_connection_is_reported() {
    let mut server = Server::start(Config::default()).await;
    let mut client = Client::socketio(server.address).await;
    let main = server.connected().await;
    client.send("40/custom,{}").await;
    let custom = server.connected().await;
    drop(client);
    server.assert_disconnected(main).await;
    server.assert_disconnected(custom).await;
    server.stopped(()).await;
}

#[tokio::test]
async fn whoever_is_dismissed_takes_the_transport_along() {
    let mut server = Server::start(Config::default()).await;
    for (connect, packet, farewell) in
        [("40", "42[\"dismiss\"]", "41"), ("40/custom", "42/custom,[\"dismiss\"]", "41/custom,")]
    {
        let mut client = Client::engine(server.address).await;
        client.send(connect).await;
        client.text().await;
        let id = server.connected().await;
        client.send(packet).await;
        assert_eq!(client.text().await, farewell);
        assert_eq!(client.closed().await, 4401);
        server.told().await;
        server.assert_disconnected(id).await;
    }
    let mut pending = Client::engine(server.address).await;
    pending.send(r#"40{"token":"wait"}"#).await;
    let id = server.connected().await;
    server.app.socket(id).dismiss("go away");
    assert_eq!(pending.text().await, r#"44{"message":"go away"}"#);
    assert_eq!(pending.closed().await, 4401);
    server.assert_disconnected(id).await;
    let mut plain = Client::plain(server.address).await;
    let id = server.connected().await;
    plain.send("[\"dismiss\"]").await;
    assert_eq!(plain.closed().await, 4401);
    server.told().await;
    server.assert_disconnected(id).await;
    server.stopped(()).await;
}

#[tokio::test]
async fn the_connect_timeout_runs_while_no_namespace_has_a_client() {
    let config = Config { connect_timeout: Duration::from_millis(600), ..Config::default() };
    let mut server = Server::start(config).await;
    let mut left = Client::engine(server.address).await;
    left.send("40/custom").await;
    left.text().await;
    let id = server.connected().await;
    let mut stays = Client::engine(server.address).await;
    stays.send("40/custom").await;
    stays.text().await;
    server.connected().await;
    left.send("41/custom,").await;
    server.assert_disconnected(id).await;
    assert_eq!(left.closed().await, 4408);
    stays.assert_well().await;
    server.stopped(stays).await;
}

#[tokio::test]
async fn the_clients_of_a_transport_may_ask_only_so_often() {
    let server = Server::start(Config::default()).await;
    for ask in [&["40", "41"][..], &["40/custom", "41/custom"], &["40/random"], &[r#"40{"token":"refuse"}"#]]
    {
        let mut client = Client::engine(server.address).await;
        for asked in 0..17 {
            for packet in ask {
                client.send(packet).await;
            }
            if asked < 16 {
                assert!(client.text().await.starts_with('4'), "{ask:?} {asked}");
            }
        }
        assert_eq!(client.closed().await, 4429, "{ask:?}");
    }
    server.stopped(()).await;
}
