//! How often a user may connect and come back, and how many commands may come, over one connection and from one user.
//!
//! A connection over which nothing comes costs nothing here.

use std::sync::Arc;
use std::time::Duration;

use protocol::Id;
use protocol::command::MAX_PAYLOAD;
use service::throttle::{Rate, Throttle};

use crate::config::Limits;
use crate::metrics::{Metrics, Policy};

/// After how many times what is allowed, all of it refused, a connection is closed.
const PATIENCE: u32 = 10;
/// How often one user may connect: each time the api is asked, and the streamer. Ten tabs with two sockets each, which
/// all come back a few times, are far from it.
const CONNECTS: Rate = Rate { count: 100, per: Duration::from_secs(10) };
/// How often one user may come back for what was missed: each time the streamer goes through what it remembers.
const RESUMES: Rate = Rate { count: 30, per: Duration::from_secs(10) };
/// How many kilobytes of messages one user may send, for each command that they may send: they are in what the streamer
/// remembers for everybody who comes back, and push out what others have missed.
const KILOBYTES_PER_COMMAND: u32 = 2;

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Rates {
    connection: Throttle<u64>,
    user: Throttle<Id>,
    kilobytes: Throttle<Id>,
    connects: Throttle<Id>,
    resumes: Throttle<Id>,
    /// How many refusals a connection has left.
    refusals: Throttle<u64>,
    metrics: Arc<Metrics>,
}

/// Why a command is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    /// It is one too many: another may come after this time.
    Wait(Duration),
    /// Whoever sends it was told so often enough.
    Flood,
}

impl Rates {
    pub(crate) fn new(limits: &Limits, metrics: Arc<Metrics>) -> Self {
        let connection = limits.command_rate_per_connection;
        let refusals = Rate { count: connection.count.saturating_mul(PATIENCE), per: connection.per };
        Self {
            connection: Throttle::new(connection),
            user: Throttle::new(limits.command_rate_per_user),
            kilobytes: Throttle::new(kilobytes(limits.command_rate_per_user)),
            connects: Throttle::new(CONNECTS),
            resumes: Throttle::new(RESUMES),
            refusals: Throttle::new(refusals),
            metrics,
        }
    }

    /// Counts a socket of `user` that is to be connected. False if it is one too many.
    pub(crate) fn may_connect(&self, user: Id) -> bool {
        let may = self.connects.check(&user).is_ok();
        if !may {
            self.metrics.refused(Policy::Connects);
        }
        may
    }

    /// Counts a socket of `user` that comes back for what it missed. False if it has to do without.
    pub(crate) fn may_resume(&self, user: Id) -> bool {
        let may = self.resumes.check(&user).is_ok();
        if !may {
            self.metrics.refused(Policy::Resumes);
        }
        may
    }

    /// Counts a command of `user` over the connection with this [`Socket::id`](crate::transport::Socket::id), and the
    /// `bytes` of a message that it is to send.
    pub(crate) fn check(&self, socket: u64, user: Id, bytes: usize) -> Result<(), Excess> {
        let checked = self.connection.check(&socket).map_err(|wait| (Policy::ConnectionCommands, wait));
        let checked =
            checked.and_then(|()| self.user.check(&user).map_err(|wait| (Policy::UserCommands, wait)));
        // What is larger is refused for that, whoever sends it.
        let kilobytes = bytes.min(MAX_PAYLOAD).div_ceil(1 << 10) as u32;
        let checked = checked.and_then(|()| {
            self.kilobytes.check_many(&user, kilobytes).map_err(|wait| (Policy::UserBytes, wait))
        });
        let Err((policy, wait)) = checked else { return Ok(()) };
        self.metrics.refused(policy);
        if self.refusals.check(&socket).is_ok() {
            return Err(Excess::Wait(wait));
        }
        self.metrics.refused(Policy::Flood);
        Err(Excess::Flood)
    }
}

/// How many kilobytes of messages a user may send who may send so many commands. One message can always be sent.
fn kilobytes(commands: Rate) -> Rate {
    let count = commands.count.saturating_mul(KILOBYTES_PER_COMMAND);
    Rate { count: count.max((MAX_PAYLOAD >> 10) as u32), per: commands.per }
}

#[cfg(test)]
mod tests {
    use service::metrics::Registry;

    use super::*;

    const LONG: Duration = Duration::from_secs(60 * 60);

    fn rates(per_connection: u32, per_user: u32) -> Rates {
        let limits = Limits {
            command_rate_per_connection: Rate { count: per_connection, per: LONG },
            command_rate_per_user: Rate { count: per_user, per: LONG },
            ..Limits::default()
        };
        Rates::new(&limits, Arc::new(Metrics::new(&Registry::new())))
    }

    #[test]
    fn a_connection_and_a_user_have_so_many_commands_each() {
        let (rates, ada, bob) = (rates(3, 5), Id::mint(), Id::mint());
        let accepted = |socket, user| (0..9).filter(|_| rates.check(socket, user, 0).is_ok()).count();
        assert_eq!(accepted(1, ada), 3);
        assert_eq!(accepted(2, ada), 2, "the user's other connection");
        assert_eq!(accepted(3, bob), 3);
        assert!(matches!(rates.check(1, ada, 0), Err(Excess::Wait(wait)) if wait <= LONG / 3));
    }

    #[test]
    fn what_the_connection_refuses_costs_the_user_nothing() {
        let (rates, ada) = (rates(2, 5), Id::mint());
        for _ in 0..9 {
            let _ = rates.check(1, ada, 0);
        }
        assert!((0..2).all(|_| rates.check(2, ada, 0).is_ok()));
        assert!(rates.check(3, ada, 0).is_ok());
    }

    #[test]
    fn who_does_not_stop_is_told_to_go() {
        let (rates, ada) = (rates(2, 1_000), Id::mint());
        let answers: Vec<_> = (0..23).map(|_| rates.check(1, ada, 0)).collect();
        assert!(answers[..2].iter().all(Result::is_ok));
        assert!(answers[2..22].iter().all(|answer| matches!(answer, Err(Excess::Wait(_)))));
        assert_eq!(answers[22], Err(Excess::Flood));
        assert_eq!(rates.check(2, ada, 0), Ok(()), "another connection of theirs");
    }

    #[test]
    fn a_user_sends_so_many_kilobytes_over_all_connections_and_small_messages_for_little() {
        let rates = rates(1_000, 100);
        let (ada, bob, carl) = (Id::mint(), Id::mint(), Id::mint());
        let accepted = |user, bytes| (0..30).filter(|n| rates.check(*n, user, bytes).is_ok()).count();
        assert_eq!(accepted(ada, MAX_PAYLOAD), 200 / 64);
        assert_eq!(accepted(ada, 4 << 20), 0, "it is left to others to say that this is too large");
        assert_eq!(rates.check(100, ada, 0), Ok(()), "whatever is no message");
        assert_eq!(accepted(bob, 1_025), 30);
        assert_eq!(accepted(carl, 16 << 10), 200 / 16);

        let rates = super::tests::rates(1_000, 1);
        assert_eq!(rates.check(1, ada, MAX_PAYLOAD), Ok(()), "one can always be sent");
        assert_eq!(kilobytes(Limits::default().command_rate_per_user).count, 2_000);
        assert_eq!(kilobytes(Rate { count: u32::MAX, per: LONG }).count, u32::MAX);
    }
}
