//! Whatever order things come in and whatever is lost: every client gets everything after its session began, once and
//! in order.

use std::time::{Duration, Instant};

use protocol::bus::Content;
use protocol::{Clock, Id};
use rustc_hash::FxHashMap;

use super::world::{Client, World};
use crate::metrics::Gap;

/// Numbers that look random and are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// A client over all its connections.
struct Person {
    client: Client,
    /// What it has got since its session began.
    got: Vec<Clock>,
    /// Where the history stood when it was last let in anew.
    begun: Clock,
}

struct Trial {
    world: World,
    dice: Dice,
    users: Vec<Id>,
    generations: FxHashMap<Id, i64>,
    people: Vec<Person>,
    recovered: usize,
    anew: usize,
}

impl Trial {
    fn new(seed: u64) -> Self {
        let users: Vec<Id> = (0..4).map(|_| Id::mint()).collect();
        let mut trial = Self {
            world: World::new(),
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            generations: users.iter().map(|user| (*user, 0)).collect(),
            users,
            people: Vec::new(),
            recovered: 0,
            anew: 0,
        };
        for _ in 0..8 {
            let user = trial.dice.pick(&trial.users);
            let client = trial.world.open(user, 0, None);
            trial.people.push(Person { client, got: Vec::new(), begun: Clock::ZERO });
        }
        trial
    }

    fn someone(&mut self) -> usize {
        self.dice.below(self.people.len() as u64) as usize
    }

    fn step(&mut self) {
        match self.dice.below(40) {
            0..8 => {
                let mut recipients = self.users.clone();
                recipients.retain(|_| self.dice.below(2) == 0);
                self.world.streamer.commit(&recipients, None);
            }
            8..14 => {
                let count = self.dice.below(4) as usize;
                self.world.streamer.read(count);
            }
            14..26 => {
                for _ in 0..self.dice.below(6) {
                    self.world.deliver();
                }
            }
            26..30 => {
                self.world.hub.flush();
                self.world.hear();
            }
            30..33 => {
                let who = self.someone();
                self.world.vouch(&self.people[who].client);
            }
            33..36 => self.come_back(),
            36 => match self.dice.below(4) {
                0 => drop(self.world.streamer.line.pop_front()),
                1 => {
                    self.world.hub.flush();
                    drop(self.world.uplinks.try_recv());
                }
                2 => self.world.hub.interrupt(Gap::BusReconnected),
                _ => self.world.hub.tick(Instant::now() + Duration::from_secs(100)),
            },
            37 => {
                if self.dice.below(3) == 0 {
                    self.change_streamer();
                }
            }
            38 => {
                if self.world.hub.link.due().is_some() {
                    self.world.hub.resync();
                }
            }
            _ => self.end_sessions(),
        }
        self.look();
    }

    /// A client is gone, with or without the hub's knowledge, and connects again.
    fn come_back(&mut self) {
        let who = self.someone();
        let Person { client, .. } = &self.people[who];
        if self.dice.below(3) > 0 {
            self.world.close(client);
        }
        let resumes = self.dice.below(5) > 0;
        // A client that begins anew is another one, and nobody is there any more behind the earlier one's connection.
        if !resumes {
            self.world.close(client);
        }
        let generation = self.generations[&client.user];
        let came_from = resumes.then_some(client);
        self.people[who].client = self.world.open(client.user, generation, came_from);
    }

    fn change_streamer(&mut self) {
        let back = self.dice.below(4) as usize;
        self.world.streamer.replace(back);
        if self.dice.below(2) == 0 {
            self.world.streamer.line.clear();
        }
        let read = self.world.streamer.read;
        if self.dice.below(3) == 0 {
            self.world.streamer.forgotten = read.saturating_sub(5).max(self.world.streamer.forgotten);
        }
    }

    fn end_sessions(&mut self) {
        if self.dice.below(8) == 0 {
            let user = self.dice.pick(&self.users);
            let generation = self.generations[&user] + 1;
            self.generations.insert(user, generation);
            self.world.streamer.commit(&[user], Some(Content::SessionsEnded { generation }));
        }
    }

    /// Everybody reads what they were sent.
    fn look(&mut self) {
        let now = super::at(99 + self.world.streamer.history.len() as u64);
        for person in &mut self.people {
            let was_connected = person.client.recovered.is_some();
            person.client.read();
            match person.client.recovered {
                Some(true) if !was_connected => self.recovered += 1,
                Some(false) if !was_connected => {
                    self.anew += 1;
                    (person.got, person.begun) = (Vec::new(), now);
                }
                _ => {}
            }
            person.got.append(&mut person.client.got);
        }
    }

    /// Holds what everybody got against what they should have.
    fn judge(&mut self, seed: u64) {
        for person in &mut self.people {
            let client = &person.client;
            if client.recovered.is_none() {
                continue;
            }
            let start = client.start(&self.world.tokens);
            assert!(start <= person.begun, "seed {seed}: it begins after it was let in");
            let history = self.world.streamer.history.iter().filter(|envelope| {
                let is_event = matches!(envelope.content, Content::Event(_));
                is_event && envelope.clock > start && envelope.recipients.contains(&client.user)
            });
            let mut expected: Vec<Clock> = history.map(|envelope| envelope.clock).collect();
            if client.closed.is_some() {
                expected.truncate(person.got.len());
            }
            assert_eq!(person.got, expected, "seed {seed}");
            let is_ended = client.generation < self.generations[&client.user];
            assert!(!is_ended || client.closed.is_some(), "seed {seed}: its session was ended");
        }
    }
}

#[test]
fn nothing_is_missed_or_given_twice_whatever_happens() {
    let (mut recovered, mut anew) = (0, 0);
    for seed in 1..=300 {
        let mut trial = Trial::new(seed);
        for _ in 0..4 {
            (0..150).for_each(|_| trial.step());
            trial.world.settle();
            trial.look();
            trial.judge(seed);
        }
        for who in 0..trial.people.len() {
            if trial.people[who].client.closed.is_none() {
                trial.world.vouch(&trial.people[who].client);
            }
        }
        trial.world.settle();
        trial.look();
        trial.judge(seed);
        recovered += trial.recovered;
        anew += trial.anew;
    }
    assert!(recovered > 1_000 && anew > 1_000, "{recovered} were recovered, {anew} began anew");
}
