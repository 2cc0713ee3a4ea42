//! One connection of a run, over all its cuts.

use crate::engine::packet::{Resume, clock};
use crate::engine::sockets::{SocketId, Sockets};
use crate::ledger::{Fate, Ledger, Seat};

/// So long before a cut a message may have left that was on its way when it came, in microseconds.
const IN_FLIGHT_US: u64 = 5_000_000;

/// A connection, or that there is none at the moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Live {
    pub(super) user: u32,
    socket: Option<SocketId>,
    /// When it began to open, was to begin, and whether it is to come back.
    pub(super) opening: Option<(u64, u64, bool)>,
    /// When it was cut, while it is away.
    pub(super) cut_us: Option<u64>,
    /// When it was admitted last.
    pub(super) admitted_us: u64,
    cuts: Vec<u64>,
    away: Vec<(u64, u64)>,
    /// Where it was, if it is to come back at some time.
    resume: Option<Box<Resume>>,
}

impl Live {
    pub(super) fn new(user: u32) -> Self {
        Self { user, ..Self::default() }
    }

    pub(super) fn seat(&self) -> Seat {
        Seat { user: self.user, ..Seat::default() }
    }

    pub(super) const fn socket(&self) -> Option<SocketId> {
        self.socket
    }

    pub(super) fn open(&mut self, socket: SocketId) {
        self.socket = Some(socket);
    }

    /// Where it was, if it was cut.
    pub(super) fn resume(&self) -> Option<Resume> {
        self.cut_us.and(self.resume.as_deref().cloned())
    }

    /// It is admitted under this name. What it gets from here on counts from the beginning, unless it is `recovered`.
    pub(super) fn admit(&mut self, pid: Option<String>, recovered: bool, comes_back: bool) {
        if !comes_back {
            return;
        }
        let resume =
            self.resume.get_or_insert_with(|| Box::new(Resume { pid: String::new(), offset: String::new() }));
        if !recovered {
            resume.offset.clear();
        }
        match pid {
            Some(pid) => resume.pid = pid,
            None => self.resume = None,
        }
    }

    /// Remembers the clock of an event.
    pub(super) fn remember_clock(&mut self, event: &[u8]) {
        let Some(resume) = &mut self.resume else { return };
        // The last argument, with or without the bracket that ends the event.
        let tail = &event[event.len().saturating_sub(64)..];
        let tail = tail.strip_suffix(b"]").unwrap_or(tail);
        let start = tail.iter().rposition(|byte| *byte == b',').unwrap_or(0);
        if let Some(clock) = str::from_utf8(&tail[start..]).ok().and_then(clock) {
            resume.offset.clear();
            resume.offset.push_str(clock);
        }
    }

    /// It is cut by this side at a time.
    pub(super) fn cut_at(&mut self, sockets: &mut Sockets, at_us: u64) {
        self.cuts.push(at_us);
        self.cut_us = Some(at_us);
        self.cut(sockets);
    }

    pub(super) fn cut(&mut self, sockets: &mut Sockets) {
        if let Some(socket) = self.socket.take() {
            sockets.cut(socket);
        }
    }

    pub(super) fn leave(&mut self, sockets: &mut Sockets) {
        if let Some(socket) = self.socket {
            sockets.leave(socket);
        }
    }

    /// The server ended it, or it could not be opened.
    pub(super) fn ended(&mut self) {
        self.socket = None;
    }

    /// It was away from one time to another and does not get what it missed.
    pub(super) fn missed(&mut self, from_us: u64, to_us: u64) {
        self.away.push((from_us.saturating_sub(IN_FLIGHT_US), to_us));
    }

    pub(super) fn is_away(&self, sockets: &Sockets) -> bool {
        self.socket.is_none_or(|socket| sockets.tag(socket).is_none())
    }

    pub(super) fn is_open(&self, sockets: &Sockets) -> bool {
        self.socket.is_some_and(|socket| sockets.is_open(socket))
    }
}

/// Notes in the ledger who was away when, and what nobody can know since its connection was cut before the answer.
pub(super) fn finish(live: &[Live], ledger: &mut Ledger) {
    for (live, seat) in live.iter().zip(&mut ledger.seats) {
        seat.away.clone_from(&live.away);
        if let Some(cut) = live.cut_us {
            seat.away.push((cut.saturating_sub(IN_FLIGHT_US), u64::MAX));
        }
    }
    let Ledger { sent, seats, .. } = ledger;
    let mut cuts: rustc_hash::FxHashMap<u32, Vec<u64>> = rustc_hash::FxHashMap::default();
    for (live, seat) in live.iter().zip(seats.iter()).filter(|(live, _)| !live.cuts.is_empty()) {
        cuts.entry(seat.user).or_default().extend(&live.cuts);
    }
    for sent in sent.iter_mut().filter(|sent| sent.fate == Fate::Unanswered) {
        let cut = |at: &u64| (sent.sent_us..sent.sent_us + IN_FLIGHT_US).contains(at);
        if cuts.get(&sent.user).is_some_and(|cuts| cuts.iter().any(cut)) {
            sent.fate = Fate::Unknown;
        }
    }
}
