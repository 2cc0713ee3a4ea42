//! One socket's place in the stream of its user's events, and the sockets of one user.
//!
//! Each socket has a position of its own, because each may come back with an offset of its own. It only ever moves
//! forward, and an event at or before it is not given: that is why nothing is delivered twice, whatever is replayed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use protocol::command::Presence;
use protocol::recovery::Recovery;
use protocol::token::Tokens;
use protocol::{Clock, Id};

use super::{Resume, metrics::METRICS};
use crate::transport::{Admission, Admitted, Event, Socket};

/// An offset that lies further ahead than this, in seconds, is none of this database's: its client would be told nothing until
/// then. A streamer that has to read again what another one has read already is never so far behind.
const MAX_AHEAD_SECS: u64 = 3_600;
/// What an event costs while it is kept, beside its own bytes: about what it will cost in the socket's queue.
const KEPT_EVENT_BYTES: usize = 96;

/// How far a socket is on its way to get events as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is owed nothing: it will begin where its registration is answered.
    Fresh,
    /// It comes back, and is owed what it missed, which a replay brings.
    Resuming,
    /// It gets every event as it comes.
    Live,
    /// It was let in, and something that it is owed may have been lost; a replay will bring it.
    Interrupted,
}

/// A socket of a user.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) socket: Socket,
    /// What the client says of itself.
    pub(super) presence: Presence,
    /// The request that is to make it live; 0 for none.
    pub(super) request: u64,
    admitted: bool,
    vouched: bool,
    stage: Stage,
    /// Everything up to here was given, or kept to be given, or is not owed.
    seen: Clock,
    /// See [`protocol::token::Claims::generation`].
    pub(super) generation: i64,
    /// The session for recovery, from the beginning if it comes back, otherwise since it was admitted.
    pub(super) session: Option<Id>,
    /// `admitted`, for the application.
    flag: Arc<AtomicBool>,
    /// Of one that comes back and is not admitted yet. Always there while it is [`Stage::Resuming`].
    comeback: Option<Box<Comeback>>,
}

/// What waits for a socket that comes back to be admitted.
#[derive(Debug)]
struct Comeback {
    recovery: Recovery,
    missed: Vec<Event>,
    bytes: usize,
}

impl Member {
    pub(super) fn new(
        socket: Socket,
        generation: i64,
        resume: Option<Resume>,
        flag: Arc<AtomicBool>,
    ) -> Self {
        let comeback = |recovery| Box::new(Comeback { recovery, missed: Vec::new(), bytes: 0 });
        Self {
            socket,
            presence: Presence::Online,
            request: 0,
            admitted: false,
            vouched: false,
            stage: if resume.is_some() { Stage::Resuming } else { Stage::Fresh },
            seen: resume.map_or(Clock::ZERO, |resume| resume.from),
            generation,
            session: resume.map(|resume| resume.recovery.session),
            flag,
            comeback: resume.map(|resume| comeback(resume.recovery)),
        }
    }

    pub(super) fn is_admitted(&self) -> bool {
        self.admitted
    }

    pub(super) fn is_live(&self) -> bool {
        self.stage == Stage::Live
    }

    /// Whether no request is under way that will make it live.
    pub(super) fn is_to_be_registered(&self) -> bool {
        !self.is_live() && self.request == 0
    }

    /// Whether it is owed nothing that came before it.
    pub(super) fn is_fresh(&self) -> bool {
        self.stage == Stage::Fresh
    }

    /// Whether it waits for what it missed.
    pub(super) fn is_resuming(&self) -> bool {
        self.stage == Stage::Resuming
    }

    /// Whether it is the connection of this session.
    pub(super) fn is_of(&self, session: Id) -> bool {
        self.session == Some(session)
    }

    /// Whether its token is from before the sessions were ended that many times.
    pub(super) fn is_older_than(&self, generation: i64) -> bool {
        self.generation < generation
    }

    /// It has shown a newer token.
    pub(super) fn refreshed(&mut self, generation: i64) {
        self.generation = self.generation.max(generation);
    }

    /// The api knows its user.
    pub(super) fn vouched(&mut self) {
        self.vouched = true;
    }

    /// Whether it can be admitted now.
    pub(super) fn is_ready(&self) -> bool {
        self.vouched && self.is_live() && !self.admitted
    }

    /// From where it is to be replayed to; `None` if it is owed nothing. Everything up to `certain` has been delivered to
    /// whom it was for, among those who were live.
    pub(super) fn owed_from(&self, certain: Clock) -> Option<Clock> {
        match self.stage {
            Stage::Fresh => None,
            Stage::Resuming => Some(self.seen),
            Stage::Live | Stage::Interrupted => Some(self.seen.max(certain)),
        }
    }

    /// Something was missed, so that it is no longer known what it is owed.
    pub(super) fn interrupt(&mut self) {
        self.request = 0;
        if self.stage == Stage::Live {
            let is_owed = self.admitted || self.comeback.is_some();
            self.stage = if is_owed { Stage::Interrupted } else { Stage::Fresh };
        }
    }

    /// Takes an event that came as it should. True if it was sent.
    pub(super) fn take(&mut self, clock: Clock, event: &Event, bytes: usize, room: usize) -> bool {
        if self.stage != Stage::Live || clock <= self.seen {
            return false;
        }
        self.advance(clock, event, bytes, room)
    }

    /// Takes an event from the replay that its request asked for. True if it was sent.
    pub(super) fn catch_up(&mut self, clock: Clock, event: &Event, bytes: usize, room: usize) -> bool {
        let is_owed = matches!(self.stage, Stage::Resuming | Stage::Interrupted);
        if !is_owed || clock <= self.seen {
            return false;
        }
        self.advance(clock, event, bytes, room)
    }

    fn advance(&mut self, clock: Clock, event: &Event, bytes: usize, room: usize) -> bool {
        self.seen = clock;
        if self.admitted {
            self.socket.emit(event);
            return true;
        }
        let Some(comeback) = &mut self.comeback else { return false };
        comeback.bytes += bytes + KEPT_EVENT_BYTES;
        if comeback.bytes > room {
            self.give_up();
        } else {
            comeback.missed.push(event.clone());
        }
        false
    }

    /// It cannot have everything that it missed, so it begins anew.
    fn give_up(&mut self) {
        METRICS.recoveries_failed.inc();
        self.comeback = None;
        if self.stage != Stage::Live {
            self.stage = Stage::Fresh;
        }
    }

    /// Its registration is answered: from now on it gets every event after `live_from`. False if it has been let in and
    /// events may be missing: then it has to go.
    pub(super) fn registered(&mut self, live_from: Clock, is_complete: bool) -> bool {
        if self.admitted && !is_complete {
            return false;
        }
        let is_foreign = self.seen.time >> 32 > (live_from.time >> 32) + MAX_AHEAD_SECS;
        if self.comeback.is_some() && (!is_complete || is_foreign) {
            self.give_up();
        }
        self.go_live(live_from);
        true
    }

    /// It gets every event after `position` from now on.
    pub(super) fn go_live(&mut self, position: Clock) {
        self.request = 0;
        self.seen = if self.is_fresh() { position } else { self.seen.max(position) };
        self.stage = Stage::Live;
    }

    /// Lets it in, and gives it what it missed. `position` is where the stream has come to, if that is certain.
    pub(super) fn admit(&mut self, tokens: &Tokens, user: Id, position: Option<Clock>) {
        self.admitted = true;
        // First the flag: the client may send as soon as it reads that it is connected.
        self.flag.store(true, Ordering::Relaxed);
        if self.recover(tokens, user) {
            return;
        }
        // What came while it waited was there to be read before it was connected.
        self.seen = self.seen.max(position.unwrap_or(Clock::ZERO));
        let recovery = Recovery::begin(self.seen);
        self.session = Some(recovery.session);
        let pid = recovery.pid(tokens, user);
        self.socket.admit(Admission { pid: pid.as_deref(), recovered: false });
    }

    /// Lets it in with what it missed. False if it does not come back, or too much waits for others who did.
    fn recover(&mut self, tokens: &Tokens, user: Id) -> bool {
        let Some(Comeback { recovery, missed, .. }) = self.comeback.take().map(|comeback| *comeback) else {
            return false;
        };
        let pid = recovery.pid(tokens, user);
        let admission = Admission { pid: pid.as_deref(), recovered: true };
        match self.socket.admit_with(admission, &missed) {
            Admitted::Yes => {
                METRICS.recoveries.inc();
                METRICS.recovered_events.inc_by(missed.len() as u64);
            }
            Admitted::NoRoom => {
                METRICS.recoveries_failed.inc();
                return false;
            }
            // Its end will be told.
            Admitted::Gone => {}
        }
        true
    }
}

/// A user with at least one socket here, admitted or not.
#[derive(Debug, Default)]
pub(super) struct User {
    pub(super) members: Vec<Member>,
    /// What the user was last said to be; `None` while no socket is admitted.
    pub(super) told: Option<Presence>,
    /// Tokens of earlier generations are known to be no good any more, because the api has vouched for one of this, or the
    /// streamer has told so.
    pub(super) generation: i64,
}

impl User {
    pub(super) fn find(&mut self, socket: u64) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.socket.id() == socket)
    }

    /// Adds a socket. Almost everybody has one, so room is made for no more.
    pub(super) fn add(&mut self, member: Member) {
        self.members.reserve_exact(1);
        self.members.push(member);
    }

    /// The most present of what the clients say of themselves.
    pub(super) fn presence(&self) -> Option<Presence> {
        self.members.iter().filter(|member| member.is_admitted()).map(|member| member.presence).max()
    }

    /// From where the user is to be replayed to, so that everybody has what they are owed.
    pub(super) fn owed_from(&self, certain: Clock, mut who: impl FnMut(&Member) -> bool) -> Option<Clock> {
        self.members.iter().filter(|&member| who(member)).filter_map(|member| member.owed_from(certain)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Config, Wire};

    #[test]
    fn who_comes_back_when_too_much_waits_for_others_begins_anew() {
        let at = |time| Clock { time, change: 0, event: 0 };
        let (tokens, user) = (Tokens::new(&[7; 32]), Id::mint());
        for (backlog_total, recovered) in [(10_000, true), (100, false)] {
            let config = Config { backlog_total, ..Config::default() };
            let socket = Socket::detached(Wire::Plain, config).unwrap();
            let recovery = Recovery::begin(Clock::ZERO);
            let resume = Resume { recovery, from: Clock::ZERO };
            let mut member = Member::new(socket.clone(), 0, Some(resume), Arc::default());
            member.catch_up(at(1), &Event::new("[\"missed\"]".into()), 10, 10_000);
            assert!(member.registered(at(2), true));
            member.admit(&tokens, user, Some(at(2)));
            assert_eq!(member.is_of(recovery.session), recovered);
            let frames: Vec<_> =
                socket.drain().iter().map(|frame| String::from_utf8_lossy(frame).into_owned()).collect();
            assert_eq!(frames.len(), if recovered { 2 } else { 1 }, "{frames:?}");
            assert!(frames[0].contains(&format!("\"recovered\":{recovered}")), "{frames:?}");
            assert!(member.is_admitted() && member.take(at(3), &Event::new("[\"next\"]".into()), 8, 0));
        }
    }

    #[test]
    fn what_is_kept_for_a_socket_and_a_user_is_small() {
        assert!(size_of::<Member>() <= 96, "{}", size_of::<Member>());
        assert!(size_of::<(Id, User)>() <= 56, "{}", size_of::<(Id, User)>());
    }
}
