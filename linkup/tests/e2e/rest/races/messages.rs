//! Sends, marks, archiving and blocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::StatusCode;
use protocol::Id;
use serde_json::{Value, json};

use super::{Pair, at_once, delete, post, put, statuses};
use crate::rest::fixture::{Person, assert_gapless, id, seq};

fn path(conversation: Id) -> String {
    format!("/api/conversations/{conversation}")
}

fn sends(conversation: Id) -> String {
    format!("{}/messages", path(conversation))
}

fn blocks(blocker: &Person, blocked: &Person) -> String {
    format!("{}/blocks/{}", blocker.path(), blocked.id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_sends_over_two_nodes_have_fifty_numbers() {
    let pair = Pair::start().await;
    let (ada, bob) = (pair.person("Ada").await, pair.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let replies = at_once((0..50).map(|n| {
        let rest = pair.at(n / 2, if n % 2 == 0 { &ada } else { &bob });
        post(rest, &sends(conversation), json!({"content": n.to_string()}))
    }));
    let mut sent: Vec<Value> = replies.await.into_iter().map(super::Reply::ok).collect();
    sent.sort_by_key(seq);
    assert_gapless(&sent, 50);
    let stored = bob.everything(conversation).await;
    let texts = |messages: &[Value]| messages.iter().map(|one| one["content"].clone()).collect::<Vec<_>>();
    assert_eq!(texts(&stored), texts(&sent));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_ever_lies_in_a_conversation_that_nobody_sees() {
    let pair = Pair::start().await;
    let (ada, bob) = (pair.person("Ada").await, pair.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let mut hidden = 0;
    for round in 0..28 {
        let before = bob.everything(conversation).await.len() as i64;
        let send = |n: usize| {
            let rest = pair.at(n / 2, [&ada, &bob][n % 2]);
            post(rest, &sends(conversation), json!({"content": format!("{round} {n}")}))
        };
        // Up to all of them are there when the archiving begins.
        for reply in at_once((0..round % 7).map(send)).await {
            reply.ok();
        }
        let sent: Vec<_> = (round % 7..6).map(|n| tokio::spawn(send(n))).collect();
        // The one who archives has seen the messages up to some point; the others come after it.
        let archived = at_once((0..2).map(|n| delete(pair.at(n, &bob), &path(conversation))));
        for reply in archived.await {
            reply.ok();
        }
        for reply in sent {
            assert!(seq(&reply.await.unwrap().ok()) > before);
        }
        let stored = pair.0[0].store.conversation(conversation).await.unwrap().unwrap();
        let lists = [ada.list().await, bob.list().await];
        assert_eq!(lists[0].len(), lists[1].len());
        if lists[0].is_empty() {
            hidden += 1;
            assert!(!stored.is_active);
            // Whoever archived it has seen all of them.
            assert_eq!(stored.archived_seq, Some(before + 6));
            // And whatever comes now brings it back.
            assert_eq!(seq(&ada.say(conversation, "back").await), before + 7);
            assert_eq!((ada.list().await.len(), bob.list().await.len()), (1, 1));
        } else {
            assert_eq!(lists[1][0]["lastMessage"]["seq"], json!(before + 6));
        }
    }
    assert!((4..28).contains(&hidden), "the archiving came last in {hidden} of 28 rounds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_block_nothing_is_sent_in_a_conversation_that_was_begun_meanwhile() {
    let pair = Pair::start().await;
    let mut made = 0;
    for _ in 0..25 {
        let (ada, bob) = (pair.person("Ada").await, pair.person("Bob").await);
        let people = json!({"participants": [ada.id, bob.id]});
        let begun = (0..4).map(|n| {
            let one = if n % 2 == 0 { &ada } else { &bob };
            tokio::spawn(post(pair.at(n / 2, one), "/api/conversations", people.clone()))
        });
        let begun: Vec<_> = begun.collect();
        let blocked = tokio::spawn(post(pair.at(1, &bob), &blocks(&bob, &ada), json!({})));
        blocked.await.unwrap().ok();
        for reply in begun {
            let status = reply.await.unwrap().status.as_u16();
            assert!([200, 201, 400, 403].contains(&status), "{status}");
        }
        let direct = pair.0[0].store.direct_conversation(ada.id, bob.id).await.unwrap();
        let Some(direct) = direct else { continue };
        made += 1;
        let tries = [(0, &ada), (1, &ada), (0, &bob), (1, &bob)]
            .map(|(n, one)| post(pair.at(n, one), &sends(direct.id), json!({"content": "hi"})));
        let replies = at_once(tries).await;
        assert_eq!(statuses(&replies), [403; 4], "{:?}", direct.blocked_by);
    }
    assert!(made > 0, "no conversation was begun before the block");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_a_block_is_answered_nothing_new_is_sent() {
    let pair = Pair::start().await;
    for _ in 0..10 {
        let (ada, bob) = (pair.person("Ada").await, pair.person("Bob").await);
        let conversation = ada.conversation(&[&bob]).await;
        let blocked = Arc::new(AtomicBool::new(false));
        let senders = (0..6).map(|n| {
            let (rest, blocked) = (pair.at(n / 2, if n % 2 == 0 { &ada } else { &bob }), blocked.clone());
            let path = sends(conversation);
            async move {
                loop {
                    let before = blocked.load(Ordering::SeqCst);
                    let reply = rest.post(&path, &json!({"content": "hi"})).await;
                    match reply.status {
                        StatusCode::CREATED => assert!(!before, "sent after the block was answered"),
                        _ => assert_eq!(reply.status, StatusCode::FORBIDDEN, "{}", reply.body),
                    }
                    if before {
                        return;
                    }
                }
            }
        });
        let senders: Vec<_> = senders.map(tokio::spawn).collect();
        bob.block(&ada).await;
        blocked.store(true, Ordering::SeqCst);
        for sender in senders {
            sender.await.unwrap();
        }
        let count = bob.everything(conversation).await.len();
        let tries = (0..4).map(|n| {
            let rest = pair.at(n / 2, if n % 2 == 0 { &ada } else { &bob });
            post(rest, &sends(conversation), json!({"content": "hi"}))
        });
        assert_eq!(statuses(&at_once(tries).await), [403; 4]);
        assert_eq!(bob.everything(conversation).await.len(), count);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_knows_who_blocks_whom_whatever_order_it_comes_in() {
    let pair = Pair::start().await;
    let (ada, bob) = (pair.person("Ada").await, pair.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    for _ in 0..20 {
        let changes = (0..6).map(|n| {
            let (one, other) = if n % 3 == 0 { (&bob, &ada) } else { (&ada, &bob) };
            let (rest, path) = (pair.at(n / 2, one), blocks(one, other));
            async move {
                match n % 2 {
                    0 => rest.post(&path, &json!({})).await,
                    _ => rest.delete(&path, None).await,
                }
            }
        });
        let replies = at_once(changes).await;
        assert!(replies.iter().all(|reply| reply.status == StatusCode::OK), "{:?}", statuses(&replies));
        let store = &pair.0[0].store;
        let mut noted = store.conversation(conversation).await.unwrap().unwrap().blocked_by;
        let mut blocking = store.blocks_between(ada.id, bob.id).await.unwrap();
        noted.sort();
        blocking.sort();
        assert_eq!(noted, blocking);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_marks_at_once_end_at_the_furthest() {
    let pair = Pair::start().await;
    let (ada, bob) = (pair.person("Ada").await, pair.person("Bob").await);
    let conversation = ada.conversation(&[&bob]).await;
    let mut sent = Vec::new();
    for n in 0..50 {
        sent.push(id(&ada.say(conversation, &n.to_string()).await));
    }
    assert_eq!(bob.list().await[0]["unreadCount"], 50);
    let marks = sent.iter().enumerate().map(|(n, message)| {
        let at = (n * 7) % sent.len();
        put(pair.at(n, &bob), &format!("/api/messages/{}/read", sent[at]), json!({"of": message}))
    });
    let mut marked: Vec<i64> = at_once(marks).await.into_iter().map(|reply| seq(&reply.ok())).collect();
    marked.sort_unstable();
    assert_eq!(marked, (1..=50).collect::<Vec<_>>());
    assert_eq!(bob.list().await[0]["unreadCount"], 0);
    let all = ada.everything(conversation).await;
    assert!(all.iter().all(|message| message["readBy"].as_array().unwrap().len() == 2));
}
