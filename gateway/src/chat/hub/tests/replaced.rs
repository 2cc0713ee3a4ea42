//! Which connections of a user go because of another one.

use protocol::Id;
use protocol::code::close;

use super::world::World;

#[test]
fn a_client_that_comes_back_replaces_its_earlier_connection() {
    let mut world = World::with(64 << 10, 2);
    let ada = Id::mint();
    let (mut earlier, mut other) = (world.connect(ada, None), world.connect(ada, None));
    let mut later = world.connect(ada, Some(&earlier));
    let event = world.publish(&[ada]);
    for client in [&mut earlier, &mut other, &mut later] {
        client.read();
    }
    assert_eq!((earlier.closed, earlier.got), (Some(close::REPLACED), vec![]));
    assert_eq!((other.closed, other.got), (None, vec![event]));
    assert_eq!((later.recovered, later.got), (Some(true), vec![event]));

    let one_more = world.connect(ada, None);
    assert_eq!((one_more.recovered, one_more.closed), (None, Some(close::TOO_MANY)));
}

#[test]
fn only_a_client_that_is_let_in_replaces_its_earlier_connection() {
    let mut world = World::with(64 << 10, 1);
    let ada = Id::mint();
    let mut earlier = world.connect(ada, None);
    let (mut tried, mut later) = (world.open(ada, 0, Some(&earlier)), world.open(ada, 0, Some(&earlier)));
    world.settle();
    let event = world.publish(&[ada]);
    for client in [&mut earlier, &mut tried, &mut later] {
        client.read();
    }
    assert_eq!((earlier.closed, &earlier.got), (None, &vec![event]), "nobody has vouched for the newcomer");
    assert_eq!((tried.closed, later.closed), (Some(close::REPLACED), None));
    world.vouch(&later);
    let after = world.publish(&[ada]);
    earlier.read();
    later.read();
    assert_eq!((earlier.closed, &earlier.got), (Some(close::REPLACED), &vec![event]));
    assert_eq!((later.recovered, &later.got), (Some(true), &vec![event, after]));
    assert_eq!(world.hub.users[&ada].members.len(), 1);
}

#[test]
fn a_token_of_an_ended_session_kicks_nobody_and_waits_for_nothing() {
    let mut world = World::new();
    let ada = Id::mint();
    let mut pending = world.open(ada, 0, None);
    let mut here = world.open(ada, 1, None);
    world.settle();
    world.vouch(&here);
    here.read();
    pending.read();
    assert_eq!((here.recovered, pending.closed), (Some(false), Some(close::UNAUTHORIZED)));
    let mut stolen = world.open(ada, 0, Some(&here));
    stolen.read();
    here.read();
    assert_eq!((stolen.closed, here.closed), (Some(close::UNAUTHORIZED), None));
    assert_eq!(world.hub.users[&ada].members.len(), 1);
}
