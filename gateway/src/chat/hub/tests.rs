//! The hub with in-memory sockets and a streamer that the tests play.
//!
//! | module | holds |
//! |---|---|
//! | [`world`] | the hub without a network, its clients and its streamer |
//! | [`counted`] | what is counted and timed |
//! | [`replaced`] | which connections go because of another one |
//! | [`random`] | whatever order things come in and whatever is lost, every client gets everything once and in order |

mod counted;
mod random;
mod replaced;
mod world;

use protocol::bus::{Content, Downlink, Typing};
use protocol::code::close;
use protocol::command::Presence;
use protocol::{Clock, Id};
use serde_json::json;

use self::world::{Client, World, at};
use super::Command;
use crate::chat::presence::Change;
use crate::metrics::Gap;

#[test]
fn a_socket_is_let_in_when_it_is_registered_and_vouched_for_and_gets_what_comes_from_then_on() {
    let mut world = World::new();
    let [ada, bob] = [Id::mint(), Id::mint()];
    world.publish(&[ada, bob]);
    let (mut early, mut late) = (world.open(ada, 0, None), world.open(bob, 0, None));
    world.vouch(&early);
    early.read();
    assert_eq!(early.recovered, None, "not registered yet");
    world.settle();
    let between = world.publish(&[ada, bob]);
    early.read();
    late.read();
    assert_eq!((early.recovered, &early.got), (Some(false), &vec![between]));
    assert_eq!((late.recovered, &late.got), (None, &vec![]), "not vouched for yet");
    world.vouch(&late);
    let after = world.publish(&[ada, bob]);
    late.read();
    assert_eq!((late.recovered, &late.got), (Some(false), &vec![after]));
    assert_eq!(late.start(&world.tokens), between, "its session begins where it was let in");
}

#[test]
fn whoever_comes_back_gets_exactly_what_it_missed_and_then_what_comes() {
    let mut world = World::new();
    let ada = Id::mint();
    let first = world.connect(ada, None);
    world.close(&first);
    let missed = [world.publish(&[ada]), world.publish(&[ada])];
    let mut second = world.open(ada, 0, Some(&first));
    world.settle();
    // It is live and waits for the api: what comes is kept.
    let waiting = world.publish(&[ada]);
    second.read();
    assert_eq!((second.recovered, second.got.len()), (None, 0));
    world.vouch(&second);
    let after = world.publish(&[ada]);
    second.read();
    assert_eq!((second.recovered, &second.pid), (Some(true), &first.pid));
    assert_eq!(second.got, [missed[0], missed[1], waiting, after]);

    // Once more, with an offset.
    world.close(&second);
    let missed = world.publish(&[ada]);
    let third = world.connect(ada, Some(&second));
    assert_eq!((third.recovered, third.got), (Some(true), vec![missed]));
}

#[test]
fn whoever_comes_back_too_late_or_to_too_much_begins_anew() {
    let mut world = World::with(1_000, 100);
    let ada = Id::mint();
    let first = world.connect(ada, None);
    world.close(&first);
    let begun_anew = |client: &Client| {
        assert_eq!((client.recovered, &client.got[..]), (Some(false), &[][..]));
        assert_ne!(client.pid, first.pid);
    };
    world.publish(&[ada]);
    world.publish(&[ada]);
    world.streamer.forgotten = 1;
    let mut late = world.connect(ada, Some(&first));
    begun_anew(&late);
    let after = world.publish(&[ada]);
    late.read();
    assert_eq!(late.got, [after]);
    world.close(&late);

    world.streamer.forgotten = 0;
    for _ in 0..100 {
        world.publish(&[ada]);
    }
    let mut late = world.connect(ada, Some(&first));
    begun_anew(&late);
    let after = world.publish(&[ada]);
    late.read();
    assert_eq!(late.got, [after]);
}

#[test]
fn an_offset_from_the_far_future_does_not_silence_a_client() {
    let mut world = World::new();
    let ada = Id::mint();
    let mut first = world.connect(ada, None);
    first.offset = Some(at(1 << 62));
    world.close(&first);
    let mut second = world.connect(ada, Some(&first));
    assert_eq!(second.recovered, Some(false));
    let after = world.publish(&[ada]);
    second.read();
    assert_eq!(second.got, [after]);
}

#[test]
fn sockets_of_one_user_each_come_back_with_their_own_offset() {
    let mut world = World::new();
    let ada = Id::mint();
    let (mut one, two) = (world.connect(ada, None), world.connect(ada, None));
    world.close(&two);
    let seen_by_one = world.publish(&[ada]);
    one.read();
    world.close(&one);
    let missed = world.publish(&[ada]);
    let mut third = world.connect(ada, None);
    let clients = [world.open(ada, 0, Some(&one)), world.open(ada, 0, Some(&two))];
    clients.iter().for_each(|client| world.vouch(client));
    world.settle();
    assert_eq!(world.streamer.asked.len(), 1, "one request serves both");
    let after = world.publish(&[ada]);
    let [mut one, mut two] = clients;
    one.read();
    two.read();
    third.read();
    assert_eq!((one.recovered, one.got), (Some(true), vec![missed, after]));
    assert_eq!((two.recovered, two.got), (Some(true), vec![seen_by_one, missed, after]));
    assert_eq!(third.got, [after], "the replay of others is none of its business");
}

#[test]
fn another_socket_of_a_user_who_is_live_needs_no_registration() {
    let mut world = World::new();
    let ada = Id::mint();
    let mut one = world.connect(ada, None);
    let before = world.publish(&[ada]);
    world.streamer.asked.clear();
    let mut two = world.open(ada, 0, None);
    world.vouch(&two);
    two.read();
    assert_eq!((two.recovered, two.start(&world.tokens)), (Some(false), before));
    let after = world.publish(&[ada]);
    one.read();
    two.read();
    assert_eq!((one.got, two.got), (vec![before, after], vec![after]));
    assert_eq!(world.streamer.asked, []);
}

#[test]
fn a_gap_while_somebody_comes_back_costs_nobody_an_event_and_gives_none_twice() {
    let mut world = World::new();
    let [ada, bob] = [Id::mint(), Id::mint()];
    let (away, mut bobs) = (world.connect(ada, None), world.connect(bob, None));
    world.close(&away);
    let all: Vec<Clock> = (0..3).map(|_| world.publish(&[ada, bob])).collect();
    let mut back = world.open(ada, 0, Some(&away));
    world.vouch(&back);
    world.hub.flush();
    world.hear();
    world.deliver();
    world.deliver();
    // The rest of the replay is lost, and so is what comes then.
    let lost = world.streamer.commit(&[ada, bob], None);
    world.streamer.read(1);
    world.streamer.line.clear();
    back.read();
    assert_eq!(back.recovered, None);
    world.settle();
    let from = world.streamer.asked.iter().find(|r| r.user == ada).unwrap().from;
    assert_eq!(from, Some(all[1]), "what was replayed is not asked for again");
    back.read();
    bobs.read();
    let expected: Vec<Clock> = all.into_iter().chain([lost]).collect();
    assert_eq!((back.recovered, &back.got, &bobs.got), (Some(true), &expected, &expected));
}

#[test]
fn what_a_resync_that_is_cut_short_has_replayed_is_not_asked_for_again() {
    let mut world = World::new();
    let [ada, bob] = [Id::mint(), Id::mint()];
    let (mut adas, mut bobs) = (world.connect(ada, None), world.connect(bob, None));
    let [first, second, third] = [&[ada, bob][..], &[ada], &[bob]].map(|to| world.streamer.commit(to, None));
    world.hub.interrupt(Gap::BusReconnected);
    world.streamer.read(3);
    world.deliver();
    world.hub.resync();
    world.hear();
    world.deliver();
    world.streamer.line.clear();
    world.settle();
    let from = |user| world.streamer.asked.iter().find(|r| r.user == user).unwrap().from;
    assert_eq!([from(ada), from(bob)], [Some(first); 2]);
    adas.read();
    bobs.read();
    assert_eq!((adas.got, bobs.got), (vec![first, second], vec![first, third]));
}

#[test]
fn whoever_may_have_missed_something_for_good_is_sent_away_to_catch_up() {
    let mut world = World::new();
    let ada = Id::mint();
    let mut admitted = world.connect(ada, None);
    let mut waiting = world.open(ada, 0, None);
    world.settle();
    world.streamer.commit(&[ada], None);
    world.streamer.commit(&[ada], None);
    world.streamer.replace(0);
    (world.streamer.read, world.streamer.forgotten) = (2, 2);
    world.settle();
    world.vouch(&waiting);
    admitted.read();
    waiting.read();
    assert_eq!((admitted.closed, &admitted.got), (Some(close::TRY_AGAIN), &vec![]));
    assert_eq!((waiting.closed, waiting.recovered), (None, Some(false)), "it is owed nothing");
}

#[test]
fn whoever_comes_back_too_late_while_all_are_registered_again_takes_nobody_along() {
    let mut world = World::new();
    let ada = Id::mint();
    let (away, mut here) = (world.connect(ada, None), world.connect(ada, None));
    world.close(&away);
    let events = [world.publish(&[ada]), world.publish(&[ada])];
    world.streamer.forgotten = 1;
    let mut back = world.open(ada, 0, Some(&away));
    world.vouch(&back);
    world.streamer.replace(0);
    world.settle();
    let after = world.publish(&[ada]);
    back.read();
    here.read();
    assert_eq!((back.recovered, back.got), (Some(false), vec![after]));
    assert_eq!((here.closed, here.got), (None, vec![events[0], events[1], after]));
}

#[test]
fn ended_sessions_and_deleted_users_lose_their_sockets_pending_or_not() {
    let mut world = World::new();
    let ada = Id::mint();
    let mut admitted = world.connect(ada, None);
    let mut pending = world.open(ada, 0, None);
    let refreshed = world.connect(ada, None);
    let user = ada;
    world.hub.command(Command::Refreshed { socket: refreshed.socket.id(), user, generation: 1 });
    let mut newer = world.open(ada, 1, None);
    world.streamer.commit(&[ada], Some(Content::SessionsEnded { generation: 1 }));
    world.settle();
    let mut clients = [&mut admitted, &mut pending, &mut newer];
    clients.iter_mut().for_each(|client| client.read());
    let closed = clients.map(|client| client.closed);
    assert_eq!(closed, [Some(close::UNAUTHORIZED), Some(close::UNAUTHORIZED), None]);
    assert_eq!(pending.others, [json!(["connect_error", { "message": "Authentication error" }])]);
    assert_eq!(refreshed.socket.drain(), Vec::<Vec<u8>>::new());

    // It was ended before the user was registered here: the streamer tells that again.
    let away = world.connect(ada, Some(&refreshed));
    for client in [&refreshed, &newer, &away] {
        world.close(client);
    }
    world.publish(&[ada]);
    let late = world.connect(ada, Some(&away));
    assert_eq!((late.recovered, late.closed), (None, Some(close::UNAUTHORIZED)));

    let mut good = world.open(ada, 1, None);
    world.vouch(&good);
    world.settle();
    world.streamer.commit(&[ada], Some(Content::UserGone));
    world.settle();
    good.read();
    assert_eq!((good.recovered, good.closed), (Some(false), Some(close::UNAUTHORIZED)));
    assert!(world.hub.users.is_empty() && world.streamer.registered.is_empty());
}

#[test]
fn a_user_is_the_most_present_of_the_sockets_that_are_let_in() {
    let mut world = World::new();
    let user = Id::mint();
    let pending = world.open(user, 0, None);
    let status = |client: &Client, presence| Command::Status { socket: client.socket.id(), user, presence };
    world.hub.command(status(&pending, Presence::Away));
    world.settle();
    assert_eq!(world.told(), [], "it is not let in");
    let told = |presence| [Change { user, presence }];
    world.vouch(&pending);
    assert_eq!(world.told(), told(Some(Presence::Online)));
    let two = world.connect(user, None);
    world.hub.command(status(&pending, Presence::Away));
    assert_eq!(world.told(), [], "the other one is online");
    world.hub.command(status(&two, Presence::Offline));
    assert_eq!(world.told(), told(Some(Presence::Away)));
    world.close(&pending);
    assert_eq!(world.told(), told(Some(Presence::Offline)));
    world.close(&two);
    world.close(&two);
    assert_eq!(world.told(), told(None));
}

#[test]
fn typing_goes_up_once_a_socket_is_let_in_ends_with_it_and_comes_down_without_a_clock() {
    let mut world = World::new();
    let [ada, bob, conversation] = std::array::from_fn(|_| Id::mint());
    let client = world.open(ada, 0, None);
    let say = Command::Typing { socket: client.socket.id(), user: ada, conversation, is_typing: true };
    let Command::Typing { socket, user, .. } = say else { unreachable!() };
    world.hub.command(say);
    world.vouch(&client);
    world.settle();
    assert_eq!(world.streamer.typing, []);
    world.hub.command(Command::Typing { socket, user, conversation, is_typing: true });
    world.close(&client);
    world.hear();
    let typing = [true, false].map(|is_typing| Typing { user: ada, conversation, is_typing });
    assert_eq!(world.streamer.typing, typing);

    let (mut bobs, mut pending) = (world.connect(bob, None), world.open(bob, 0, None));
    let [on, off] = typing;
    world.streamer.send(Downlink::Typing { typing: on.clone(), recipients: vec![bob] });
    world.streamer.send(Downlink::Typing { typing: on, recipients: vec![bob] });
    while !world.streamer.line.is_empty() {
        world.deliver();
    }
    bobs.read();
    let shown = |is_typing: bool| {
        let payload = json!({ "conversationId": conversation, "userId": ada, "isTyping": is_typing });
        json!(["conversation:typing", payload])
    };
    assert_eq!(bobs.others, [shown(true)]);
    world.streamer.send(Downlink::Typing { typing: off, recipients: vec![bob] });
    world.settle();
    bobs.read();
    pending.read();
    assert_eq!(bobs.others, [shown(true), shown(false)]);
    assert_eq!((pending.others.len(), bobs.offset), (0, None));
}
