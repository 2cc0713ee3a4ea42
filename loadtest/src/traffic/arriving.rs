//! Booking what comes back: admissions, messages, answers, ends.

use std::time::Instant;

use protocol::{Id, event};
use serde::Deserialize;

use super::message::{self, Meaning};
use super::{Stage, Traffic};
use crate::engine::Closed;
use crate::engine::packet::Admission;
use crate::engine::sockets::{SocketId, Sockets};
use crate::ledger::{Fate, Fault, Sequence};
use crate::plan::{Action, Flavor};
use crate::recorder::{Count, Latency, Step};
use crate::requests::{Answer, Found};
use crate::tracker::Arrival;

/// The answer to what was sent, as far as it is of interest.
#[derive(Deserialize)]
struct Acknowledgement<'a> {
    ok: bool,
    #[serde(default)]
    message: Option<Seq>,
    #[serde(default, borrow)]
    error: Option<Refusal<'a>>,
}

#[derive(Deserialize)]
struct Seq {
    seq: i64,
}

#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    message: std::borrow::Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Typing {
    conversation_id: Id,
    user_id: Id,
    is_typing: bool,
}

impl Traffic {
    /// A connection is authenticated.
    pub(super) fn admitted(
        &mut self,
        sockets: &mut Sockets,
        id: SocketId,
        admission: Admission,
        now: Instant,
    ) {
        let Some(seat) = sockets.tag(id) else { return };
        let now_us = self.micros(now);
        let live = &mut self.live[seat];
        let (started, due, again) = live.opening.take().unwrap_or((now_us, now_us, false));
        self.opening -= 1;
        self.open += 1;
        if again {
            self.recorder.count(Count::Reconnects, 1);
            self.recorder.count(Count::Recovered, u64::from(admission.recovered));
            if let Some(cut) = live.cut_us.take().filter(|_| !admission.recovered) {
                live.missed(cut, now_us);
            }
            let measured = self.measured(due);
            self.recorder.latency(Latency::Reconnect, due, started, now_us, measured);
        } else {
            self.recorder.count(Count::Connects, 1);
            self.recorder.latency(Latency::Connect, due, started, now_us, true);
        }
        let comes_back = self.plan.rate(Action::Reconnect) > 0.0;
        self.live[seat].admitted_us = now_us;
        self.live[seat].admit(admission.pid, admission.recovered, comes_back);
        self.connected_all();
    }

    /// A connection is gone, or could not be opened.
    pub(super) fn gone(&mut self, sockets: &mut Sockets, seat: usize, closed: Closed, now: Instant) {
        let _ = sockets;
        let now_us = self.micros(now);
        self.live[seat].ended();
        if !closed.opened {
            let again = self.live[seat].opening.take().is_some_and(|(_, _, again)| again);
            self.opening -= 1;
            self.not_opened(seat, &closed.how, again);
            self.connected_all();
            return;
        }
        self.open -= 1;
        if !closed.left && !matches!(self.stage, Stage::Leaving(_)) {
            let number = self.part.seats.0 + seat;
            let words = format!("connection {number}: {}", closed.how);
            self.first_disconnect.get_or_insert_with(|| words.clone());
            self.ledger.faults.add(Fault::Disconnected, || words);
            // Nothing more is expected there.
            self.live[seat].missed(now_us, u64::MAX);
        }
    }

    /// The server sent what it should not have.
    pub(super) fn protocol_error(&mut self, seat: usize, what: &str) {
        let number = self.part.seats.0 + seat;
        self.ledger.faults.add(Fault::ProtocolError, || format!("connection {number} got {what}"));
    }

    /// What a message means that has not been seen before.
    pub(super) fn meaning(&mut self, arguments: &[u8]) -> Meaning {
        let Some(message) = message::read(arguments, self.part.run) else { return Meaning::Malformed };
        let place = self.world.place(message.conversation);
        let spec = self.plan.flavor == Flavor::Spec;
        let Some(marker) = message.marker else {
            let number = message.seq.filter(|_| !spec);
            if let (Some(place), Some(number)) = (place, number) {
                self.ledger.note(Sequence::new(place, None), number, None);
            }
            return Meaning::Foreign { conversation: place, number };
        };
        let Some(conversation) = place else { return Meaning::Misplaced };
        let members = &self.world.conversations[conversation as usize].members;
        let sender =
            members.iter().copied().find(|user| self.world.users[*user as usize].id == message.sender);
        let Some(sender) = sender else { return Meaning::Misplaced };
        // What another process sent is compared in the end.
        if marker.origin.worker == self.part.worker.0 {
            let sent = self.ledger.sent.get(marker.origin.index as usize);
            if sent.is_none_or(|sent| sent.conversation != conversation || sent.user != sender) {
                return Meaning::Misplaced;
            }
        }
        let number = if spec { Some(i64::from(marker.number)) } else { message.seq };
        let Some(number) = number else { return Meaning::Malformed };
        let sequence = Sequence::new(conversation, spec.then_some(sender));
        let stored_twice = !self.ledger.note(sequence, number, Some(marker.origin));
        let (origin, due_us, sent_us) = (marker.origin, marker.due_us, marker.sent_us);
        Meaning::Ours { conversation, sender, number, origin, due_us, sent_us, stored_twice }
    }

    /// A message arrives at a seat.
    pub(super) fn arrived(&mut self, seat: usize, meaning: Meaning, now: Instant) {
        let named = || self.part.seats.0 + seat;
        match meaning {
            Meaning::Malformed => self.protocol_error(seat, "an unreadable message"),
            Meaning::Misplaced => {
                let number = named();
                self.ledger.faults.add(Fault::Misdelivered, || {
                    format!("connection {number} got a message under another name or in another conversation")
                });
            }
            Meaning::Foreign { conversation, number } => {
                self.recorder.count(Count::Foreign, 1);
                if let (Some(conversation), Some(number)) = (conversation, number)
                    && self.is_member(seat, conversation)
                {
                    let arrival = self.ledger.seats[seat].arrive(Sequence::new(conversation, None), number);
                    if arrival == Arrival::Late {
                        self.misordered(Fault::Reordered, seat, conversation, number);
                    }
                }
            }
            Meaning::Ours { conversation, sender, number, origin, due_us, sent_us, stored_twice } => {
                if !self.is_member(seat, conversation) {
                    let place = named();
                    let id = self.world.conversations[conversation as usize].id;
                    let user = self.world.users[self.live[seat].user as usize].id;
                    self.ledger.faults.add(Fault::Misdelivered, || {
                        format!("connection {place} of user {user}, not a member of conversation {id}, got its message {number}")
                    });
                    return;
                }
                let spec = self.plan.flavor == Flavor::Spec;
                let sequence = Sequence::new(conversation, spec.then_some(sender));
                match self.ledger.seats[seat].arrive(sequence, number) {
                    Arrival::Duplicate => {
                        return self.misordered(Fault::Duplicated, seat, conversation, number);
                    }
                    Arrival::Late => self.misordered(Fault::Reordered, seat, conversation, number),
                    Arrival::Next => {}
                }
                if stored_twice {
                    return self.misordered(Fault::Duplicated, seat, conversation, number);
                }
                let now_us = self.micros(now);
                let measured = self.measured(due_us);
                self.recorder.count(Count::Delivered, 1);
                if sent_us < self.live[seat].admitted_us {
                    // It came with what was missed: its time is that of the absence.
                    self.recorder.count(Count::CaughtUp, 1);
                } else if self.live[seat].user != sender {
                    self.recorder.count(Count::MeasuredDelivered, u64::from(measured));
                    self.recorder.latency(Latency::Delivery, due_us, sent_us, now_us, measured);
                }
                if spec && self.live[seat].user == sender && origin.worker == self.part.worker.0 {
                    // That it comes back is all the acknowledgement there is.
                    self.committed(u64::from(origin.index), Some(number), now_us);
                }
            }
        }
    }

    fn is_member(&self, seat: usize, conversation: u32) -> bool {
        self.world.users[self.live[seat].user as usize].conversations.contains(&conversation)
    }

    fn misordered(&mut self, fault: Fault, seat: usize, conversation: u32, number: i64) {
        let place = self.part.seats.0 + seat;
        let id = self.world.conversations[conversation as usize].id;
        let user = self.world.users[self.live[seat].user as usize].id;
        self.ledger.faults.add(fault, || {
            format!("conversation {id}, message {number}, at connection {place} of user {user}")
        });
    }

    /// A send is answered: committed under a number, or (`None`) failed.
    fn committed(&mut self, index: u64, number: Option<i64>, now_us: u64) {
        let spec = self.plan.flavor == Flavor::Spec;
        if spec && self.ledger.sent.get(index as usize).is_some_and(|sent| sent.fate != Fate::Unanswered) {
            return;
        }
        let Some(sent) = self.ledger.answer(index, number) else { return };
        if number.is_none() {
            return;
        }
        let measured = self.measured(sent.due_us);
        self.recorder.step(Action::Send, Step::Ok);
        self.recorder.count(Count::Acknowledged, 1);
        self.recorder.count(Count::MeasuredAcknowledged, u64::from(measured));
        self.recorder.count(Count::Expected, self.audience[sent.conversation as usize]);
        self.recorder.latency(Latency::Acknowledgement, sent.due_us, sent.sent_us, now_us, measured);
    }

    /// The answer to what was sent under a number.
    pub(super) fn answered(&mut self, seat: usize, number: u64, answer: &str, now: Instant) {
        let now_us = self.micros(now);
        let Ok(answer) = serde_json::from_str::<Acknowledgement<'_>>(answer) else {
            return self.protocol_error(seat, "an unreadable acknowledgement");
        };
        if number % 2 == 1 {
            let Some((due, started, measured)) = self.marks.remove(&number) else {
                return self.protocol_error(seat, "an answer to nothing");
            };
            return match answer.error.filter(|_| !answer.ok) {
                None => {
                    self.recorder.count(Count::Requests, 1);
                    self.recorder.step(Action::Mark, Step::Ok);
                    self.recorder.latency(Latency::Mark, due, started, now_us, measured);
                }
                Some(error) => self.failed_request(Action::Mark, &error.message),
            };
        }
        match answer {
            Acknowledgement { ok: true, message: Some(Seq { seq }), .. } => {
                self.committed(number / 2, Some(seq), now_us);
            }
            Acknowledgement { ok: false, error: Some(error), .. } => {
                self.failed(number / 2, &error.message, now_us)
            }
            _ => self.protocol_error(seat, "an acknowledgement that says neither yes nor no"),
        }
    }

    fn failed(&mut self, index: u64, why: &str, now_us: u64) {
        self.committed(index, None, now_us);
        self.recorder.step(Action::Send, Step::Failed);
        self.ledger.faults.add(Fault::Failed, || format!("send {index}: {why}"));
        self.first_failure.get_or_insert_with(|| why.to_owned());
    }

    fn failed_request(&mut self, action: Action, why: &str) {
        let what = action.as_str();
        self.recorder.step(action, Step::Failed);
        self.recorder.count(Count::RequestsFailed, 1);
        self.ledger.faults.add(Fault::Failed, || format!("{what}: {why}"));
        self.first_failure.get_or_insert_with(|| format!("{what}: {why}"));
    }

    /// An event of another kind.
    pub(super) fn event(&mut self, seat: usize, name: &str, arguments: &str, now: Instant) {
        self.recorder.count(Count::OtherEvents, 1);
        match name {
            event::CONVERSATION_TYPING => self.typed(seat, arguments, now),
            event::ERROR if self.plan.flavor == Flavor::Spec => self.failed_request(Action::Send, arguments),
            _ => {}
        }
    }

    fn typed(&mut self, seat: usize, arguments: &str, now: Instant) {
        let Ok(typing) = serde_json::from_str::<Typing>(arguments) else {
            return self.protocol_error(seat, "an unreadable event about typing");
        };
        let Some(conversation) = self.world.place(typing.conversation_id).filter(|_| typing.is_typing) else {
            return;
        };
        let members = &self.world.conversations[conversation as usize].members;
        let typist = members.iter().find(|user| self.world.users[**user as usize].id == typing.user_id);
        let known = typist.and_then(|user| self.typing.get_mut(&(conversation, *user)));
        if let Some((due, started, others)) = known.filter(|(_, _, others)| *others > 0) {
            *others -= 1;
            let (due, started) = (*due, *started);
            self.recorder.count(Count::Typing, 1);
            let (now_us, measured) = (self.micros(now), self.measured(due));
            self.recorder.latency(Latency::Typing, due, started, now_us, measured);
        }
    }

    /// A request over REST is done.
    pub(super) fn requested(&mut self, sockets: &mut Sockets, answer: Answer, now: Instant) {
        let now_us = self.micros(now);
        let Answer { job, done_us, result } = answer;
        let measured = self.measured(job.due_us);
        let latency = match job.action {
            Action::List => Latency::List,
            Action::Open => Latency::Open,
            Action::Upload => Latency::Upload,
            _ => Latency::Post,
        };
        if result.is_ok() {
            self.recorder.step(job.action, Step::Ok);
            self.recorder.latency(latency, job.due_us, job.started_us, done_us, measured);
        }
        match result {
            Ok(Found::Posted { index, seq }) => self.committed(u64::from(index), Some(seq), done_us),
            Ok(Found::Page { conversation, last }) => {
                self.recorder.count(Count::Requests, 1);
                if let Some(last) = last {
                    self.mark(sockets, job.seat, (&last, &conversation.to_string()), now_us, now_us);
                }
            }
            Ok(Found::Nothing) => self.recorder.count(Count::Requests, 1),
            Err(why) => match job.request.index() {
                Some(index) => self.failed(u64::from(index), &why, done_us),
                None => self.failed_request(job.action, &why),
            },
        }
    }
}
