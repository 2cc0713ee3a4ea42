//! Who is typing: what this gateway's clients say of themselves, and what is shown to them of others.
//!
//! Pure state, no I/O: the hub feeds it, looks at it once a second and does what it says. There is no timer for anybody.

use std::time::{Duration, Instant};

use protocol::Id;
use protocol::bus::{TYPING_REFRESH_SECS, TYPING_TIMEOUT_SECS, Typing};
use rustc_hash::{FxHashMap, FxHashSet};

/// In how many conversations one socket may be typing at once; what is more is not passed on.
const CONVERSATIONS_PER_SOCKET: usize = 8;
/// A client that has not said for this long that its user is typing has forgotten to say that they stopped. The frontend
/// says so once, however long it takes, and takes it back two seconds after the last key.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(60);
/// What is said again sooner than this is not passed on.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// How many who type can be kept, so that they expire, and how many whom it is shown to. What is more is shown all the same,
/// until it is taken back.
const MAX_SHOWN: usize = 65_536;
/// See [`MAX_SHOWN`].
const MAX_RECIPIENTS: usize = 1 << 20;

/// The users of this gateway who are typing.
#[derive(Debug, Default)]
pub(crate) struct Typists {
    users: FxHashMap<Id, Vec<Said>>,
}

/// That a user is typing, as said on one socket.
#[derive(Debug)]
struct Said {
    socket: u64,
    conversation: Id,
    /// When the client last said so.
    heard: Instant,
    /// When the streamer was last told so of this user and conversation.
    told: Instant,
}

impl Typists {
    /// Notes what a client says. True if the streamer is to be told.
    pub(crate) fn say(&mut self, typing: &Typing, socket: u64, now: Instant) -> bool {
        let Typing { user, conversation, is_typing } = *typing;
        if !is_typing {
            let is_this = |said: &Said| said.socket == socket && said.conversation == conversation;
            return !self.stop(user, is_this).is_empty();
        }
        let said = self.users.entry(user).or_default();
        if !said.iter().any(|said| said.socket == socket && said.conversation == conversation) {
            if said.iter().filter(|said| said.socket == socket).count() >= CONVERSATIONS_PER_SOCKET {
                return false;
            }
            // What another socket of the same user has said just now has been told already.
            let told = said.iter().find(|said| said.conversation == conversation).map(|said| said.told);
            said.push(Said { socket, conversation, heard: now, told: told.unwrap_or(now) });
            if told.is_none() {
                return true;
            }
        }
        let mut is_due = false;
        for said in said.iter_mut().filter(|said| said.conversation == conversation) {
            if said.socket == socket {
                said.heard = now;
            }
            is_due |= now.saturating_duration_since(said.told) >= MIN_INTERVAL;
        }
        if is_due {
            tell(said, conversation, now);
        }
        is_due
    }

    /// A socket is gone. Returns where its user is not typing any more.
    pub(crate) fn leave(&mut self, user: Id, socket: u64) -> Vec<Id> {
        self.stop(user, |said| said.socket == socket)
    }

    /// Forgets some of what was said. Returns where the user is not typing any more, on any socket.
    fn stop(&mut self, user: Id, is_over: impl Fn(&Said) -> bool) -> Vec<Id> {
        let Some(said) = self.users.get_mut(&user) else { return Vec::new() };
        let over: Vec<Said> = said.extract_if(.., |said| is_over(said)).collect();
        let goes_on = |conversation| said.iter().any(|said| said.conversation == conversation);
        let over = over.into_iter().map(|said| said.conversation).filter(|&place| !goes_on(place));
        let over = protocol::id::distinct(over);
        if said.is_empty() {
            self.users.remove(&user);
        }
        over
    }

    /// What the streamer is to be told again, or that it is over because the client does not say it any more.
    pub(crate) fn tick(&mut self, now: Instant) -> Vec<Typing> {
        let silent = |said: &Said| now.saturating_duration_since(said.heard) >= CLIENT_TIMEOUT;
        let refresh = Duration::from_secs(TYPING_REFRESH_SECS);
        let mut told = Vec::new();
        let mut forgetful = Vec::new();
        for (&user, said) in &mut self.users {
            if said.iter().any(silent) {
                forgetful.push(user);
            }
            let mut first = 0;
            while let Some(due) = said[first..]
                .iter()
                .position(|said| !silent(said) && now.saturating_duration_since(said.told) >= refresh)
            {
                let conversation = said[first + due].conversation;
                tell(said, conversation, now);
                told.push(Typing { user, conversation, is_typing: true });
                first += due + 1;
            }
        }
        for user in forgetful {
            let over = self.stop(user, silent).into_iter();
            told.extend(over.map(|conversation| Typing { user, conversation, is_typing: false }));
        }
        told
    }
}

fn tell(said: &mut [Said], conversation: Id, now: Instant) {
    said.iter_mut().filter(|said| said.conversation == conversation).for_each(|said| said.told = now);
}

/// Who is shown as typing, to users of this gateway.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    typists: FxHashMap<(Id, Id), Sight>,
    /// How many recipients there are, in all.
    recipients: usize,
}

#[derive(Debug)]
struct Sight {
    until: Instant,
    recipients: Box<[Id]>,
}

impl Shown {
    /// Notes what the streamer says. Returns those of `recipients` who are to be told: that somebody still types is news only
    /// to those who have not been told yet.
    pub(crate) fn hear(&mut self, typing: &Typing, recipients: Vec<Id>, now: Instant) -> Vec<Id> {
        let key = (typing.user, typing.conversation);
        let known = self.typists.remove(&key);
        self.recipients -= known.as_ref().map_or(0, |sight| sight.recipients.len());
        if !typing.is_typing {
            return recipients;
        }
        let news = match known {
            None => recipients.clone(),
            Some(sight) if *sight.recipients == *recipients => Vec::new(),
            Some(sight) => {
                let told: FxHashSet<Id> = sight.recipients.iter().copied().collect();
                recipients.iter().copied().filter(|recipient| !told.contains(recipient)).collect()
            }
        };
        let is_room = self.typists.len() < MAX_SHOWN && self.recipients + recipients.len() <= MAX_RECIPIENTS;
        if is_room && !recipients.is_empty() {
            self.recipients += recipients.len();
            let until = now + Duration::from_secs(TYPING_TIMEOUT_SECS);
            self.typists.insert(key, Sight { until, recipients: recipients.into() });
        }
        news
    }

    /// Who is not typing any more because nobody has said so for too long, and who is to be told.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<(Typing, Box<[Id]>)> {
        let expired: Vec<_> = self.typists.extract_if(|_, sight| sight.until <= now).collect();
        self.recipients -= expired.iter().map(|(_, sight)| sight.recipients.len()).sum::<usize>();
        let over = |((user, conversation), sight): ((Id, Id), Sight)| {
            (Typing { user, conversation, is_typing: false }, sight.recipients)
        };
        expired.into_iter().map(over).collect()
    }

    /// How many are shown.
    pub(crate) fn len(&self) -> usize {
        self.typists.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typing(user: Id, conversation: Id, is_typing: bool) -> Typing {
        Typing { user, conversation, is_typing }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn typing_is_told_once_repeated_while_it_goes_on_and_ends_after_a_minute_without_a_word() {
        let (mut typists, start) = (Typists::default(), Instant::now());
        let here = typing(Id::mint(), Id::mint(), true);
        assert!(typists.say(&here, 1, start));
        assert!(!typists.say(&here, 1, start + SECOND / 2), "within a second");
        assert!(typists.say(&here, 1, start + SECOND));
        assert!(typists.tick(start + SECOND * 10).is_empty());
        assert_eq!(typists.tick(start + SECOND * 11), std::slice::from_ref(&here));
        assert_eq!(typists.tick(start + SECOND * 20), []);
        for seconds in [21, 31, 41, 51] {
            assert_eq!(typists.tick(start + SECOND * seconds), std::slice::from_ref(&here));
        }
        assert_eq!(typists.tick(start + SECOND * 61), [Typing { is_typing: false, ..here.clone() }]);
        assert!(typists.users.is_empty());
        assert!(!typists.say(&Typing { is_typing: false, ..here }, 1, start), "it is over already");
    }

    #[test]
    fn a_user_types_as_long_as_one_socket_says_so() {
        let (mut typists, now) = (Typists::default(), Instant::now());
        let (user, here, there) = (Id::mint(), Id::mint(), Id::mint());
        assert!(typists.say(&typing(user, here, true), 1, now));
        assert!(!typists.say(&typing(user, here, true), 2, now), "just told");
        assert!(typists.say(&typing(user, there, true), 2, now));
        assert_eq!(typists.tick(now + SECOND * 10).len(), 2, "once for both sockets");
        assert!(!typists.say(&typing(user, here, false), 1, now));
        assert_eq!(typists.leave(user, 1), []);
        assert_eq!(typists.leave(user, 2), protocol::id::distinct([here, there]));
        assert!(typists.users.is_empty());
    }

    #[test]
    fn a_socket_types_in_a_few_conversations_at_most() {
        let (mut typists, now, user) = (Typists::default(), Instant::now(), Id::mint());
        let told = (0..20).filter(|_| typists.say(&typing(user, Id::mint(), true), 1, now)).count();
        assert_eq!(told, CONVERSATIONS_PER_SOCKET);
        assert!(typists.say(&typing(user, Id::mint(), true), 2, now), "another socket may");
    }

    #[test]
    fn whoever_is_said_to_type_is_shown_once_and_expires() {
        let (mut shown, start) = (Shown::default(), Instant::now());
        let [a, b, c] = std::array::from_fn(|_| Id::mint());
        let on = typing(Id::mint(), Id::mint(), true);
        let off = Typing { is_typing: false, ..on.clone() };
        assert_eq!(shown.hear(&on, vec![a, b], start), [a, b]);
        assert_eq!(shown.hear(&on, vec![a, b], start + SECOND * 10), []);
        assert_eq!(shown.hear(&on, vec![b, c], start + SECOND * 20), [c], "only who is new");
        assert!(shown.expire(start + SECOND * 44).is_empty());
        let expired = shown.expire(start + SECOND * 45);
        assert_eq!(expired, [(off.clone(), vec![b, c].into())], "not to who is there no more");
        assert_eq!((shown.len(), shown.recipients), (0, 0));

        assert_eq!(shown.hear(&on, vec![a], start), [a], "it begins anew");
        assert_eq!(shown.hear(&off, vec![a], start), [a]);
        assert!(shown.expire(start + SECOND * 100).is_empty());
        assert_eq!((shown.len(), shown.recipients), (0, 0));
    }

    #[test]
    fn what_cannot_be_kept_is_shown_all_the_same() {
        let (mut shown, now) = (Shown::default(), Instant::now());
        let crowd: Vec<Id> = (0..MAX_RECIPIENTS / 2).map(|_| Id::mint()).collect();
        for kept in [1, 2, 2] {
            let on = typing(Id::mint(), Id::mint(), true);
            assert_eq!(shown.hear(&on, crowd.clone(), now).len(), crowd.len());
            assert_eq!((shown.len(), shown.recipients), (kept, kept * crowd.len()));
        }
    }
}
