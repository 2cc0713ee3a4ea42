//! Who is typing: what this gateway's clients say of themselves, and what is shown to them of others.
//!
//! Pure state, no I/O: the hub feeds it, looks at it once a second and does what it says. There is no timer for
//! anybody.

use std::time::{Duration, Instant};

use protocol::Id;
use protocol::bus::{TYPING_REFRESH_SECS, TYPING_TIMEOUT_SECS, Typing};
use rustc_hash::{FxHashMap, FxHashSet};

/// In how many conversations one socket may be typing at once; what is more is not passed on.
const CONVERSATIONS_PER_SOCKET: usize = 8;
/// A client that has not said for this long that its user is typing has forgotten to say that they stopped. The
/// frontend says so once, however long it takes, and takes it back two seconds after the last key.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(60);
/// What is said again sooner than this is not passed on, and who stopped and starts again sooner counts only when this
/// time is over: everybody in a large conversation is told of each change. That somebody stopped is told at once: a
/// page that takes the line away with their message would not show it again for a start without a stop before it.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// How many who type can be kept, so that they expire, and how many whom it is shown to. What is more is shown all the
/// same, until it is taken back.
const MAX_SHOWN: usize = 65_536;
/// See [`MAX_SHOWN`].
const MAX_RECIPIENTS: usize = 1 << 20;

/// The users of this gateway who are typing.
#[derive(Debug, Default)]
pub(crate) struct Typists {
    users: FxHashMap<Id, Vec<Said>>,
}

/// What was said on one socket of a user's typing in a conversation.
#[derive(Debug)]
struct Said {
    socket: u64,
    conversation: Id,
    /// Whether the user counts as typing.
    is_typing: bool,
    /// What the client said last. If it is something else, it counts as soon as there may be a change.
    wants: bool,
    /// When the user last started. One who has stopped is kept until they may again.
    started: Instant,
    /// When the client last said that its user is typing.
    heard: Instant,
    /// When the streamer was last told so of this user and conversation.
    told: Instant,
}

impl Said {
    /// Somebody wants to be typing, and is not yet.
    fn new(socket: u64, conversation: Id, now: Instant) -> Self {
        let [started, heard, told] = [now; 3];
        Self { socket, conversation, is_typing: false, wants: true, started, heard, told }
    }

    fn may_start(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.started) >= MIN_INTERVAL
    }

    /// Whether what the client wants is something else, and counts now.
    fn is_due(&self, now: Instant) -> bool {
        self.is_typing != self.wants && (self.is_typing || self.may_start(now))
    }

    fn is_told_before(&self, now: Instant, age: Duration) -> bool {
        self.is_typing && now.saturating_duration_since(self.told) >= age
    }
}

impl Typists {
    /// Notes what a client says. True if the streamer is to be told.
    pub(crate) fn say(&mut self, typing: &Typing, socket: u64, now: Instant) -> bool {
        let Typing { user, conversation, is_typing } = *typing;
        if !is_typing && !self.users.contains_key(&user) {
            return false;
        }
        let said = self.users.entry(user).or_default();
        let this = said.iter().position(|said| said.socket == socket && said.conversation == conversation);
        let is_news = if let Some(index) = this {
            let this = &mut said[index];
            this.wants = is_typing;
            if is_typing {
                this.heard = now;
            }
            this.is_due(now) && change(said, index, now)
        } else if is_typing
            && said.iter().filter(|said| said.socket == socket).count() < CONVERSATIONS_PER_SOCKET
        {
            said.push(Said::new(socket, conversation, now));
            let last = said.len() - 1;
            change(said, last, now)
        } else {
            return false;
        };
        is_news || is_typing && repeat(said, conversation, MIN_INTERVAL, now)
    }

    /// A socket is gone. Returns where its user is not typing any more.
    pub(crate) fn leave(&mut self, user: Id, socket: u64) -> Vec<Id> {
        let Some(said) = self.users.get_mut(&user) else { return Vec::new() };
        let over: Vec<Said> = said.extract_if(.., |said| said.socket == socket).collect();
        let over = over.into_iter().filter(|over| over.is_typing).map(|over| over.conversation);
        let goes_on = |place| said.iter().any(|said| said.is_typing && said.conversation == place);
        let over = protocol::id::distinct(over.filter(|&place| !goes_on(place)));
        if said.is_empty() {
            self.users.remove(&user);
        }
        over
    }

    /// What the streamer is to be told: what had to wait, what it is to be told again, and what is over because the
    /// client does not say it any more.
    pub(crate) fn tick(&mut self, now: Instant) -> Vec<Typing> {
        let refresh = Duration::from_secs(TYPING_REFRESH_SECS);
        let mut told = Vec::new();
        self.users.retain(|&user, said| {
            for index in 0..said.len() {
                let this = &mut said[index];
                let conversation = this.conversation;
                this.wants &= now.saturating_duration_since(this.heard) < CLIENT_TIMEOUT;
                let is_typing = this.wants;
                if this.is_due(now) && change(said, index, now)
                    || is_typing && repeat(said, conversation, refresh, now)
                {
                    told.push(Typing { user, conversation, is_typing });
                }
            }
            said.retain(|said| said.is_typing || said.wants || !said.may_start(now));
            !said.is_empty()
        });
        told
    }
}

/// Makes what was said count. True if that changes whether the user is typing there at all.
fn change(said: &mut [Said], index: usize, now: Instant) -> bool {
    let conversation = said[index].conversation;
    let others = said.iter().enumerate().filter(|&(other, said)| other != index && said.is_typing);
    // What another socket of the same user has said has been told already.
    let told =
        others.map(|(_, said)| said).find(|said| said.conversation == conversation).map(|said| said.told);
    let this = &mut said[index];
    this.is_typing = !this.is_typing;
    if this.is_typing {
        this.started = now;
        this.told = told.unwrap_or(now);
    }
    told.is_none()
}

/// Whether it is to be told again that the user is typing there, as it was last told so long ago. Then it counts as
/// told.
fn repeat(said: &mut [Said], conversation: Id, age: Duration, now: Instant) -> bool {
    let mut here = said.iter_mut().filter(|said| said.conversation == conversation);
    let is_due = here.any(|said| said.is_told_before(now, age));
    if is_due {
        said.iter_mut().filter(|said| said.conversation == conversation).for_each(|said| said.told = now);
    }
    is_due
}

/// Who is shown as typing, to users of this gateway.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    typists: FxHashMap<(Id, Id), Sight>,
    /// How many recipients there are, in all.
    recipients: usize,
    /// Until when somebody may be shown who could not be kept.
    unkept_until: Option<Instant>,
}

#[derive(Debug)]
struct Sight {
    until: Instant,
    recipients: Box<[Id]>,
}

impl Sight {
    /// Those of `recipients` who have been told, or have not.
    fn among(&self, mut recipients: Vec<Id>, are_told: bool) -> Vec<Id> {
        if *self.recipients == *recipients {
            return if are_told { recipients } else { Vec::new() };
        }
        let told: FxHashSet<Id> = self.recipients.iter().copied().collect();
        recipients.retain(|recipient| told.contains(recipient) == are_told);
        recipients
    }
}

impl Shown {
    /// Notes what the streamer says. Returns those of `recipients` who are to be told: that somebody still types is
    /// news only to those who have not been told yet, and that they have stopped to those who have.
    pub(crate) fn hear(&mut self, typing: &Typing, recipients: Vec<Id>, now: Instant) -> Vec<Id> {
        let key = (typing.user, typing.conversation);
        let known = self.typists.remove(&key);
        self.recipients -= known.as_ref().map_or(0, |sight| sight.recipients.len());
        if !typing.is_typing {
            return match known {
                Some(sight) => sight.among(recipients, true),
                None if self.unkept_until.is_some_and(|until| now < until) => recipients,
                None => Vec::new(),
            };
        }
        let news = match known {
            None => recipients.clone(),
            Some(sight) => sight.among(recipients.clone(), false),
        };
        if recipients.is_empty() {
            return news;
        }
        let until = now + Duration::from_secs(TYPING_TIMEOUT_SECS);
        let count = self.recipients + recipients.len();
        if self.typists.len() < MAX_SHOWN && count <= MAX_RECIPIENTS {
            self.recipients = count;
            self.typists.insert(key, Sight { until, recipients: recipients.into() });
        } else {
            self.unkept_until = Some(until);
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
        assert!(
            !typists.say(&Typing { is_typing: false, ..here }, 1, start + SECOND * 61),
            "it is over already"
        );
        assert_eq!(typists.tick(start + SECOND * 62), []);
        assert!(typists.users.is_empty());
    }

    #[test]
    fn a_user_types_as_long_as_one_socket_says_so() {
        let (mut typists, now) = (Typists::default(), Instant::now());
        let (user, here, there) = (Id::mint(), Id::mint(), Id::mint());
        assert!(typists.say(&typing(user, here, true), 1, now));
        assert!(!typists.say(&typing(user, here, true), 2, now), "just told");
        assert!(typists.say(&typing(user, there, true), 2, now));
        assert_eq!(typists.tick(now + SECOND * 10).len(), 2, "once for both sockets");
        assert!(!typists.say(&typing(user, here, false), 1, now + SECOND * 10));
        assert_eq!(typists.leave(user, 1), []);
        assert_eq!(typists.leave(user, 2), protocol::id::distinct([here, there]));
        assert!(typists.users.is_empty());
    }

    #[test]
    fn who_types_and_stops_over_and_over_starts_once_in_a_second_and_a_stop_is_told_at_once() {
        let (mut typists, start) = (Typists::default(), Instant::now());
        let on = typing(Id::mint(), Id::mint(), true);
        let off = Typing { is_typing: false, ..on.clone() };
        let after = |millis| start + Duration::from_millis(millis);
        assert!(typists.say(&on, 1, start));
        assert!(typists.say(&off, 1, after(1)), "with the message it is gone");
        for millis in 2..500 {
            assert!(!typists.say(&on, 1, after(millis)) && !typists.say(&off, 1, after(millis)));
        }
        assert!(!typists.say(&on, 1, after(500)) && typists.tick(after(999)).is_empty());
        assert_eq!(typists.tick(after(1_000)), std::slice::from_ref(&on), "what had to wait");
        assert!(typists.say(&off, 1, after(1_001)));
        assert_eq!(typists.tick(after(2_000)), []);
        assert!(typists.users.is_empty(), "who may start again is forgotten");
        assert!(typists.say(&on, 1, after(2_001)));
    }

    #[test]
    fn that_somebody_has_stopped_is_told_only_to_those_who_saw_them_type() {
        let (mut shown, now) = (Shown::default(), Instant::now());
        let [a, b, c] = std::array::from_fn(|_| Id::mint());
        let on = typing(Id::mint(), Id::mint(), true);
        let off = Typing { is_typing: false, ..on.clone() };
        assert_eq!(shown.hear(&off, vec![a, b], now), []);
        shown.hear(&on, vec![a, b], now);
        assert_eq!(shown.hear(&off, vec![b, c], now), [b]);
        assert_eq!(shown.hear(&off, vec![a], now), [], "once");
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
        let off = typing(Id::mint(), Id::mint(), false);
        assert_eq!(shown.hear(&off, crowd.clone(), now).len(), crowd.len(), "it may be one of those");
        let later = now + Duration::from_secs(TYPING_TIMEOUT_SECS);
        assert_eq!(shown.hear(&off, crowd, later), []);
    }
}
