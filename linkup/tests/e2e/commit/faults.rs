//! Answers that are lost, inserts that land late.

use std::time::Duration;

use futures_util::future::join_all;
use protocol::Id;
use serde_json::json;

use super::link::Link;
use super::{batch, command};
use crate::rest::fixture::{Node, assert_each_once, assert_gapless, config};
use crate::support::{SOON, eventually, mongo_uri};

#[tokio::test]
async fn the_connection_is_cut_after_the_commit_and_before_its_answer() {
    let uri = mongo_uri().await;
    let link = Link::to(&uri).await;
    let node = Node::with(&link.uri(), config()).await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    ada.say(conversation, "text 0").await;
    // The driver does not try again by itself, so the lane has to find out what became of each batch.
    link.swallow_answers(5);
    let texts: Vec<String> = (0..41).map(|n| format!("text {n}")).collect();
    let answers = join_all(texts[1..].iter().map(|text| ada.say(conversation, text))).await;
    assert!(link.interfered() >= 1);
    let all = bob.everything(conversation).await;
    assert_gapless(&all, 41);
    assert_each_once(&all, texts);
    // What was answered is what is stored.
    for answer in answers {
        let stored = all.iter().find(|message| message["_id"] == answer["_id"]).unwrap();
        assert_eq!((&stored["seq"], &stored["content"]), (&answer["seq"], &answer["content"]));
    }
}

#[tokio::test]
async fn an_insert_that_lands_late_doubles_nothing() {
    let uri = mongo_uri().await;
    let link = Link::to(&uri).await;
    let node = Node::with(&link.uri(), config()).await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let mut texts = Vec::new();
    // At first before the lane looks again, then about when it inserts again, then long after.
    for later in [100, 1_100, 2_500] {
        // The driver's first attempt and its retry are both held back.
        link.delay_inserts(2, Duration::from_millis(later));
        let round: Vec<String> = (0..10).map(|n| format!("{later} {n}")).collect();
        let commands: Vec<_> = round
            .iter()
            .map(|text| command(Id::mint(), ada.id, conversation, &json!({"content": text})))
            .collect();
        let answers = batch(&node.gateway(), &commands).await;
        assert!(answers.iter().all(|answer| answer["ok"].is_object()), "{answers:?}");
        texts.extend(round);
        texts.push(format!("{later} after"));
        ada.say(conversation, &texts[texts.len() - 1]).await;
    }
    assert_eq!(link.interfered(), 6);
    eventually("the late inserts have landed", SOON, async || (link.landed() == 6).then_some(())).await;
    let all = ada.everything(conversation).await;
    assert_gapless(&all, texts.len());
    // In the order in which they were sent, too.
    let stored: Vec<_> = all.iter().map(|message| message["content"].as_str().unwrap()).collect();
    assert_eq!(stored, texts);
}

#[tokio::test]
async fn two_nodes_one_of_them_behind_a_bad_link() {
    let uri = mongo_uri().await;
    let link = Link::to(&uri).await;
    let (good, bad) = (Node::on(&uri).await, Node::with(&link.uri(), config()).await);
    let (ada, bob) = (good.person("Ada").await, good.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let bob = bad.as_person(bob.id);
    let (ada, bob) = (&ada, &bob);
    link.swallow_answers(3);
    let writers = (0..8).map(|writer| {
        let person = if writer % 2 == 0 { ada } else { bob };
        async move {
            for n in 0..20 {
                person.say(conversation, &format!("{writer} {n}")).await;
            }
        }
    });
    join_all(writers).await;
    let all = ada.everything(conversation).await;
    assert_gapless(&all, 160);
    assert_each_once(&all, (0..8).flat_map(|writer| (0..20).map(move |n| format!("{writer} {n}"))));
}

#[tokio::test]
async fn patience_ends_and_the_lane_goes_on_afterwards() {
    let uri = mongo_uri().await;
    let link = Link::to(&uri).await;
    let impatient = api::Config { commit_timeout: Duration::from_secs(1), ..config() };
    let node = Node::with(&link.uri(), impatient).await;
    let (ada, bob) = (node.person("Ada").await, node.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let message = Id::mint();
    let send = [command(message, ada.id, conversation, &json!({"content": "one"}))];
    link.down();
    let answers = batch(&node.gateway(), &send).await;
    assert_eq!(answers[0]["err"]["code"], "unavailable");
    link.up();
    // The gateway sends the batch again, as it is.
    eventually("the message is stored", SOON, async || {
        let answers = batch(&node.gateway(), &send).await;
        answers[0]["ok"].is_object().then_some(())
    })
    .await;
    let next = [command(Id::mint(), ada.id, conversation, &json!({"content": "two"}))];
    eventually("the next one is stored", SOON, async || {
        batch(&node.gateway(), &next).await[0]["ok"].is_object().then_some(())
    })
    .await;
    assert_gapless(&ada.everything(conversation).await, 2);
}
