//! What every bus promises, run against both implementations, and what NATS promises on top against a real
//! server.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test fails; clippy sees that only in test functions"
)]

#[path = "support/nats_server.rs"]
mod nats_server;

#[path = "contract/nats.rs"]
mod nats;
#[path = "contract/relay.rs"]
mod relay;
#[path = "contract/suite.rs"]
mod suite;

use bus::{Bus, InProcess, Nats};
use nats_server::NatsServer;
use service::metrics::Registry;
use suite::Ends;

/// All ends on the one bus that there is in a process.
fn in_process() -> (Ends<InProcess>, ()) {
    let bus = InProcess::new(&Registry::new());
    (Ends { streamer: bus.clone(), gateways: bus }, ())
}

/// The streamer and the gateways in "processes" of their own: each has its connection.
async fn over_nats() -> (Ends<Nats>, NatsServer) {
    let server = NatsServer::start().await;
    let streamer = Nats::connect(&server.url(), &Registry::new()).await.unwrap();
    let gateways = Nats::connect(&server.url(), &Registry::new()).await.unwrap();
    (Ends { streamer, gateways }, server)
}

macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod in_process_contract {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let (ends, ()) = super::in_process();
                super::suite::$name(ends).await;
            })*
        }
        mod nats_contract {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let (ends, _server) = super::over_nats().await;
                super::suite::$name(ends).await;
            })*
        }
    };
}

contract!(
    deliveries_keep_their_order_per_gateway,
    gateways_do_not_see_each_others_deliveries,
    what_is_delivered_is_what_was_published,
    confirm_returns_and_can_be_repeated,
    uplinks_arrive_in_order,
    uplinks_without_a_streamer_are_lost_quietly,
    a_second_streamer_replaces_the_first,
    a_gateway_attached_again_replaces_the_earlier,
    a_streamer_can_leave_and_come_back,
    a_gone_gateway_is_no_error,
);

/// The suite is generic; that a bus can be chosen at run time by a generic function is part of the contract.
#[test]
fn a_bus_is_a_handle_that_can_be_shared() {
    fn handle<B: Bus>() {}
    handle::<InProcess>();
    handle::<Nats>();
}
