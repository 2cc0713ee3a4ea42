//! Engine.IO over HTTP long polling.
//!
//! | module | holds |
//! |---|---|
//! | `requests` | the three requests: the one that opens a session, polls, posts |
//! | `attend` | the task of one session |
//! | `desk` | what a session's requests and its task have in common |
//! | `payload` | what polls and posts carry |
//!
//! A session is a connection like any other, with a [`Conn`] and a [`Link`](super::link::Link) that one task owns.
//! Where a WebSocket's task reads and writes a stream, this one talks to the session's HTTP requests over a [`Desk`]:
//! posts put on it what they carry, and the poll that waits there takes what is to be sent. What no poll has taken
//! stays with the connection, so that nothing is lost and nothing sent twice when the session goes on over a WebSocket.

use std::collections::VecDeque;
use std::collections::hash_map::Entry as Slot;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::Application;
use super::conn::{Conn, Phase};
use super::frame::Wire;
use super::wheel::Millis;

mod attend;
mod desk;
mod payload;
mod requests;

pub(super) use desk::{Claim, Handover};
#[cfg(feature = "fuzzing")]
pub(super) use payload::{Received, next};
pub(super) use requests::{open, poll, post, refuse_body};

use desk::Desk;

/// One polling session, as its requests see it.
pub(super) struct Session<A: Application> {
    sid: Box<str>,
    conn: Arc<Conn>,
    desk: Mutex<Desk<A>>,
}

impl<A: Application> Session<A> {
    fn new(sid: Box<str>, conn: Arc<Conn>) -> Arc<Self> {
        Arc::new(Self { sid, conn, desk: Mutex::new(Desk::new()) })
    }

    fn desk(&self) -> MutexGuard<'_, Desk<A>> {
        // No code panics while it holds the lock, so the desk is sound even if the flag says otherwise.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the session is one of this protocol.
    pub(super) fn speaks(&self, wire: Wire) -> bool {
        self.conn.wire == wire
    }

    /// Does what is due, and tells whether the session is there at all. A request may come between the instant at which
    /// a session's time is up and the wheel's next turn.
    fn is_alive(&self) -> bool {
        let was = self.conn.phase();
        if was == Phase::Open {
            self.conn.look();
        }
        let now = self.conn.phase();
        // What has been closing for longer still has something to say.
        now != Phase::Dead && (was == now || now == Phase::Open)
    }
}

/// What is known of a session id.
pub(super) enum Found<A: Application> {
    Polling(Arc<Session<A>>),
    /// It goes on over a WebSocket, or did a moment ago.
    Upgraded,
    Unknown,
}

/// All polling sessions of one server.
pub(super) struct Sessions<A: Application> {
    table: Mutex<Table<A>>,
    /// For how long it is remembered that a session went on over a WebSocket.
    memory: Millis,
}

struct Table<A: Application> {
    /// `None` for a session that went on over a WebSocket.
    sessions: FxHashMap<Box<str>, Option<Arc<Session<A>>>>,
    /// Those that did, and until when that is remembered.
    upgraded: VecDeque<(Millis, Box<str>)>,
}

impl<A: Application> Sessions<A> {
    pub(super) fn new(memory: Duration) -> Self {
        let table = Table { sessions: FxHashMap::default(), upgraded: VecDeque::new() };
        Self { table: Mutex::new(table), memory: memory.as_millis() as Millis }
    }

    fn table(&self) -> MutexGuard<'_, Table<A>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, sid: &str) -> Found<A> {
        match self.table().sessions.get(sid) {
            Some(Some(session)) => Found::Polling(Arc::clone(session)),
            Some(None) => Found::Upgraded,
            None => Found::Unknown,
        }
    }

    fn insert(&self, session: &Arc<Session<A>>) {
        self.table().sessions.insert(session.sid.clone(), Some(Arc::clone(session)));
    }

    fn remove(&self, sid: &str) {
        self.table().sessions.remove(sid);
    }

    /// A session goes on over a WebSocket. That is remembered for a moment: a second WebSocket that comes for it is
    /// then told so, and not that nobody knows the session.
    fn upgraded(&self, sid: &str, now: Millis) {
        let mut table = self.table();
        table.sessions.insert(sid.into(), None);
        table.upgraded.push_back((now + self.memory, sid.into()));
        while let Some((until, sid)) = table.upgraded.pop_front() {
            if until > now {
                table.upgraded.push_front((until, sid));
                break;
            }
            if let Slot::Occupied(slot) = table.sessions.entry(sid) {
                slot.remove();
            }
        }
    }
}

/// A session's place in the table and on the gauge, held by its task.
struct Seat<A: Application> {
    sessions: Arc<Sessions<A>>,
    session: Arc<Session<A>>,
    /// The session goes on over a WebSocket, and its place is that of an upgraded one already.
    upgraded: bool,
}

impl<A: Application> Seat<A> {
    fn take(sessions: &Arc<Sessions<A>>, session: &Arc<Session<A>>) -> Self {
        sessions.insert(session);
        session.conn.shared.metrics.polling(session.conn.wire, true);
        Self { sessions: Arc::clone(sessions), session: Arc::clone(session), upgraded: false }
    }

    fn upgrade(mut self) {
        self.upgraded = true;
        let shared = &self.session.conn.shared;
        shared.metrics.upgrades.increment(1);
        self.sessions.upgraded(&self.session.sid, shared.now());
    }
}

impl<A: Application> Drop for Seat<A> {
    /// However the task ends: nobody waits for it any more.
    fn drop(&mut self) {
        let conn = &self.session.conn;
        conn.shared.metrics.polling(conn.wire, false);
        if !self.upgraded {
            self.sessions.remove(&self.session.sid);
        }
        self.session.desk().shut();
    }
}
