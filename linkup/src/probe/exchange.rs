//! One exchange after the other: one of the two users sends, the other one must receive.

use std::time::Duration;

use protocol::Id;
use protocol::code::ApiError;
use protocol::event::MESSAGE_SEND;
use protocol::probe::Accounts;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};

use super::accounts;
use super::config::Config;
use super::dial::Dialer;
use super::drift::Drift;
use super::metrics::{ProbeMetrics, Stage};
use super::outcome::Problem;
use super::socket::Socket;

/// Has one exchange after the other.
pub(super) struct Prober {
    config: Config,
    metrics: ProbeMetrics,
    dialer: Dialer,
    drift: Drift,
    pair: Option<Pair>,
    /// Whose turn it is to send.
    turn: usize,
    has_delivered: bool,
}

/// The two users, both connected.
struct Pair {
    sockets: [Socket; 2],
    conversation: Id,
}

/// When a message was sent, and until when it may arrive.
#[derive(Clone, Copy)]
struct Term {
    began: Instant,
    deadline: Instant,
}

impl Prober {
    /// Must be called inside a runtime.
    pub(super) fn new(config: Config, metrics: ProbeMetrics) -> Self {
        let (dialer, drift) = (Dialer::new(config.target.clone()), Drift::watch());
        Self { config, metrics, dialer, drift, pair: None, turn: 0, has_delivered: false }
    }

    /// Has a message delivered; how long that took.
    pub(super) async fn exchange(&mut self) -> Result<Duration, Problem> {
        self.drift.forget();
        let result = self.attempts().await;
        self.turn = 1 - self.turn;
        if result.is_err() {
            // Whoever is connected may be connected to what does not work any more: the next time it is as if for the
            // first time.
            self.pair = None;
        }
        self.has_delivered |= result.is_ok();
        result.map_err(|problem| {
            let problem = if self.has_delivered { problem.after_delivery() } else { problem };
            blame(problem, self.drift.worst(), self.config.timeout)
        })
    }

    /// Closes the connections.
    pub(super) async fn hang_up(&mut self) {
        if let Some(Pair { sockets: [one, other], .. }) = self.pair.take() {
            tokio::join!(one.close(), other.close());
        }
    }

    /// A connection that is cut in the middle, as when a gateway is replaced, is made again, and the message sent
    /// again: so do the clients of people.
    async fn attempts(&mut self) -> Result<Duration, Problem> {
        self.connect().await?;
        let began = Instant::now();
        let term = Term { began, deadline: began + self.config.timeout };
        match self.attempt(term).await {
            Err(problem) if problem.is_cut => {
                self.pair = None;
                self.connect().await?;
                self.attempt(term).await
            }
            result => result,
        }
    }

    /// Sees to it that both are connected.
    async fn connect(&mut self) -> Result<(), Problem> {
        if self.pair.as_ref().is_some_and(|pair| pair.sockets.iter().all(Socket::is_open)) {
            return Ok(());
        }
        self.pair = None;
        let within = self.config.timeout;
        let connected = timeout(within, self.connected()).await;
        self.pair = Some(connected.unwrap_or_else(|_| {
            Err(Problem::silent(format!("no connection to {} within {within:?}", self.dialer.target)))
        })?);
        Ok(())
    }

    async fn connected(&self) -> Result<Pair, Problem> {
        let Config { tokens, name, .. } = &self.config;
        let Accounts { users, conversation_id } = accounts::ask(&self.dialer, tokens, name).await?;
        let connect = async |token: &str| {
            let began = Instant::now();
            let socket = Socket::connect(&self.dialer, token).await?;
            self.metrics.stage(Stage::Connect, began.elapsed());
            Ok(socket)
        };
        let [one, other] = &users;
        let sockets = tokio::try_join!(connect(&one.token), connect(&other.token))?;
        Ok(Pair { sockets: sockets.into(), conversation: conversation_id })
    }

    /// One user sends, the other one receives.
    async fn attempt(&mut self, term: Term) -> Result<Duration, Problem> {
        let within = self.config.timeout;
        let Some(Pair { sockets, conversation }) = &mut self.pair else {
            return Err(Problem::own("there is no connection"));
        };
        let [one, other] = sockets;
        let (sender, receiver) = if self.turn == 0 { (one, other) } else { (other, one) };
        // Of this attempt alone: there may be other probes with the same accounts.
        let content = format!("probe {}", Id::mint());
        let mut arriving = receiver.expect(content.clone());
        let sent = Instant::now();
        let mut answering =
            sender.ask(MESSAGE_SEND, &json!({"conversationId": conversation, "content": content}));
        let (mut acknowledged, mut arrived) = (None, None);
        let both = async {
            while acknowledged.is_none() || arrived.is_none() {
                tokio::select! {
                    answer = &mut answering, if acknowledged.is_none() => {
                        let (at, answer) = answer.map_err(|_| sender.problem())?;
                        accepted(answer)?;
                        acknowledged = Some(at);
                    }
                    arrival = &mut arriving, if arrived.is_none() => {
                        let (at, ()) = arrival.map_err(|_| receiver.problem())?;
                        arrived = Some(at);
                    }
                }
            }
            Ok::<_, Problem>(())
        };
        let result = timeout_at(term.deadline, both).await;
        if let Some(acknowledged) = acknowledged {
            self.metrics.stage(Stage::Acknowledge, acknowledged - sent);
            if let Some(arrived) = arrived {
                self.metrics.stage(Stage::Deliver, arrived.saturating_duration_since(acknowledged));
            }
        }
        match (result, arrived) {
            // What has arrived is delivered, even where the sender does not know it because the connection is gone.
            (Ok(Ok(())) | Err(_), Some(arrived)) => Ok(arrived - term.began),
            (Ok(Err(problem)), Some(arrived)) if problem.is_cut => Ok(arrived - term.began),
            (Ok(Err(problem)), _) => Err(problem),
            (_, None) => Err(Problem::late(match acknowledged {
                Some(_) => format!("a message was acknowledged and did not arrive within {within:?}"),
                None => format!("a message was not acknowledged within {within:?}"),
            })),
        }
    }
}

/// What the acknowledgement of a send says.
#[derive(Deserialize)]
struct Answer {
    ok: bool,
    #[serde(default)]
    error: Option<ApiError>,
}

/// Whether a send was accepted.
fn accepted(answer: Value) -> Result<(), Problem> {
    match serde_json::from_value(answer) {
        Ok(Answer { ok: true, .. }) => Ok(()),
        Ok(Answer { error: Some(error), .. }) => {
            Err(Problem::refused(format!("a message was refused: {}", error.message)))
        }
        Ok(Answer { error: None, .. }) | Err(_) => {
            Err(Problem::foreign("an acknowledgement is not understood"))
        }
    }
}

/// A server is not late by a clock that is.
fn blame(problem: Problem, drift: Duration, timeout: Duration) -> Problem {
    if problem.by_clock && drift >= timeout / 4 {
        Problem::own(format!("timers of the probe were {drift:?} late, and then {problem}"))
    } else {
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    #[test]
    fn an_acknowledgement_accepts_or_refuses() {
        let outcome = |answer| accepted(answer).err().map(|problem| problem.outcome);
        assert_eq!(outcome(json!({"ok": true, "message": {"id": 1}})), None);
        let error = json!({"code": "unavailable", "message": "The service is unavailable"});
        assert_eq!(outcome(json!({"ok": false, "error": error})), Some(Outcome::Refused));
        for odd in [json!(null), json!({"ok": "yes"}), json!({"ok": false}), json!([])] {
            assert_eq!(outcome(odd.clone()), Some(Outcome::ProbeError), "{odd}");
        }
    }

    #[test]
    fn whose_clock_is_late_blames_nobody_else() {
        let (second, timeout) = (Duration::from_secs(1), Duration::from_secs(4));
        let blamed = |problem, drift| blame(problem, drift, timeout).outcome;
        assert_eq!(blamed(Problem::late("late"), second), Outcome::ProbeError);
        assert_eq!(blamed(Problem::silent("silent"), second), Outcome::ProbeError);
        assert_eq!(blamed(Problem::late("late"), second / 2), Outcome::Late);
        assert_eq!(blamed(Problem::silent("silent"), second / 2), Outcome::Unreachable);
        // What a server or the system said is so, whatever the clock.
        assert_eq!(blamed(Problem::refused("no"), timeout), Outcome::Refused);
        assert_eq!(blamed(Problem::unreachable("no"), timeout), Outcome::Unreachable);
    }
}
