//! What an answer to `replSetGetStatus` tells.

use mongodb::bson::{Bson, Document};

use super::server::number;

/// States of members, as MongoDB numbers them.
const PRIMARY: i64 = 1;
const SECONDARY: i64 = 2;
const ARBITER: i64 = 7;
const DOWN: i64 = 8;

/// Who belongs to the replica set, by its configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Roster(Vec<Place>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    id: i64,
    votes: bool,
    /// Whether it keeps data.
    writes: bool,
    /// Whether it lags on purpose.
    delayed: bool,
}

/// How the members of the replica set are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Members {
    pub(super) primary: i64,
    pub(super) secondary: i64,
    pub(super) other: i64,
    pub(super) down: i64,
    /// Voting members that are up, beyond a majority.
    pub(super) margin: i64,
    pub(super) lag_seconds: f64,
}

impl Roster {
    /// Reads an answer to `replSetGetConfig`.
    pub(super) fn read(answer: &Document) -> Self {
        let members = answer.get_document("config").and_then(|config| config.get_array("members"));
        let members = members.map(Vec::as_slice).unwrap_or_default().iter().filter_map(Bson::as_document);
        let place = |member: &Document| {
            let at = |field| number(member, &[field]);
            Some(Place {
                id: at("_id")? as i64,
                votes: at("votes").is_none_or(|votes| votes > 0.0),
                writes: !member.get_bool("arbiterOnly").unwrap_or(false),
                delayed: at("secondaryDelaySecs").is_some_and(|delay| delay > 0.0),
            })
        };
        Self(members.filter_map(place).collect())
    }

    /// Of a member that is not known, what most are.
    fn place(&self, id: i64) -> Place {
        let usual = Place { id, votes: true, writes: true, delayed: false };
        self.0.iter().find(|place| place.id == id).cloned().unwrap_or(usual)
    }
}

impl Members {
    pub(super) fn read(status: &Document, roster: &Roster) -> Self {
        let members = status.get_array("members").map(Vec::as_slice).unwrap_or_default();
        let (mut found, mut voting, mut writing) = (Self::default(), 0, 0);
        let (mut newest, mut furthest) = (i64::MIN, i64::MAX);
        for member in members.iter().filter_map(Bson::as_document) {
            let at = |field| number(member, &[field]).unwrap_or_default();
            let place = roster.place(at("_id") as i64);
            let state = if at("health") > 0.0 { at("state") as i64 } else { DOWN };
            *match state {
                PRIMARY => &mut found.primary,
                SECONDARY => &mut found.secondary,
                DOWN => &mut found.down,
                _ => &mut found.other,
            } += 1;
            voting += i64::from(place.votes && matches!(state, PRIMARY | SECONDARY | ARBITER));
            writing += i64::from(place.votes && place.writes && matches!(state, PRIMARY | SECONDARY));
            if let (PRIMARY | SECONDARY, Ok(time)) = (state, member.get_datetime("optimeDate")) {
                newest = newest.max(time.timestamp_millis());
                if state == SECONDARY && !place.delayed {
                    furthest = furthest.min(time.timestamp_millis());
                }
            }
        }
        if furthest < newest {
            found.lag_seconds = (newest - furthest) as f64 / 1e3;
        }
        // A majority has to elect a primary, and one has to have what is acknowledged: an arbiter does the former only.
        let needed = |field| number(status, &[field]).unwrap_or_default() as i64;
        found.margin = (voting - needed("majorityVoteCount")).min(writing - needed("writeMajorityCount"));
        found
    }

    /// As far as anybody here can tell, when none answers: all are down.
    pub(super) fn silent(roster: &Roster) -> Self {
        let voters = roster.0.iter().filter(|place| place.votes).count() as i64;
        let majority = if voters > 0 { voters / 2 + 1 } else { 0 };
        Self { down: roster.0.len() as i64, margin: -majority, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{DateTime, doc};

    use super::*;

    fn member(id: i32, health: f64, state: i32, second: i64) -> Document {
        let time = DateTime::from_millis(second * 1_000);
        doc! {"_id": id, "health": health, "state": state, "optimeDate": time}
    }

    fn read(members: [Document; 3], needed: (i32, i32), roster: &Roster) -> Members {
        let members = members.to_vec();
        let status = doc! {"majorityVoteCount": needed.0, "writeMajorityCount": needed.1, "members": members};
        Members::read(&status, roster)
    }

    fn told(members: &Members) -> ([i64; 4], i64) {
        ([members.primary, members.secondary, members.other, members.down], members.margin)
    }

    #[test]
    fn members_are_counted_and_the_furthest_behind_gives_the_lag() {
        let all = [member(0, 1.0, 1, 90), member(1, 1.0, 2, 88), member(2, 1.0, 2, 60)];
        let members = read(all.clone(), (2, 2), &Roster::default());
        assert_eq!(told(&members), ([1, 2, 0, 0], 1));
        assert!((members.lag_seconds - 30.0).abs() < 1e-9, "{members:?}");
        // One that lags because it was told to does not count.
        let config = doc! {"config": {"members": [{"_id": 2, "votes": 0, "secondaryDelaySecs": 3_600_i64}]}};
        let members = read(all, (2, 2), &Roster::read(&config));
        assert_eq!(told(&members), ([1, 2, 0, 0], 0));
        assert!((members.lag_seconds - 2.0).abs() < 1e-9, "{members:?}");
    }

    #[test]
    fn without_a_majority_the_margin_is_below_zero() {
        let lost = [member(0, 1.0, 2, 90), member(1, 0.0, 8, 0), member(2, 0.0, 8, 0)];
        assert_eq!(told(&read(lost, (2, 2), &Roster::default())), ([0, 1, 0, 2], -1));
        // An arbiter helps to elect, and stores nothing.
        let config = doc! {"config": {"members": [{"_id": 0}, {"_id": 1}, {"_id": 2, "arbiterOnly": true}]}};
        let roster = Roster::read(&config);
        let alone = [member(0, 1.0, 1, 90), member(1, 0.0, 8, 0), member(2, 1.0, 7, 0)];
        assert_eq!(told(&read(alone, (2, 2), &roster)), ([1, 0, 1, 1], -1));
        let both = [member(0, 1.0, 1, 90), member(1, 1.0, 2, 90), member(2, 0.0, 8, 0)];
        assert_eq!(told(&read(both, (2, 2), &roster)), ([1, 1, 0, 1], 0));
        assert_eq!(told(&Members::silent(&roster)), ([0, 0, 0, 3], -2));
        assert_eq!(told(&Members::silent(&Roster::default())), ([0; 4], 0));
    }
}
