//! What the application tells the hub.

use std::sync::Arc;
use std::time::Instant;

use protocol::Id;
use protocol::bus::{Typing, Uplink};
use protocol::code::{close, text};

use super::members::Member;
use super::{Command, Hub, Resume};
use crate::chat::presence::Change;
use crate::metrics::Policy;
use crate::transport::Socket;

impl Hub {
    /// Does what the application says. Costs no more than a look at each socket of one user.
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::Open { socket, user, generation, resume, arrival } => {
                self.open(user, Member::new(socket, generation, resume, arrival), resume);
            }
            Command::Vouched { socket, user } => {
                if let Some(member) = self.member(user, socket) {
                    member.vouched();
                    let generation = member.generation;
                    self.end_sessions(user, generation);
                    self.admit(user);
                }
            }
            Command::Refreshed { socket, user, generation } => {
                if let Some(member) = self.member(user, socket) {
                    member.refreshed(generation);
                    self.end_sessions(user, generation);
                }
            }
            Command::Status { socket, user, presence } => {
                if let Some(member) = self.member(user, socket).filter(|member| member.is_admitted()) {
                    member.presence = presence;
                    self.appraise(user);
                }
            }
            Command::Typing { socket, user, conversation, is_typing } => {
                if self.member(user, socket).is_some_and(|member| member.is_admitted()) {
                    let typing = Typing { user, conversation, is_typing };
                    if self.typists.say(&typing, socket, Instant::now()) {
                        self.tell_typing(typing);
                    }
                }
            }
            Command::Close { socket, user } => self.remove(user, socket, |_| {}),
        }
    }

    fn open(&mut self, user: Id, mut member: Member, resume: Option<Resume>) {
        if self.users.get(&user).is_some_and(|entry| member.is_older_than(entry.generation)) {
            self.metrics.hub.dismissed_ended.increment(1);
            return member.socket.dismiss(text::AUTHENTICATION_ERROR);
        }
        let session = resume.map(|resume| resume.recovery.session);
        if let Some(session) = session {
            self.replace_pending(user, session, member.generation);
        }
        let earlier = self.users.get(&user).map_or(&[][..], |entry| &entry.members);
        // The one that this one will replace does not count.
        let is_comeback = session.is_some_and(|session| earlier.iter().any(|earlier| earlier.is_of(session)));
        if earlier.len() - usize::from(is_comeback) >= self.settings.connections_per_user {
            self.metrics.refused(Policy::UserConnections);
            return member.socket.close(close::TOO_MANY, "too many connections of one user");
        }
        let entry = self.users.entry(user).or_default();
        // The streamer sends the events of a user who is live. A socket that is owed nothing takes them up where they
        // are.
        let is_known = entry.members.iter().any(|member| member.is_live());
        match self.link.position().filter(|_| is_known && resume.is_none()) {
            Some(position) => member.go_live(position),
            None => self.joining.push(user),
        }
        entry.add(member);
    }

    /// A client comes back: what it tried before, and was not let in yet, is over. A connection that was let in stays
    /// until the newcomer is, as the newcomer's token may be no good any more.
    fn replace_pending(&mut self, user: Id, session: Id, generation: i64) {
        let Some(entry) = self.users.get(&user) else { return };
        let is_over = |member: &&Member| {
            member.is_of(session) && !member.is_admitted() && member.generation <= generation
        };
        if let Some(socket) = entry.members.iter().find(is_over).map(|member| member.socket.id()) {
            self.replace(user, socket);
        }
    }

    /// Closes the earlier connection of a client that has come back.
    fn replace(&mut self, user: Id, socket: u64) {
        let metrics = Arc::clone(&self.metrics);
        self.remove(user, socket, |socket| {
            metrics.hub.replaced.increment(1);
            socket.close(close::REPLACED, "connected again");
        });
    }

    /// Tokens of earlier generations are no good any more: their sockets are turned away, and more are not taken.
    pub(super) fn end_sessions(&mut self, user: Id, generation: i64) {
        let Some(entry) = self.users.get_mut(&user) else { return };
        if entry.generation < generation {
            entry.generation = generation;
            self.dismiss(user, Some(generation));
        }
    }

    fn member(&mut self, user: Id, socket: u64) -> Option<&mut Member> {
        self.users.get_mut(&user)?.find(socket)
    }

    /// Admits the sockets of a user that are ready. Each replaces those that its client had before it.
    pub(super) fn admit(&mut self, user: Id) {
        let position = self.link.position();
        let Some(entry) = self.users.get_mut(&user) else { return };
        let mut replaced = Vec::new();
        for index in 0..entry.members.len() {
            let (earlier, rest) = entry.members.split_at_mut(index);
            let Some(member) = rest.first_mut().filter(|member| member.is_ready()) else { continue };
            if let Some(session) = member.session {
                let earlier = earlier.iter().filter(|earlier| earlier.is_of(session));
                replaced.extend(earlier.map(|earlier| earlier.socket.id()));
            }
            member.admit(&self.settings.tokens, user, position, &self.metrics);
        }
        self.appraise(user);
        replaced.into_iter().for_each(|socket| self.replace(user, socket));
    }

    /// Forgets a socket, if it is (still) there, with a last word to it.
    pub(super) fn remove(&mut self, user: Id, socket: u64, farewell: impl FnOnce(&Socket)) {
        let Some(entry) = self.users.get_mut(&user) else { return };
        let Some(index) = entry.members.iter().position(|member| member.socket.id() == socket) else {
            return;
        };
        farewell(&entry.members.remove(index).socket);
        for conversation in self.typists.leave(user, socket) {
            self.tell_typing(Typing { user, conversation, is_typing: false });
        }
        self.appraise(user);
        if self.users.get(&user).is_some_and(|entry| entry.members.is_empty()) {
            self.users.remove(&user);
            self.leaving.push(user);
        }
    }

    /// Tells what a user is here, if that has changed.
    fn appraise(&mut self, user: Id) {
        let Some(entry) = self.users.get_mut(&user) else { return };
        let presence = entry.presence();
        if presence != entry.told {
            entry.told = presence;
            // Whoever tells the api ends only after the hub.
            let _ = self.presence.send(Change { user, presence });
        }
    }

    pub(super) fn tell_typing(&self, typing: Typing) {
        self.send(Uplink::Typing { gateway: self.gateway, typing });
    }
}
