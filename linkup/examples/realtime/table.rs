//! What is printed: LinkUp's gateway and its peers beside each other, and what others were measured to cost at another
//! time.

use super::fanout::Fanout;
use super::idle::Idle;
use super::role::{BARE, OXIDE};
use super::slow::Slow;

/// What was measured of one server.
pub(crate) struct Measured {
    pub(crate) idle: Vec<Idle>,
    pub(crate) fanout: Vec<Fanout>,
    /// Not of the peers.
    pub(crate) slow: Option<Slow>,
    /// How connections ended that should not have, if any did.
    pub(crate) lost: Option<String>,
}

/// Figures of the same machine, each server by itself, with another load generator.
const EARLIER: &str = "\
Measured earlier on such a machine, with another load generator (idle bytes of 10,000; connections/s; CPU of a delivery):
  fastwebsockets, the obvious way, one thread    6.5 KB   26,000   9.0 µs; saturates at 128,000/s
  socketioxide                                    28 KB    9,900   9.9 µs at 100,000/s, 3.3 µs at 300,000/s (p99 24 ms)
  Socket.IO 4 on Node.js                          15 KB    2,500   19 µs; saturates at 75,000/s
  Express + Socket.IO + mongoose                  27 KB  220-360   27 µs; saturates at 35,000/s
  nginx + nchan                                   10 KB   25,000   9.6 µs; falls behind at 100,000/s";

/// Prints everything. A ratio under 1 means that LinkUp's figure is smaller.
pub(crate) fn print(ours: &Measured, bare: &Measured, oxide: &Measured) {
    println!("{:<50} {:>10} {BARE:>15} {:>6} {OXIDE:>15} {:>6}", "", "linkup", "ratio", "ratio");
    for ((ours, bare), oxide) in ours.idle.iter().zip(&bare.idle).zip(&oxide.idle) {
        let of = |what: &str| format!("{} idle connections: {what}", ours.connections);
        line(&of("resident bytes of each"), 0, [ours.bytes, bare.bytes, oxide.bytes]);
        line(&of("CPU, % of a core"), 2, [ours.cpu, bare.cpu, oxide.cpu]);
        let of = |what: &str| format!("{} opened: {what}", ours.opened);
        line(&of("connects/s"), 0, [ours.connects, bare.connects, oxide.connects]);
        if let Some(presences) = ours.presences {
            line(&of("until presence is committed"), 0, [presences, bare.connects, oxide.connects]);
        }
    }
    for ((ours, bare), oxide) in ours.fanout.iter().zip(&bare.fanout).zip(&oxide.fanout) {
        let of = |what: &str| format!("{} events/s: {what}", ours.rate);
        line(&of("deliveries/s"), 0, [ours.deliveries, bare.deliveries, oxide.deliveries]);
        line(&of("CPU of a delivery, µs"), 2, [ours.cost, bare.cost, oxide.cost]);
        let tallies = [ours.tally, bare.tally, oxide.tally];
        line(&of("p50, ms"), 1, tallies.map(|tally| tally.p50.as_secs_f64() * 1e3));
        line(&of("p99, ms"), 1, tallies.map(|tally| tally.p99.as_secs_f64() * 1e3));
        line(&of("lost, doubled or out of turn"), 0, tallies.map(|tally| tally.wrong as f64));
    }
    if let Some(Slow { without, with, grown }) = &ours.slow {
        let millis = |time: std::time::Duration| time.as_secs_f64() * 1e3;
        println!(
            "beside a client that does not read: p50 {:.1} ms, p99 {:.1} ms; without it {:.1} and {:.1} ms; lost {}; \
             the gateway grew by {:.1} MB",
            millis(with.p50),
            millis(with.p99),
            millis(without.p50),
            millis(without.p99),
            with.wrong,
            *grown as f64 / 1e6
        );
    }
    for (name, peer) in [(BARE, bare), (OXIDE, oxide)] {
        if let Some(lost) = &peer.lost {
            println!("{name} lost connections: {lost}");
        }
    }
    println!("{EARLIER}");
}

fn line(what: &str, digits: usize, [ours, bare, oxide]: [f64; 3]) {
    let ratio = |peer: f64| if peer > 0.0 { format!("{:.2}", ours / peer) } else { String::new() };
    let (to_bare, to_oxide) = (ratio(bare), ratio(oxide));
    println!(
        "{what:<50} {ours:>10.digits$} {bare:>15.digits$} {to_bare:>6} {oxide:>15.digits$} {to_oxide:>6}"
    );
}
