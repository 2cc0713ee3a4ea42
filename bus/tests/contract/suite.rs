//! The promises of [`Bus`], for any implementation.

use std::future::Future;
use std::time::Duration;

use bus::{Bus, Incoming, Publisher, UplinkSender};
use bytes::Bytes;
use protocol::bus::{Content, Delivery, Downlink, Envelope, Registrant, Typing, Uplink};
use protocol::{Clock, Id, UnixMicros};
use tokio::sync::mpsc::Receiver;

/// The two sides of a bus, on one handle or on two.
pub(crate) struct Ends<B> {
    pub(crate) streamer: B,
    pub(crate) gateways: B,
}

/// What the future gives, which must not take ten seconds.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within ten seconds"))
}

/// A delivery without contents.
pub(crate) fn beat(counter: u64) -> Delivery {
    Delivery {
        term: 1,
        counter,
        sent: UnixMicros::now(),
        body: Downlink::Beat { position: Clock::default() },
    }
}

/// The next delivery's counter.
pub(crate) async fn next_counter(receiver: &mut Receiver<Incoming>) -> u64 {
    match soon("a delivery", receiver.recv()).await {
        Some(Incoming::Delivery(delivery)) => delivery.counter,
        other => panic!("{other:?} instead of a delivery"),
    }
}

pub(crate) async fn deliveries_keep_their_order_per_gateway<B: Bus>(ends: Ends<B>) {
    const COUNT: u64 = 3000;
    let (mut publisher, _uplinks) = ends.streamer.attach_streamer().await.unwrap();
    let gateways = [Id::mint(), Id::mint()];
    let mut readers = Vec::new();
    for gateway in gateways {
        let (_, mut receiver) = ends.gateways.attach_gateway(gateway).await.unwrap();
        readers.push(tokio::spawn(async move {
            for counter in 1..=COUNT {
                assert_eq!(next_counter(&mut receiver).await, counter);
            }
        }));
    }
    // More than fits any buffer, so the in-process bus has to wait for its gateways.
    for counter in 1..=COUNT {
        for gateway in gateways {
            soon("publishing", publisher.publish(gateway, &beat(counter))).await.unwrap();
        }
    }
    for reader in readers {
        soon("reading", reader).await.unwrap();
    }
}

pub(crate) async fn gateways_do_not_see_each_others_deliveries<B: Bus>(ends: Ends<B>) {
    let (mut publisher, _uplinks) = ends.streamer.attach_streamer().await.unwrap();
    let (one, two) = (Id::mint(), Id::mint());
    let (_, mut to_one) = ends.gateways.attach_gateway(one).await.unwrap();
    let (_, mut to_two) = ends.gateways.attach_gateway(two).await.unwrap();
    for counter in [1, 2, 3] {
        publisher.publish(one, &beat(counter)).await.unwrap();
        publisher.publish(two, &beat(100 + counter)).await.unwrap();
    }
    for counter in [1, 2, 3] {
        assert_eq!(next_counter(&mut to_one).await, counter);
        assert_eq!(next_counter(&mut to_two).await, 100 + counter);
    }
    assert!(to_one.try_recv().is_err() && to_two.try_recv().is_err(), "nothing more");
}

pub(crate) async fn what_is_delivered_is_what_was_published<B: Bus>(ends: Ends<B>) {
    let (mut publisher, _uplinks) = ends.streamer.attach_streamer().await.unwrap();
    let gateway = Id::mint();
    let (_, mut receiver) = ends.gateways.attach_gateway(gateway).await.unwrap();
    let clock = Clock { time: 1 << 40, change: 2, event: 1 };
    let envelope = Envelope {
        clock,
        recipients: vec![Id::mint(), Id::mint()],
        content: Content::Event(Bytes::from(vec![b'x'; 100_000])),
        received: Some(UnixMicros::now()),
    };
    let bodies = [
        Downlink::Events(vec![
            envelope.clone(),
            Envelope { content: Content::SessionsEnded { generation: 3 }, ..envelope.clone() },
            Envelope { content: Content::UserGone, ..envelope.clone() },
        ]),
        Downlink::Replay { request: 7, events: vec![envelope] },
        Downlink::Registered { request: 7, live_from: clock, incomplete: vec![Id::mint()] },
        Downlink::Typing {
            typing: Typing { user: Id::mint(), conversation: Id::mint(), is_typing: true },
            recipients: vec![Id::mint()],
        },
    ];
    for (body, counter) in bodies.into_iter().zip(1..) {
        let delivery = Delivery { term: 3, counter, sent: UnixMicros::now(), body };
        assert!(bus::size::delivery_bytes(&delivery) < publisher.max_delivery_bytes());
        publisher.publish(gateway, &delivery).await.unwrap();
        assert_eq!(soon("a delivery", receiver.recv()).await, Some(Incoming::Delivery(delivery)));
    }
}

pub(crate) async fn confirm_returns_and_can_be_repeated<B: Bus>(ends: Ends<B>) {
    let (mut publisher, _uplinks) = ends.streamer.attach_streamer().await.unwrap();
    let gateway = Id::mint();
    let (_, mut receiver) = ends.gateways.attach_gateway(gateway).await.unwrap();
    soon("confirming nothing", publisher.confirm()).await.unwrap();
    for counter in 1..=20 {
        publisher.publish(gateway, &beat(counter)).await.unwrap();
        soon("confirming", publisher.confirm()).await.unwrap();
        soon("confirming again", publisher.confirm()).await.unwrap();
        assert_eq!(next_counter(&mut receiver).await, counter);
    }
}

pub(crate) async fn uplinks_arrive_in_order<B: Bus>(ends: Ends<B>) {
    let (_publisher, mut uplinks) = ends.streamer.attach_streamer().await.unwrap();
    let gateway = Id::mint();
    let (sender, _incoming) = ends.gateways.attach_gateway(gateway).await.unwrap();
    let mut sent = vec![Uplink::Alive { gateway, request: 0 }];
    sent.extend((1..200).map(|request| Uplink::Register {
        gateway,
        request,
        reset: request == 1,
        users: vec![
            Registrant { user: Id::mint(), from: Some(Clock { time: request, change: 0, event: 0 }) };
            3
        ],
    }));
    let typing = Typing { user: Id::mint(), conversation: Id::mint(), is_typing: true };
    sent.extend([
        Uplink::Typing { gateway, typing },
        Uplink::Unregister { gateway, users: vec![Id::mint()] },
        Uplink::Leave { gateway },
    ]);
    for uplink in sent.clone() {
        soon("sending", sender.send(uplink)).await.unwrap();
    }
    for uplink in sent {
        assert_eq!(soon("an uplink", uplinks.recv()).await, Some(uplink));
    }
}

pub(crate) async fn uplinks_without_a_streamer_are_lost_quietly<B: Bus>(ends: Ends<B>) {
    let gateway = Id::mint();
    let (sender, _incoming) = ends.gateways.attach_gateway(gateway).await.unwrap();
    for _ in 0..3000 {
        soon("sending", sender.send(Uplink::Alive { gateway, request: 0 })).await.unwrap();
    }
    // The same connection's round trip: whatever was sent before has been dropped by now.
    let (probe, _incoming) = ends.gateways.attach_gateway(Id::mint()).await.unwrap();
    let (_publisher, mut uplinks) = ends.streamer.attach_streamer().await.unwrap();
    probe.send(Uplink::Leave { gateway }).await.unwrap();
    assert_eq!(soon("an uplink", uplinks.recv()).await, Some(Uplink::Leave { gateway }));
}

pub(crate) async fn a_second_streamer_replaces_the_first<B: Bus>(ends: Ends<B>) {
    let gateway = Id::mint();
    let (sender, mut incoming) = ends.gateways.attach_gateway(gateway).await.unwrap();
    let (_first, mut to_first) = ends.streamer.attach_streamer().await.unwrap();
    sender.send(Uplink::Alive { gateway, request: 0 }).await.unwrap();
    assert!(soon("an uplink", to_first.recv()).await.is_some());

    let (mut second, mut to_second) = ends.streamer.attach_streamer().await.unwrap();
    assert_eq!(soon("the first's end", to_first.recv()).await, None);
    sender.send(Uplink::Leave { gateway }).await.unwrap();
    assert_eq!(soon("an uplink", to_second.recv()).await, Some(Uplink::Leave { gateway }));
    second.publish(gateway, &beat(1)).await.unwrap();
    assert_eq!(next_counter(&mut incoming).await, 1);
}

pub(crate) async fn a_gateway_attached_again_replaces_the_earlier<B: Bus>(ends: Ends<B>) {
    let gateway = Id::mint();
    let (mut publisher, _uplinks) = ends.streamer.attach_streamer().await.unwrap();
    let (_, mut earlier) = ends.gateways.attach_gateway(gateway).await.unwrap();
    let (_, mut later) = ends.gateways.attach_gateway(gateway).await.unwrap();
    assert_eq!(soon("the earlier's end", earlier.recv()).await, None);
    publisher.publish(gateway, &beat(1)).await.unwrap();
    assert_eq!(next_counter(&mut later).await, 1);
    // The end of the earlier one must not have taken the later one with it.
    drop(earlier);
    publisher.publish(gateway, &beat(2)).await.unwrap();
    assert_eq!(next_counter(&mut later).await, 2);
}

pub(crate) async fn a_streamer_can_leave_and_come_back<B: Bus>(ends: Ends<B>) {
    let gateway = Id::mint();
    let (sender, mut incoming) = ends.gateways.attach_gateway(gateway).await.unwrap();
    for counter in 1..=3 {
        let (mut publisher, mut uplinks) = ends.streamer.attach_streamer().await.unwrap();
        sender.send(Uplink::Alive { gateway, request: 0 }).await.unwrap();
        assert_eq!(soon("an uplink", uplinks.recv()).await, Some(Uplink::Alive { gateway, request: 0 }));
        publisher.publish(gateway, &beat(counter)).await.unwrap();
        assert_eq!(next_counter(&mut incoming).await, counter);
        drop((publisher, uplinks));
        soon("sending to nobody", sender.send(Uplink::Leave { gateway })).await.unwrap();
        // Over NATS the uplink above travels on its own connection; a round trip there makes sure that it
        // reached the server, and nobody, before the next streamer attaches.
        ends.gateways.attach_gateway(Id::mint()).await.unwrap();
    }
}

pub(crate) async fn a_gone_gateway_is_no_error<B: Bus>(ends: Ends<B>) {
    let (mut publisher, _uplinks) = ends.streamer.attach_streamer().await.unwrap();
    let (gone, present) = (Id::mint(), Id::mint());
    let (_, receiver) = ends.gateways.attach_gateway(gone).await.unwrap();
    let (_, mut incoming) = ends.gateways.attach_gateway(present).await.unwrap();
    drop(receiver);
    for counter in 1..=2000 {
        for nobody in [gone, Id::mint()] {
            soon("publishing to nobody", publisher.publish(nobody, &beat(counter))).await.unwrap();
        }
    }
    publisher.publish(present, &beat(1)).await.unwrap();
    soon("confirming", publisher.confirm()).await.unwrap();
    assert_eq!(next_counter(&mut incoming).await, 1);
    // The same identifier can attach again.
    let (_, mut again) = ends.gateways.attach_gateway(gone).await.unwrap();
    publisher.publish(gone, &beat(7)).await.unwrap();
    assert_eq!(next_counter(&mut again).await, 7);
}
