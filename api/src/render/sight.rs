//! How much of a user another one sees. Decided here and nowhere else.

use protocol::body::Privacy;
use protocol::model::Friendship;
use rustc_hash::FxHashSet;
use store::document::{Seen, User};

/// How much of a user somebody sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// The whole profile.
    Full,
    /// Name, handle and picture.
    Limited,
    /// Nothing: as if there were no such user.
    Nothing,
}

impl Sight {
    /// How much `viewer` sees of `seen`.
    pub(crate) fn of(viewer: &User, seen: &Seen) -> Self {
        let adds = viewer.friends.contains(&seen.id);
        if viewer.id == seen.id {
            return Self::Full;
        }
        if seen.blocks_viewer {
            return Self::Nothing;
        }
        match Privacy::parse(&seen.privacy) {
            Some(Privacy::Public) => Self::Full,
            _ if adds && seen.adds_viewer => Self::Full,
            Some(Privacy::FriendsOnly) => Self::Limited,
            // What is not known to be more open is private.
            Some(Privacy::Private) | None => Self::Nothing,
        }
    }
}

/// What two users are to each other, as the viewer may know it: that somebody has taken back their side is not told.
pub(super) fn friendship(viewer: &User, seen: &Seen) -> Friendship {
    match (viewer.friends.contains(&seen.id), seen.adds_viewer) {
        (true, true) => Friendship::Friends,
        (true, false) => Friendship::Requested,
        (false, true) => Friendship::Received,
        (false, false) => Friendship::None,
    }
}

/// How many of a hundred interests two users share, of those that either has, whatever the case of letters.
pub(crate) fn compatibility(one: &[String], other: &[String]) -> i64 {
    let lower = |all: &[String]| all.iter().map(|interest| interest.to_lowercase()).collect::<FxHashSet<_>>();
    let (one, other) = (lower(one), lower(other));
    let (shared, all) = (one.intersection(&other).count(), one.union(&other).count());
    (shared * 100).checked_div(all).unwrap_or(0) as i64
}

#[cfg(test)]
pub(super) mod tests {
    use protocol::{Id, Timestamp};

    use super::*;

    fn viewer() -> User {
        let now = Timestamp::from_millis(3);
        User::new("Ada".to_owned(), "a@b.org".to_owned(), "ada".to_owned(), String::new(), now)
    }

    pub(in crate::render) fn seen(privacy: &str, adds_viewer: bool, blocks_viewer: bool) -> Seen {
        let at = Timestamp::from_millis(1);
        Seen {
            id: Id::from_bytes([2; 12]),
            username: "bob".to_owned(),
            name: "Bob".to_owned(),
            avatar: None,
            status: "online".to_owned(),
            last_seen: Some(at),
            bio: "secret".to_owned(),
            score: 7,
            interests: vec!["Tea".to_owned(), "go".to_owned()],
            location: "secret".to_owned(),
            occupation: "secret".to_owned(),
            joined_date: at,
            created_at: at,
            updated_at: Timestamp::from_millis(2),
            privacy: privacy.to_owned(),
            adds_viewer,
            blocks_viewer,
        }
    }

    #[test]
    fn privacy_decides_how_much_is_seen() {
        let sight = |privacy, adds: bool, adds_viewer, blocks| {
            let seen = seen(privacy, adds_viewer, blocks);
            let friends = if adds { vec![seen.id] } else { Vec::new() };
            Sight::of(&User { friends, ..viewer() }, &seen)
        };
        assert_eq!(sight("public", false, false, false), Sight::Full);
        assert_eq!(sight("public", true, true, true), Sight::Nothing);
        for (privacy, stranger) in
            [("friends-only", Sight::Limited), ("private", Sight::Nothing), ("odd", Sight::Nothing)]
        {
            assert_eq!(sight(privacy, true, true, false), Sight::Full, "{privacy}");
            // An addition of one side grants neither of them anything.
            for (adds, adds_viewer) in [(false, false), (true, false), (false, true)] {
                assert_eq!(sight(privacy, adds, adds_viewer, false), stranger, "{privacy}");
            }
        }
    }

    #[test]
    fn shared_interests_make_people_compatible() {
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        assert_eq!(compatibility(&list(&["tea", "Go", "cats"]), &list(&["TEA"])), 33);
        assert_eq!(compatibility(&list(&["tea"]), &list(&["Tea"])), 100);
        assert_eq!(compatibility(&[], &[]), 0);
    }
}
