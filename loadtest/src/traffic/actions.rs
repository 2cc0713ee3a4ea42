//! Starting what is due: connections, messages, typing, requests, cuts.

use std::time::{Duration, Instant};

use protocol::event;

use super::control::Update;
use super::{Stage, Traffic};
use crate::engine::packet::Credentials;
use crate::engine::sockets::Sockets;
use crate::ledger::{Fate, Fault, Sent};
use crate::marker::{Marker, Origin};
use crate::plan::{Action, Flavor, Topology};
use crate::recorder::{Count, Step};
use crate::requests::{Job, Request};

/// An arrival later than this is left out and counted: making up for it would be a burst that nobody asked for.
const SKIP_AFTER: Duration = Duration::from_millis(100);
/// How many arrivals are started before what has come is read.
const AT_ONCE: usize = 32;
/// How often somebody else is drawn where the one who was is away.
const DRAWS: usize = 20;

impl Traffic {
    /// Opens connections, as many as may be at the moment. Returns when the next one is due.
    pub(super) fn connect(&mut self, sockets: &mut Sockets, now: Instant) -> Option<Instant> {
        while self.next_seat < self.live.len() {
            let due = match &mut self.connects {
                Some(arrivals) => {
                    let due = self.connects_since + arrivals.due()?;
                    if due > now {
                        return Some(due);
                    }
                    arrivals.advance();
                    due
                }
                None if self.opening >= self.plan.connects => return None,
                None => now,
            };
            let seat = self.next_seat;
            self.next_seat += 1;
            self.open_seat(sockets, seat, due, now);
        }
        self.connected_all();
        None
    }

    pub(super) fn connected_all(&mut self) {
        if self.stage == Stage::Connecting && self.opening == 0 && self.next_seat == self.live.len() {
            self.stage = Stage::Connected;
            self.tell(Update::Connected);
        }
    }

    fn open_seat(&mut self, sockets: &mut Sockets, seat: usize, due: Instant, now: Instant) {
        let live = &self.live[seat];
        let token = self.world.users[live.user as usize].token.clone();
        let (resume, again) = (live.resume(), live.cut_us.is_some());
        let (now_us, due_us) = (self.micros(now), self.micros(due));
        match sockets.open(Credentials { token, resume }, seat, now) {
            Ok(socket) => {
                self.opening += 1;
                self.live[seat].open(socket);
                self.live[seat].opening = Some((now_us, due_us, again));
            }
            Err(error) => self.not_opened(seat, &error.to_string(), again),
        }
    }

    /// A connection could not be opened.
    pub(super) fn not_opened(&mut self, seat: usize, how: &str, again: bool) {
        self.live[seat].ended();
        let number = self.part.seats.0 + seat;
        if again {
            self.ledger
                .faults
                .add(Fault::Disconnected, || format!("connection {number} did not come back: {how}"));
            self.first_disconnect
                .get_or_insert_with(|| format!("connection {number} did not come back: {how}"));
        } else if self.plan.connects_only {
            self.recorder.count(Count::ConnectsFailed, 1);
            self.first_failure.get_or_insert_with(|| format!("connection {number}: {how}"));
        } else {
            self.tell(Update::NotConnected(number, how.to_owned()));
        }
    }

    /// Opens anew what was cut, once it has been away long enough. Returns when the next one is due.
    pub(super) fn come_back(&mut self, sockets: &mut Sockets, now: Instant) -> Option<Instant> {
        while let Some(&(due, seat)) = self.returns.front() {
            if due > now {
                return Some(due);
            }
            self.returns.pop_front();
            self.open_seat(sockets, seat, due, now);
        }
        None
    }

    /// Starts what is due. Returns when there is more to do.
    pub(super) fn run(&mut self, sockets: &mut Sockets, since: Instant, now: Instant) -> Instant {
        let end = since + self.plan.warmup + self.plan.duration;
        let mut next = end;
        let mut started = 0;
        for source in 0..self.sources.len() {
            while let Some(due) = self.sources[source].arrivals.due().map(|due| since + due) {
                if due > now || due >= end || started >= AT_ONCE {
                    next = next.min(due);
                    break;
                }
                self.sources[source].arrivals.advance();
                let action = self.sources[source].action;
                if now.duration_since(due) > SKIP_AFTER {
                    self.recorder.count(Count::Skipped, 1);
                    self.recorder.step(action, Step::Skipped);
                    continue;
                }
                started += 1;
                // The time at which it really starts: those before it in this turn have taken theirs.
                let now = if started > 1 { Instant::now() } else { now };
                let (due_us, now_us) = (self.micros(due), self.micros(now));
                self.recorder.late(now_us.saturating_sub(due_us), self.measured(due_us));
                if self.act(sockets, action, due_us, now_us) {
                    self.recorder.step(action, Step::Started);
                } else {
                    self.recorder.count(Count::Skipped, 1);
                    self.recorder.step(action, Step::Skipped);
                }
            }
        }
        if now >= end {
            self.stage = Stage::Settling;
            self.tell(Update::Started);
        }
        next
    }

    /// Starts one thing. False if there is nobody who could do it.
    fn act(&mut self, sockets: &mut Sockets, action: Action, due_us: u64, now_us: u64) -> bool {
        let Some((seat, conversation)) = self.draw(sockets, action) else { return false };
        let user = self.live[seat].user;
        let token = || self.world.users[user as usize].token.clone();
        let conversation_id = |place: u32| self.world.conversations[place as usize].id;
        let ask = |request: Request| {
            let job = Job { action, seat, token: token(), request, due_us, started_us: now_us };
            // Nobody answers any more only when the run is given up.
            self.requests.send(job).is_ok()
        };
        match action {
            Action::Send => self.send(sockets, seat, conversation, due_us, now_us),
            Action::Post => {
                let index = self.book(user, conversation, due_us, now_us);
                let content = self.scratch.0.clone();
                let request = Request::Post {
                    conversation: self.world.conversations[conversation as usize].id,
                    content,
                    index,
                };
                let token = self.world.users[user as usize].token.clone();
                let job = Job { action, seat, token, request, due_us, started_us: now_us };
                return self.requests.send(job).is_ok();
            }
            Action::Typing => {
                // Whoever types stops the next time: servers pass on a start only where it is one.
                let others = self.audience[conversation as usize].saturating_sub(1);
                let starts = self.typing.remove(&(conversation, user)).is_none();
                if starts {
                    self.typing.insert((conversation, user), (due_us, now_us, others));
                }
                let id = conversation_id(conversation);
                let payload = format_args!(r#"{{"conversationId":"{id}","isTyping":{starts}}}"#);
                let text = &mut self.scratch.1;
                text.clear();
                sockets.protocol().emit(text, event::CONVERSATION_TYPING, payload, None);
                if let Some(socket) = self.live[seat].socket() {
                    sockets.send(socket, text);
                }
            }
            Action::Open => return ask(Request::Page { conversation: conversation_id(conversation) }),
            // It follows from opening.
            Action::Mark => return false,
            Action::List => return ask(Request::List),
            Action::Upload => return ask(Request::Upload { bytes: self.plan.upload_bytes }),
            Action::Reconnect => {
                self.live[seat].cut_at(sockets, now_us);
                self.open -= 1;
                let back = self.part.clock.instant(now_us) + self.plan.away;
                self.returns.push_back((back, seat));
            }
        }
        true
    }

    /// Who does it, and in which conversation.
    fn draw(&mut self, sockets: &Sockets, action: Action) -> Option<(usize, u32)> {
        let seats = self.live.len();
        let first = self.part.seats.0;
        for _ in 0..DRAWS.min(seats.max(1)) {
            let (seat, conversation) = match self.plan.topology {
                Topology::Pairs => {
                    // First one of each pair and then the other of each: a conversation's messages are as far apart
                    // as they can be.
                    let slot = self.turn % seats;
                    self.turn += 1;
                    let pairs = seats / 2;
                    let seat = if slot < pairs { 2 * slot } else { (2 * (slot - pairs) + 1).min(seats - 1) };
                    (seat, self.world.shared((first + seat) / 2))
                }
                Topology::Room => {
                    let seat = self.turn % seats;
                    self.turn += 1;
                    let room = self.world.room();
                    let member = room.filter(|room| {
                        self.world.users[self.live[seat].user as usize].conversations.contains(room)
                    });
                    (seat, member)
                }
                Topology::World => {
                    let seat = self.random.usize(..seats);
                    let own = &self.world.users[self.live[seat].user as usize].conversations;
                    // Half of all in the first of the list, a quarter in the second, and so on.
                    let place = self.random.u32(..).leading_zeros() as usize;
                    let alone = matches!(action, Action::List | Action::Upload | Action::Reconnect);
                    let some = own.get(if own.is_empty() { 0 } else { place % own.len() }).copied();
                    (seat, some.or(alone.then_some(0)))
                }
            };
            let needs_socket = !matches!(action, Action::List | Action::Upload | Action::Post);
            if let Some(conversation) = conversation
                && (!needs_socket || self.live[seat].is_open(sockets))
            {
                return Some((seat, conversation));
            }
        }
        None
    }

    /// Books a message that is about to leave, and writes its text. Noted before it leaves: the answer may be back
    /// before the call that sends it returns.
    fn book(&mut self, user: u32, conversation: u32, due_us: u64, now_us: u64) -> u32 {
        let index = self.ledger.sent.len() as u32;
        let number = if self.plan.flavor == Flavor::Spec {
            let number = self.numbers.entry((conversation, user)).or_insert(0);
            *number += 1;
            *number
        } else {
            0
        };
        let fate = Fate::Unanswered;
        self.ledger.sent.push(Sent { conversation, user, number, due_us, sent_us: now_us, fate });
        self.recorder.count(Count::Sent, 1);
        let origin = Origin { worker: self.part.worker.0, index };
        let content = &mut self.scratch.0;
        content.clear();
        Marker { run: self.part.run, origin, number, due_us, sent_us: now_us }
            .write(content, self.plan.content_bytes);
        index
    }

    fn send(&mut self, sockets: &mut Sockets, seat: usize, conversation: u32, due_us: u64, now_us: u64) {
        let index = self.book(self.live[seat].user, conversation, due_us, now_us);
        let (content, text) = &mut self.scratch;
        text.clear();
        let id = self.world.conversations[conversation as usize].id;
        let payload = format_args!(r#"{{"conversationId":"{id}","content":"{content}"}}"#);
        // The specification's own server acknowledges nothing.
        let asks = self.plan.flavor == Flavor::Linkup;
        sockets.protocol().emit(text, event::MESSAGE_SEND, payload, asks.then_some(2 * u64::from(index)));
        if let Some(socket) = self.live[seat].socket() {
            sockets.send(socket, text);
        }
    }

    /// Marks a message as read over the socket of a seat.
    pub(super) fn mark(
        &mut self,
        sockets: &mut Sockets,
        seat: usize,
        (message, conversation): (&str, &str),
        due_us: u64,
        now_us: u64,
    ) {
        let Some(socket) = self.live[seat].socket() else { return };
        // Odd numbers, beside the even ones of messages.
        let number = 2 * self.marked + 1;
        self.marked += 1;
        self.recorder.step(Action::Mark, Step::Started);
        self.marks.insert(number, (due_us, now_us, self.measured(due_us)));
        let text = &mut self.scratch.1;
        text.clear();
        let payload = format_args!(r#"{{"messageId":"{message}","conversationId":"{conversation}"}}"#);
        let asks = self.plan.flavor == Flavor::Linkup;
        sockets.protocol().emit(text, event::MESSAGE_READ, payload, asks.then_some(number));
        sockets.send(socket, text);
    }
}
