//! Who wants to connect while the database is away.

use hyper::header::RETRY_AFTER;
use serde_json::json;

use super::refusals;
use crate::commit::link::Link;
use crate::support::people::register;
use crate::support::rest::Rest;
use crate::support::socket::{Dialect, Socket};
use crate::support::stack::{Plan, Stack};
use crate::support::{SOON, eventually, mongo_uri};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_while_the_database_is_away_is_told_when_to_come_back_and_let_in_when_it_is_back() {
    let mongo_uri = mongo_uri().await;
    let link = Link::to(&mongo_uri).await;
    let plan = Plan { api_mongo_uri: Some(link.uri()), mongo_uri: Some(mongo_uri), ..Plan::default() };
    let stack = Stack::with(plan).await;
    let (base, before) = (stack.base(), refusals(&stack, "away"));
    let ada = register(&base, "Ada").await;
    let connected = ada.connect(&base, Dialect::SocketIo).await;

    link.down();
    let rest = Rest::new(&base);
    let refusal = eventually("new connections are refused", 2 * SOON, async || {
        let poll = rest.get(POLLING).await;
        (poll.status != 200).then_some(poll)
    })
    .await;
    assert_eq!(refusal.status, 503);
    assert_eq!(refusal.body["code"], json!("unavailable"));
    assert!(refusal.headers.contains_key(RETRY_AFTER));
    assert!(refusals(&stack, "away") > before);
    assert_eq!(connected.close_code(), None, "whoever is connected stays");

    link.up();
    let again = eventually("new connections are let in", 2 * SOON, async || {
        Socket::connect(&base, Dialect::Plain, &ada.token).await.ok()
    })
    .await;
    drop(again);
    assert_eq!(connected.close_code(), None);
}
