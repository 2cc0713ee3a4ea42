//! Who converses with whom, how much, and who are friends: drawn before anything is written, the same for the same
//! request.

use fastrand::Rng;
use store::friend::MAX_FRIENDS;

use super::draw::{Deck, Popularity};
use crate::cli::Seed;

/// How many participants a group has at the least: two would be a direct conversation.
pub const FEWEST_IN_GROUP: usize = 3;
/// The most friends on average where some have many more than others: the many have a quarter of what the few have.
pub const MOST_SKEWED_FRIENDS: usize = MAX_FRIENDS / 4;
/// The most that a conversation's history is longer than the average one.
const MOST_OF_HISTORY: u64 = 10;

/// Why what is asked for cannot be.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// More conversations than there are pairs of users.
    #[error("{users} users make {pairs} different pairs, which is less than --conversations {conversations}")]
    TooManyConversations {
        /// How many users.
        users: usize,
        /// How many pairs they make.
        pairs: u64,
        /// How many conversations were asked for.
        conversations: u32,
    },
    /// Larger groups than there are users.
    #[error("--group-size {size} is more than --users {users}, and nobody is in a group twice")]
    GroupTooLarge {
        /// How many participants were asked for.
        size: usize,
        /// How many users.
        users: usize,
    },
    /// More friends than there are others.
    #[error("--friends {friends} is too many: of {users} users each has {others} others")]
    TooManyFriends {
        /// How many friends were asked for.
        friends: usize,
        /// How many users.
        users: usize,
        /// How many others each has.
        others: usize,
    },
    /// More friends on average than leave room for those who have many.
    #[error(
        "--friends {friends} is too many with --skew: {MOST_SKEWED_FRIENDS} at the most, since nobody has more than {MAX_FRIENDS} friends"
    )]
    TooManySkewedFriends {
        /// How many friends were asked for.
        friends: usize,
    },
    /// A history of no conversation.
    #[error(
        "--history has no conversation to be written into: ask for some with --conversations or --groups"
    )]
    NoConversations,
}

/// What is to be written. Users are numbered from 0.
#[derive(Debug, PartialEq)]
pub(super) struct Shape {
    /// The participants of each conversation: of the direct ones first, then of the groups.
    pub(super) conversations: Vec<Vec<usize>>,
    /// How many of them are direct.
    pub(super) direct: usize,
    /// Pairs of friends.
    pub(super) friends: Vec<(usize, usize)>,
    /// How many messages each conversation has, and what draws them; where there is a history.
    pub(super) history: Option<History>,
}

/// How many messages each conversation has, and what draws them.
#[derive(Debug, PartialEq)]
pub(super) struct History {
    pub(super) lengths: Vec<u64>,
    pub(super) random: Rng,
}

impl Shape {
    /// Draws what is asked for.
    ///
    /// # Errors
    ///
    /// [`SeedError`], when it cannot be.
    pub(super) fn draw(seed: &Seed) -> Result<Self, SeedError> {
        let mut random = Rng::with_seed(seed.random);
        // One for each, so that to ask for more of one thing leaves the others as they are.
        let [mut ranks, mut direct, mut groups, mut friends, mut history] =
            std::array::from_fn(|_| random.fork());
        let circle = Circle::new(seed.users as usize, seed.skew, &mut ranks);
        let mut conversations: Vec<Vec<usize>> = circle
            .conversing(seed.conversations.unwrap_or(0), &mut direct)?
            .into_iter()
            .map(|(one, other)| vec![one, other])
            .collect();
        let direct = conversations.len();
        if let (Some(count), Some(size)) = (seed.groups, seed.group_size) {
            conversations.extend(circle.groups(count as usize, size as usize, &mut groups)?);
        }
        let friends = match seed.friends {
            Some(friends_each) => circle.friends(friends_each as usize, &mut friends)?,
            None => Vec::new(),
        };
        let history = match seed.history {
            Some(_) if conversations.is_empty() => return Err(SeedError::NoConversations),
            Some(mean) => {
                let lengths = lengths(conversations.len(), mean.into(), seed.skew, &mut history);
                Some(History { lengths, random: history })
            }
            None => None,
        };
        Ok(Self { conversations, direct, friends, history })
    }

    /// How many messages there are.
    pub(super) fn messages(&self) -> u64 {
        self.history.as_ref().map_or(0, |history| history.lengths.iter().sum())
    }
}

/// The users among whom is drawn.
struct Circle {
    users: usize,
    /// Where some are more popular than others.
    skew: Option<Skew>,
}

struct Skew {
    popularity: Popularity,
    /// The users, the most popular first. Not the first users: whoever takes those has some of each kind.
    by_rank: Vec<usize>,
}

impl Circle {
    fn new(users: usize, skew: bool, random: &mut Rng) -> Self {
        let skew = skew.then(|| {
            let mut by_rank: Vec<usize> = (0..users).collect();
            random.shuffle(&mut by_rank);
            Skew { popularity: Popularity::zipf(users), by_rank }
        });
        Self { users, skew }
    }

    /// Different pairs who have a direct conversation.
    fn conversing(&self, count: u32, random: &mut Rng) -> Result<Vec<(usize, usize)>, SeedError> {
        let (users, possible) = (self.users, self.users as u64 * (self.users as u64 - 1) / 2);
        if u64::from(count) > possible {
            return Err(SeedError::TooManyConversations { users, pairs: possible, conversations: count });
        }
        Ok(match &self.skew {
            Some(skew) => skew.pairs(count.into(), usize::MAX, random),
            None => pairs(users, count as usize).collect(),
        })
    }

    /// Pairs of friends, so many per user on average.
    fn friends(&self, each: usize, random: &mut Rng) -> Result<Vec<(usize, usize)>, SeedError> {
        let (users, others) = (self.users, self.users - 1);
        if each > others {
            return Err(SeedError::TooManyFriends { friends: each, users, others });
        }
        let count = users * each / 2;
        match &self.skew {
            Some(_) if each > MOST_SKEWED_FRIENDS => Err(SeedError::TooManySkewedFriends { friends: each }),
            Some(skew) => Ok(skew.pairs(count as u64, MAX_FRIENDS, random)),
            None => Ok(pairs(users, count).collect()),
        }
    }

    /// The participants of groups: of `size` each, or by Zipf's law from `size` down.
    fn groups(&self, count: usize, size: usize, random: &mut Rng) -> Result<Vec<Vec<usize>>, SeedError> {
        if size > self.users {
            return Err(SeedError::GroupTooLarge { size, users: self.users });
        }
        Ok(match &self.skew {
            Some(skew) => {
                (1..=count).map(|nth| skew.group((size / nth).max(FEWEST_IN_GROUP), random)).collect()
            }
            None => {
                let mut deck = Deck::new(self.users);
                (0..count).map(|_| deck.deal(random, size)).collect()
            }
        })
    }
}

impl Skew {
    fn group(&self, size: usize, random: &mut Rng) -> Vec<usize> {
        let ranks = self.popularity.distinct(random, 0, size, |_| true);
        ranks.into_iter().map(|rank| self.by_rank[rank]).collect()
    }

    /// `count` different pairs, nobody in more than `most`. Everybody, from the most popular on, is given a share of
    /// them by popularity, and draws as many partners among the less popular by theirs. What one cannot have
    /// because of `most` goes to the next.
    fn pairs(&self, count: u64, most: usize, random: &mut Rng) -> Vec<(usize, usize)> {
        let users = self.by_rank.len();
        let less_popular = |rank: usize| users - 1 - rank;
        let shares = self.popularity.share(count, |rank| less_popular(rank).min(most) as u64);
        let (mut pairs, mut has, mut wanted) = (Vec::new(), vec![0_usize; users], 0);
        for (rank, share) in shares.into_iter().enumerate() {
            wanted += usize::try_from(share).unwrap_or(usize::MAX);
            let partners = self.popularity.distinct(
                random,
                rank + 1,
                wanted.min(most - has[rank]).min(less_popular(rank)),
                |partner| has[partner] < most,
            );
            wanted -= partners.len();
            has[rank] += partners.len();
            for partner in partners {
                has[partner] += 1;
                pairs.push((self.by_rank[rank], self.by_rank[partner]));
            }
        }
        pairs
    }
}

/// `count` different pairs of `users` people, of which there must be as many, everybody in as many as everybody else
/// (or one more): as long as that suffices first with second, third with fourth and so on; otherwise everybody with the
/// next one in a circle, then with the next but one, and so on.
fn pairs(users: usize, count: usize) -> impl Iterator<Item = (usize, usize)> {
    let apart = count <= users / 2;
    (0..count).map(
        move |n| {
            if apart { (2 * n, 2 * n + 1) } else { (n % users, (n % users + 1 + n / users) % users) }
        },
    )
}

/// How many messages each of the conversations has: `mean`, or by Zipf's law.
fn lengths(conversations: usize, mean: u64, skew: bool, random: &mut Rng) -> Vec<u64> {
    if !skew {
        return vec![mean; conversations];
    }
    let total = mean * conversations as u64;
    let mut lengths = Popularity::zipf(conversations).share(total, |_| mean * MOST_OF_HISTORY);
    random.shuffle(&mut lengths);
    lengths
}

#[cfg(test)]
mod tests;
