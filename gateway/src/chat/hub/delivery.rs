//! What the streamer sends, and to whom it goes.

use std::time::Instant;

use protocol::bus::{Content, Delivery, Downlink, Envelope, Typing};
use protocol::code::text;
use protocol::{Id, event, model};

use super::{Hub, metrics};
use crate::chat::link::Verdict;
use crate::metrics::METRICS;
use crate::transport::Event;

impl Hub {
    pub(super) fn delivery(&mut self, delivery: Delivery) {
        match self.link.judge(delivery.term, delivery.counter, Instant::now()) {
            Verdict::Stale => return,
            Verdict::Resync => {
                self.interrupt("a new streamer, or deliveries were lost");
                return;
            }
            Verdict::InOrder => {}
        }
        match delivery.body {
            Downlink::Events(events) => {
                for envelope in events {
                    let clock = envelope.clock;
                    self.deliver(envelope, None);
                    self.link.delivered(clock);
                }
            }
            Downlink::Replay { request, events } => {
                if self.link.replayed(request) {
                    events.into_iter().for_each(|envelope| self.deliver(envelope, Some(request)));
                }
            }
            Downlink::Registered { request, live_from, incomplete } => {
                self.registered(request, live_from, &incomplete);
            }
            Downlink::Typing { typing, recipients } => {
                let told = self.shown.hear(&typing, recipients, Instant::now());
                self.show(&typing, &told);
            }
            Downlink::Beat { position } => self.link.delivered(position),
        }
    }

    /// Gives something to its recipients: to their sockets that are live, or to those whose replay it belongs to. What is
    /// for the gateway itself counts whenever it comes.
    fn deliver(&mut self, envelope: Envelope, replay: Option<u64>) {
        let Envelope { clock, recipients, content } = envelope;
        match content {
            Content::Event(json) => {
                let bytes = json.len();
                let event = Event::new(json);
                let mut sent = 0;
                for recipient in &recipients {
                    let Some(user) = self.users.get_mut(recipient) else { continue };
                    for member in &mut user.members {
                        let is_sent = match replay {
                            None => member.take(clock, &event, bytes, self.room),
                            Some(request) if member.request == request => {
                                member.catch_up(clock, &event, bytes, self.room)
                            }
                            Some(_) => false,
                        };
                        sent += u64::from(is_sent);
                    }
                }
                METRICS.deliveries.inc_by(sent);
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
        let (counter, text) = match before {
            Some(_) => (&metrics::METRICS.dismissed_ended, text::AUTHENTICATION_ERROR),
            None => (&metrics::METRICS.dismissed_gone, text::USER_NOT_FOUND),
        };
        let Some(entry) = self.users.get(&user) else { return };
        let to_go = entry.members.iter().filter(|member| before.is_none_or(|g| member.is_older_than(g)));
        let to_go: Vec<u64> = to_go.map(|member| member.socket.id()).collect();
        for socket in to_go {
            counter.inc();
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
        let event = Event::new(json);
        let users = recipients.iter().filter_map(|recipient| self.users.get(recipient));
        for member in users.flat_map(|user| &user.members).filter(|member| member.is_admitted()) {
            METRICS.deliveries.inc();
            member.socket.emit(&event);
        }
    }
}
