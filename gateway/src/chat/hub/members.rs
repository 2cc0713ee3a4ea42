//! One socket's place in the stream of its user's events, and the sockets of one user.
//!
//! Each socket has a position of its own, because each may come back with an offset of its own. It only ever moves
//! forward, and an event at or before it is not given: that is why nothing is delivered twice, whatever is replayed.

use std::sync::Arc;

use protocol::command::Presence;
use protocol::recovery::Recovery;
use protocol::token::Tokens;
use protocol::{Clock, Id};

use super::Resume;
use crate::chat::Arrival;
use crate::metrics::{Connected, Hub as HubMetrics, Metrics};
use crate::transport::{Admission, Admitted, Event, Socket};

/// An offset that lies further ahead than this, in seconds, is none of this database's: its client would be told
/// nothing until then. A streamer that has to read again what another one has read already is never so far behind.
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
    arrival: Arc<Arrival>,
    /// Of one that comes back and is not admitted yet. Always there while it is [`Stage::Resuming`].
    comeback: Option<Box<Comeback>>,
}

/// An event on its way to sockets.
#[derive(Debug)]
pub(super) struct Parcel<'a> {
    pub(super) clock: Clock,
    pub(super) event: &'a Event,
    /// How long it is.
    pub(super) bytes: usize,
    /// How much may be kept for a socket that comes back.
    pub(super) room: usize,
    pub(super) metrics: &'a HubMetrics,
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
        arrival: Arc<Arrival>,
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
            arrival,
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

    /// From where it is to be replayed to; `None` if it is owed nothing. Everything up to `certain` has been delivered
    /// to whom it was for, among those who were live.
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
    pub(super) fn take(&mut self, parcel: &Parcel<'_>) -> bool {
        self.stage == Stage::Live && parcel.clock > self.seen && self.advance(parcel)
    }

    /// Takes an event from the replay that its request asked for. True if it was sent.
    pub(super) fn catch_up(&mut self, parcel: &Parcel<'_>) -> bool {
        let is_owed = matches!(self.stage, Stage::Resuming | Stage::Interrupted);
        is_owed && parcel.clock > self.seen && self.advance(parcel)
    }

    fn advance(&mut self, parcel: &Parcel<'_>) -> bool {
        self.seen = parcel.clock;
        if self.admitted {
            self.socket.emit(parcel.event);
            return true;
        }
        let Some(comeback) = &mut self.comeback else { return false };
        comeback.bytes += parcel.bytes + KEPT_EVENT_BYTES;
        if comeback.bytes > parcel.room {
            self.give_up(parcel.metrics);
        } else {
            // How long it will have waited for its client says nothing of the way that messages take.
            comeback.missed.push(parcel.event.clone().untimed());
        }
        false
    }

    /// It cannot have everything that it missed, so it begins anew.
    fn give_up(&mut self, metrics: &HubMetrics) {
        metrics.recoveries_missed.increment(1);
        self.comeback = None;
        if self.stage != Stage::Live {
            self.stage = Stage::Fresh;
        }
    }

    /// Its registration is answered: from now on it gets every event after `live_from`. False if it has been let in and
    /// events may be missing: then it has to go.
    pub(super) fn registered(&mut self, live_from: Clock, is_complete: bool, metrics: &HubMetrics) -> bool {
        if self.admitted && !is_complete {
            return false;
        }
        let is_foreign = self.seen.time >> 32 > (live_from.time >> 32) + MAX_AHEAD_SECS;
        if self.comeback.is_some() && (!is_complete || is_foreign) {
            self.give_up(metrics);
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
    pub(super) fn admit(&mut self, tokens: &Tokens, user: Id, position: Option<Clock>, metrics: &Metrics) {
        self.admitted = true;
        // First the flag: the client may send as soon as it reads that it is connected.
        let is_to_be_counted = self.arrival.admit();
        let outcome = self.recover(tokens, user, &metrics.hub);
        let outcome = outcome.unwrap_or_else(|| self.begin(tokens, user, position));
        match outcome {
            _ if !is_to_be_counted => {}
            Connected::Admitted | Connected::Recovered => self.arrival.admitted(&metrics.connects, outcome),
            _ => metrics.connects.ended(outcome),
        }
    }

    /// Lets it in anew.
    fn begin(&mut self, tokens: &Tokens, user: Id, position: Option<Clock>) -> Connected {
        // What came while it waited was there to be read before it was connected.
        self.seen = self.seen.max(position.unwrap_or(Clock::ZERO));
        let recovery = Recovery::begin(self.seen);
        self.session = Some(recovery.session);
        let pid = recovery.pid(tokens, user);
        let is_there = self.socket.admit(Admission { pid: pid.as_deref(), recovered: false });
        if is_there { Connected::Admitted } else { Connected::Gone }
    }

    /// Lets it in with what it missed. `None` if it does not come back, or too much waits for others who did.
    fn recover(&mut self, tokens: &Tokens, user: Id, metrics: &HubMetrics) -> Option<Connected> {
        let Comeback { recovery, missed, .. } = *self.comeback.take()?;
        let pid = recovery.pid(tokens, user);
        let admission = Admission { pid: pid.as_deref(), recovered: true };
        match self.socket.admit_with(admission, &missed) {
            Admitted::Yes => {
                metrics.recoveries.increment(1);
                metrics.recovered_events.increment(missed.len() as u64);
                Some(Connected::Recovered)
            }
            Admitted::NoRoom => {
                metrics.recoveries_missed.increment(1);
                None
            }
            // Its end will be told.
            Admitted::Gone => Some(Connected::Gone),
        }
    }
}

/// A user with at least one socket here, admitted or not.
#[derive(Debug, Default)]
pub(super) struct User {
    pub(super) members: Vec<Member>,
    /// What the user was last said to be; `None` while no socket is admitted.
    pub(super) told: Option<Presence>,
    /// Tokens of earlier generations are known to be no good any more, because the api has vouched for one of this, or
    /// the streamer has told so.
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
    use service::metrics::Registry;

    use super::*;
    use crate::transport::{Config, Wire};

    #[test]
    fn who_comes_back_when_too_much_waits_for_others_begins_anew() {
        let at = |time| Clock { time, change: 0, event: 0 };
        let (tokens, user) = (Tokens::new(&[7; 32]), Id::mint());
        for (backlog_total, recovered) in [(10_000, true), (100, false)] {
            let registry = Registry::new();
            let metrics = Metrics::new(&registry);
            let event = Event::new("[\"missed\"]".into());
            let parcel = |time, room| Parcel {
                clock: at(time),
                event: &event,
                bytes: 10,
                room,
                metrics: &metrics.hub,
            };
            let config = Config { backlog_total, ..Config::default() };
            let socket = Socket::detached(Wire::Plain, config).unwrap();
            let recovery = Recovery::begin(Clock::ZERO);
            let resume = Resume { recovery, from: Clock::ZERO };
            let arrival = Arrival::new(&metrics.connects);
            let mut member = Member::new(socket.clone(), 0, Some(resume), arrival);
            member.catch_up(&parcel(1, 10_000));
            assert!(member.registered(at(2), true, &metrics.hub));
            member.admit(&tokens, user, Some(at(2)), &metrics);
            assert_eq!(member.is_of(recovery.session), recovered);
            let frames: Vec<_> =
                socket.drain().iter().map(|frame| String::from_utf8_lossy(frame).into_owned()).collect();
            assert_eq!(frames.len(), if recovered { 2 } else { 1 }, "{frames:?}");
            assert!(frames[0].contains(&format!("\"recovered\":{recovered}")), "{frames:?}");
            assert!(member.is_admitted() && member.take(&parcel(3, 0)));
            let count = |outcome| registry.value("linkup_gateway_connects_total", &[("outcome", outcome)]);
            let counted = if recovered { [0.0, 1.0] } else { [1.0, 0.0] };
            assert_eq!(["admitted", "recovered"].map(count), counted.map(Some));
        }
    }

    #[test]
    fn what_is_kept_for_a_socket_and_a_user_is_small() {
        assert!(size_of::<Member>() <= 96, "{}", size_of::<Member>());
        assert!(size_of::<(Id, User)>() <= 56, "{}", size_of::<(Id, User)>());
    }
}
