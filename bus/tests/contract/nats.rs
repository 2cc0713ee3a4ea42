//! What only NATS can do: lose its connection, drop for a slow consumer, refuse, be spoken to by strangers.

use std::time::{Duration, Instant};

use bus::{Bus, BusError, Incoming, Nats, NatsOptions, Publisher, UplinkSender};
use bytes::Bytes;
use protocol::bus::{Content, Delivery, Downlink, Envelope, Registrant, Uplink};
use protocol::{Clock, Id, UnixMicros};
use service::metrics::Registry;
use tokio::sync::mpsc::Receiver;

use super::nats_server::NatsServer;
use super::relay::Relay;
use super::suite::{beat, next_counter, soon};

/// Short, since giving up is waited for; long enough for a busy machine where nothing is to be given up.
const PATIENCE: Duration = Duration::from_secs(2);

/// A bus that soon loses patience.
async fn impatient(server: &NatsServer) -> Nats {
    let options = NatsOptions::new(server.url()).patience(PATIENCE);
    Nats::connect_with(options, &Registry::new()).await.unwrap()
}

/// The first thing that arrives after however many deliveries.
async fn reconnected(receiver: &mut Receiver<Incoming>) {
    while soon("the notice", receiver.recv()).await.expect("still attached") != Incoming::Reconnected {}
}

/// Publishes beats until one arrives: after a reconnect the other side's subscription comes back in its own
/// time.
async fn flows_again(publisher: &mut impl Publisher, gateway: Id, receiver: &mut Receiver<Incoming>) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        publisher.publish(gateway, &beat(1_000_000)).await.unwrap();
        match tokio::time::timeout(Duration::from_millis(100), receiver.recv()).await {
            Ok(Some(Incoming::Delivery(delivery))) if delivery.counter == 1_000_000 => return,
            Ok(None) => panic!("the receiver has ended"),
            _ => assert!(Instant::now() < deadline, "no delivery arrives any more"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_server_is_noticed_and_used() {
    let mut server = NatsServer::start().await;
    let (streamer, gateways) = (impatient(&server).await, impatient(&server).await);
    let (mut publisher, mut uplinks) = streamer.attach_streamer().await.unwrap();
    let gateway = Id::mint();
    let (sender, mut incoming) = gateways.attach_gateway(gateway).await.unwrap();
    publisher.publish(gateway, &beat(1)).await.unwrap();
    assert_eq!(next_counter(&mut incoming).await, 1);

    for _ in 0..2 {
        publisher.publish(gateway, &beat(2)).await.unwrap();
        server.kill();
        let down = soon("confirming without a server", publisher.confirm()).await;
        assert!(matches!(down, Err(BusError::Timeout(_))), "{down:?}");
        server.restart().await;
        soon("the notice", reconnected(&mut incoming)).await;

        // What was published before the crash is not confirmed by a round trip over the new connection.
        soon("the loss", async {
            loop {
                match publisher.confirm().await {
                    Err(BusError::Interrupted) => return,
                    Err(BusError::Timeout(_)) => {}
                    other => panic!("{other:?} although the connection was lost"),
                }
            }
        })
        .await;
        flows_again(&mut publisher, gateway, &mut incoming).await;
        soon("confirming", publisher.confirm()).await.unwrap();
        sender.send(Uplink::Alive { gateway, request: 0 }).await.unwrap();
        assert_eq!(soon("an uplink", uplinks.recv()).await, Some(Uplink::Alive { gateway, request: 0 }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_reconnect_is_reported_once_and_to_every_gateway() {
    let mut server = NatsServer::start().await;
    let bus = Nats::connect(&server.url(), &Registry::new()).await.unwrap();
    let (one, two) = (Id::mint(), Id::mint());
    let (_, mut to_one) = bus.attach_gateway(one).await.unwrap();
    let (_, mut to_two) = bus.attach_gateway(two).await.unwrap();
    server.kill();
    server.restart().await;
    for receiver in [&mut to_one, &mut to_two] {
        assert_eq!(soon("the notice", receiver.recv()).await, Some(Incoming::Reconnected));
    }
    let (mut publisher, _uplinks) = soon("attaching", bus.attach_streamer()).await.unwrap();
    publisher.publish(one, &beat(1)).await.unwrap();
    publisher.publish(two, &beat(2)).await.unwrap();
    // On one connection the subscriptions are renewed before anything is published.
    assert_eq!((next_counter(&mut to_one).await, next_counter(&mut to_two).await), (1, 2));

    let (_, mut late) = bus.attach_gateway(Id::mint()).await.unwrap();
    assert!(late.try_recv().is_err(), "a reconnect before attaching is nothing to a gateway");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn confirm_asks_the_server_and_not_the_socket() {
    let server = NatsServer::start().await;
    let relay = Relay::to(server.port()).await;
    let gateways = Nats::connect(&server.url(), &Registry::new()).await.unwrap();
    let options = NatsOptions::new(relay.url()).patience(PATIENCE);
    let streamer = Nats::connect_with(options, &Registry::new()).await.unwrap();
    let (mut publisher, _uplinks) = streamer.attach_streamer().await.unwrap();
    let gateway = Id::mint();
    let (_, mut incoming) = gateways.attach_gateway(gateway).await.unwrap();
    soon("confirming", publisher.confirm()).await.unwrap();

    relay.hold();
    publisher.publish(gateway, &beat(1)).await.unwrap();
    // The connection takes the bytes, which is all that a flush would see.
    let held = soon("giving up", publisher.confirm()).await;
    assert!(matches!(held, Err(BusError::Timeout(_))), "{held:?}");
    assert!(incoming.try_recv().is_err(), "it was held");

    relay.release();
    soon("confirming again", publisher.confirm()).await.unwrap();
    assert_eq!(next_counter(&mut incoming).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_silent_or_gone_is_noticed_soon_and_so_is_its_return() {
    let mut server = NatsServer::start().await;
    let relay = Relay::to(server.port()).await;
    let registry = Registry::new();
    let bus = Nats::connect(&relay.url(), &registry).await.unwrap();
    let mut connected = bus.connected();
    let told = async |connected: &mut tokio::sync::watch::Receiver<bool>, expected: bool| {
        let began = Instant::now();
        soon("the news", connected.wait_for(|now| *now == expected)).await.unwrap();
        // One and a half by its own timers; the rest is for a busy machine.
        assert!(began.elapsed() < Duration::from_secs(3), "{expected} after {:?}", began.elapsed());
        assert_eq!(registry.value("linkup_bus_connected", &[]), Some(f64::from(u8::from(expected))));
    };
    assert!(*connected.borrow());
    relay.hold();
    told(&mut connected, false).await;
    relay.release();
    told(&mut connected, true).await;

    let direct = Nats::connect(&server.url(), &Registry::new()).await.unwrap();
    let mut connected = direct.connected();
    server.kill();
    soon("the loss", connected.wait_for(|now| !now)).await.unwrap();
    server.restart().await;
    soon("the return", connected.wait_for(|now| *now)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_that_was_dropped_gives_its_connection_back_though_its_metrics_live() {
    let server = NatsServer::start_with("max_connections: 1\n", &[]).await;
    let registry = Registry::new();
    let bus = Nats::connect(&server.url(), &registry).await.unwrap();
    assert!(Nats::connect(&server.url(), &Registry::new()).await.is_err(), "one connection is all there is");
    drop(bus);
    let again = async {
        while Nats::connect(&server.url(), &Registry::new()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("its connection back", again).await;
    assert!(registry.value("linkup_bus_connected", &[]).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_messages_are_skipped() {
    let server = NatsServer::start().await;
    let options = NatsOptions::new(server.url()).prefix("other.place").name("test");
    let registry = Registry::new();
    let bus = Nats::connect_with(options, &registry).await.unwrap();
    let gateway = Id::mint();
    let (mut publisher, mut uplinks) = bus.attach_streamer().await.unwrap();
    let (sender, mut incoming) = bus.attach_gateway(gateway).await.unwrap();

    let stranger = async_nats::connect(server.url()).await.unwrap();
    let mut too_long = postcard::to_stdvec(&beat(9)).unwrap();
    too_long.push(0);
    for payload in [&b""[..], b"\xff", b"{\"json\":true}", &too_long] {
        for subject in ["other.place.2.streamer".to_owned(), format!("other.place.2.gateway.{gateway}")] {
            stranger.publish(subject, Bytes::copy_from_slice(payload)).await.unwrap();
        }
    }
    // A round trip on the stranger's connection: the server has handed on all of the above.
    let mut own = stranger.subscribe("own").await.unwrap();
    stranger.publish("own", Bytes::new()).await.unwrap();
    soon("the round trip", futures_util::StreamExt::next(&mut own)).await.unwrap();

    publisher.publish(gateway, &beat(1)).await.unwrap();
    assert_eq!(next_counter(&mut incoming).await, 1);
    sender.send(Uplink::Alive { gateway, request: 0 }).await.unwrap();
    assert_eq!(soon("an uplink", uplinks.recv()).await, Some(Uplink::Alive { gateway, request: 0 }));
    assert_eq!(registry.value("linkup_bus_decode_errors_total", &[]), Some(8.0));
    assert_eq!(registry.value("linkup_bus_uplinks_total", &[("direction", "received")]), Some(1.0));
    assert_eq!(registry.value("linkup_bus_deliveries_total", &[("direction", "received")]), Some(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_refused_and_the_connection_survives() {
    let server = NatsServer::start_with("max_payload: 4096", &[]).await;
    let bus = Nats::connect(&server.url(), &Registry::new()).await.unwrap();
    let gateway = Id::mint();
    let (mut publisher, _uplinks) = bus.attach_streamer().await.unwrap();
    let (sender, mut incoming) = bus.attach_gateway(gateway).await.unwrap();
    assert_eq!(publisher.max_delivery_bytes(), 4096);

    let envelope = |bytes| Envelope {
        clock: Clock::default(),
        recipients: vec![gateway],
        content: Content::Event(vec![0; bytes].into()),
        received: None,
    };
    let events = |bytes| {
        let body = Downlink::Events(vec![envelope(bytes)]);
        Delivery { term: 1, counter: 1, sent: UnixMicros::now(), body }
    };
    let refused = publisher.publish(gateway, &events(5000)).await;
    assert!(matches!(refused, Err(BusError::TooLarge { bytes: 5000.., limit: 4096 })), "{refused:?}");
    let register = Uplink::Register {
        gateway,
        request: 1,
        reset: true,
        users: vec![Registrant { user: gateway, from: None }; 400],
    };
    let refused = sender.send(register).await;
    assert!(matches!(refused, Err(BusError::TooLarge { .. })), "{refused:?}");

    // As large as it may be by the streamer's own reckoning.
    let mut bytes = 4096;
    while bus::size::delivery_bytes(&events(bytes)) > publisher.max_delivery_bytes() {
        bytes -= 1;
    }
    publisher.publish(gateway, &events(bytes)).await.unwrap();
    soon("confirming", publisher.confirm()).await.unwrap();
    assert_eq!(next_counter(&mut incoming).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_gateway_is_told_behind_its_backlog() {
    const COUNT: u64 = 20_000;
    let server = NatsServer::start().await;
    let (streamer, gateways) = (
        Nats::connect(&server.url(), &Registry::new()).await.unwrap(),
        Nats::connect(&server.url(), &Registry::new()).await.unwrap(),
    );
    let gateway = Id::mint();
    let (mut publisher, _uplinks) = streamer.attach_streamer().await.unwrap();
    let (_, mut incoming) = gateways.attach_gateway(gateway).await.unwrap();
    for counter in 1..=COUNT {
        publisher.publish(gateway, &beat(counter)).await.unwrap();
    }
    publisher.confirm().await.unwrap();
    // A round trip on the gateway's connection: everything has passed its subscription, or was dropped there.
    gateways.attach_gateway(Id::mint()).await.unwrap();

    let mut last = 0;
    while let Some(Incoming::Delivery(delivery)) = soon("the backlog", incoming.recv()).await {
        assert_eq!(delivery.counter, last + 1, "the backlog has no holes");
        last = delivery.counter;
    }
    assert!((8192..COUNT).contains(&last), "{last} deliveries before the notice");
    publisher.publish(gateway, &beat(COUNT + 1)).await.unwrap();
    assert_eq!(next_counter(&mut incoming).await, COUNT + 1, "one notice, then it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connecting_to_nobody_fails_soon_and_keeps_secrets() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = listener.local_addr().unwrap().port();
    // Port 1 refuses; the listener accepts and says nothing.
    for port in [1, silent] {
        let url = format!("nats://user:hunter2@127.0.0.1:{port}");
        let error = soon("the failure", Nats::connect(&url, &Registry::new())).await.unwrap_err();
        assert!(matches!(error, BusError::Unreachable { .. }), "{error:?}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(&format!("127.0.0.1:{port}")) && !shown.contains("hunter2"), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_come_from_the_url() {
    let server = NatsServer::start_with("", &["--user", "ann", "--pass", "p@ss"]).await;
    let port = server.port();
    let bus = Nats::connect(&format!("nats://ann:p%40ss@127.0.0.1:{port}"), &Registry::new()).await.unwrap();
    bus.attach_streamer().await.unwrap();
    for url in [format!("nats://ann:wr0ng@127.0.0.1:{port}"), server.url()] {
        let error = soon("the refusal", Nats::connect(&url, &Registry::new())).await.unwrap_err().to_string();
        assert!(error.contains("authorization") && !error.contains("wr0ng"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streamers_in_several_processes_all_hear_the_gateways() {
    let server = NatsServer::start().await;
    let (active, standby) = (
        Nats::connect(&server.url(), &Registry::new()).await.unwrap(),
        Nats::connect(&server.url(), &Registry::new()).await.unwrap(),
    );
    let (_active, mut to_active) = active.attach_streamer().await.unwrap();
    let (_standby, mut to_standby) = standby.attach_streamer().await.unwrap();
    let gateway = Id::mint();
    let (sender, _incoming) = active.attach_gateway(gateway).await.unwrap();
    sender.send(Uplink::Alive { gateway, request: 0 }).await.unwrap();
    for receiver in [&mut to_active, &mut to_standby] {
        assert_eq!(soon("an uplink", receiver.recv()).await, Some(Uplink::Alive { gateway, request: 0 }));
    }
}
