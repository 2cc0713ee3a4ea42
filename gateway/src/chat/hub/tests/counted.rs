//! What is counted and timed, and who hears that a streamer speaks.

use std::time::{Duration, Instant};

use protocol::bus::{Delivery, Downlink, Typing};
use protocol::{Id, UnixMicros};

use super::world::{World, at};
use crate::metrics::Gap;

fn value(world: &World, name: &str, labels: &[(&str, &str)]) -> f64 {
    world.registry.value(name, labels).unwrap_or_else(|| panic!("{name} {labels:?}"))
}

#[test]
fn events_are_counted_by_name_and_by_how_many_sockets_they_go_to() {
    let mut world = World::new();
    let [ada, bob] = [Id::mint(), Id::mint()];
    let _clients = [world.connect(ada, None), world.connect(ada, None), world.connect(bob, None)];
    world.publish(&[ada, bob]);
    world.publish(&[ada]);
    assert_eq!(value(&world, "linkup_gateway_events_total", &[("event", "other")]), 5.0);
    assert_eq!(value(&world, "linkup_gateway_fanout_sockets_count", &[]), 2.0);
    assert_eq!(value(&world, "linkup_gateway_fanout_sockets_sum", &[]), 5.0);
    let typing = Typing { user: ada, conversation: Id::mint(), is_typing: true };
    world.streamer.send(Downlink::Typing { typing, recipients: vec![bob] });
    world.deliver();
    assert_eq!(value(&world, "linkup_gateway_events_total", &[("event", "conversation:typing")]), 1.0);
    assert_eq!(value(&world, "linkup_gateway_users", &[]), 2.0);
}

/// What is delivered as it happens is timed from the bus on, and carries that it is on to the sockets; what is
/// replayed, or kept for somebody who comes back, is not.
#[test]
fn only_what_comes_as_it_happens_is_timed() {
    let mut world = World::new();
    let ada = Id::mint();
    let here = world.connect(ada, None);
    let bus = |world: &World| value(world, "linkup_message_stage_seconds_count", &[("stage", "bus")]);
    assert_eq!(bus(&world), 0.0, "beats are no messages");
    world.publish(&[ada]);
    assert_eq!(bus(&world), 1.0);
    let timed = |client: &super::world::Client| client.socket.timed();
    assert_eq!(timed(&here), 1);

    let away = world.connect(ada, None);
    world.close(&away);
    world.publish(&[ada]);
    let mut back = world.open(ada, 0, Some(&away));
    world.settle();
    world.publish(&[ada]);
    world.vouch(&back);
    assert_eq!(timed(&back), 0, "one was replayed, and one was kept");
    world.publish(&[ada]);
    assert_eq!(timed(&back), 1);
    back.read();
    assert_eq!((back.recovered, back.got.len()), (Some(true), 3));

    // A gap: what is delivered again was under way for another reason.
    let before = timed(&here);
    world.streamer.commit(&[ada], None);
    world.streamer.read(1);
    world.streamer.line.clear();
    world.settle();
    assert_eq!(timed(&here), before);
}

#[test]
fn why_all_have_to_be_registered_again_is_counted_once_for_each_time() {
    let mut world = World::new();
    let gaps = |world: &World, reason| value(world, "linkup_gateway_gaps_total", &[("reason", reason)]);
    assert_eq!((gaps(&world, "new_streamer"), gaps(&world, "numbers")), (1.0, 0.0), "the first one");
    world.streamer.beat();
    world.streamer.line.clear();
    for _ in 0..3 {
        world.streamer.beat();
    }
    world.settle();
    assert_eq!(gaps(&world, "numbers"), 1.0);
    world.hub.interrupt(Gap::BusReconnected);
    world.hub.interrupt(Gap::Silence);
    world.settle();
    assert_eq!((gaps(&world, "bus_reconnected"), gaps(&world, "silence")), (1.0, 0.0), "one is under way");
    world.streamer.replace(0);
    world.settle();
    assert_eq!((gaps(&world, "new_streamer"), gaps(&world, "numbers")), (2.0, 1.0));
    assert_eq!(value(&world, "linkup_gateway_resyncs_total", &[]), 4.0);
}

#[test]
fn whatever_a_streamer_says_shows_that_it_is_there_and_a_deposed_one_counts_for_nothing() {
    let mut world = World::new();
    let heard = |world: &World, at| world.hub.heard.silence(at);
    assert!(heard(&world, Instant::now()).is_some(), "it has registered with it");
    world.streamer.replace(0);
    world.settle();
    let soon = Instant::now() + Duration::from_secs(60);
    let silence = heard(&world, soon).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    let body = Downlink::Beat { position: at(1) };
    world.hub.delivery(Delivery { term: 1, counter: 99, sent: UnixMicros::now(), body: body.clone() });
    assert_eq!(heard(&world, soon), Some(silence), "of an earlier term");
    world.hub.delivery(Delivery { term: 2, counter: 99, sent: UnixMicros::now(), body });
    assert!(heard(&world, soon).unwrap() < silence, "out of order, but it speaks");
}

#[test]
fn clients_are_counted_by_what_became_of_them() {
    let mut world = World::new();
    let ada = Id::mint();
    let first = world.connect(ada, None);
    world.close(&first);
    world.publish(&[ada]);
    let second = world.connect(ada, Some(&first));
    assert_eq!(second.recovered, Some(true));
    let count =
        |world: &World, outcome| value(world, "linkup_gateway_connects_total", &[("outcome", outcome)]);
    assert_eq!((count(&world, "admitted"), count(&world, "recovered")), (1.0, 1.0));
    assert_eq!(value(&world, "linkup_gateway_connect_seconds_count", &[]), 2.0);
    assert_eq!(value(&world, "linkup_gateway_recoveries_total", &[("result", "recovered")]), 1.0);
    assert_eq!(value(&world, "linkup_gateway_recovered_events_total", &[]), 1.0);
}
