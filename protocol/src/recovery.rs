//! What lets a client that comes back have what it missed: the `pid` of Socket.IO's connection state recovery.
//!
//! The client keeps it and gives it back with the offset of the last event that it got. It is sealed over the user, so
//! that nobody resumes somebody else's session, and holds where the session began, so that a client which has not had
//! an event yet can come back too.

use crate::token::Tokens;
use crate::{Clock, Id};

/// A client's session, over all its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Tells this session from others of the same user.
    pub session: Id,
    /// Everything up to here came before the session.
    pub start: Clock,
}

impl Recovery {
    /// A new session that begins after `start`.
    #[must_use]
    pub fn begin(start: Clock) -> Self {
        Self { session: Id::mint(), start }
    }

    /// The `pid` for this session of `user`: `<session>.<start>.<seal>`. `None` when sealing fails, which it does not.
    #[must_use]
    pub fn pid(&self, tokens: &Tokens, user: Id) -> Option<String> {
        let seal = tokens.seal(&sealed_text(user, self.session, &self.start.to_string()))?;
        Some(format!("{}.{}.{seal}", self.session, self.start))
    }

    /// The session of this `pid`; `None` unless it was made for `user`, with any of the secrets.
    #[must_use]
    pub fn of(tokens: &Tokens, user: Id, pid: &str) -> Option<Self> {
        let mut parts = pid.splitn(3, '.');
        let (session, start, seal) = (parts.next()?, parts.next()?, parts.next()?);
        let parsed = Self { session: session.parse().ok()?, start: start.parse().ok()? };
        // The seal is over the text as it came, so there is no second way to write it.
        tokens.sealed(&sealed_text(user, parsed.session, start), seal).then_some(parsed)
    }

    /// From where a client that last got the event `offset` is to be replayed to. A stale offset, of an earlier
    /// session, does no harm.
    #[must_use]
    pub fn replay_from(&self, offset: Option<Clock>) -> Clock {
        offset.map_or(self.start, |offset| offset.max(self.start))
    }
}

fn sealed_text(user: Id, session: Id, start: &str) -> String {
    format!("pid:{user}:{session}:{start}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_is_good_for_its_user_only_and_no_part_of_it_can_be_changed() {
        let (tokens, user) = (Tokens::new(&[7; 32]), Id::mint());
        let begun = Recovery::begin(Clock { time: 0x1f, change: 2, event: 3 });
        let pid = begun.pid(&tokens, user).unwrap();
        assert_eq!(Recovery::of(&tokens, user, &pid), Some(begun));
        assert_eq!(Recovery::of(&tokens, Id::mint(), &pid), None);
        assert_eq!(Recovery::of(&Tokens::new(&[8; 32]), user, &pid), None);
        assert_eq!(Recovery::of(&Tokens::new(&[8; 32]).with_previous([[7; 32]]), user, &pid), Some(begun));
        let earlier = pid.replace(".1f-", ".1e-");
        assert!(earlier != pid && Recovery::of(&tokens, user, &earlier).is_none());
        for junk in ["", "a", "a.b", "a.b.c", &pid[1..], &format!("{pid}x")] {
            assert_eq!(Recovery::of(&tokens, user, junk), None, "{junk}");
        }
    }

    #[test]
    fn replay_begins_at_the_later_of_start_and_offset() {
        let at = |time| Clock { time, change: 0, event: 0 };
        let recovery = Recovery::begin(at(5));
        assert_eq!(recovery.replay_from(None), at(5));
        assert_eq!(recovery.replay_from(Some(at(3))), at(5));
        assert_eq!(recovery.replay_from(Some(at(9))), at(9));
    }
}
