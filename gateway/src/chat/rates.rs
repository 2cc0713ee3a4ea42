//! How many commands may come, over one connection and from one user.
//!
//! A connection over which nothing comes costs nothing here.

use std::time::Duration;

use protocol::Id;
use service::throttle::{Rate, Throttle};

use crate::config::Limits;
use crate::metrics::{METRICS, Policy};

/// After how many times what is allowed, all of it refused, a connection is closed.
const PATIENCE: u32 = 10;

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Rates {
    connection: Throttle<u64>,
    user: Throttle<Id>,
    /// How many refusals a connection has left.
    refusals: Throttle<u64>,
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
    pub(crate) fn new(limits: &Limits) -> Self {
        let connection = limits.command_rate_per_connection;
        let refusals = Rate { count: connection.count.saturating_mul(PATIENCE), per: connection.per };
        Self {
            connection: Throttle::new(connection),
            user: Throttle::new(limits.command_rate_per_user),
            refusals: Throttle::new(refusals),
        }
    }

    /// Counts a command of `user` over the connection with this [`Socket::id`](crate::transport::Socket::id).
    pub(crate) fn check(&self, socket: u64, user: Id) -> Result<(), Excess> {
        let checked = self.connection.check(&socket).map_err(|wait| (Policy::ConnectionCommands, wait));
        let checked =
            checked.and_then(|()| self.user.check(&user).map_err(|wait| (Policy::UserCommands, wait)));
        let Err((policy, wait)) = checked else { return Ok(()) };
        METRICS.refused(policy);
        if self.refusals.check(&socket).is_ok() {
            return Err(Excess::Wait(wait));
        }
        METRICS.refused(Policy::Flood);
        Err(Excess::Flood)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60 * 60);

    fn rates(per_connection: u32, per_user: u32) -> Rates {
        Rates::new(&Limits {
            command_rate_per_connection: Rate { count: per_connection, per: LONG },
            command_rate_per_user: Rate { count: per_user, per: LONG },
            ..Limits::default()
        })
    }

    #[test]
    fn a_connection_and_a_user_have_so_many_commands_each() {
        let (rates, ada, bob) = (rates(3, 5), Id::mint(), Id::mint());
        let accepted = |socket, user| (0..9).filter(|_| rates.check(socket, user).is_ok()).count();
        assert_eq!(accepted(1, ada), 3);
        assert_eq!(accepted(2, ada), 2, "the user's other connection");
        assert_eq!(accepted(3, bob), 3);
        assert!(matches!(rates.check(1, ada), Err(Excess::Wait(wait)) if wait <= LONG / 3));
    }

    #[test]
    fn what_the_connection_refuses_costs_the_user_nothing() {
        let (rates, ada) = (rates(2, 5), Id::mint());
        for _ in 0..9 {
            let _ = rates.check(1, ada);
        }
        assert!((0..2).all(|_| rates.check(2, ada).is_ok()));
        assert!(rates.check(3, ada).is_ok());
    }

    #[test]
    fn who_does_not_stop_is_told_to_go() {
        let (rates, ada) = (rates(2, 1_000), Id::mint());
        let answers: Vec<_> = (0..23).map(|_| rates.check(1, ada)).collect();
        assert!(answers[..2].iter().all(Result::is_ok));
        assert!(answers[2..22].iter().all(|answer| matches!(answer, Err(Excess::Wait(_)))));
        assert_eq!(answers[22], Err(Excess::Flood));
        assert_eq!(rates.check(2, ada), Ok(()), "another connection of theirs");
    }
}
