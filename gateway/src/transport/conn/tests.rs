use std::time::{Duration, Instant};

use protocol::code::close;
use service::metrics::Registry;

use super::super::pulse::BACKLOG_TIMEOUT;
use super::super::socket::Admitted;
use super::super::{Admission, Event, Message};
use super::*;

fn conn(wire: Wire, config: Config) -> Arc<Conn> {
    Conn::new(wire, Arc::new(Shared::new(config, &Registry::new())))
}

fn socketio() -> Arc<Conn> {
    conn(Wire::SocketIo, Config::default())
}

/// What is queued: texts, and `close <code>`.
fn queued(conn: &Conn) -> Vec<String> {
    let state = conn.lock();
    let read = |item: &Item| {
        let frame = item.parts().concat();
        match frame[0] {
            0x88 => format!("close {}", u16::from_be_bytes([frame[2], frame[3]])),
            _ => String::from_utf8_lossy(&frame[if frame[1] == 126 { 4 } else { 2 }..]).into_owned(),
        }
    };
    state.queue.iter().map(read).collect()
}

#[test]
fn the_shared_state_of_a_connection_is_small() {
    assert!(size_of::<Conn>() <= 200, "{}", size_of::<Conn>());
}

#[test]
fn handles_of_earlier_clients_do_nothing() {
    let conn = socketio();
    let first = conn.ask(None).unwrap();
    assert!(conn.ask(None).is_none(), "one client at a time");
    conn.leave(first.id());
    let second = conn.ask(None).unwrap();
    assert_ne!(first.id(), second.id());
    assert!(!first.accept());
    first.refuse("no");
    first.dismiss("no");
    first.close(close::TRY_AGAIN, "");
    assert_eq!(conn.socket_id(), second.id());
    assert!(conn.lock().queue.is_empty());
    assert!(second.accept());
    assert!(!second.accept(), "once");
    assert_eq!(conn.lock().queue.len(), 1);
}

#[test]
fn each_namespace_has_its_own_client() {
    let conn = socketio();
    let [main, other] = [conn.ask(None).unwrap(), conn.ask(Some("/a")).unwrap()];
    assert!(conn.ask(Some("/a")).is_none());
    assert!(main.accept() && other.accept());
    other.emit(&Event::new("[1]".into()));
    other.ack(7, "2");
    main.emit(&Event::new("[3]".into()));
    assert_eq!(queued(&conn)[2..], ["42/a,[1]", "43/a,7[2]", "42[3]"]);
    conn.leave(main.id());
    main.emit(&Event::new("[4]".into()));
    other.refuse("too late");
    assert!(conn.is_present(other.id()) && !conn.is_present(main.id()));
    assert_eq!((queued(&conn).len(), conn.enter()), (5, (Phase::Open, 0)));
}

#[test]
fn the_transport_needs_a_client_in_any_namespace() {
    let config = Config { connect_timeout: Duration::ZERO, ..Config::default() };
    let conn = conn(Wire::SocketIo, config);
    let [main, other] = [conn.ask(None).unwrap(), conn.ask(Some("/a")).unwrap()];
    assert!(main.accept() && other.accept());
    conn.leave(main.id());
    conn.look();
    assert_eq!(conn.enter().0, Phase::Open);
    conn.leave(other.id());
    conn.look();
    assert_eq!((conn.enter().0, queued(&conn).pop()), (Phase::Closing, Some("close 4408".into())));
}

#[test]
fn who_is_dismissed_is_told_before_the_transport_closes() {
    let refused = r#"44{"message":"no"}"#;
    let cases = [
        (Wire::SocketIo, None, false, vec![refused, "close 4401"]),
        (Wire::SocketIo, None, true, vec!["41", "close 4401"]),
        (Wire::SocketIo, Some("/a"), false, vec![r#"44/a,{"message":"no"}"#, "close 4401"]),
        (Wire::SocketIo, Some("/a"), true, vec!["41/a,", "close 4401"]),
        (Wire::Plain, None, false, vec![r#"["connect_error",{"message":"no"}]"#, "close 4401"]),
        (Wire::Plain, None, true, vec!["close 4401"]),
        (Wire::Engine, None, true, vec!["close 4401"]),
        (Wire::Raw, None, true, vec!["close 4401"]),
    ];
    for (wire, namespace, accept, expected) in cases {
        let conn = conn(wire, Config::default());
        let socket = conn.ask(namespace).unwrap();
        if accept {
            assert!(socket.accept());
        }
        let before = queued(&conn).len();
        socket.dismiss("no");
        socket.dismiss("no");
        assert_eq!(queued(&conn)[before..], expected, "{wire:?} {namespace:?} {accept}");
        assert_eq!(conn.enter(), (Phase::Closing, 0));
    }
}

#[test]
fn a_refused_client_leaves_only_a_socket_io_transport_open() {
    for (wire, phase) in [
        (Wire::SocketIo, Phase::Open),
        (Wire::Plain, Phase::Closing),
        (Wire::Engine, Phase::Closing),
        (Wire::Raw, Phase::Closing),
    ] {
        let conn = conn(wire, Config::default());
        conn.ask(None).unwrap().refuse("no");
        assert_eq!(conn.enter(), (phase, 0), "{wire:?}");
    }
}

#[test]
fn nobody_has_to_ask_for_a_connection_with_messages_of_ones_own() {
    let config = Config { connect_timeout: Duration::ZERO, ..Config::default() };
    for (wire, expected) in [(Wire::Engine, "4a"), (Wire::Raw, "a")] {
        let conn = conn(wire, config.clone());
        let socket = conn.ask(None).unwrap();
        conn.look();
        assert!(socket.accept());
        socket.send(Message::Text("a"));
        assert_eq!(queued(&conn), [expected]);
    }
}

#[test]
fn over_the_limit_the_queue_is_freed_and_only_the_close_frame_left() {
    let conn = conn(Wire::Plain, Config { outbound_limit: 4_000, ..Config::default() });
    let socket = conn.ask(None).unwrap();
    socket.accept();
    let event = Event::new(vec![b' '; 1_000].into());
    for _ in 0..3 {
        socket.emit(&event);
    }
    assert_eq!(conn.enter().0, Phase::Open);
    socket.emit(&event);
    assert_eq!(conn.enter(), (Phase::Closing, 0));
    assert_eq!(queued(&conn), ["close 4508"]);
}

#[test]
fn attachments_count_against_the_limit_too() {
    let conn = conn(Wire::SocketIo, Config { outbound_limit: 4_000, ..Config::default() });
    let socket = conn.ask(None).unwrap();
    socket.accept();
    socket.emit(&Event::with_attachments("[\"a\"]".into(), vec![vec![0; 1_500].into(); 3]));
    assert_eq!(queued(&conn), ["close 4508"]);
}

#[test]
fn refusals_count_against_the_limit_too() {
    let conn = conn(Wire::SocketIo, Config { outbound_limit: 4_000, ..Config::default() });
    let refusals = std::iter::from_fn(|| conn.ask(None)).inspect(|socket| socket.refuse("no")).count();
    assert!((10..100).contains(&refusals), "{refusals}");
    assert_eq!(conn.enter(), (Phase::Closing, 0));
}

/// What is due earlier than the wheel would come by is done in time; and moving it about does not fill the wheel.
#[test]
fn an_earlier_end_is_met_in_time() {
    let conn = socketio();
    let wheel = &conn.shared.wheel;
    let socket = conn.ask(None).unwrap();
    socket.accept();
    conn.register();
    assert_eq!(wheel.len(), 1);
    let soon = Instant::now() + Duration::from_secs(3);
    for _ in 0..1_000 {
        socket.expire_at(Some(soon));
        socket.expire_at(Some(soon + Duration::from_secs(3_600)));
        socket.expire_at(None);
    }
    socket.expire_at(Some(soon));
    assert_eq!(wheel.len(), 2, "the first plan and a better one");
    let due = conn.shared.millis(soon);
    assert!(conn.lock().planned <= due);
    conn.visit(due - 1_000);
    assert_eq!((conn.enter().0, wheel.len()), (Phase::Open, 2), "that was none of the planned ones");
    conn.visit(due);
    assert_eq!(conn.enter().0, Phase::Closing);
    assert_eq!(queued(&conn).pop().unwrap(), "close 4401");
    let close_by = conn.lock().close_by;
    assert_eq!(conn.lock().planned, close_by);
    conn.visit(close_by);
    assert_eq!(conn.enter().0, Phase::Dead);
}

#[test]
fn the_end_of_one_client_is_not_that_of_the_next() {
    let conn = socketio();
    let socket = conn.ask(None).unwrap();
    socket.expire_at(Some(Instant::now()));
    conn.leave(socket.id());
    assert!(conn.ask(None).unwrap().accept());
    conn.look();
    assert_eq!(conn.enter().0, Phase::Open);
}

#[test]
fn visits_go_on_after_the_wheel_was_emptied_to_stop() {
    let conn = socketio();
    conn.register();
    conn.shut_down();
    conn.shut_down();
    assert_eq!(queued(&conn), ["close 1001"]);
    let close_by = conn.lock().close_by;
    assert_eq!(conn.lock().planned, close_by);
    conn.visit(close_by);
    assert_eq!(conn.enter().0, Phase::Dead);
}

#[test]
fn what_a_client_missed_may_be_more_than_the_limit_and_what_comes_behind_it_may_not() {
    let conn = conn(Wire::Plain, Config { outbound_limit: 4_000, ..Config::default() });
    let socket = conn.ask(None).unwrap();
    let event = Event::new(vec![b' '; 1_000].into());
    let admission = Admission { pid: Some("p"), recovered: true };
    assert_eq!(socket.admit_with(admission, &vec![event.clone(); 20]), Admitted::Yes);
    assert_eq!(socket.admit_with(admission, &[]), Admitted::Gone, "once");
    assert!(queued(&conn)[0].contains("\"pid\":\"p\""));
    for _ in 0..3 {
        socket.emit(&event);
    }
    assert_eq!(conn.enter().0, Phase::Open);
    assert_eq!(conn.lock().queue.len(), 24);
    // What was written of it makes no room for more than the limit.
    write(&conn, 10_000);
    let (backlog, charged) = {
        let state = conn.lock();
        (state.backlog, state.charged)
    };
    assert!((3_000..4_000).contains(&(charged - backlog)), "{backlog} of {charged}");
    assert_eq!(conn.shared.reserved(), backlog);
    socket.emit(&event);
    assert_eq!(conn.enter().0, Phase::Closing);
    assert_eq!(conn.shared.reserved(), 0);
}

/// The peer takes something.
fn write(conn: &Conn, cost: usize) {
    let context = Context::from_waker(Waker::noop());
    let mut batch = VecDeque::from([Item::ping(Wire::Plain)]);
    conn.supply(&mut batch, false, Progress { any: true, cost }, &context);
}

#[test]
fn what_clients_missed_has_a_limit_for_all_together_and_is_given_back_however_it_ends() {
    let config = Config { outbound_limit: 4_000, backlog_total: 15_000, ..Config::default() };
    let shared = Arc::new(Shared::new(config, &Registry::new()));
    let event = Event::new(vec![b' '; 1_000].into());
    let come_back = || {
        let conn = Conn::new(Wire::SocketIo, Arc::clone(&shared));
        let socket = conn.ask(None).unwrap();
        let admitted = socket.admit_with(Admission::default(), &vec![event.clone(); 10]);
        (conn, socket, admitted)
    };
    type End = fn(&Arc<Conn>);
    let endings: [(&str, End); 5] = [
        ("it is written", |conn| write(conn, 12_000)),
        ("the peer is gone", |conn| conn.lost()),
        ("it is too slow", |conn| conn.close(Fault::SLOW)),
        ("it is closed", |conn| conn.close(Fault::SHUTDOWN)),
        ("it is forgotten", |_| {}),
    ];
    for (ending, end) in endings {
        let (conn, socket, admitted) = come_back();
        assert_eq!(admitted, Admitted::Yes, "{ending}");
        let (fresh, other, admitted) = come_back();
        assert_eq!(admitted, Admitted::NoRoom, "{ending}");
        assert!(queued(&fresh).is_empty() && other.accept(), "as if it had not been tried");
        assert_eq!(other.admit_with(Admission::default(), &[]), Admitted::Gone);
        end(&conn);
        let is_closing = conn.enter().0 == Phase::Closing && ending == "it is closed";
        assert_eq!(shared.reserved() > 0, is_closing || ending == "it is forgotten", "{ending}");
        drop((conn, socket));
        assert_eq!(shared.reserved(), 0, "{ending}");
    }
}

#[test]
fn who_does_not_catch_up_in_time_is_closed_even_if_something_is_read() {
    let conn = conn(Wire::Plain, Config::default());
    let socket = conn.ask(None).unwrap();
    let missed = vec![Event::new(vec![b' '; 1_000].into()); 10];
    assert_eq!(socket.admit_with(Admission::default(), &missed), Admitted::Yes);
    assert!(conn.lock().planned <= conn.shared.now() + BACKLOG_TIMEOUT);
    write(&conn, 100);
    conn.touch();
    let due = conn.shared.now() + BACKLOG_TIMEOUT;
    conn.visit(due);
    assert_eq!((conn.enter().0, queued(&conn)), (Phase::Closing, vec!["close 4508".to_owned()]));
}

#[test]
fn the_first_pong_after_a_ping_is_timed_and_no_other() {
    let config = Config { ping_interval: Duration::ZERO, ..Config::default() };
    let conn = conn(Wire::Plain, config);
    let count = || conn.shared.metrics.heartbeat.read().cumulative.last().copied();
    conn.pong();
    assert_eq!(count(), Some(0), "nobody asked");
    conn.ask(None).unwrap().accept();
    for pings in 1..=3 {
        conn.look();
        conn.touch();
        conn.pong();
        conn.pong();
        assert_eq!(count(), Some(pings));
    }
}
