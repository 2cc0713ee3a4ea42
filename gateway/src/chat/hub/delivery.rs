//! What the streamer sends, and to whom it goes.

use std::time::Instant;

use protocol::bus::{Content, Delivery, Downlink, Envelope, Typing};
use protocol::code::text;
use protocol::{Id, UnixMicros, event, model};

use super::Hub;
use super::copies::Copies;
use super::members::Parcel;
use crate::chat::link::Verdict;
use crate::metrics::Gap;
use crate::transport::Event;

/// How an event comes.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// As it happens, in a delivery that arrived then.
    Live(UnixMicros),
    /// Because a request of this number asked for it.
    Replay(u64),
}

impl Hub {
    pub(super) fn delivery(&mut self, delivery: Delivery) {
        let now = Instant::now();
        let verdict = self.link.judge(delivery.term, delivery.counter, now);
        if verdict != Verdict::Stale {
            self.heard.note(now);
        }
        match verdict {
            Verdict::Stale => return,
            Verdict::Gap => return self.interrupt(Gap::Numbers),
            Verdict::NewStreamer => return self.interrupt(Gap::NewStreamer),
            Verdict::InOrder => {}
        }
        match delivery.body {
            Downlink::Events(events) => {
                let arrived = UnixMicros::now();
                self.metrics.events.bus_stage.record(delivery.sent.until(arrived));
                for envelope in events {
                    let clock = envelope.clock;
                    self.deliver(envelope, Way::Live(arrived));
                    self.link.delivered(clock);
                }
            }
            Downlink::Replay { request, events } => {
                if self.link.replayed(request) {
                    events.into_iter().for_each(|envelope| self.deliver(envelope, Way::Replay(request)));
                }
            }
            Downlink::Registered { request, live_from, incomplete } => {
                self.registered(request, live_from, &incomplete);
            }
            Downlink::Typing { typing, recipients } => {
                let told = self.shown.hear(&typing, recipients, now);
                self.show(&typing, &told);
            }
            Downlink::Beat { position } => self.link.delivered(position),
        }
    }

    /// Gives something to its recipients: to their sockets that are live, or to those whose replay it belongs to. What
    /// is for the gateway itself counts whenever it comes.
    fn deliver(&mut self, envelope: Envelope, way: Way) {
        let Envelope { clock, recipients, content, received } = envelope;
        match content {
            Content::Event(json) => {
                let (bytes, counter) = (json.len(), self.metrics.events.of(&json));
                let copies = match (way, received) {
                    (Way::Live(arrived), Some(received)) => {
                        self.turn = self.turn.wrapping_add(1);
                        Copies::timed(json, received, arrived, self.turn)
                    }
                    _ => Copies::plain(json),
                };
                let (room, metrics) = (self.room, &self.metrics.hub);
                let mut sent = 0;
                for recipient in &recipients {
                    let Some(user) = self.users.get_mut(recipient) else { continue };
                    for member in &mut user.members {
                        let parcel = Parcel { clock, event: copies.after(sent), bytes, room, metrics };
                        let is_sent = match way {
                            Way::Live(_) => member.take(&parcel),
                            Way::Replay(request) => member.request == request && member.catch_up(&parcel),
                        };
                        sent += u64::from(is_sent);
                    }
                }
                counter.increment(sent);
                if matches!(way, Way::Live(_)) {
                    self.metrics.events.fanout.record(sent as f64);
                }
            }
            Content::SessionsEnded { generation } => {
                for user in recipients {
                    self.end_sessions(user, generation);
                }
            }
            Content::UserGone => recipients.into_iter().for_each(|user| self.dismiss(user, None)),
        }
    }

    /// Turns away the sockets of a user whose token is of an earlier generation, or all of them.
    pub(super) fn dismiss(&mut self, user: Id, before: Option<i64>) {
        let hub = &self.metrics.hub;
        let (counter, text) = match before {
            Some(_) => (hub.dismissed_ended.clone(), text::AUTHENTICATION_ERROR),
            None => (hub.dismissed_gone.clone(), text::USER_NOT_FOUND),
        };
        let Some(entry) = self.users.get(&user) else { return };
        let to_go = entry.members.iter().filter(|member| before.is_none_or(|g| member.is_older_than(g)));
        let to_go: Vec<u64> = to_go.map(|member| member.socket.id()).collect();
        for socket in to_go {
            counter.increment(1);
            self.remove(user, socket, |socket| socket.dismiss(text));
        }
    }

    /// Shows that somebody is typing, or has stopped, to the sockets of `recipients` that are admitted.
    pub(super) fn show(&mut self, typing: &Typing, recipients: &[Id]) {
        if recipients.is_empty() {
            return;
        }
        let Typing { user, conversation, is_typing } = *typing;
        let payload = model::Typing { conversation_id: conversation, user_id: user, is_typing };
        // Identifiers and a flag are always encoded.
        let Ok(json) = event::encode(event::CONVERSATION_TYPING, &payload, None) else { return };
        let counter = self.metrics.events.of(&json);
        let event = Event::new(json);
        let users = recipients.iter().filter_map(|recipient| self.users.get(recipient));
        for member in users.flat_map(|user| &user.members).filter(|member| member.is_admitted()) {
            counter.increment(1);
            member.socket.emit(&event);
        }
    }
}
