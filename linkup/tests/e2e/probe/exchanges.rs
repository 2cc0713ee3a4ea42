//! Exchanges through gateways.

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;
use linkup::probe::Outcome;
use store::bson::doc;
use store::convert::oid;
use store::document::Message;

use super::Probe;
use super::relay::Relay;
use crate::support::stack::{Plan, Stack};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_two_take_turns_and_it_is_told_how_long_it_took() {
    let stack = Stack::start().await;
    let probe = Probe::start(&stack.base(), |_| {});
    probe.more(Outcome::Delivered, 4).await;
    assert_eq!(probe.value("linkup_probe_up", &[]), 1.0);
    let registry = probe.stop().await;
    let value = |name: &str, labels: &[(&str, &str)]| registry.value(name, labels).unwrap();
    let delivered = value("linkup_probe_exchanges_total", &[("result", "delivered")]);
    assert_eq!(value("linkup_probe_seconds_count", &[]), delivered);
    let stage = |stage| value("linkup_probe_stage_seconds_count", &[("stage", stage)]);
    // Both connected once. (An exchange that was going on when it was stopped may have been acknowledged.)
    assert_eq!((stage("connect"), stage("deliver")), (2.0, delivered));
    assert!((delivered..=delivered + 1.0).contains(&stage("acknowledge")));
    assert!(value("linkup_probe_seconds_sum", &[]) > 0.0);

    let [conversation] = stack.store().probe_conversations().await.unwrap()[..] else { panic!("one") };
    let messages = stack.store().messages();
    let all = messages.find(doc! {"conversationId": oid(conversation)}).sort(doc! {"seq": 1});
    let all: Vec<Message> = all.await.unwrap().try_collect().await.unwrap();
    let senders: Vec<_> = all.iter().map(|message| message.sender).collect();
    assert!(senders.len() >= 4 && senders.windows(2).all(|pair| pair[0] != pair[1]), "{senders:?}");
    let contents: BTreeSet<_> = all.iter().map(|message| &message.content).collect();
    assert_eq!(contents.len(), all.len(), "each message is another one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_probes_do_not_disturb_each_other() {
    let stack = Stack::with(Plan { gateways: 2, apis: 2, ..Plan::default() }).await;
    let bases = stack.bases();
    // Two that nobody has told apart, on different gateways, and one of another name.
    let probes = [(0, "default"), (1, "default"), (0, "other")]
        .map(|(gateway, name)| Probe::start(&bases[gateway], |config| config.name = name.parse().unwrap()));
    for probe in &probes {
        probe.more(Outcome::Delivered, 10).await;
    }
    for probe in probes {
        assert_eq!(probe.failures(), 0);
        probe.stop().await;
    }
    assert_eq!(stack.store().probe_conversations().await.unwrap().len(), 2);
    let users = stack.store().users().count_documents(doc! {"probe": {"$exists": true}}).await.unwrap();
    assert_eq!(users, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_are_made_again_and_nothing_fails() {
    let (stack, relay) = (Stack::start().await, Relay::start(None).await);
    relay.lead_to(&stack.base());
    let probe = Probe::start(&format!("http://{}", relay.address), |_| {});
    for _ in 0..3 {
        probe.more(Outcome::Delivered, 2).await;
        relay.cut();
    }
    probe.more(Outcome::Delivered, 2).await;
    assert_eq!(probe.failures(), 0);
    let connected = probe.value("linkup_probe_stage_seconds_count", &[("stage", "connect")]);
    assert!(connected >= 8.0, "{connected}");
    probe.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_probe_leaves_no_connection_behind() {
    let stack = Stack::start().await;
    let probe = Probe::start(&stack.base(), |_| {});
    probe.more(Outcome::Delivered, 1).await;
    let users = doc! {"probe": {"$exists": true}, "status": "online"};
    let online = async || stack.store().users().count_documents(users.clone()).await.unwrap();
    crate::support::eventually("both are online", crate::support::SOON, async || {
        (online().await == 2).then_some(())
    })
    .await;
    probe.stop().await;
    crate::support::eventually("both are offline", 2 * crate::support::SOON, async || {
        (online().await == 0).then_some(())
    })
    .await;
}
