//! What a gateway refuses, what it says to that, and that whoever stops is served again.
//!
//! | module | shows |
//! |---|---|
//! | [`away`] | who may begin a connection while the database is away |
//! | [`doors`] | who may begin a connection: origins, addresses, users |
//! | [`commands`] | what is answered to commands: good ones, malformed ones, too many |
//! | [`tokens`] | tokens that run out, are replaced, or are taken back while a connection is open |

mod away;
mod commands;
mod doors;
mod tokens;

use std::time::Duration;

use service::throttle::Rate;

use crate::support::stack::{Plan, Stack};

/// One of everything, with these changes to the gateway's settings.
async fn stack(gateway: fn(&mut gateway::Config)) -> Stack {
    Stack::with(Plan { gateway, ..Plan::default() }).await
}

/// So many times in so long a time that none comes back while a test runs.
fn times(count: u32) -> Rate {
    Rate { count, per: Duration::from_secs(60 * 60) }
}

/// How often a policy of the first gateway has refused something.
fn refusals(stack: &Stack, policy: &str) -> f64 {
    let registry = &stack.gateway_monitoring(0).registry;
    registry.value("linkup_gateway_refused_total", &[("policy", policy)]).unwrap()
}
