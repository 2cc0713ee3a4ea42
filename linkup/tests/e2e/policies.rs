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

/// How often a policy has refused something, in this process.
fn refusals(policy: &str) -> f64 {
    let families = prometheus::gather();
    let family = families.iter().find(|family| family.name() == "linkup_gateway_refused_total");
    let of = |metric: &&prometheus::proto::Metric| metric.get_label()[0].value() == policy;
    family
        .and_then(|family| family.get_metric().iter().find(of))
        .map_or(0.0, |metric| metric.get_counter().get_value())
}
